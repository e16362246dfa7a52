"""Import a token source into the ledger, say how exposed the source is, and delete it if asked.

What was exported stays a secret on disk after the import (line-failures 25), so the report names
the file and what makes it worse: a downloads folder, a synchronised one, other readers.
"""

import hashlib
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from eol_inject.device import console_line
from eol_inject.device.spec import ConsoleSpec
from eol_inject.errors import EolError, StationError, UsageError
from eol_inject.profiles import Profile
from eol_inject.station.golden import load_firmware, load_programmed
from eol_inject.tokens import Batch
from eol_inject.tokens.notes import phrase

if TYPE_CHECKING:
    from eol_inject.ledger.book import Ledger

_DOWNLOADS: Final = frozenset(
    {"downloads", "download", "desktop", "schreibtisch", "téléchargements", "bureau", "descargas",
     "escritorio", "scaricati", "scrivania", "transferências", "pobrane", "letöltések", "stažené",
     "загрузки", "завантаження", "下载", "下載", "ダウンロード", "다운로드"}
)  # fmt: skip
_TEMPORARY: Final = frozenset({"tmp", "temp"})
_SYNCHRONISED: Final = (
    "onedrive", "dropbox", "google drive", "googledrive", "icloud", "mobile documents", "nextcloud",
    "owncloud", "seafile", "syncthing", "box sync", "pcloud",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did, public facts only."""

    product: str
    lot: str
    organization: int | None
    kind: str
    sha256: str
    columns: Mapping[str, str]
    new: int
    known: int
    bound: int
    without_claim: int
    notes: tuple[str, ...]
    source: Path | None
    """The file that holds every token in the clear; None for standard input."""
    exposure: tuple[str, ...]
    """What to know about that file; empty for standard input."""


@dataclass(frozen=True, slots=True)
class Deleted:
    """A source that is gone; ``notes`` say what may be left of it."""

    path: Path
    notes: tuple[str, ...]


def _silent(done: int) -> None:
    """Nobody watches."""


def require_usable(batch: Batch, profile: Profile) -> None:
    """That every token, with its data, can go into a unit of this product; no value is repeated.

    Raises ``UsageError`` for the first that cannot: ``tokens.field_unsendable``,
    ``tokens.field_unwritable``. Where the firmware is not on this computer, nobody can tell.
    """
    if profile.spec.console is not None:
        _require_sendable(batch, profile.spec.console)
    elif profile.spec.fields:
        _require_writable(batch, profile)


def _require_writable(batch: Batch, profile: Profile) -> None:
    load = load_firmware if profile.spec.programmer is None else load_programmed
    try:
        golden = load(profile).golden
    except EolError:
        return  # `profile check` says what is wrong there; an office has no firmware
    for token in batch.tokens:
        try:
            golden.require_fits(token.auth, token.fields)
        except UsageError as error:
            raise UsageError(
                "tokens.field_unwritable", row=token.row, why=str(error), more=""
            ) from error


def _require_sendable(batch: Batch, console: ConsoleSpec) -> None:
    for token in batch.tokens:
        for ask in (*console.erase, *console.inject):
            try:
                console_line.fill(ask, {**token.fields, "auth": token.auth}, console)
            except StationError as error:
                raise UsageError(
                    "tokens.field_unsendable", row=token.row, why=str(error), more=""
                ) from error


def import_tokens(
    ledger: "Ledger",
    batch: Batch,
    *,
    product: str,
    lot: str,
    organization: int | None,
    operator: str,
    progress: Callable[[int], None] = _silent,
) -> ImportReport:
    """Take the batch into the pool: all of it or nothing; the same source twice changes nothing.

    ``organization`` is the one named by a person or profile; the source's own stands otherwise.
    Raises ``UsageError``: ``tokens.other_organization``, ``tokens.changed``, and
    ``ledger.token_contradicts`` with ``row``.
    """
    if None not in (organization, batch.organization) and organization != batch.organization:
        raise UsageError(
            "tokens.other_organization",
            row=batch.tokens[0].row,
            found=batch.organization,
            expected=organization,
            more="",
        )
    organization = organization or batch.organization
    done = ledger.import_tokens(
        batch.tokens,
        product=product,
        lot=lot,
        organization=organization,
        source_sha256=batch.sha256,
        operator=operator,
        progress=progress,
    )
    return ImportReport(
        product=product,
        lot=lot,
        organization=organization,
        kind=batch.kind,
        sha256=batch.sha256,
        columns=batch.columns,
        new=done.new,
        known=done.known,
        bound=done.bound,
        without_claim=done.without_claim,
        notes=batch.notes,
        source=batch.path,
        exposure=() if batch.path is None else tuple(exposure(batch.path)),
    )


def exposure(path: Path) -> Iterator[str]:
    """Why the file is a risk where it lies, one public phrase each."""
    yield phrase("tokens.note_source", path=str(path))
    real = path.resolve()
    folders = [part.casefold() for part in real.parts[:-1]]
    if _DOWNLOADS.intersection(folders):
        yield phrase("tokens.note_in_downloads")
    if _TEMPORARY.intersection(folders):
        yield phrase("tokens.note_in_temporary")
    if any(part.startswith(_SYNCHRONISED) for part in folders):
        yield phrase("tokens.note_in_synchronised")
    if any((parent / ".git").exists() for parent in real.parents):
        yield phrase("tokens.note_in_repository")
    try:
        found = real.stat()
    except OSError:  # gone meanwhile, which is as good as deleted
        return
    if found.st_nlink > 1:
        yield phrase("tokens.note_other_names", count=found.st_nlink - 1)
    # Elsewhere the mode does not say who may read.
    if os.name == "posix" and found.st_mode & (stat.S_IRGRP | stat.S_IROTH):
        who = "every user" if found.st_mode & stat.S_IROTH else "its group"
        yield phrase("tokens.note_readable", who=who)


def delete_source(path: Path, *, sha256: str | None = None) -> Deleted:
    """Delete an imported source. With ``sha256``, only if it is still what was imported.

    Nothing is overwritten first: flash storage, journals and snapshots keep old blocks whatever a
    program writes. Raises ``UsageError("tokens.changed")``, ``StationError("tokens.not_deleted")``.
    """
    try:
        real = path.resolve(strict=True)
        if sha256 is not None and _digest(real) != sha256:
            raise UsageError("tokens.changed", name=path.name)
        others = real.stat().st_nlink - 1
        real.unlink()
        if path.is_symlink():
            path.unlink()
    except OSError as error:
        raise StationError(
            "tokens.not_deleted", path=str(path), why=error.strerror or type(error).__name__
        ) from error
    notes = [phrase("tokens.note_deleted", path=str(path))]
    if others:
        notes.append(phrase("tokens.note_other_names", count=others))
    return Deleted(path, tuple(notes))


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
