"""After the write the unit's own firmware has to start; what it said stays with the attempt."""

from pathlib import Path

import pytest

from eol_inject.sim import manage
from tests.line.conftest import Line


def booting(line: Line, expect: str = "token from region") -> str:
    """A product whose firmware has to say something."""
    path = Path(line.profile())
    text = path.read_text(encoding="utf-8")
    boot = f"\n[boot]\nexpect = '{expect}'\nrefuse = 'Brownout'\ntimeout_s = 3\n"
    path.write_text(text + boot, encoding="utf-8")
    return str(path)


def test_what_the_unit_said_stays_with_its_attempt_without_its_token(line: Line) -> None:
    """Also where the firmware prints its token: `unit show --log` shows the log, masked."""
    unit = line.golden_unit("esp32c3", "leak=1")
    told = line.run(unit, profile=booting(line, r"\[fixture\] token: \S"))
    assert told.code == 0, told
    (token,) = unit.tokens(line.pool)
    (attempt,) = line.type("unit", "show", unit.mac, "--log").out["attempts"]
    assert "rst:0x1" in attempt["log"]
    assert "token from region" in attempt["log"]
    assert "[hidden]" in attempt["log"]
    assert token not in attempt["log"]
    assert line.type("ledger", "check").code == 0


@pytest.mark.parametrize(
    ("fault", "code"),
    [("boot_loop", "device.boot_loop"), ("silent_boot", "device.boot_silent")],
)
def test_a_unit_that_does_not_start_gets_no_label(line: Line, fault: str, code: str) -> None:
    """Exit 1; the token stays its own; once it starts, it passes with the same one."""
    ready = "ready for good" if fault == "boot_loop" else "token from region"
    profile, unit = booting(line, ready), line.golden_unit()
    told = line.run(unit, profile=profile, port=f"{unit.url}&fault={fault}")
    assert (told.code, told.error) == (1, code)
    assert told.unit["state"] == "verified"
    assert line.labels() == {}
    (attempt,) = line.type("unit", "show", unit.mac).out["attempts"]
    assert attempt["log"].count("rst:0x") >= (3 if fault == "boot_loop" else 0)
    manage.set_faults(unit.url)
    assert line.run(unit, profile=booting(line)).code == 0
    line.judge()
