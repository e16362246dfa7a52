"""Put a backup where the ledger was: who may, and what has to happen before the line goes on."""

from dataclasses import dataclass
from pathlib import Path

from eol_inject.errors import EolError, UsageError
from eol_inject.ledger import Keys, Ledger, open_ledger, restore_ledger
from eol_inject.ledger.people import Person
from eol_inject.ledger.transitions import Who


@dataclass(frozen=True, slots=True)
class Restored:
    """What the ledger is now."""

    ledger: str
    generation: int
    where: str
    kept: Path | None
    """Where the file went that stood there; None where there was none."""


def open_replaced(url: str, keys: Keys, *, station: str) -> Ledger | None:
    """The ledger that a restore would replace; None where there is none that can be read."""
    try:
        return open_ledger(url, keys=keys, station=station)
    except EolError:
        return None


def may_restore(by: Person) -> None:
    """Raises ``UsageError("ledger.not_allowed")``: it undoes what others did."""
    if by.role is not None and not by.role.may(Who.ENGINEER):
        raise UsageError("ledger.not_allowed", name=by.name, act="restore", who=Who.ENGINEER.value)


def restore(path: Path, url: str, keys: Keys, *, station: str, operator: str) -> Restored:
    """Raises what ``ledger.restore_ledger`` raises; the old file is kept beside the new one."""
    info, kept = restore_ledger(path, url, keys=keys, station=station, operator=operator)
    return Restored(info.id, info.generation, info.where, kept)
