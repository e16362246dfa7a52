"""One scanner and one person for all slots: whose answer is it, and who waits meanwhile?"""

import re
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from eol_inject.errors import StationError, StoppedError
from eol_inject.events import Question
from eol_inject.scan import Reading
from eol_inject.station import scanning
from eol_inject.station.stop import Stop
from eol_inject.station.teller import Teller


class Scanner:
    """Readings that wait in it."""

    can_look = True
    ended = True

    def __init__(self, *texts: str) -> None:
        self.readings = [Reading(text) for text in texts]

    def read(self, _: float) -> Reading | None:
        return self.readings.pop(0) if self.readings else None

    def close(self) -> None:
        pass


class Clock:
    """Ten seconds pass at each look."""

    now = 0.0

    def __call__(self) -> float:
        self.now += 10.0
        return self.now


def bench_of(scanner: Scanner) -> Any:
    """As much of a bench as a question needs."""
    return SimpleNamespace(
        scanner=scanner,
        desk=threading.Lock(),
        stop=Stop(),
        clock=Clock(),
        early={},
        scan_timeout_s=35.0,
    )


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scanning, "_LOOK_S", 0.01)


def test_what_answers_another_slots_question_is_not_thrown_away() -> None:
    """A slot that begins, or prints, forgets earlier scans; not those that somebody waits for."""
    bench = bench_of(Scanner("SN000001"))
    with bench.desk:
        scanning.forget_earlier(bench)
    assert len(bench.scanner.readings) == 1
    scanning.forget_earlier(bench)
    assert bench.scanner.readings == []
    assert not bench.desk.locked()


def test_the_time_to_scan_begins_with_the_question() -> None:
    """Not while another slot's question comes first: it was asked, and then nobody scanned."""
    bench = bench_of(Scanner())
    asked: list[Any] = []
    bench.desk.acquire()
    bench.clock.now = 1e6
    threading.Timer(0.1, bench.desk.release).start()
    with pytest.raises(StationError) as told:
        scanning.ask_serial(bench, Teller("2", asked.append, lambda: 0.0), re.compile("SN.*"))
    assert told.value.code == "station.no_serial"
    assert [one.question for one in asked] == [Question.SCAN_SERIAL]


def test_a_slot_that_waits_for_the_desk_keeps_its_lease_and_can_be_stopped() -> None:
    """Another slot's question may be open for minutes."""
    bench = bench_of(Scanner())
    kept: list[float] = []

    def keep() -> None:
        kept.append(bench.clock())
        if len(kept) == 3:
            bench.stop.press()
            bench.stop.press()

    with bench.desk, pytest.raises(StoppedError), scanning.at_desk(bench, keep):
        raise AssertionError("two at one desk")
    assert len(kept) == 3
