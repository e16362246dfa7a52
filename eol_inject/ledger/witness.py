"""What this station remembers outside the database: every token it handed out.

A restored backup, or a virtual machine rolled back, makes used tokens look available again
(line-failures 21). Each reservation is appended here, on disk, before the token is used, and what
takes a token from its unit again once it is done. A ledger
that does not hold the last one of them is behind, and refuses cycles until it is replayed or
settled. The file holds fingerprints and identifiers: no token can be read from it.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

import sqlalchemy as sa

from eol_inject.errors import StationError
from eol_inject.ledger import identity
from eol_inject.ledger.chain import Head, Setup, head
from eol_inject.ledger.moves import Place
from eol_inject.ledger.prepared import Prepared
from eol_inject.ledger.schema import assignment, event, token
from eol_inject.unit import Identifier

_LAST: Final = 8192
"""Bytes read from the end to find the last whole line; a line is shorter than that."""

_HASH_OF: Final = Prepared(
    sa.select(event.c.hash).where(
        event.c.station == sa.bindparam("s"), event.c.seq == sa.bindparam("n")
    )
)


@dataclass(frozen=True, slots=True)
class Handed:
    """One token that this station handed out."""

    head: Head
    """The event that recorded it."""
    print: bytes
    """Fingerprint of the AuthToken."""
    unit: tuple[Identifier, ...]
    role: str
    gone: str = ""
    """The act that took it from the unit again; empty for one that was given to it."""


class Witness:
    """One station's memory of one ledger: a file of JSON lines, only ever appended to."""

    def __init__(self, folder: Path, ledger_id: str, station: str) -> None:
        name = re.sub(r"[^A-Za-z0-9._-]", "_", station)
        # Names that differ only in what no file name holds must not share one memory.
        mark = hashlib.sha256(station.encode()).hexdigest()[:8]
        old = folder / f"{ledger_id}.{name}.witness"
        new = folder / f"{ledger_id}.{name}-{mark}.witness"
        self.path: Final = old if name == station and old.exists() else new
        self.station: Final = station

    def add(self, handed: Handed) -> None:
        """Remember, on disk before this returns. Raises ``StationError("ledger.witness")``."""
        self._append(
            {
                "seq": handed.head.seq,
                "hash": handed.head.hash.hex(),
                "print": handed.print.hex(),
                "unit": [[one.kind, one.value] for one in handed.unit],
                "role": handed.role,
                **({"gone": handed.gone} if handed.gone else {}),
            }
        )

    def settle(self, head: Head) -> None:
        """The ledger knows all that was handed out up to here, by whatever way."""
        self._append({"seq": head.seq, "hash": head.hash.hex(), "settled": True})

    def remembers(self) -> bool:
        """Whether there is any memory: a station that drew before, and has none, lost it."""
        return self.last() is not None

    def behind(self, conn: sa.Connection) -> bool:
        """Whether the ledger lacks the last thing this station remembers."""
        last = self.last()
        if last is None:
            return False
        known = _HASH_OF.first(conn, {"s": self.station, "n": last.seq})
        return known is None or bytes(known.hash) != last.hash

    def handed_out(self) -> Iterator[Handed]:
        """Everything since the last time it was settled, oldest first."""
        since: list[Handed] = []
        for line in self._lines():
            if line.get("settled"):
                since.clear()
            else:
                since.append(_handed(line))
        yield from since

    def _append(self, line: dict[str, object]) -> None:
        text = json.dumps(line, separators=(",", ":")).encode() + b"\n"
        try:
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                size = os.fstat(handle).st_size
                os.lseek(handle, max(size - 1, 0), os.SEEK_SET)
                if size and os.read(handle, 1) != b"\n":
                    text = b"\n" + text  # the last line was cut off by a crash
                os.write(handle, text)
                _to_disk(handle)
            finally:
                os.close(handle)
        except OSError as error:
            raise StationError(
                "ledger.witness", path=str(self.path), why=error.strerror or ""
            ) from error

    def last(self) -> Head | None:
        """The event that the last thing remembered here stands in; None where nothing is."""
        try:
            with self.path.open("rb") as file:
                file.seek(max(file.seek(0, os.SEEK_END) - _LAST, 0))
                tail = file.read()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StationError(
                "ledger.witness", path=str(self.path), why=error.strerror or ""
            ) from error
        for line in reversed(tail.split(b"\n")):
            found = _parse(line)
            if found is not None:
                return Head(int(str(found["seq"])), bytes.fromhex(str(found["hash"])))
        return None

    def _lines(self) -> Iterator[dict[str, object]]:
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            for line in file:
                found = _parse(line)
                if found is not None:
                    yield found


# The line and the file's size, not the time of its change; macOS and Windows have only fsync.
_to_disk: Final = getattr(os, "fdatasync", os.fsync)


def _parse(line: bytes) -> dict[str, object] | None:
    """None for a line that a crash cut off: its token was not handed out yet."""
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) and "seq" in found and "hash" in found else None


def _handed(line: dict[str, object]) -> Handed:
    pairs = cast("list[tuple[str, str]]", line["unit"])
    return Handed(
        Head(int(str(line["seq"])), bytes.fromhex(str(line["hash"]))),
        bytes.fromhex(str(line["print"])),
        tuple(Identifier(kind, value) for kind, value in pairs),
        str(line["role"]),
        str(line.get("gone", "")),
    )


def gave_up(conn: sa.Connection, setup: Setup, place: Place, act: str) -> Handed | None:
    """What to remember of ``act``, which this transaction has just appended to the log.

    Nothing where the ledger is behind: the next line would hide that it is.
    """
    if setup.witness is None or setup.witness.behind(conn):
        return None
    row = conn.execute(
        sa.select(token.c.auth_print, assignment.c.role)
        .select_from(assignment.join(token, token.c.id == assignment.c.token))
        .where(assignment.c.id == place.assignment)
    ).one()
    named = identity.identifiers(conn, place.unit)
    at = head(conn, setup.info.station)
    return Handed(at, bytes(row.auth_print), named, row.role, act)


def remember(setup: Setup, *told: Handed | None) -> None:
    """After the transaction that did it: what was not committed must not be remembered."""
    for one in told:
        if one is not None and setup.witness is not None:
            setup.witness.add(one)
