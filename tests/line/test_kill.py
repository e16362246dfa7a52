"""SIGKILL at every point of the cycle, while the unit lives on: nothing lost, nothing doubled.

Judged from the units' flash and the printed labels. Each point stands once here for `flash`; the
full matrix is in ``make soak``.
"""

import sqlite3
from contextlib import closing

import psycopg
import pytest

from eol_inject.events import Step
from eol_inject.sim import manage
from tests.line.conftest import LOT, Line, Unit
from tests.support.killed_at import killed_at

POINTS = [
    *(("StepStarted", step) for step in Step if step not in {Step.BOOT_CHECK, Step.SCAN}),
    ("Progress", Step.WRITE),
    ("StepDone", Step.RESERVE),
    ("StepDone", Step.WRITE),
    ("StepDone", Step.READ_BACK),
    ("StepDone", Step.PRINT),
    ("StepDone", Step.CLOSE),
]


def kill(line: Line, unit: Unit, point: tuple[str, Step], profile: str) -> None:
    """One `run --once` in a process of its own, which dies at ``point``."""
    args = [
        "run", "--once", "--profile", profile, "--port", unit.url, "--lot", LOT,
        "--printer", str(line.folder / "labels"), *line.options,
        "--station", "S1", "--operator", "Ada",
    ]  # fmt: skip
    killed_at(point[0], point[1].value, args)


def lease_runs_out(line: Line) -> None:
    """The lease of whoever died is 100 s older, by the database's own clock."""
    statement = "UPDATE lease SET taken = taken - 100, expires = expires - 100"
    if line.ledger:
        with psycopg.connect(line.ledger, autocommit=True) as conn:
            conn.execute(statement)
    else:
        with closing(sqlite3.connect(line.folder / "ledger.db", isolation_level=None)) as file:
            file.execute(statement)


def survive(line: Line, point: tuple[str, Step], *, mode: str, then: str = "S1") -> None:
    """Kill, then the same unit again, then another one; judged by flash and labels.

    ``then``: the station that goes on. Another one than S1 waits for the dead one's lease.
    """
    profile = line.profile(mode=mode) if mode == "inject" else "esp32c3-blnkopt"
    unit = line.golden_unit() if mode == "inject" else line.unit()
    manage.start(unit.url)
    kill(line, unit, point, profile)
    line.judge()
    held = unit.tokens(line.pool)
    if then != "S1":
        assert line.run(unit, profile=profile, station=then).error == "ledger.unit_busy"
        lease_runs_out(line)
    again = line.run(unit, profile=profile, station=then)
    assert again.code == 0 or again.error == "ledger.unit_closed", again
    assert len(unit.tokens(line.pool)) == 1
    assert held <= unit.tokens(line.pool)
    other = line.golden_unit() if mode == "inject" else line.unit()
    assert line.run(other, profile=profile, station=then).code == 0
    line.judge()
    labelled = {stem.split("-")[0] for stem in line.labels()}
    assert labelled == {each.mac.replace(":", "") for each in (unit, other)}
    told = line.type("tokens", "status")
    used = sum(row["count"] for row in told.out["counts"] if row["state"] != "available")
    assert used == 2


@pytest.mark.parametrize("point", POINTS, ids=lambda point: f"{point[0]}-{point[1]}")
def test_killed_at(line: Line, point: tuple[str, Step]) -> None:
    """The same unit goes on with its own token, another unit gets another one."""
    survive(line, point, mode="flash")


@pytest.mark.soak
@pytest.mark.parametrize("point", POINTS, ids=lambda point: f"{point[0]}-{point[1]}")
def test_killed_at_while_injecting(line: Line, point: tuple[str, Step]) -> None:
    """The same in `inject`."""
    survive(line, point, mode="inject")


AT_ONCE = [
    ("StepDone", Step.RESERVE),
    ("Progress", Step.WRITE),
    ("StepDone", Step.WRITE),
    ("StepDone", Step.PRINT),
]


@pytest.mark.parametrize("point", AT_ONCE, ids=lambda point: f"{point[0]}-{point[1]}")
def test_killed_at_on_postgresql(server_line: Line, point: tuple[str, Step]) -> None:
    """The ledger on a server: another station goes on once the dead one's lease is over."""
    survive(server_line, point, mode="flash", then="S2")


@pytest.mark.soak
@pytest.mark.parametrize("mode", ["flash", "inject"])
@pytest.mark.parametrize("point", POINTS, ids=lambda point: f"{point[0]}-{point[1]}")
def test_killed_anywhere_on_postgresql(
    server_line: Line, point: tuple[str, Step], mode: str
) -> None:
    """Every point, both modes."""
    survive(server_line, point, mode=mode)
