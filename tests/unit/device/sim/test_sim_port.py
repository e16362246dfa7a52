"""The port behaves as a port: one holder, gone when unplugged, the unit outlives its client."""

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import serial
from serial.serialutil import PortNotOpenError, SerialException

from eol_inject.errors import StationError, UsageError
from eol_inject.sim import manage, records
from tests.support import sim_images as make

UNIT = "sim://esp32c3?mac=a0:76:4e:12:34:56"


@pytest.fixture
def port(units: Path) -> Iterator[serial.Serial]:
    """An open port on a blank ESP32-C3."""
    with serial.serial_for_url(UNIT, baudrate=115200, timeout=1) as opened:
        yield opened


def reset(port: serial.Serial, *, boot_held: bool = False) -> None:
    """Pulse EN with or without IO0, as a fixture does."""
    port.dtr, port.rts = False, True
    time.sleep(0.01)
    port.reset_input_buffer()
    if boot_held:
        port.dtr = True
    port.rts = False
    time.sleep(0.02)
    port.dtr = False


# -- opening -------------------------------------------------------------------------------


def test_a_second_open_is_refused_and_names_the_holder(port: serial.Serial) -> None:
    """As a locked port is: EBUSY."""
    with pytest.raises(SerialException, match=f"held by process {os.getpid()}") as caught:
        serial.serial_for_url(UNIT)
    assert caught.value.errno == errno.EBUSY
    port.close()
    serial.serial_for_url(UNIT).close()


def test_the_name_keeps_esptool_from_ioctls_and_the_port_stays(port: serial.Serial) -> None:
    """esp.md, "Remote and virtual ports"."""
    assert port.name == "rfc2217:" + UNIT
    assert port.port == UNIT


def test_a_bad_url_is_a_usage_error_not_an_unknown_protocol(units: Path) -> None:
    """What the person typed is named."""
    with pytest.raises(UsageError) as caught:
        serial.serial_for_url("sim://esp99")
    assert caught.value.code == "device.sim_chip"


def test_a_unit_that_runs_keeps_what_it_was_born_with(port: serial.Serial) -> None:
    """Another flash size under the same name is refused; repeating it is not."""
    port.close()
    with pytest.raises(UsageError) as caught:
        serial.serial_for_url(UNIT + "&flash=8MB")
    assert caught.value.code == "device.sim_differs"
    serial.serial_for_url(UNIT + "&flash=4MB").close()


def test_many_programs_may_start_the_same_unit_at_once(units: Path) -> None:
    """One server comes of it."""
    with ThreadPoolExecutor(6) as pool:
        infos = list(pool.map(manage.start, [UNIT] * 6))
    assert len({info.pid for info in infos}) == 1
    assert [info.id for info in manage.running()] == [infos[0].id]


def test_a_server_that_was_killed_is_replaced(units: Path) -> None:
    """A stale record is noticed, and its flash is gone with it."""
    first = manage.start(UNIT)
    manage.poke(UNIT, 0, b"here")
    os.kill(first.pid, signal.SIGKILL)
    second = manage.start(UNIT)
    assert second.pid != first.pid
    assert manage.peek(UNIT, 0, 4) == b"\xff" * 4


def test_stale_records_are_cleaned(units: Path) -> None:
    """Listing removes what a killed server left."""
    unit = manage.start(UNIT)
    os.kill(unit.pid, signal.SIGKILL)
    deadline = time.monotonic() + 5
    while manage.running() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert list(units.iterdir()) == []


def test_stopping_leaves_nothing(units: Path) -> None:
    """No record, no lock, no process."""
    unit = manage.start(UNIT)
    assert manage.stop(UNIT)
    assert list(units.iterdir()) == []
    assert not manage.stop(unit.id)
    with pytest.raises(UsageError) as caught:
        manage.peek(UNIT, 0, 1)
    assert caught.value.code == "device.sim_not_running"


def test_an_idle_unit_ends_by_itself(units: Path) -> None:
    """After ``idle`` seconds without a holder."""
    manage.start(UNIT + "&idle=0.1")
    deadline = time.monotonic() + 5
    while records.living(units) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert records.living(units) == []


def test_a_folder_of_others_is_refused(tmp_path: Path) -> None:
    """The cookies in it would be anybody's."""
    folder = tmp_path / "open"
    folder.mkdir(mode=0o755)
    folder.chmod(0o755)
    with pytest.raises(StationError) as caught:
        manage.start(f"{UNIT}&dir={folder}")
    assert caught.value.code == "device.sim_folder"


def test_the_server_inherits_nothing_and_says_little(
    units: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No environment, no secret in its arguments, files for the owner only."""
    monkeypatch.setenv("CANARY", "bird")
    unit = manage.start(UNIT)
    process = Path(f"/proc/{unit.pid}")
    if not process.exists():
        pytest.skip("no /proc here")
    assert b"bird" not in (process / "environ").read_bytes()
    cookie = records.read(units, unit.id)
    assert cookie is not None
    assert cookie.cookie.encode() not in (process / "cmdline").read_bytes()
    assert {path.stat().st_mode & 0o077 for path in units.iterdir()} == {0}


def test_a_stranger_without_the_cookie_is_hung_up_on(units: Path) -> None:
    """The TCP port alone opens nothing."""
    import socket

    unit = manage.start(UNIT)
    record = records.read(units, unit.id)
    assert record is not None
    with socket.create_connection(("127.0.0.1", record.port), timeout=5) as sock:
        sock.sendall(b"\x01\x02\x00\x00\x00{}")
        assert sock.recv(100) == b""
    assert manage.status(UNIT).mode == "application"


# -- reading and writing -------------------------------------------------------------------


def test_a_read_returns_nothing_when_its_time_is_over(port: serial.Serial) -> None:
    """``b""``, no error, neither early nor late."""
    reset(port, boot_held=True)
    port.reset_input_buffer()
    port.timeout = 0.05
    begun = time.monotonic()
    assert port.read(10) == b""
    assert 0.04 < time.monotonic() - begun < 1
    port.timeout = 0
    assert port.read(1) == b""


def test_resetting_the_input_drops_what_was_on_its_way(port: serial.Serial) -> None:
    """Bytes that the unit sent before the call are gone after it."""
    reset(port)
    port.reset_input_buffer()
    reset(port, boot_held=True)
    assert port.read_until(b"download\r\n").startswith(b"ESP-ROM")


def test_closing_ends_a_read_in_another_thread(port: serial.Serial) -> None:
    """How a deadline gets a hanging session back."""
    port.timeout = 30
    caught: list[BaseException] = []

    def wait() -> None:
        try:
            port.read(1)
        except SerialException as error:
            caught.append(error)

    reset(port, boot_held=True)
    port.reset_input_buffer()
    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.05)
    port.close()
    thread.join(5)
    assert not thread.is_alive()
    assert isinstance(caught[0], PortNotOpenError)


def test_lines_lead_to_the_application_or_the_loader(port: serial.Serial) -> None:
    """EN alone starts from flash; with IO0 low the ROM waits for a download."""
    reset(port, boot_held=True)
    assert b"waiting for download" in port.read_until(b"download\r\n")
    reset(port)
    assert b"SPI_FAST_FLASH_BOOT" in port.read_until(b"BOOT)\r\n")


def test_a_start_that_fails_is_repeated(port: serial.Serial) -> None:
    """A blank unit says so again and again."""
    reset(port)
    for _ in range(2):
        assert port.read_until(b"invalid header: 0xffffffff\r\n").endswith(b"0xffffffff\r\n")


# -- unplugging, killing -------------------------------------------------------------------


def test_an_unplugged_unit_raises_and_comes_back(port: serial.Serial) -> None:
    """While open, on open, and no more after it is plugged in again; flash stays."""
    manage.poke(UNIT, 0, b"kept")
    manage.unplug(UNIT)
    with pytest.raises(SerialException):
        port.read(1)
    with pytest.raises(SerialException):
        port.write(b"x")
    port.close()
    with pytest.raises(SerialException) as caught:
        port.open()
    assert caught.value.errno == errno.ENOENT
    manage.replug(UNIT)
    port.open()
    assert manage.peek(UNIT, 0, 4) == b"kept"


def test_a_killed_client_frees_the_port_and_the_flash_stays(units: Path) -> None:
    """kill -9 in the middle; the next program sees what was written so far."""
    code = (
        "import serial, sys, time\n"
        "serial.protocol_handler_packages.append('eol_inject.sim')\n"
        "from esptool import cmds\n"
        "esp = cmds.run_stub(cmds.connect_esp(sys.argv[1], chip='esp32c3'))\n"
        "esp.flash_begin(8192, 0)\n"
        "esp.flash_block(b'A' * 4096, 0)\n"
        "print('written', flush=True)\n"
        "time.sleep(60)\n"
    )
    text = f"{UNIT}&dir={units}"
    root = Path(manage.__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", code, text], stdout=subprocess.PIPE, cwd=root
    ) as client:
        assert client.stdout is not None
        while b"written" not in client.stdout.readline():
            pass
        client.send_signal(signal.SIGKILL)
    with serial.serial_for_url(text):
        assert manage.peek(text, 0, 8192) == b"A" * 4096 + b"\xff" * 4096


def test_the_unit_starts_what_was_written_to_it(port: serial.Serial) -> None:
    """Poked here, sealed and chosen as by a bootloader, told on the console."""
    for address, data in (
        (0, make.esp32_image(5)),
        (0x8000, make.OTA_TABLE),
        (0x10000, make.esp32_image(5, make.filled())),
    ):
        manage.poke(UNIT, address, data)
    reset(port)
    said = port.read_until(b"token-id: ")
    assert b"region: filled" in said
    assert make.TOKEN not in said + port.read(20)
