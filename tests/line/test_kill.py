"""SIGKILL at every point of the cycle, while the unit lives on: nothing lost, nothing doubled.

Judged from the units' flash and the printed labels. Each point stands once here for `flash`; the
full matrix is in ``make soak``.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from eol_inject.events import Step
from eol_inject.sim import manage
from tests.line.conftest import LOT, Line, Unit

KILLED_AT = Path(__file__).parents[1] / "support" / "killed_at.py"
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
    done = subprocess.run(
        [
            sys.executable, str(KILLED_AT), point[0], point[1].value,
            "run", "--once", "--profile", profile, "--port", unit.url, "--lot", LOT,
            "--printer", str(line.folder / "labels"),
            "--ledger", f"sqlite:///{line.folder / 'ledger.db'}",
            "--key-file", str(line.folder / "ledger.key"),
            "--training", "--station", "S1", "--operator", "Ada", "--json",
        ],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        check=False,
        timeout=60,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()


def survive(line: Line, point: tuple[str, Step], *, mode: str) -> None:
    """Kill, then the same unit again, then another one; judged by flash and labels."""
    profile = line.profile(mode=mode) if mode == "inject" else "esp32c3-blnkopt"
    unit = line.golden_unit() if mode == "inject" else line.unit()
    manage.start(unit.url)
    kill(line, unit, point, profile)
    line.judge()
    held = unit.tokens(line.pool)
    again = line.run(unit, profile=profile)
    assert again.code == 0 or again.error == "ledger.unit_closed", again
    assert len(unit.tokens(line.pool)) == 1
    assert held <= unit.tokens(line.pool)
    other = line.golden_unit() if mode == "inject" else line.unit()
    assert line.run(other, profile=profile).code == 0
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
