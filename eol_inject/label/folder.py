"""``file:///folder``: each label as PDF and PNG, owner-only, never over another label's file."""

import errno
import os
import secrets
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit
from urllib.request import url2pathname

from eol_inject.errors import StationError, UsageError
from eol_inject.label.bitmap import Label
from eol_inject.label.names import safe_name
from eol_inject.label.printers import Printed, PrintOutcome
from eol_inject.label.zpl import encode

LEAST_FREE_BYTES: Final = 16 * 1024 * 1024
"""Room that has to be left on the disk before a cycle starts: some thousand labels."""

_MOST_COPIES: Final = 1000
_NO_LINKS: Final = frozenset(
    {errno.EPERM, errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK}
)
"""What file systems without hard links answer, Linux, macOS and Windows."""
_FORMATS: Final[Mapping[str, Callable[[Label], bytes]]] = {
    "pdf": Label.pdf,
    "png": Label.png,
    "zpl": encode,
}


class FolderPrinter:
    """A folder as a printer. A file that was written and synced is a confirmed print."""

    def __init__(self, url: str, folder: Path, formats: tuple[str, ...] = ("pdf", "png")) -> None:
        self.url = url
        self.folder = folder
        self._formats = formats

    def preflight(self) -> None:
        """Make the folder, write and sync a probe, and look at the free space."""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            probe = self._temporary(b"probe")
            probe.unlink()
            free = shutil.disk_usage(self.folder).free
        except OSError as error:
            raise StationError(
                "label.printer_not_ready", printer=str(self.folder), why=_reason(error)
            ) from error
        if free < LEAST_FREE_BYTES:
            raise StationError(
                "label.printer_not_ready",
                printer=str(self.folder),
                why=f"only {free // 1024} KiB are free",
            )

    def print(self, label: Label, *, name: str) -> Printed:
        """Write ``name.pdf`` and ``name.png``, or ``name-2`` … where another label has the name.

        The same label under the same name again is the same files.
        """
        base = safe_name(name)
        contents = {f".{form}": _FORMATS[form](label) for form in self._formats}
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for number in range(1, _MOST_COPIES):
                stem = base if number == 1 else f"{base}-{number}"
                files = {self.folder / f"{stem}{end}": data for end, data in contents.items()}
                if all(self._put(path, data) for path, data in files.items()):
                    self._sync_folder()
                    return Printed(PrintOutcome.CONFIRMED, files=tuple(files))
        except OSError as error:
            return Printed(PrintOutcome.NOT_SENT, why=_reason(error))
        why = f"{_MOST_COPIES} labels are already called {base}"
        return Printed(PrintOutcome.NOT_SENT, why=why)

    def _put(self, path: Path, data: bytes) -> bool:
        """Whether ``path`` now holds ``data``; False where it holds anything else."""
        temporary = self._temporary(data)
        try:
            _move_if_free(temporary, path)
        except FileExistsError:
            return path.is_file() and path.read_bytes() == data
        finally:
            with suppress(FileNotFoundError):
                temporary.unlink()
        return True

    def _temporary(self, data: bytes) -> Path:
        """A synced file, readable by its owner only, in the same folder: renaming stays atomic."""
        path = self.folder / f".{secrets.token_hex(8)}.part"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _binary(), 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            path.unlink()
            raise
        return path

    def _sync_folder(self) -> None:
        if os.name == "posix":
            descriptor = os.open(self.folder, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def open_folder(url: str) -> FolderPrinter:
    """The folder of ``file:///absolute``, ``file:relative`` or a plain path.

    ``?formats=pdf,png,zpl`` says what is written; PDF and PNG without it. Raises
    ``UsageError("label.bad_printer_url")`` for another host, another query or no path at all.
    """
    if not url.lower().startswith("file:"):
        return FolderPrinter(url, Path(url))
    parts = urlsplit(url)
    if parts.netloc not in {"", "localhost"}:
        raise UsageError("label.bad_printer_url", url=url, why="it names another computer")
    path = url2pathname(parts.path)
    if not path or parts.fragment:
        raise UsageError("label.bad_printer_url", url=url, why="it names no folder")
    return FolderPrinter(url, Path(path), _formats(url, parts.query))


def _formats(url: str, query: str) -> tuple[str, ...]:
    if not query:
        return ("pdf", "png")
    asked = parse_qs(query, keep_blank_values=True)
    formats = tuple(",".join(asked.pop("formats", [])).split(","))
    if asked or not set(formats) <= set(_FORMATS):
        why = f"after the ? it takes formats= and {', '.join(_FORMATS)}"
        raise UsageError("label.bad_printer_url", url=url, why=why)
    return formats


def _move_if_free(source: Path, target: Path) -> None:
    """Rename, but never over a file. Raises ``FileExistsError``."""
    try:
        os.link(source, target)
    except FileExistsError:
        raise
    except OSError as error:
        # FAT and some network shares have no hard links: claim the name first, then replace it.
        if error.errno not in _NO_LINKS:
            raise
        target.touch(mode=0o600, exist_ok=False)
        source.replace(target)


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__


def _binary() -> int:
    return getattr(os, "O_BINARY", 0)
