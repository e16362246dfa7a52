"""Looks for a known secret in everything a command left behind or showed on the way.

A needle is any 12-character piece of the secret: in plain, hex, base64 (each of the three ways it
can fall on the groups of three), UTF-16, and all of that again inside deflate, gzip, ZIP and PDF
streams, nested. A searcher that finds nothing proves nothing until it has found each of these:
``tests/laws/test_canary.py`` shows that first.
"""

import base64
import contextlib
import io
import os
import re
import threading
import time
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

PIECE = 12
"""Characters: shorter pieces occur by chance, longer ones miss a secret that was cut."""

_MAX_INFLATED = 64 * 1024 * 1024
_DEPTH = 3
_DEFLATE = re.compile(rb"[\x08\x18\x28\x38\x48\x58\x68\x78][\x01\x5e\x9c\xda]")
_ASCII85 = re.compile(rb"stream\r?\n([!-uz\s]+~>)")
_BASE64_OF_PACKED = re.compile(rb"(?:e[AFJN]|H4sI|UEsDB)[A-Za-z0-9+/]{16,}")
"""Base64 in plain is among the needles; as a wrapping it matters, as in ZPL's ``:Z64:``."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """Where the secret was seen, and in what clothes; never the secret."""

    place: str
    form: str


class Canary:
    """One secret's searcher."""

    def __init__(self, secret: str) -> None:
        pieces = [secret[i : i + PIECE] for i in range(len(secret) - PIECE + 1)]
        self._needles: dict[bytes, str] = {}
        for piece in pieces:
            raw = piece.encode()
            self._needles[raw] = "plain"
            self._needles[raw.hex().encode()] = "hex"
            self._needles[raw.hex().upper().encode()] = "hex"
            self._needles[piece.encode("utf-16-le")] = "utf-16"
            self._needles[piece.encode("utf-16-be")] = "utf-16"
            for form in (base64.b64encode, base64.urlsafe_b64encode):
                for shift in range(3):
                    # drop the characters that also depend on the neighbouring bytes
                    coded = form(b"\0" * shift + raw).rstrip(b"=")
                    whole = coded[(shift * 8 + 5) // 6 : (shift + len(raw)) * 8 // 6]
                    self._needles[whole] = "base64"
        self._pattern = re.compile(b"|".join(map(re.escape, self._needles)))

    def in_bytes(self, data: bytes, place: str, _depth: int = 0) -> list[Sighting]:
        """Every form the secret takes in ``data``."""
        forms = {self._needles[hit.group()] for hit in self._pattern.finditer(data)}
        seen = [Sighting(place, form) for form in sorted(forms)]
        if _depth < _DEPTH:
            for name, inner in _unpacked(data):
                seen += self.in_bytes(inner, f"{place} > {name}", _depth + 1)
        return seen

    def in_text(self, text: str, place: str) -> list[Sighting]:
        """The same for a text stream."""
        return self.in_bytes(text.encode("utf-8", "surrogateescape"), place)

    def in_folders(self, folders: Iterable[Path], *, but: Iterable[Path] = ()) -> list[Sighting]:
        """Every file below ``folders``, its name too; ``but`` are the files that must hold it."""
        excepted = {path.resolve() for path in but}
        seen: list[Sighting] = []
        for folder in folders:
            for path in sorted(folder.rglob("*")):
                seen += self.in_text(path.name, f"name of {path.parent}")
                if path.is_symlink():
                    seen += self.in_text(str(path.readlink()), f"link {path.parent}")
                elif path.is_file() and path.resolve() not in excepted:
                    with contextlib.suppress(FileNotFoundError):
                        seen += self.in_bytes(path.read_bytes(), str(path))
        return seen


class Watch:
    """Samples the argument lists and environments of every process that starts while it runs.

    Of every process, not of descendants: servers that detach themselves are looked at too. Linux
    only (``/proc``). ``samples`` counts looks, so a test can tell that the watch saw something.
    """

    def __init__(self, canary: Canary, period_s: float = 0.01) -> None:
        self._canary = canary
        self._period_s = period_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, daemon=True)
        self._before = _processes()
        self._looked: set[bytes] = set()
        self.samples = 0
        self.seen: list[Sighting] = []

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _loop(self) -> None:
        while not self._stop.is_set():
            for pid in _processes() - self._before:
                for name in ("cmdline", "environ"):
                    with contextlib.suppress(OSError):
                        data = Path(f"/proc/{pid}/{name}").read_bytes()
                        self.samples += 1
                        if data not in self._looked:
                            self._looked.add(data)
                            self.seen += self._canary.in_bytes(data, f"{name} of a process")
            time.sleep(self._period_s)


def _processes() -> set[str]:
    return {entry.name for entry in os.scandir("/proc") if entry.name.isdigit()}


def _unpacked(data: bytes) -> Iterator[tuple[str, bytes]]:
    yield from _zip_members(data)
    for hit in _DEFLATE.finditer(data):
        if int.from_bytes(hit.group(), "big") % 31 == 0:
            # without the header, so that a damaged checksum does not hide what inflated well
            inflated = _inflate(data[hit.end() :], -zlib.MAX_WBITS)
            if inflated:
                yield f"deflate at {hit.start()}", inflated
    start = data.find(b"\x1f\x8b\x08")
    while start >= 0:
        inflated = _inflate(data[start:], 16 + zlib.MAX_WBITS)
        if inflated:
            yield f"gzip at {start}", inflated
        start = data.find(b"\x1f\x8b\x08", start + 1)
    for hit in _ASCII85.finditer(data):
        with contextlib.suppress(ValueError):
            yield f"ascii85 at {hit.start()}", base64.a85decode(hit.group(1).strip()[:-2])
    for hit in _BASE64_OF_PACKED.finditer(data):
        whole = hit.group()[: len(hit.group()) // 4 * 4]
        yield f"base64 at {hit.start()}", base64.b64decode(whole + b"AAA=")


def _zip_members(data: bytes) -> Iterator[tuple[str, bytes]]:
    if b"PK\x03\x04" not in data:
        return
    broken = (zipfile.BadZipFile, NotImplementedError, RuntimeError, zlib.error, EOFError)
    with contextlib.suppress(*broken), zipfile.ZipFile(io.BytesIO(data)) as archive:
        for info in archive.infolist():
            if info.file_size < _MAX_INFLATED:
                yield "zip member", archive.read(info)


def _inflate(data: bytes, wbits: int) -> bytes:
    """As much as inflates: a stream that is cut still shows its beginning."""
    engine = zlib.decompressobj(wbits)
    out = bytearray()
    with contextlib.suppress(zlib.error):
        for at in range(0, len(data), 128):
            out += engine.decompress(data[at : at + 128], _MAX_INFLATED)
            if engine.eof or len(out) > _MAX_INFLATED:
                break
    return bytes(out)
