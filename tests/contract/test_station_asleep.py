"""A station that was stopped in mid-write sends nothing before its lease is confirmed."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from eol_inject.errors import StationError
from eol_inject.ledger import CycleFacts
from eol_inject.ledger.lease import LEASE_S
from eol_inject.sim import manage
from eol_inject.station import attempt as module
from eol_inject.station.attempt import Attempt
from eol_inject.station.teller import Teller
from eol_inject.unit import SELF_ROLE, Unit
from tests.support.device_contract import Peer, noise
from tests.support.device_pace import hurried
from tests.support.ledger import make, reserve

SIZE = 0x1000
BIG = b"".join(noise(number) for number in range(32))
"""128 KiB that do not compress: eight packets of the stub on the wire."""


@pytest.fixture
def peer(tmp_path: Path) -> Iterator[Peer]:
    """A simulated unit."""
    folder = tmp_path / "sim"
    folder.mkdir(mode=0o700)
    url = f"sim://esp32c3?dir={folder}&id=u&idle=60"
    with hurried():
        yield Peer("esp32c3", url, scratch=0x300000)
    manage.stop(url)


class Station:
    """A slot with an attempt under way; its clock goes by hand."""

    def __init__(self, folder: Path) -> None:
        self.now = 0.0
        self.ledger = make(folder)
        self.asleep_at = 0
        self.slept_at: int | None = None
        spec = SimpleNamespace(product=SimpleNamespace(role=SELF_ROLE))
        bench: Any = SimpleNamespace(
            ledger=self.ledger, operator="ann", profile=SimpleNamespace(spec=spec)
        )
        self.attempt = Attempt(bench, Teller("1", lambda event: None, lambda: self.now), "p")
        self.unit: Unit | None = None

    def begin(self, unit: Unit) -> None:
        """Up to the first byte."""
        self.unit = unit
        cycle = self.attempt.take(unit)
        reserve(cycle)
        cycle.begin_writing()

    def progress(self, done: int, total: int) -> None:
        """As the device calls it; once, the station is stopped right before."""
        if self.slept_at is None and done >= self.asleep_at:
            self.slept_at = done
            self.sleep()
        self.attempt.progress(done, total)

    def sleep(self) -> None:
        """Longer than the lease; meanwhile another cycle has the unit."""
        self.now += LEASE_S + 1
        assert self.unit is not None
        self.ledger.begin_cycle(
            self.unit, slot="1", operator="bob", traceability=CycleFacts(port="p")
        )


def test_not_a_byte_is_sent_after_the_sleep(
    peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped (SIGSTOP, a closed lid) between two packets for longer than the lease lasts, the
    station asks first, hears that the unit is another's, and leaves it as it is."""
    monkeypatch.setattr(module.traceability, "of_bench", lambda bench, port: CycleFacts(port=port))
    station = Station(tmp_path)
    station.asleep_at = len(BIG) // 2
    with peer.open() as device:
        station.begin(device.identify().unit)
        with pytest.raises(StationError) as lost:
            device.write(station.unit, [(peer.scratch, BIG)], station.progress)
    assert lost.value.code == "ledger.lease_lost"
    sent = station.slept_at
    assert sent is not None
    assert 0 < sent < len(BIG)
    held = manage.peek(peer.url, peer.scratch, len(BIG))
    assert held[:sent] == BIG[:sent]
    assert BIG[sent : sent + SIZE] not in held
    for offset in range(sent, len(BIG), SIZE):
        assert held[offset : offset + SIZE] != BIG[offset : offset + SIZE], hex(offset)
    station.ledger.close()


def test_a_short_sleep_changes_nothing(
    peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A station that still has its unit goes on and finishes the write."""
    monkeypatch.setattr(module.traceability, "of_bench", lambda bench, port: CycleFacts(port=port))
    station = Station(tmp_path)
    station.asleep_at = len(BIG) // 2
    station.sleep = lambda: setattr(station, "now", station.now + LEASE_S + 1)  # type: ignore[method-assign]
    with peer.open() as device:
        station.begin(device.identify().unit)
        assert station.unit is not None
        device.write(station.unit, [(peer.scratch, BIG)], station.progress)
    assert manage.peek(peer.url, peer.scratch, len(BIG)) == BIG
    station.ledger.close()
