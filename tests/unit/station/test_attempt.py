"""An attempt in the making: the lease is kept while bytes move, and only then."""

from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest

from eol_inject.station import attempt as module
from eol_inject.station.attempt import KEEP_EVERY_S, Attempt
from eol_inject.station.teller import Teller


class Clock:
    """Seconds by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """At zero."""
    return Clock()


def test_a_slow_write_keeps_its_lease(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """An hour of progress events asks the ledger about every 20 s, not at every block."""
    monkeypatch.setattr(module.traceability, "of_bench", lambda bench, port: None)
    kept: list[float] = []
    bench: Any = None
    attempt = Attempt(bench, Teller("1", lambda event: None, clock), "sim://esp32c3")
    cycle: Any = SimpleNamespace(keep=lambda: kept.append(clock.now))
    attempt.cycle = cycle
    for second in range(3600):
        clock.now = float(second)
        attempt.progress(second, 3600)
    assert all(later - earlier <= KEEP_EVERY_S + 1 for earlier, later in pairwise(kept))
    assert 3600 / (KEEP_EVERY_S + 1) - 1 <= len(kept) <= 3600 / KEEP_EVERY_S
