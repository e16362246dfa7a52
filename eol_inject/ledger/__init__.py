"""Which token went to which unit, and everything that was done.

Light to import: SQLAlchemy, Alembic and cryptography load when a ledger is opened.
"""

from collections.abc import Callable
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from eol_inject.errors import UsageError
from eol_inject.ledger.keys import Keys
from eol_inject.ledger.label_states import CopyRecord, CopyState
from eol_inject.ledger.model import (
    AssignmentRecord,
    AttemptRecord,
    Count,
    CycleFacts,
    EventRecord,
    Hold,
    Holder,
    ImportResult,
    Info,
    Kind,
    LabelState,
    Lot,
    Reserved,
    Standing,
    Todo,
    Tried,
    UnitRecord,
)
from eol_inject.ledger.transitions import HOLDS, LIVE, TRANSITIONS, WRITTEN_TO, Act, State

if TYPE_CHECKING:
    from eol_inject.ledger.book import Ledger
    from eol_inject.ledger.cycle import Cycle

SCHEMES: Final = {
    "sqlite": "eol_inject.ledger.opening:open_sqlite",
    "postgresql": "eol_inject.ledger.opening:open_postgresql",
}
"""URL scheme → who opens it; plugins will join here."""


def open_ledger(
    url: str,
    *,
    keys: Keys,
    station: str,
    create: Kind | None = None,
    clock: Callable[[], datetime] | None = None,
    witness: Path | None = None,
    host: str | None = None,
) -> "Ledger":
    """Open the ledger at ``url``; where there is none, make one of kind ``create``.

    ``create`` of None means that a missing ledger is an error; for an existing one it is ignored,
    so compare ``info.kind``. ``witness`` is the folder in which this station keeps its memory of
    handed out tokens: on this computer, not beside the ledger. ``host`` is this
    computer's name: a copied ledger and a second station of the same name are told by it.

    Raises ``UsageError("ledger.bad_url")`` and ``StationError``:
    ``ledger.missing``, ``foreign``, ``newer_schema``, ``wrong_key``, ``locked``, ``read_only``,
    ``disk_full``, ``corrupt``, ``cannot_open``.
    """
    found = SCHEMES.get(url.partition(":")[0])
    if found is None:
        raise UsageError("ledger.bad_url", url=url.partition(":")[0])
    module, _, name = found.partition(":")
    opener = cast("Callable[..., Ledger]", getattr(import_module(module), name))
    options: dict[str, Any] = {} if clock is None else {"clock": clock}
    return opener(
        url, keys=keys, station=station, create=create, witness=witness, host=host, **options
    )


def restore_ledger(
    path: Path, url: str, *, keys: Keys, station: str, operator: str
) -> tuple[Info, Path | None]:
    """Put the backup at ``path`` where ``url`` is: what it is now, and where the old file went.

    Nobody draws from it until every station replayed what it remembers. Raises ``StationError``:
    ``ledger.foreign``, ``corrupt``, ``wrong_key``; ``UsageError``: ``ledger.another_ledger``,
    ``not_empty``.
    """
    from eol_inject.ledger import opening

    return opening.restore(path, url, keys=keys, station=station, operator=operator)


def __getattr__(name: str) -> Any:
    """``Ledger`` and ``Cycle``, for those who name the types; loads SQLAlchemy."""
    if name == "Ledger":
        from eol_inject.ledger.book import Ledger

        return Ledger
    if name == "Cycle":
        from eol_inject.ledger.cycle import Cycle

        return Cycle
    raise AttributeError(name)


__all__ = [
    "HOLDS", "LIVE", "SCHEMES", "TRANSITIONS", "WRITTEN_TO", "Act", "AssignmentRecord",
    "AttemptRecord", "CopyRecord", "CopyState", "Count", "Cycle", "CycleFacts", "EventRecord",
    "Hold", "Holder", "ImportResult", "Info", "Keys", "Kind", "LabelState", "Ledger", "Lot",
    "Reserved", "Standing", "State", "Todo", "Tried", "UnitRecord", "open_ledger", "restore_ledger",
]  # fmt: skip
