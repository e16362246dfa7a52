"""The append-only log: one hash chain per station, so that a changed row cannot hide."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from eol_inject.errors import Param
from eol_inject.ledger.database import Database
from eol_inject.ledger.model import Info
from eol_inject.ledger.prepared import Prepared
from eol_inject.ledger.schema import event
from eol_inject.ledger.transitions import State
from eol_inject.ledger.vault import Vault

if TYPE_CHECKING:
    from eol_inject.ledger.witness import Witness

GENESIS: Final = bytes(32)
"""What the first event of a station follows."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What every part of an open ledger works with."""

    db: Database
    vault: Vault
    info: Info
    clock: Callable[[], datetime]
    """Aware, for people's eyes only: order is by sequence, leases by the database's clock."""
    unique: Callable[[], str]
    """Fresh ids for attempts and requests."""
    witness: "Witness | None" = None
    """This station's memory outside the database."""
    host: str | None = None
    """Name of this computer; None where nobody asks."""

    def now(self) -> str:
        """The station's time, ISO 8601 in UTC, milliseconds."""
        return self.clock().isoformat(timespec="milliseconds")


@dataclass(frozen=True, slots=True)
class Entry:
    """One event to append; public facts only."""

    act: str
    operator: str = ""
    unit: int | None = None
    token: int | None = None
    assignment: int | None = None
    attempt: str | None = None
    source: State | None = None
    target: State | None = None
    reason: str = ""
    facts: Mapping[str, Param] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Head:
    """The last event of a station's chain."""

    seq: int
    hash: bytes


_HEAD: Final = Prepared(
    sa.select(event.c.seq, event.c.hash, event.c.at)
    .where(event.c.station == sa.bindparam("station"))
    .order_by(event.c.seq.desc())
    .limit(sa.literal_column("1"))
)
_APPEND: Final = Prepared(
    sa.insert(event), columns=[column.name for column in event.c if column.name != "id"]
)


def head(conn: sa.Connection, station: str) -> Head:
    """Where the station's chain ends now."""
    row = _HEAD.first(conn, {"station": station})
    return Head(0, GENESIS) if row is None else Head(int(row[0]), bytes(row[1]))


def last_at(conn: sa.Connection, station: str) -> str | None:
    """When the station's newest event was told; None before the first."""
    row = _HEAD.first(conn, {"station": station})
    return None if row is None else str(row.at)


def append(conn: sa.Connection, setup: Setup, entry: Entry) -> Head:
    """Append ``entry`` to this station's chain and return the new head."""
    station = setup.info.station
    setup.db.lock_chain(conn, station)
    row = follow(head(conn, station), station, setup.now(), entry)
    _APPEND.run(conn, row)
    return Head(row["seq"], row["hash"])


def follow(before: Head, station: str, at: str, entry: Entry) -> dict[str, Any]:
    """The row of the event that comes after ``before``."""
    row: dict[str, str | int | None] = {
        "station": station,
        "seq": before.seq + 1,
        "at": at,
        "act": entry.act,
        "operator": entry.operator,
        "unit": entry.unit,
        "token": entry.token,
        "assignment": entry.assignment,
        "attempt": entry.attempt,
        "from_state": entry.source,
        "to_state": entry.target,
        "reason": entry.reason,
        "facts": to_json(entry.facts),
    }
    digest = digest_of(before.hash, tuple(row.values()))
    return {**row, "prev_hash": before.hash, "hash": digest}


@dataclass(frozen=True, slots=True)
class Pieces:
    """What ``digest_of`` hashes after the previous hash, for a server that fills the gaps in."""

    upto_seq: str
    upto_token: str
    rest: str
    """After ``token,assignment``."""


def pieces_of(station: str, at: str, entry: Entry) -> Pieces:
    """The text of an event whose sequence, token and assignment only the server knows yet."""
    known = (at, entry.act, entry.operator, entry.unit)
    rest = (entry.attempt, entry.source, entry.target, entry.reason, to_json(entry.facts))
    return Pieces(f"{_text((station,))[:-1]},", f",{_text(known)[1:-1]},", f",{_text(rest)[1:]}")


def digest_of_row(values: Mapping[str, object]) -> str:
    """SHA-256 over a row's columns by name, 32 hex digits of it: for the event that tells of it."""
    text = json.dumps(sorted(values.items()), ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def digest_of(previous: bytes, values: tuple[str | int | None, ...]) -> bytes:
    """SHA-256 over the previous hash and the row's columns as one JSON array."""
    return hashlib.sha256(previous + _text(values).encode()).digest()


def _text(values: tuple[str | int | None, ...]) -> str:
    return json.dumps(values, ensure_ascii=False, separators=(",", ":"))


def to_json(values: Mapping[str, Param]) -> str:
    """Canonical: sorted, without spaces, so that equal content is equal text."""
    if not values:
        return "{}"
    return json.dumps(dict(values), ensure_ascii=False, separators=(",", ":"), sort_keys=True)
