"""The bytes of a token source: a regular file, or standard input held in memory.

Read twice (once to check everything, once to import), never copied to disk. A file that changes
between the two is an error. What a source is, is found by looking, not by its name.
"""

import hashlib
import io
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

from eol_inject.errors import UsageError
from eol_inject.tokens import cells

MAX_BYTES: Final = 512 * 1024 * 1024
_BLOCK: Final = 128 * 1024
ZIP_MAGIC: Final = (b"PK\x03\x04", b"PK\x05\x06")
_OTHER_KINDS: Final = (
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook"),
    (b"\x1f\x8b", "a gzip file"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"Rar!", "a RAR archive"),
    (b"%PDF", "a PDF"),
    (b"\x89PNG", "an image"),
    (b"\xff\xd8\xff", "an image"),
    (b"SQLite format 3", "a database"),
    (b"\x7fELF", "a program"),
    (b"<", "a web page or XML"),
    (b"{", "JSON"),
    (b"[", "JSON"),
)


@dataclass(frozen=True, slots=True)
class Source:
    """Where the bytes are; ``path`` is None for standard input."""

    path: Path | None
    sha256: str
    is_zip: bool
    _data: bytes = field(default=b"", repr=False)
    _state: tuple[int, ...] = ()

    def open(self) -> BinaryIO:
        """The bytes from the start. Raises ``UsageError("tokens.changed")``."""
        if self.path is None:
            return io.BytesIO(self._data)
        stream = _open_regular(self.path)
        if _state(stream) != self._state:
            stream.close()
            raise UsageError("tokens.changed", name=_name(self.path))
        return stream

    def confirm_unchanged(self) -> None:
        """After a reading: that it was of one and the same file. Raises as ``open`` does."""
        self.open().close()


def from_file(path: Path) -> Source:
    """A regular file.

    Raises ``UsageError``: ``tokens.no_source``, ``tokens.not_a_file``, ``tokens.unreadable``,
    ``tokens.too_large``, ``tokens.empty``, ``tokens.not_a_source``.
    """
    with _open_regular(path) as stream:
        state = _state(stream)
        if os.fstat(stream.fileno()).st_size > MAX_BYTES:
            raise UsageError("tokens.too_large", limit=MAX_BYTES >> 20)
        head = stream.read(_BLOCK)
        is_zip = _is_zip(head)
        digest = hashlib.sha256(head)
        while block := stream.read(_BLOCK):
            digest.update(block)
    return Source(path, digest.hexdigest(), is_zip, b"", state)


def from_stdin(stream: BinaryIO | None) -> Source:
    """Everything that comes in, held in memory: a temporary file would hold tokens.

    Raises ``UsageError``: ``tokens.no_stdin``, ``tokens.too_large``, ``tokens.empty``,
    ``tokens.not_a_source``.
    """
    if stream is None:
        raise UsageError("tokens.no_stdin")
    data = stream.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise UsageError("tokens.too_large", limit=MAX_BYTES >> 20)
    return Source(None, hashlib.sha256(data).hexdigest(), _is_zip(data), data)


def _is_zip(head: bytes) -> bool:
    """Whether it is a ZIP; what is neither that nor text is refused here."""
    if not head.strip():
        raise UsageError("tokens.empty")
    if head.startswith(ZIP_MAGIC):
        return True
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    for magic, kind in _OTHER_KINDS:
        if text.startswith(magic):
            raise UsageError("tokens.not_a_source", kind=kind)
    return False


def _open_regular(path: Path) -> BinaryIO:
    problem, why = "", ""
    try:
        # Looked at before it is opened: opening a pipe would wait for its other end.
        if not stat.S_ISREG(path.stat().st_mode):
            raise UsageError("tokens.not_a_file", name=_name(path))
        return path.open("rb")
    except (FileNotFoundError, NotADirectoryError):
        problem = "tokens.no_source"
    except OSError as error:
        problem, why = "tokens.unreadable", error.strerror or type(error).__name__
    except ValueError:  # a NUL in the path
        problem = "tokens.no_source"
    raise UsageError(problem, name=_name(path), why=why)


def _state(stream: BinaryIO) -> tuple[int, ...]:
    found = os.fstat(stream.fileno())
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _name(path: Path) -> str:
    """The file's own name, unless it is called like a token (one image of an unpacked export)."""
    return path.name if cells.is_presentable(path.name) else "that source"
