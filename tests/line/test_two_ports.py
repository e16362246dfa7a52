"""Two programs on one computer, each with its own port; both call theirs slot 1."""

import json
import sqlite3
from contextlib import closing

from eol_inject.events import Step
from eol_inject.sim import manage
from tests.line.conftest import Line, Unit
from tests.line.test_kill import kill


def test_a_copy_at_another_port_waits_and_gets_nothing(line: Line) -> None:
    """The first is cut off while its token is written; the copy has its MAC. It is on record."""
    unit = line.unit()
    copy = Unit(unit.chip, unit.mac, f"{unit.url}-copy")
    line.units.append(copy)
    manage.start(unit.url)
    manage.start(copy.url)
    kill(line, unit, ("Progress", Step.WRITE), f"{unit.chip}-blnkopt")
    told = line.run(copy)
    assert (told.code, told.error) == (3, "ledger.unit_busy")
    assert not copy.tokens(line.pool)
    assert (line.run(unit).code, len(unit.tokens(line.pool))) == (0, 1)
    with closing(sqlite3.connect(line.folder / "ledger.db")) as file:
        (facts,) = file.execute("SELECT facts FROM attempt WHERE code = 'ledger.unit_busy'")
    assert json.loads(facts[0])["unit"] == f"mac:{unit.mac}"
