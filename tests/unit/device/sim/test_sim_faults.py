"""Each fault, as the unmodified esptool meets it; and what is left in the flash."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from struct import pack
from typing import Any

import pytest
from esptool import cmds
from esptool.logger import log
from esptool.util import FatalError
from serial.serialutil import SerialException

from eol_inject.sim import manage

pytestmark = pytest.mark.usefixtures("units")
MINE, OTHER = "a0:76:4e:12:34:56", "a0:76:4e:92:34:56"
DATA = bytes(range(256)) * 16 * 16
"""64 KiB: four blocks of the stub where nothing is compressed."""


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    log.set_verbosity("silent")
    yield
    log.set_verbosity("auto")


def url(*faults: str) -> str:
    """An ESP32-C3 with these faults."""
    return "&".join([f"sim://esp32c3?mac={MINE}", *(f"fault={fault}" for fault in faults)])


@contextmanager
def session(*faults: str, attempts: int = 1) -> Iterator[Any]:
    """Connected, with the stub; one attempt at writing, no long waits for what does not come."""
    esp = cmds.connect_esp(url(*faults), connect_attempts=attempts)
    try:
        # esptool waits for a stub's first word as long as the port waits: for ever by default
        esp._port.timeout = 0.3
        esp = cmds.run_stub(esp)
        esp.WRITE_FLASH_ATTEMPTS = 1
        yield esp
    finally:
        esp._port.close()


def write(esp: Any) -> None:
    """64 KiB at 0x10000, plain: bytes of the phase are bytes on the wire."""
    cmds.write_flash(esp, [(0x10000, DATA)], no_compress=True)


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three seconds for an answer that never comes are three seconds of test time."""
    import esptool.loader

    original = esptool.loader.ESPLoader.command

    def quick(self: Any, *args: Any, **kwargs: Any) -> Any:
        kwargs["timeout"] = min(kwargs.get("timeout", 0.2), 0.2)
        return original(self, *args, **kwargs)

    monkeypatch.setattr(esptool.loader.ESPLoader, "command", quick)


def fired() -> dict[str, int]:
    """How often each fault has happened."""
    return manage.status(url()).fired


def test_no_sync() -> None:
    """The chip is reset and stays dumb."""
    with pytest.raises(FatalError, match="Failed to connect"), session("no_sync"):
        pass
    assert fired()["no_sync"] > 0


def test_flaky_reset() -> None:
    """The first reset starts the application, a later one reaches the loader."""
    with session("flaky_reset=1", attempts=2) as esp:
        assert esp.IS_STUB
    assert manage.status(url()).resets == 2
    assert fired() == {"flaky_reset": 1}


@pytest.mark.usefixtures("_impatient")
def test_stub_fail_then_the_next_session_works() -> None:
    """Line-failures 12: once, and not again."""
    with pytest.raises(FatalError, match="Failed to start stub"), session("stub_fail=1"):
        pass
    with session("stub_fail=1") as esp:
        assert esp.IS_STUB


@pytest.mark.parametrize(
    ("phase", "act"),
    [
        ("sync", lambda esp: None),
        ("stub", lambda esp: None),
        ("identify", lambda esp: esp.read_mac("BASE_MAC")),
        ("erase", lambda esp: esp.erase_region(0, 4096)),
        ("write", write),
        ("read", lambda esp: esp.read_flash(0, 4096)),
        ("md5", lambda esp: esp.flash_md5sum(0, 4096)),
    ],
)
def test_unplugged_in_every_phase(phase: str, act: Callable[[Any], None]) -> None:
    """A serial error, at once; replugged and disarmed, the next session goes through."""
    with pytest.raises((SerialException, FatalError)), session(f"unplug@{phase}") as esp:
        act(esp)
    assert not manage.status(url()).plugged
    with pytest.raises((SerialException, FatalError)), session(f"unplug@{phase}"):
        pass
    with session() as esp:
        act(esp)


@pytest.mark.usefixtures("_impatient")
@pytest.mark.parametrize(
    ("phase", "act"),
    [
        ("erase", lambda esp: esp.erase_region(0, 4096)),
        ("write", write),
        ("md5", lambda esp: esp.flash_md5sum(0, 4096)),
    ],
)
def test_a_hang_lasts_until_the_next_reset(phase: str, act: Callable[[Any], None]) -> None:
    """No answer, no serial error; one-shot, so the next cycle carries on."""
    with pytest.raises(FatalError), session(f"hang@{phase},x1") as esp:
        act(esp)
    assert manage.status(url()).mode == "hung"
    with session(f"hang@{phase},x1") as esp:
        act(esp)


@pytest.mark.usefixtures("_impatient")
@pytest.mark.parametrize(
    ("fault", "act", "words"),
    [
        ("mute@read:2000,x1", lambda esp: esp.read_flash(0, 8192), "Packet content transfer"),
        ("mute@md5:5,x1", lambda esp: esp.flash_md5sum(0, 4096), "Packet content transfer"),
        ("mute@identify:1,x1", lambda esp: esp.read_mac("BASE_MAC"), "Packet content transfer"),
        ("mute@read:4098,x1", lambda esp: esp.read_flash(0, 8192), "stream stopped"),
    ],
)
def test_an_answer_may_break_off_at_any_byte(
    fault: str, act: Callable[[Any], None], words: str
) -> None:
    """What was sent before arrives; then silence, until the next reset."""
    with session(fault) as esp:
        esp._port.timeout = 0.2
        with pytest.raises(FatalError, match=words):
            act(esp)
        esp.flush_input()
        with pytest.raises(FatalError, match="No serial data"):
            esp.sync()
    assert manage.status(url()).mode == "hung"
    with session(fault) as esp:
        act(esp)
    assert fired() == {"mute": 1}


@pytest.mark.usefixtures("_impatient")
def test_a_stub_that_streams_stops_at_what_is_no_acknowledgement() -> None:
    """And answers the next command (esp-flasher-stub, ``s_read_flash_post_process``)."""
    with session() as esp:
        esp.check_command(
            "read flash", esp.ESP_CMDS["READ_FLASH"], pack("<IIII", 0, 5 * 4096, 4096, 64)
        )
        assert len(esp.read()) == 4096
        assert not esp._port.in_waiting  # one block at a time
        with pytest.raises(FatalError):
            esp.command(esp.ESP_CMDS["SYNC"], b"\7\7\x12\x20" + b"U" * 32)
        esp.flush_input()
        esp.sync()
        assert esp.read_flash(0, 4096) == b"\xff" * 4096


def test_unplugged_at_byte_n_of_the_write() -> None:
    """What was programmed before stays; the sectors behind are as they were."""
    manage.start(url())
    manage.poke(url(), 0x10000, b"\0" * 0x20000)
    with pytest.raises(SerialException), session("unplug@write:20000,x1") as esp:
        write(esp)
    assert manage.peek(url(), 0x10000, 20000) == DATA[:20000]
    erased_to = 0x10000 + 65536  # one 64 KiB block was erased ahead
    assert manage.peek(url(), 0x10000 + 20000, 65536 - 20000) == b"\xff" * (65536 - 20000)
    assert manage.peek(url(), erased_to, 4096) == b"\0" * 4096


def test_an_unplugged_unit_may_come_back_by_itself() -> None:
    """``back=S``: a cable that wobbles; the flash is still there."""
    with pytest.raises(SerialException), session("unplug@write,x1,back=0.1") as esp:
        write(esp)
    time.sleep(0.3)
    with session("unplug@write,x1,back=0.1") as esp:
        write(esp)
    assert manage.peek(url(), 0x10000, len(DATA)) == DATA


@pytest.mark.usefixtures("_impatient")
def test_esptool_itself_writes_into_the_unit_that_was_put_there_meanwhile() -> None:
    """esp.md: the silent reconnect. Here it happens, and the sim shows whose flash was written."""
    esp = cmds.run_stub(cmds.connect_esp(url("swap_unplug@write:20000,x1")))
    cmds.write_flash(esp, [(0x10000, DATA)], no_compress=True)
    esp._port.close()
    status = manage.status(url())
    assert status.mac == OTHER
    assert status.macs == (MINE, OTHER)
    assert manage.peek(url(), 0x10000, len(DATA), board="other") == DATA
    assert manage.peek(url(), 0x10000, len(DATA), board="first")[20000:] != DATA[20000:]


def test_a_single_attempt_stops_at_the_swap() -> None:
    """With ``WRITE_FLASH_ATTEMPTS = 1`` the other unit stays untouched."""
    with pytest.raises(SerialException), session("swap_unplug@write:20000,x1") as esp:
        write(esp)
    assert manage.peek(url(), 0x10000, len(DATA), board="other") == b"\xff" * len(DATA)


def test_a_swap_without_a_gap_is_seen_by_the_mac_alone() -> None:
    """Once the identity was read, also twice, another unit answers in the same state."""
    with session("swap@identify,x1") as esp:
        for _ in range(2):
            assert bytes(esp.read_mac("BASE_MAC")).hex(":") == MINE
        write(esp)
        assert bytes(esp.read_mac("BASE_MAC")).hex(":") == OTHER
    assert manage.peek(url(), 0x10000, 16, board="first") == b"\xff" * 16
    manage.swap(url())
    assert manage.status(url()).mac == MINE


def test_a_swap_in_the_middle_of_a_write_splits_it() -> None:
    """Half here, half there: only reading the identity after the write tells."""
    with session("swap@write:20000,x1") as esp:
        with pytest.raises(FatalError, match="MD5"):
            write(esp)
        assert bytes(esp.read_mac("BASE_MAC")).hex(":") == OTHER
    assert manage.peek(url(), 0x10000, 20000, board="first") == DATA[:20000]
    assert manage.peek(url(), 0x10000 + 20000, 100, board="other") == DATA[20000:20100]


def test_a_bad_sector_fails_by_md5_and_the_address_can_be_found() -> None:
    """Line-failures 14."""
    with session("bad_sector@0x13000") as esp:
        with pytest.raises(FatalError, match="MD5"):
            write(esp)
        for sector in range(0x10000, 0x20000, 0x1000):
            good = cmds.read_flash(esp, sector, 4096) == DATA[:4096]
            assert good == (sector != 0x13000)


def test_wrong_md5_once() -> None:
    """The chip miscounts one time."""
    with session("wrong_md5,x1") as esp:
        with pytest.raises(FatalError, match="MD5"):
            write(esp)
        write(esp)


@pytest.mark.usefixtures("_impatient")
@pytest.mark.parametrize("fault", ["brownout@erase,x1", "power_cut@write:20000,x1"])
def test_the_supply_dips(fault: str) -> None:
    """The chip starts its application in the middle of the work; next time all is well."""
    with pytest.raises(FatalError), session(fault) as esp:
        write(esp)
    time.sleep(0.1)
    assert manage.status(url()).mode == "application"
    with session(fault) as esp:
        write(esp)
    assert manage.peek(url(), 0x10000, len(DATA)) == DATA


@pytest.mark.usefixtures("_impatient")
def test_flipped_bits_are_caught_by_sums_and_retried() -> None:
    """A block with a wrong sum is sent again by esptool; what gets through is right."""
    with session("flip@write=0.00001") as esp:
        write(esp)
    assert manage.peek(url(), 0x10000, len(DATA)) == DATA


@pytest.mark.usefixtures("_impatient")
def test_lost_bytes_end_the_write() -> None:
    """A packet that is too short is refused by the loader or never ends."""
    with session("drop@write=5,x9") as esp, pytest.raises(FatalError):
        write(esp)


@pytest.mark.usefixtures("_impatient")
def test_a_high_baud_rate_corrupts_and_a_lower_one_does_not() -> None:
    """Line-failures 13."""
    with session("flip=0.01,above=500000") as esp:
        esp.change_baud(460800)
        write(esp)
    with session("flip=0.01,above=500000") as esp:
        esp.change_baud(921600)
        with pytest.raises(FatalError):
            write(esp)


def test_a_port_that_another_program_holds() -> None:
    """Line-failures 16."""
    with pytest.raises(FatalError, match="busy, held by another program"), session("busy"):
        pass


@pytest.mark.parametrize("fault", ["boot_loop", "silent_boot"])
def test_what_the_console_shows_when_the_application_fails(fault: str) -> None:
    """A crash that repeats, or nothing at all."""
    with session(fault) as esp:
        port = esp._port
        port.timeout = 0.6
        port.baudrate = 115200
        esp.hard_reset()
        said = port.read(4096)
    assert (said == b"") == (fault == "silent_boot")


def test_faults_can_be_armed_and_cleared_from_outside() -> None:
    """``manage.set_faults``, while a session runs; clearing plugs the unit in again."""
    with session() as esp:
        manage.set_faults(url(), "unplug@read")
        with pytest.raises(SerialException):
            esp.read_flash(0, 4096)
    manage.set_faults(url())
    with session() as esp:
        assert esp.read_flash(0, 16) == b"\xff" * 16
