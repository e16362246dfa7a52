"""Is this ledger what it was? Chains, rules, triggers, fingerprints; a changed row is named."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from eol_inject.errors import StationError, UsageError
from eol_inject.ledger import audit_rows
from eol_inject.ledger.chain import GENESIS, Head, Setup, digest_of
from eol_inject.ledger.model import Finding
from eol_inject.ledger.schema import assignment, event, token, transition
from eol_inject.ledger.told import Told
from eol_inject.ledger.transitions import TRANSITIONS

_SHOWN: Final = 100
"""Findings named one by one; a ruined ledger has more."""

_HASHED: Final = (
    event.c.station, event.c.seq, event.c.at, event.c.act, event.c.operator, event.c.unit,
    event.c.token, event.c.assignment, event.c.attempt, event.c.from_state, event.c.to_state,
    event.c.reason, event.c.facts,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Anchor:
    """The heads of all chains at one moment, to be kept where the ledger's keeper cannot write."""

    ledger: str
    generation: int
    at: str
    heads: dict[str, Head]


@dataclass(frozen=True, slots=True)
class Report:
    """What a check saw. ``findings`` is empty for a sound ledger."""

    findings: tuple[Finding, ...]
    events: int
    tokens: int
    assignments: int
    anchors: int
    """Anchors of this ledger that were compared."""
    heads: dict[str, Head]


def anchor_of(setup: Setup) -> Anchor:
    """Where the chains end now."""

    def work(conn: sa.Connection) -> dict[str, Head]:
        last = (
            sa.select(event.c.station, sa.func.max(event.c.seq).label("seq"))
            .group_by(event.c.station)
            .subquery()
        )
        rows = conn.execute(
            sa.select(event.c.station, event.c.seq, event.c.hash).join(
                last, sa.and_(last.c.station == event.c.station, last.c.seq == event.c.seq)
            )
        )
        return {row.station: Head(row.seq, bytes(row.hash)) for row in rows}

    heads = setup.db.read(work)
    return Anchor(setup.info.id, setup.info.generation, setup.now(), heads)


def write_anchor(path: Path, anchor: Anchor) -> None:
    """Append ``anchor`` as one JSON line. Raises ``StationError("ledger.no_folder")``."""
    line = {
        "ledger": anchor.ledger,
        "generation": anchor.generation,
        "at": anchor.at,
        "heads": {name: [head.seq, head.hash.hex()] for name, head in anchor.heads.items()},
    }
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, sort_keys=True) + "\n")
    except OSError as error:
        raise StationError("ledger.no_folder", path=str(path), why=error.strerror or "") from error


def read_anchors(path: Path) -> tuple[Anchor, ...]:
    """What ``write_anchor`` wrote; none where there is no file yet.

    Raises ``UsageError("ledger.bad_anchor")`` with the line's number.
    """
    if not path.exists():
        return ()
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise UsageError("ledger.bad_anchor", path=str(path), line=1) from None
    return tuple(_anchor(path, number, line) for number, line in enumerate(lines, 1))


def _anchor(path: Path, number: int, line: str) -> Anchor:
    try:
        found = json.loads(line)
        heads = {
            str(name): Head(int(seq), bytes.fromhex(digest))
            for name, (seq, digest) in found["heads"].items()
        }
        return Anchor(str(found["ledger"]), int(found["generation"]), str(found["at"]), heads)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UsageError("ledger.bad_anchor", path=str(path), line=number) from None


def check(setup: Setup, anchors: Sequence[Anchor], progress: Callable[[int], None]) -> Report:
    """Look at everything on one consistent view; ``progress`` is told the events seen."""
    mine = [one for one in anchors if one.ledger == setup.info.id]

    def work(conn: sa.Connection) -> Report:
        told = Told()
        chains = _Chains(mine, setup.info.generation)
        findings = [
            *setup.db.broken_rules(conn),
            *_transitions(conn),
            *chains.check(conn, progress),
            *_log(conn, told),
            *audit_rows.check(conn, setup, told),
        ]
        return Report(
            findings=tuple(findings[:_SHOWN]),
            events=chains.events,
            tokens=_count(conn, token),
            assignments=_count(conn, assignment),
            anchors=len(mine),
            heads=chains.heads,
        )

    return setup.db.read(work)


class _Chains:
    """Walks every station's chain."""

    def __init__(self, anchors: Sequence[Anchor], generation: int) -> None:
        self.events = 0
        self.heads: dict[str, Head] = {}
        # An older generation's anchor may name events that the restore lost; they are gone, and
        # the restore itself is on record. One of this generation must hold.
        self._wanted = {
            (name, head.seq): (one.at, head.hash)
            for one in anchors
            if one.generation == generation
            for name, head in one.heads.items()
        }

    def check(self, conn: sa.Connection, progress: Callable[[int], None]) -> Iterator[Finding]:
        query = sa.select(*_HASHED, event.c.prev_hash, event.c.hash).order_by(
            event.c.station, event.c.seq
        )
        for rows in audit_rows.parts(conn, query):
            for row in rows:
                yield from self._one(tuple(row))
            progress(self.events)
        for (name, seq), (at, _) in self._wanted.items():
            yield Finding(f"event {name}/{seq}", f"is missing, though anchored at {at}")

    def _one(self, row: tuple[Any, ...]) -> Iterator[Finding]:
        station, seq = row[0], row[1]
        before = self.heads.get(station, Head(0, GENESIS))
        where = f"event {station}/{seq}"
        digest = bytes(row[-1])
        if seq != before.seq + 1:
            yield Finding(where, f"follows {before.seq}: events are missing")
        elif bytes(row[-2]) != before.hash:
            yield Finding(where, "does not follow the event before it")
        if digest_of(bytes(row[-2]), row[:-2]) != digest:
            yield Finding(where, "was changed")
        anchored = self._wanted.pop((station, seq), None)
        if anchored is not None and anchored[1] != digest:
            yield Finding(where, f"is not what was anchored at {anchored[0]}")
        self.heads[station] = Head(seq, digest)
        self.events += 1


def _log(conn: sa.Connection, told: Told) -> Iterator[Finding]:
    """Several stations may have moved one assignment: in the order of the whole log."""
    query = sa.select(
        event.c.station, event.c.seq, event.c.act, event.c.operator, event.c.unit, event.c.token,
        event.c.assignment, event.c.attempt, event.c.from_state, event.c.to_state, event.c.reason,
        event.c.facts,
    ).order_by(event.c.id)  # fmt: skip
    for rows in audit_rows.parts(conn, query):
        for row in rows:
            try:
                wrong = told.take(row)
            except (KeyError, ValueError, TypeError):
                wrong = "tells something that no program of ours tells"
            if wrong:
                yield Finding(f"event {row.station}/{row.seq}", wrong)


def _transitions(conn: sa.Connection) -> Iterator[Finding]:
    found = {tuple(row) for row in conn.execute(sa.select(transition))}
    wanted = {
        (t.source.value, t.act.value, t.target.value, t.who.value, int(t.needs_reason))
        for t in TRANSITIONS
    }
    for row in sorted(found ^ wanted):
        yield Finding(
            "transition " + " ".join(map(str, row[:3])), "does not belong there, or lacks"
        )


def _count(conn: sa.Connection, table: sa.Table) -> int:
    return int(conn.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())
