"""The ledger's tokens into a new owner-only file."""

import os
from contextlib import ExitStack
from pathlib import Path

from eol_inject.errors import StationError, UsageError
from eol_inject.ledger import Ledger
from eol_inject.ledger.exporting import Format
from eol_inject.ledger.people import Person


def export_tokens(
    ledger: Ledger,
    path: Path,
    how: str,
    *,
    lot: str | None,
    secrets_for: Person | None,
    reason: str,
) -> int:
    """Write the rows; how many. Nothing is left of a file that could not be written whole.

    Raises ``UsageError("ledger.backup_exists")``, ``StationError("ledger.no_folder")``, and what
    ``Ledger.export`` raises.
    """
    try:
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        raise UsageError("ledger.backup_exists", path=str(path)) from None
    except OSError as error:
        raise StationError("ledger.no_folder", path=str(path), why=error.strerror or "") from error
    with ExitStack() as failing:
        failing.callback(path.unlink)
        try:
            with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
                rows = ledger.export(
                    file, Format(how), lot=lot, secrets_for=secrets_for, reason=reason
                )
        except OSError as error:
            raise StationError(
                "ledger.no_folder", path=str(path), why=error.strerror or ""
            ) from error
        failing.pop_all()
    return rows
