"""One unit, one cycle: a lease with a fencing number, its expiry on the database's time.

The number grows with every cycle of the unit and is checked in every transition, so a station that
hung and came back late is refused, whatever it still believes. A new cycle in the *same* slot takes
over at once: a slot holds one unit, so whatever ran there before is dead or late. Slots are the
same only where the port is the same too: two programs on one computer both call theirs slot 1.
"""

from dataclasses import dataclass, replace
from typing import Final

import sqlalchemy as sa

from eol_inject.errors import StationError
from eol_inject.ledger import attempts
from eol_inject.ledger.chain import Setup
from eol_inject.ledger.prepared import Prepared
from eol_inject.ledger.schema import lease, now

LEASE_S: Final = 90.0
"""Longer than any pause between two signs of life. A unit whose station died waits this long
before another slot may have it."""

FRESH_S: Final = LEASE_S * 2 / 3
"""A lease with less left than this is renewed by the next verb."""

_WHOM: Final = ("id=", "mac=")
"""What tells two simulated ports apart; the rest of their URL may change from run to run."""

_ROW: Final = Prepared(
    sa.select(lease, now().label("now")).where(lease.c.unit == sa.bindparam("u")).with_for_update()
)
_RENEW: Final = Prepared(
    sa.update(lease)
    .where(lease.c.unit == sa.bindparam("u"), lease.c.fence == sa.bindparam("f"))
    .values(expires=now() + LEASE_S)
)
_HELD: Final = ("attempt", "station", "slot")
# SQL expressions, not values: the database reads its own clock.
_TIMES: Final = {"taken": now(), "expires": now() + LEASE_S}
_ADD: Final = Prepared(
    sa.insert(lease).values(
        unit=sa.bindparam("u"), fence=1, **{name: sa.bindparam(name) for name in _HELD}, **_TIMES
    )
)
_TAKE: Final = Prepared(
    sa.update(lease)
    .where(lease.c.unit == sa.bindparam("u"))
    .values(fence=sa.bindparam("f"), **{name: sa.bindparam(name) for name in _HELD}, **_TIMES)
)
_END: Final = Prepared(
    sa.update(lease)
    .where(lease.c.unit == sa.bindparam("u"), lease.c.fence == sa.bindparam("f"))
    .values(attempt=None, expires=0.0)
)


@dataclass(frozen=True, slots=True)
class Holding:
    """The right to move one unit."""

    unit: int
    fence: int
    attempt: str
    slot: str
    operator: str
    port: str = ""


def take(conn: sa.Connection, setup: Setup, wanted: Holding) -> Holding:
    """Get the lease of ``wanted.unit``; the answer carries the new fencing number.

    Raises ``StationError("ledger.unit_busy")`` while another slot or station works on it.
    """
    row = _ROW.first(conn, {"u": wanted.unit})
    mine = {"attempt": wanted.attempt, "station": setup.info.station, "slot": wanted.slot}
    if row is None:
        _ADD.run(conn, {"u": wanted.unit, **mine})
        return replace(wanted, fence=1)
    if row.attempt == wanted.attempt:
        return replace(wanted, fence=int(row.fence))
    same_slot = (row.station, row.slot) == (setup.info.station, wanted.slot) and (
        row.attempt is None or _line(attempts.port(conn, row.attempt)) == _line(wanted.port)
    )
    # `taken` in the future means that the clock was set back: that lease says nothing any more.
    if row.attempt is not None and not same_slot and row.taken <= row.now < row.expires:
        raise StationError(
            "ledger.unit_busy",
            station=row.station,
            slot=row.slot,
            seconds=int(row.expires - row.now) + 1,
        )
    fence = int(row.fence) + 1
    _TAKE.run(conn, {"u": wanted.unit, "f": fence, **mine})
    return replace(wanted, fence=fence)


def renew(conn: sa.Connection, held: Holding) -> None:
    """A sign of life. Raises ``StationError("ledger.lease_lost")`` for a late cycle."""
    if not _RENEW.run(conn, {"u": held.unit, "f": held.fence}):
        raise StationError("ledger.lease_lost", slot=held.slot)


def end(conn: sa.Connection, held: Holding) -> bool:
    """Give the unit free; False, and nothing happens, where the lease went to somebody else."""
    return bool(_END.run(conn, {"u": held.unit, "f": held.fence}))


def _line(port: str) -> str:
    """Which wire a port is; of what a URL asks after the question mark, only whom it leads to."""
    place, _, options = port.partition("?")
    return "&".join((place, *sorted(o for o in options.split("&") if o.startswith(_WHOM))))
