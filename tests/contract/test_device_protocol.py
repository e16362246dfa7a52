"""The protocol half of the device contract, on our simulation and on a peer written by others."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.register_assert_rewrite("tests.support.device_contract")

from eol_inject.sim import manage  # noqa: E402  # after the rewrite is registered
from tests.support.device_contract import Identifies, Peer, Writes  # noqa: E402
from tests.support.device_pace import hurried  # noqa: E402

PATIENT_MOCK = (
    "from esp32_mock_bootloader import cli, server; server._CLIENT_RECV_TIMEOUT = 1; cli.main()"
)
"""It gives up a read when an acknowledgement takes 50 ms: too little on a busy machine."""

CHIPS = ("esp32", "esp32c3", "esp8266")


@pytest.fixture(scope="module", autouse=True)
def _hurry() -> Iterator[None]:
    """esptool waits for real chips; neither peer here needs that long."""
    with hurried():
        yield


@pytest.fixture(scope="module", params=CHIPS)
def sim(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    """A simulated unit: modem lines, baud rates and a flash that forgets only when erased."""
    folder = tmp_path_factory.mktemp("sim")
    folder.chmod(0o700)
    peer = Peer(request.param, f"sim://{request.param}?dir={folder}&idle=60")
    yield peer
    peer.close()
    manage.stop(peer.url)


@pytest.fixture(scope="module", params=CHIPS)
def mock(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Peer]:
    """esp32-mock-bootloader: somebody else's reading of the protocol, over TCP."""
    told = tmp_path_factory.mktemp("mock") / "port"
    command = [sys.executable, "-c", PATIENT_MOCK, "run", "--port", "0"]
    command += ["--chip", request.param, "--port-file", str(told)]
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        peer = Peer(request.param, f"socket://127.0.0.1:{_port(told)}")
        yield peer
        peer.close()
        process.kill()


def _port(told: Path) -> int:
    """The TCP port that the server wrote into its file."""
    end = time.monotonic() + 15
    while time.monotonic() < end:
        if told.exists() and (text := told.read_text()):
            return int(text)
        time.sleep(0.02)
    raise TimeoutError("esp32-mock-bootloader did not start")


class TestSim(Identifies, Writes):
    """``sim://``."""

    @pytest.fixture
    def peer(self, sim: Peer) -> Peer:
        """The simulated unit."""
        return sim


class TestMock(Identifies, Writes):
    """``socket://`` to esp32-mock-bootloader."""

    @pytest.fixture
    def peer(self, mock: Peer) -> Peer:
        """The mock."""
        return mock
