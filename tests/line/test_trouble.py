"""The ledger in trouble in the middle of a cycle: server killed, disk full, read-only, clock back.

Judged from the units' flash and the labels: nothing written that could not be recorded, nothing
lost, and the same unit passes once the trouble is over.
"""

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from eol_inject import ledger
from eol_inject.cli import board
from eol_inject.events import Event, Step, StepStarted
from eol_inject.sim import manage
from tests.line.conftest import Line, Told, Unit
from tests.support import postgres

STEPS = [step for step in Step if step not in {Step.BOOT_CHECK, Step.SCAN, Step.IDENTIFY}]
BEFORE_A_BYTE = {Step.INSPECT, Step.RESERVE, Step.PATCH, Step.WRITE}


class Trouble:
    """Does something at one point of the next cycle, once."""

    def __init__(self, at: Step, strike: Callable[[], None]) -> None:
        self._at = at
        self._strike = strike
        self.struck = False

    def __call__(self, event: Event) -> None:
        if not self.struck and isinstance(event, StepStarted) and event.step is self._at:
            self.struck = True
            self._strike()


def run_into(
    line: Line, unit: Unit, at: Step, strike: Callable[[], None], patch: pytest.MonkeyPatch
) -> Told:
    """One cycle with the trouble in it."""
    trouble = Trouble(at, strike)
    with patch.context() as inner:
        inner.setattr(board, "observer", lambda **_: trouble)
        told = line.run(unit)
    assert trouble.struck
    return told


def recover(line: Line, unit: Unit, told: Told, at: Step, codes: set[str]) -> None:
    """What was said, what stands in the unit, and that the line goes on."""
    assert told.error in codes, told
    assert told.code in {3, 4}, told
    if at in BEFORE_A_BYTE:
        assert unit.tokens(line.pool) == set()
    line.judge()
    held = unit.tokens(line.pool)
    again = line.run(unit)
    assert again.code == 0 or again.error == "ledger.unit_closed", again
    assert held <= unit.tokens(line.pool)
    assert len(unit.tokens(line.pool)) == 1
    other = line.unit()
    assert line.run(other).code == 0
    line.judge()
    labelled = {stem.split("-")[0] for stem in line.labels()}
    assert labelled == {each.mac.replace(":", "") for each in (unit, other)}
    assert line.type("ledger", "check").code == 0


@pytest.fixture
def fragile() -> Iterator[postgres.Server]:
    """A server that a test may kill."""
    with postgres.running() as started:
        yield started


def on(server: postgres.Server, line: Line) -> Line:
    """The same line with its ledger on ``server``."""
    line.ledger = server.create(f"fragile{abs(hash(line.folder.name))}")
    shutil.rmtree(line.folder / "labels", ignore_errors=True)
    line.import_tokens(10)
    return line


def server_dies(line: Line, server: postgres.Server, at: Step, patch: pytest.MonkeyPatch) -> None:
    """Killed as by a power cut, and started again after the cycle gave up."""
    on(server, line)
    unit = line.unit()
    manage.start(unit.url)
    told = run_into(line, unit, at, server.kill, patch)
    server.start()
    recover(line, unit, told, at, {"ledger.unreachable"})


@pytest.mark.parametrize("at", [Step.WRITE, Step.PRINT])
def test_the_server_dies(
    line: Line, fragile: postgres.Server, at: Step, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The station says so, starts nothing it could not record, and goes on afterwards."""
    server_dies(line, fragile, at, monkeypatch)


@pytest.mark.soak
@pytest.mark.parametrize("at", STEPS)
def test_the_server_dies_anywhere(
    line: Line, fragile: postgres.Server, at: Step, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same at every step."""
    server_dies(line, fragile, at, monkeypatch)


def test_a_server_that_comes_back_at_once_is_not_noticed(
    line: Line, fragile: postgres.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed and started again while the unit is written: the cycle passes."""
    on(fragile, line)

    def strike() -> None:
        fragile.kill()
        fragile.start()

    unit = line.unit()
    assert run_into(line, unit, Step.WRITE, strike, monkeypatch).code == 0
    line.judge()


def test_without_its_server_the_station_touches_no_unit(
    line: Line, fragile: postgres.Server
) -> None:
    """exit 3, and not a byte."""
    on(fragile, line)
    unit = line.unit()
    manage.start(unit.url)
    before = unit.digest()
    fragile.kill()
    told = line.run(unit)
    assert (told.code, told.error) == (3, "ledger.unreachable")
    assert unit.digest() == before


@pytest.fixture
def small_disk(line: Line, tmp_path: Path) -> Iterator[Path]:
    """A disk of 4 MiB with the line's ledger on it."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)]
    if os.name != "posix" or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a small disk here")
    try:
        for path in line.folder.glob("ledger.db*"):
            shutil.copy(path, disk)
        line.ledger = f"sqlite:///{disk / 'ledger.db'}"
        yield disk
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def fill(disk: Path) -> None:
    """Not a byte is left."""
    with (disk / "filler").open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"x" * 4096)


def disk_fills(line: Line, disk: Path, at: Step, patch: pytest.MonkeyPatch) -> None:
    """Full in the middle of a cycle, then somebody makes room."""
    unit = line.unit()
    manage.start(unit.url)
    told = run_into(line, unit, at, lambda: fill(disk), patch)
    (disk / "filler").unlink()
    if told.code:
        recover(line, unit, told, at, {"ledger.disk_full"})
    line.judge()


@pytest.mark.parametrize("at", [Step.RESERVE, Step.WRITE, Step.PRINT])
def test_the_disk_fills(
    line: Line, small_disk: Path, at: Step, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What could not be recorded was not written; what was proved is labelled later."""
    disk_fills(line, small_disk, at, monkeypatch)


@pytest.mark.soak
@pytest.mark.parametrize("at", STEPS)
def test_the_disk_fills_anywhere(
    line: Line, small_disk: Path, at: Step, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same at every step."""
    disk_fills(line, small_disk, at, monkeypatch)


def test_a_full_disk_starts_nothing(line: Line, small_disk: Path) -> None:
    """Before the unit is touched: exit 3 with the reason."""
    unit = line.unit()
    manage.start(unit.url)
    before = unit.digest()
    fill(small_disk)
    told = line.run(unit)
    assert (told.code, told.error) == (3, "ledger.disk_full")
    assert unit.digest() == before
    (small_disk / "filler").unlink()
    assert line.run(unit).code == 0


def test_a_read_only_ledger_starts_nothing(line: Line, small_disk: Path) -> None:
    """Mounted read-only, as Linux does after an error of the disk."""
    unit = line.unit()
    manage.start(unit.url)
    before = unit.digest()
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    told = line.run(unit)
    assert told.code == 3
    assert told.error in {"ledger.read_only", "ledger.cannot_open"}
    assert unit.digest() == before
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    assert line.run(unit).code == 0


def clock_back(line: Line, patch: pytest.MonkeyPatch) -> None:
    """The station's clock, and the database's, tell yesterday from now on.

    SQLite's clock is the computer's, which a test cannot set: what it stored is moved a day ahead
    instead, which is the same to whoever compares.
    """
    real = ledger.open_ledger

    def yesterday() -> datetime:
        return datetime.now(UTC) - timedelta(days=1)

    def opened(*args: object, **options: object) -> object:
        return real(*args, **options, clock=yesterday)  # type: ignore[arg-type]

    patch.setattr(ledger, "open_ledger", opened)
    with closing(sqlite3.connect(line.folder / "ledger.db", isolation_level=None)) as file:
        file.execute("UPDATE lease SET taken = taken + 86400, expires = expires + 86400")


def test_a_clock_set_back_a_day_holds_nobody_up(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A unit cut off before, the next unit, another station: order is by sequence, not by time."""

    class _Dead(BaseException):
        """Ends the cycle as a power cut does: nothing is recorded any more."""

    def die() -> None:
        raise _Dead

    unit = line.unit()
    with pytest.raises(_Dead):
        run_into(line, unit, Step.READ_BACK, die, monkeypatch)
    assert line.run(unit, station="S2").error == "ledger.unit_busy"
    clock_back(line, monkeypatch)
    again = line.run(unit, station="S2")
    assert (again.code, again.unit["resumed"]) == (0, True)
    assert line.run(line.unit()).code == 0
    events = line.type("unit", "show", unit.mac).out["events"]
    times = [one["at"] for one in events]
    assert times != sorted(times)
    assert [one["target"] for one in events if one["target"]][-1] == "closed"
    assert line.type("ledger", "check").code == 0
    line.judge()
