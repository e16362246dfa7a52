"""The protocol half of the device contract on a unit that somebody connected.

``pytest tests/hardware --port /dev/ttyUSB0 --chip esp32c3`` reads only; with ``--destructive`` four
scratch sectors are written too. Any URL will do, ``sim://esp32c3`` as well.
"""

import time
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import pytest

pytest.register_assert_rewrite("tests.support.device_contract")

from tests.support.device_contract import Identifies, Peer, Writes  # noqa: E402  # after that

pytestmark = pytest.mark.filterwarnings("ignore:set(Daemon|Name)")  # pyserial 3.5's rfc2217 handler


@pytest.fixture(scope="module")
def connected(request: pytest.FixtureRequest) -> Iterator[Peer]:
    """The unit that the options name."""
    option = request.config.getoption
    if not option("--chip"):
        pytest.fail("--port needs --chip")
    peer = Peer(
        option("--chip"), option("--port"), scratch=option("--scratch"), before=option("--before")
    )
    yield peer
    peer.close()


def test_how_fast_it_is_and_what_it_says(connected: Peer, told: dict[str, Any]) -> None:
    """Identity, notes, and the time that each kind of work takes."""
    begun = time.perf_counter()
    with connected.open() as device:
        found = device.identify()
        at = time.perf_counter()
        identify_s = at - begun
        device.read(0, 16384)
        read_s = time.perf_counter() - at
        at = time.perf_counter()
        device.md5(0, min(found.flash_size, 1 << 20))
        md5_s = time.perf_counter() - at
    told |= {
        "chip": found.chip,
        "revision": found.revision,
        "maker": found.unit.primary.value[:8],
        "flash_size": found.flash_size,
        "baud": found.baud,
        "security": asdict(found.security),
        "notes": list(found.notes),
        "port_kind": connected.url.partition("://")[0] if "://" in connected.url else "serial",
        "identify_s": round(identify_s, 3),
        "read_16k_s": round(read_s, 3),
        "md5_1m_s": round(md5_s, 3),
        "whole_s": round(time.perf_counter() - begun, 3),
    }
    assert found.flash_size > 0


class TestReading(Identifies):
    """Changes nothing on the unit."""

    @pytest.fixture
    def peer(self, connected: Peer) -> Peer:
        """The unit."""
        return connected


@pytest.mark.destructive
class TestWriting(Writes):
    """The scratch sectors are lost."""

    @pytest.fixture
    def peer(self, connected: Peer) -> Peer:
        """The unit."""
        return connected
