"""SIGKILL at every point of a programmer unit's cycle, and while its program runs.

Nothing is lost, nothing doubled; judged from the units' memories and the printed labels. A program
that outlives us keeps the port until it has ended.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from eol_inject.device.programmer.commands import run as run_program
from eol_inject.device.programmer.port_lock import PortLock
from eol_inject.errors import StationError
from eol_inject.events import Step
from tests.line.conftest import LOT, RealDesk
from tests.line.test_kill import KILLED_AT, POINTS
from tests.line.test_programmer import profile, tokens_of, unit_of

ROOT = Path(__file__).parents[2]
UNDONE = ("Progress", Step.WRITE)
"""The one point at which the ledger says that bytes may move, and none has."""


def command(desk: RealDesk, unit: Path, product: str) -> list[str]:
    """One `run --once`, as its arguments."""
    return [
        "run", "--once", "--profile", product, "--port", str(unit), "--lot", LOT,
        "--printer", str(desk.folder / "labels"), "--scanner", "tty", *desk.options,
        "--operator", "Ada",
    ]  # fmt: skip


def started(*args: str) -> "subprocess.Popen[bytes]":
    """A Python program of ours in a process of its own, that scans a serial number."""
    process = subprocess.Popen(
        [sys.executable, *args],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin is not None
    process.stdin.write(b"SN000001\n")
    process.stdin.flush()
    return process


def judge(desk: RealDesk, units: list[Path]) -> None:
    """Each unit holds one token, no two the same; each label is that of a unit's token; no other
    token was taken out of the pool."""
    held = [tokens_of(desk, unit) for unit in units]
    assert [len(tokens) for tokens in held] == [1] * len(units)
    ours = set().union(*held)
    assert len(ours) == len(units)
    assert set(desk.line.labels().values()) == {desk.line.pool[token] for token in ours}
    counts = desk.type("tokens", "status").out["counts"]
    assert sum(row["count"] for row in counts if row["state"] != "available") == len(units)


@pytest.mark.parametrize("who", ["scan", pytest.param("chip", marks=pytest.mark.soak)])
@pytest.mark.parametrize("point", POINTS, ids=lambda point: f"{point[0]}-{point[1]}")
def test_killed_at(desk: RealDesk, point: tuple[str, Step], who: str) -> None:
    """The same unit goes on with its own token. By a scanned number alone it does not where it was
    being written and holds nothing: there a lead looks first."""
    product = profile(desk.folder, serial="SN[0-9]{6}" if who == "scan" else None)
    unit, other = unit_of(desk, "u1", uid="A1"), unit_of(desk, "u2", uid="A2")
    process = started(str(KILLED_AT), point[0], point[1].value, *command(desk, unit, product))
    _, errors = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL, errors.decode()
    held = tokens_of(desk, unit)
    again = desk.run(unit, "SN000001", product)
    if who == "scan" and point == UNDONE:
        assert (again.code, again.error) == (1, "verify.serial_alone")
        pin = desk.admin()
        for act in ("quarantine", "clear"):
            assert desk.type("unit", act, "SN000001", "--reason", "looked", *pin).code == 0
        again = desk.run(unit, "SN000001", product)
    assert again.code == 0 or again.error == "ledger.unit_closed", again
    assert held <= tokens_of(desk, unit)
    assert desk.run(other, "SN000002", product).code == 0
    judge(desk, [unit, other])


@pytest.mark.skipif(sys.platform != "linux", reason="the lock that a program inherits is Linux's")
def test_a_program_that_outlives_us_keeps_its_port(desk: RealDesk) -> None:
    """Killed in the middle of a write, which goes on: the next run names who holds the port and
    touches nothing; once it has ended, the same unit goes on with its own token."""
    product = profile(desk.folder)
    unit = unit_of(desk, "u1")
    (unit / "fault").write_text("write wait")
    process = started("-m", "eol_inject", *command(desk, unit, product))
    asked = unit / "asked"
    while not (asked.exists() and "write" in asked.read_text()):
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.kill()
    process.communicate()
    before = asked.read_text()
    told = desk.run(unit, "SN000001", product)
    assert (told.code, told.error) == (3, "device.port_busy")
    assert "(process " in told.out["error"]["text"]
    assert asked.read_text() == before
    (unit / "go").touch()
    while told.error == "device.port_busy":
        told = desk.run(unit, "SN000001", product)
    assert told.code == 0, told
    judge(desk, [unit])


@pytest.mark.skipif(sys.platform != "linux", reason="the lock that a program inherits is Linux's")
def test_what_a_program_leaves_behind_does_not_keep_the_port(tmp_path: Path) -> None:
    """It ended, and a helper that it had started would stay for a minute."""
    lock = PortLock(str(tmp_path))
    lock.take()
    run_program(
        ["sh", "-c", "sleep 60 > /dev/null 2>&1 &"],
        files=lock.numbers, timeout_s=10, clock=time.monotonic, aborted=lambda: False,
        waiting=lambda: None,
    )  # fmt: skip
    lock.release()
    until = time.monotonic() + 30
    while True:
        try:
            lock.take()
        except StationError:
            assert time.monotonic() < until
            continue
        break
    lock.release()
