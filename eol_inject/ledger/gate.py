"""Whether a cycle may begin here at all: asked before each, and nearly always a plain yes.

One statement looks whether anything is in the way. What it is, and what to do about it, ``home``
and ``settling`` find out, in transactions of their own.
"""

from typing import Any, Final

import sqlalchemy as sa

from eol_inject.ledger import home, settling
from eol_inject.ledger.chain import Head, Setup
from eol_inject.ledger.prepared import Prepared
from eol_inject.ledger.schema import Found, event, meta, station

_NAME: Final = sa.bindparam("s", type_=sa.Text())
_WITNESSED: Final = sa.bindparam("n", type_=sa.BigInteger())

LOOK: Final = sa.select(
    sa.select(meta.c.value).where(meta.c.key == home.HOME).scalar_subquery().label("home"),
    sa.select(station.c.host).where(station.c.name == _NAME).scalar_subquery().label("host"),
    settling.FLAGS.with_only_columns(sa.func.count()).scalar_subquery().label("flags"),
    sa.select(event.c.hash)
    .where(event.c.station == _NAME, event.c.seq == _WITNESSED)
    .scalar_subquery()
    .label("witnessed"),
)
"""All that decides it: where the ledger and the station ``s`` live, who has to speak after a
restore, and the station's own event number ``n``, which its memory ends with."""

_LOOK: Final = Prepared(LOOK)


def values(setup: Setup, last: Head | None) -> dict[str, Any]:
    """For ``LOOK``; ``last``: what this station's memory ends with."""
    return {"s": setup.info.station, "n": -1 if last is None else last.seq}


def last(setup: Setup) -> Head | None:
    """What this station's memory ends with."""
    return None if setup.witness is None else setup.witness.last()


def is_open(setup: Setup, row: Found, last: Head | None) -> bool:
    """Whether ``row``, which ``LOOK`` found, holds nothing against a cycle."""
    behind = last is not None and (row.witnessed is None or bytes(row.witnessed) != last.hash)
    lives_in = row.host if setup.db.shared else row.home
    moved_in = row.home is not None and lives_in == setup.host
    return not row.flags and not behind and (setup.host is None or moved_in)


def refuse(setup: Setup) -> None:
    """Raise ``StationError`` where no cycle may begin; settle in where nobody lives yet.

    The codes are those of ``home.refuse_elsewhere`` and ``settling.refuse_unsettled``.
    """
    remembered = last(setup)
    row = setup.db.ask(_LOOK, values(setup, remembered))
    if row is None or not is_open(setup, row, remembered):
        home.refuse_elsewhere(setup)
        settling.refuse_unsettled(setup)
