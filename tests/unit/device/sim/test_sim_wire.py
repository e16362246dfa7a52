"""The wire's time: a clock that only the test moves, and no process."""

import heapq
from collections.abc import Callable
from itertools import count

import pytest

from eol_inject.sim.machine import Config, Machine

MAC = bytes.fromhex("a0764e510005")


class Bench:
    """Clock and cable: runs what is due, keeps when bytes came."""

    def __init__(self) -> None:
        self.time = 0.0
        self.last_came = 0.0
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()

    def now(self) -> float:
        return self.time

    def call_at(self, when: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._due, (when, next(self._order), act))

    def deliver(self, data: bytes) -> None:
        self.last_came = self.time

    def unplugged(self) -> None:
        raise NotImplementedError

    def listening(self) -> bool:
        return True

    def run(self) -> None:
        while self._due:
            self.time, _, act = heapq.heappop(self._due)
            act()


def _log_over(host_baud: int) -> float:
    """When the last byte of the ROM's first words has come to a host that listens so fast."""
    bench = Bench()
    machine = Machine(Config("esp32c3", MAC, 4 << 20, boot_held=True, timing="real"), bench)
    machine.host_baud = host_baud
    machine.set_lines(dtr=False, rts=True)
    machine.set_lines(dtr=True, rts=False)
    bench.run()
    return bench.last_came


@pytest.mark.parametrize("host_baud", [57600, 460800, 921600])
def test_bytes_take_the_time_of_who_sends_them(host_baud: int) -> None:
    """A host at another rate makes more or fewer bytes of them, in the same time."""
    assert _log_over(host_baud) == pytest.approx(_log_over(115200), abs=0.002)
