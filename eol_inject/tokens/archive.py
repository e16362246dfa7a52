"""A console export ZIP: one CSV, and one QR image per token named after its AuthToken.

Read in memory, never extracted. The names in it are secrets, and so are zipfile's messages, which
repeat them: errors count entries instead. Limits stand against archives made to fill memory.

Refused: no table or several; an image that is broken, shows no claim code, or another than its
row; images of which none belongs to a row. Told as a note: no images at all, rows without image
(the table itself must have their QR tokens then), images without row, other files.
"""

import io
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, BinaryIO, Final, TypeVar

from eol_inject.errors import UsageError
from eol_inject.tokens import images
from eol_inject.tokens.source import MAX_BYTES, Source
from eol_inject.unit import AuthToken

MAX_ENTRIES: Final = 50_000
_MAX_DIRECTORY_BYTES: Final = 64 * 1024 * 1024
_MAX_RATIO: Final = 100
"""Random tokens pack to no less than three quarters, metadata to a tenth or so."""
_RATIO_MATTERS_FROM: Final = 1024 * 1024
_FLAG_ENCRYPTED: Final = 0x1
_METHODS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_LEFT_BEHIND: Final = re.compile(
    r"(^|/)(__MACOSX/|\._|\.DS_Store$|Thumbs\.db$|desktop\.ini$)", re.IGNORECASE
)
"""What macOS and Windows put into an archive that was packed again."""
_OUTSIDE: Final = re.compile(r"(^|/)\.\.(/|$)|^/|^[A-Za-z]:")
_TABLES: Final = (".csv", ".tsv", ".txt")
_ARCHIVES: Final = (".zip", ".7z", ".rar", ".gz", ".tar", ".tgz", ".bz2", ".xz")
_TROUBLE: Final = (
    zipfile.BadZipFile,
    NotImplementedError,
    RuntimeError,
    EOFError,
    OSError,
    ValueError,
    LookupError,
    OverflowError,
    struct.error,
    zlib.error,
)

if TYPE_CHECKING:
    from typing_extensions import Buffer  # typing knows it from Python 3.12 on

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Export:
    """What was found in the archive."""

    source: Source
    claims: dict[str, str] = field(repr=False)
    """What each QR image says, by the AuthToken that is its name."""
    broken: dict[str, UsageError] = field(repr=False)
    """Images that say nothing usable, by the same."""
    strangers: int
    """Files that are neither the table nor an image named after a token: never opened."""

    def open_table(self) -> BinaryIO:
        """The CSV's bytes from the start, unpacked as they are read."""
        with ExitStack() as stack:
            archive = stack.enter_context(_opened(self.source))
            table = _table(_entries(archive))
            entry = stack.enter_context(_quietly(lambda: archive.open(table)))
            return io.BufferedReader(_Table(entry, stack.pop_all()))


def read_export(source: Source) -> Export:
    """Look at every entry, and decode every image.

    Raises ``UsageError``: ``tokens.zip_*``, ``tokens.not_a_source``.
    """
    with _opened(source) as archive:
        entries = _entries(archive)
        _table(entries)
        claims: dict[str, str] = {}
        broken: dict[str, UsageError] = {}
        for number, entry in enumerate(entries, 1):
            name = _token_of(entry)
            if name is None:
                continue
            where = f"image {number}"
            try:
                claim = images.claim_in(_content(archive, entry), where=where)
                if claims.setdefault(name, claim) != claim:
                    raise UsageError("tokens.zip_two_images", where=where)
            except UsageError as error:
                broken.setdefault(name, error.with_traceback(None))  # frames hold image data
    pictures = sum(_token_of(entry) is not None for entry in entries)
    return Export(source, claims, broken, len(entries) - pictures - 1)


class _Table(io.RawIOBase):
    """One entry of the archive as a stream, with zipfile's errors translated."""

    def __init__(self, entry: IO[bytes], opened: ExitStack) -> None:
        super().__init__()
        self._entry = entry
        self._opened = opened

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "Buffer", /) -> int:
        target = memoryview(buffer)
        data = _quietly(lambda: self._entry.read(len(target)))
        target[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._opened.close()
        super().close()


@contextmanager
def _opened(source: Source) -> Iterator[zipfile.ZipFile]:
    with source.open() as stream:
        _check_directory(stream)
        archive = _quietly(lambda: zipfile.ZipFile(stream))
        with archive:
            yield archive


def _quietly(act: Callable[[], Result]) -> Result:
    """Do ``act``; whatever zipfile says is raised anew outside, so that nothing of it hangs on."""
    try:
        return act()
    except _TROUBLE:
        pass
    raise UsageError("tokens.zip_broken")


def _check_directory(stream: BinaryIO) -> None:
    """Refuse a directory that would fill memory, before zipfile reads it (APPNOTE 4.3.14, .16)."""
    end = stream.seek(0, io.SEEK_END)
    start = max(0, end - (1 << 16) - 22 - 20 - 56)
    stream.seek(start)
    tail = stream.read()
    stream.seek(0)
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) < at + 22:
        raise UsageError("tokens.zip_broken")
    entries, size = struct.unpack("<HI", tail[at + 10 : at + 16])
    large = at - 20 - 56
    if large >= 0 and tail[at - 20 : at - 16] == b"PK\x06\x07":
        entries, size = struct.unpack("<QQ", tail[large + 32 : large + 48])
    if entries > MAX_ENTRIES or size > _MAX_DIRECTORY_BYTES:
        raise UsageError("tokens.zip_too_many", limit=MAX_ENTRIES)


def _entries(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """The files in it, each of them fit to be opened."""
    found = archive.infolist()
    if len(found) > MAX_ENTRIES:
        raise UsageError("tokens.zip_too_many", limit=MAX_ENTRIES)
    entries = []
    for entry in found:
        entry.filename = entry.filename.replace("\\", "/")
        if _OUTSIDE.search(entry.filename) or stat.S_ISLNK(entry.external_attr >> 16):
            raise UsageError("tokens.zip_path")
        if entry.filename == "[Content_Types].xml":
            raise UsageError("tokens.not_a_source", kind="an Excel workbook or other document")
        if entry.filename.endswith("/") or _LEFT_BEHIND.search(entry.filename):
            continue
        if entry.flag_bits & _FLAG_ENCRYPTED:
            raise UsageError("tokens.zip_encrypted")
        if entry.compress_type not in _METHODS:
            raise UsageError("tokens.zip_method")
        if entry.filename.lower().endswith(_ARCHIVES):
            raise UsageError("tokens.zip_nested")
        entries.append(entry)
    _check_sizes(entries)
    return entries


def _check_sizes(entries: list[zipfile.ZipInfo]) -> None:
    """Sizes as the archive declares them; zipfile never gives more than it declared."""
    for entry in entries:
        ratio = entry.file_size / max(1, entry.compress_size)
        if entry.file_size > _RATIO_MATTERS_FROM and ratio > _MAX_RATIO:
            raise UsageError("tokens.zip_bomb")
    if sum(entry.file_size for entry in entries) > MAX_BYTES:
        raise UsageError("tokens.zip_bomb")


def _table(entries: list[zipfile.ZipInfo]) -> zipfile.ZipInfo:
    tables = [entry for entry in entries if entry.filename.lower().endswith(_TABLES)]
    csvs = [entry for entry in tables if entry.filename.lower().endswith(".csv")] or tables
    if not csvs:
        raise UsageError("tokens.zip_no_csv")
    if len(csvs) > 1:
        raise UsageError("tokens.zip_many_csv", count=len(csvs))
    return csvs[0]


def _token_of(entry: zipfile.ZipInfo) -> str | None:
    """The AuthToken that names this image; None for any other file."""
    stem, _, ending = entry.filename.rpartition("/")[2].rpartition(".")
    return stem if ending.lower() == "png" and AuthToken.looks_like(stem) else None


def _content(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    if entry.file_size > images.MAX_IMAGE_BYTES:
        raise UsageError("tokens.zip_bomb")
    return _quietly(lambda: archive.read(entry))
