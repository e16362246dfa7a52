"""The protocol half of the device contract on a unit that somebody connected.

``pytest tests/hardware --port /dev/ttyUSB0 --chip esp32c3`` reads only; with ``--destructive`` four
scratch sectors are written too. Any URL will do, ``sim://esp32c3`` as well.
"""

from collections.abc import Iterator

import pytest

pytest.register_assert_rewrite("tests.support.device_contract")

from tests.support.device_contract import Identifies, Peer, Writes  # noqa: E402  # after that


@pytest.fixture(scope="module")
def connected(request: pytest.FixtureRequest) -> Iterator[Peer]:
    """The unit that the options name."""
    option = request.config.getoption
    if not option("--chip"):
        pytest.fail("--port needs --chip")
    peer = Peer(option("--chip"), option("--port"), scratch=option("--scratch"))
    yield peer
    peer.close()


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
