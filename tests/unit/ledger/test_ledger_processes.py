"""Several processes, and processes that die, on one ledger file."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.ledger import again, begin, export, make, reserve, take_in

ROOT = Path(__file__).parents[3]


def spawn(script, *arguments):
    """Run ``script`` as another process; everything of ``tests.support.ledger`` is imported."""
    start = "import sys; from pathlib import Path; from tests.support.ledger import *\n"
    return subprocess.Popen(
        [sys.executable, "-c", start + script, *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )


RESERVING = """
folder, station, first, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
with again(folder, station=station) as ledger:
    for number in range(first, first + count):
        cycle = begin(ledger, number)
        print(number, reserve(cycle).auth.reveal(), flush=True)
        cycle.begin_writing()
"""


def test_two_processes_never_draw_the_same_token(tmp_path):
    """Each as fast as it can, from one pool."""
    make(tmp_path, tokens=200).close()
    running = [spawn(RESERVING, tmp_path, f"st{n}", n * 100, 100) for n in range(2)]
    lines = [line for one in running for line in one.communicate()[0].splitlines()]
    assert [one.returncode for one in running] == [0, 0]
    tokens = [line.split()[1] for line in lines]
    assert len(tokens) == len(set(tokens)) == 200


IMPORTING = """
import os, signal
def tokens():
    for number, token in enumerate(export(9000)):
        if number == int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)
        yield token
with again(Path(sys.argv[1])) as ledger:
    take_in(ledger, tokens())
"""


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
@pytest.mark.parametrize("at", [0, 1, 5000, 8999])
def test_an_import_that_is_killed_leaves_nothing(tmp_path, at):
    """And the next one takes all."""
    make(tmp_path, tokens=0).close()
    killed = spawn(IMPORTING, tmp_path, at)
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    with again(tmp_path) as ledger:
        assert ledger.status() == ()
        assert take_in(ledger, export(9000)).new == 9000


IMPORT_ALL = """
with again(Path(sys.argv[1])) as ledger:
    print("open", flush=True)
    take_in(ledger, export(20000))
"""


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
@pytest.mark.parametrize("after_s", [0.9, 1.2, 1.5, 1.8])
def test_an_import_killed_at_any_time_is_all_or_nothing(tmp_path, after_s):
    """Wherever the signal falls: reading, comparing, inserting, committing."""
    make(tmp_path, tokens=0).close()
    killed = spawn(IMPORT_ALL, tmp_path)
    killed.stdout.readline()
    time.sleep(after_s)
    killed.kill()
    killed.communicate()
    with again(tmp_path) as ledger:
        assert sum(c.count for c in ledger.status()) in {0, 20000}
        assert take_in(ledger, export(20000)).new in {0, 20000}


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_nothing_acknowledged_is_lost_when_a_station_is_killed(tmp_path):
    """What it was told, it has; its units resume with the same tokens, nobody else gets them."""
    make(tmp_path, tokens=300).close()
    told = {}
    for turn in range(3):
        killed = spawn(RESERVING, tmp_path, "st1", turn * 1000, 1000)
        for _ in range(20):
            number, token = killed.stdout.readline().split()
            told[int(number)] = token
        killed.kill()
        for line in killed.communicate()[0].splitlines():
            if len(line.split()) == 2 and len(line.split()[1]) == 32:
                told[int(line.split()[0])] = line.split()[1]
    assert len(set(told.values())) == len(told)
    with again(tmp_path) as ledger:
        for number, token in told.items():
            resumed = reserve(begin(ledger, number))
            assert resumed.resumed
            assert resumed.auth.reveal() == token
        others = {reserve(begin(ledger, 90000 + n)).auth.reveal() for n in range(50)}
    assert others.isdisjoint(told.values())
    assert len(others) == 50
