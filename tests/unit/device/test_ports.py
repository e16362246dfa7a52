"""Why a port could not be opened, in words for the person at the bench."""

import errno
import os
import sys
from pathlib import Path

import pytest
import serial

from eol_inject.device import ports
from eol_inject.device.holders import Holder, holders
from eol_inject.device.ports import open_port, refusal
from eol_inject.errors import StationError, UsageError


def _gone(number: int, text: str) -> serial.SerialException:
    return serial.SerialException(number, text)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (_gone(errno.ENOENT, "could not open port"), "device.port_missing"),
        (_gone(errno.ENXIO, "could not open port"), "device.port_missing"),
        (_gone(errno.EACCES, "could not open port"), "device.port_denied"),
        (_gone(errno.EBUSY, "could not open port"), "device.port_busy"),
        (_gone(errno.EAGAIN, "Could not exclusively lock port"), "device.port_busy"),
        (serial.SerialException("could not open port 'COM7': FileNotFoundError(2, 'The system "
         "cannot find the file specified.', None, 2)"), "device.port_missing"),
        (serial.SerialException("could not open port 'COM7': PermissionError(13, 'Access is "
         "denied.', None, 5)"), "device.port_busy"),
        (serial.SerialException("Could not open port socket://h:1: [Errno 111] Connection refused"),
         "device.port_missing"),
        (_gone(errno.EIO, "could not open port"), "device.port_failed"),
        (OSError("something new"), "device.port_failed"),
    ],
)  # fmt: skip
def test_each_refusal_of_the_system_has_its_own_code(error: Exception, code: str) -> None:
    """Missing, denied and busy ask for different hands."""
    ours = refusal("COM7", error)
    assert isinstance(ours, StationError)
    assert ours.code == code
    assert "{" not in str(ours)


def test_a_port_that_is_not_there_is_missing(tmp_path: Path) -> None:
    """The real pyserial, on a path that does not exist."""
    with pytest.raises(StationError) as caught:
        open_port(str(tmp_path / "ttyUSB9"), baud=115200)
    assert caught.value.code == "device.port_missing"


def test_a_refused_connection_is_a_missing_port() -> None:
    """The real pyserial, on a TCP port where nobody listens."""
    with pytest.raises(StationError) as caught:
        open_port("socket://127.0.0.1:9", baud=115200)
    assert caught.value.code == "device.port_missing"


@pytest.mark.parametrize("url", ["spy:///dev/ttyUSB0", "loop://", "gopher://x", "hwgrep://0x1234"])
def test_a_scheme_that_is_not_ours_is_refused_by_name(url: str) -> None:
    """Above all pyserial's ``spy://``, which would write every token to a file."""
    with pytest.raises(UsageError) as caught:
        open_port(url, baud=115200)
    assert caught.value.code == "device.unknown_scheme"
    assert "sim" in caught.value.hint


@pytest.mark.parametrize("url", ["rfc2217://127.0.0.1", "socket://", "socket://h:x", "socket://:1"])
def test_a_server_without_a_port_is_told_in_our_words(url: str) -> None:
    """Where pyserial tells of a comparison that failed."""
    with pytest.raises(UsageError) as caught:
        open_port(url, baud=115200)
    assert (caught.value.code, "host:port" in str(caught.value)) == ("device.bad_url", True)


def test_a_handler_that_does_not_load_is_not_called_unknown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """pyserial says "protocol not known" for an ImportError too; the reason must not be lost."""
    monkeypatch.setitem(sys.modules, "eol_inject.sim.protocol_sim", None)
    with pytest.raises(StationError) as caught:
        open_port("sim://esp32", baud=115200)
    assert caught.value.code == "device.scheme_broken"


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="only Linux tells who holds a port")
def test_a_busy_port_names_its_holder(tmp_path: Path) -> None:
    """The operator learns which program to close."""
    device = tmp_path / "ttyUSB0"
    device.touch()
    with device.open("rb"):
        found = holders(str(device), own=-1)
        assert [holder.pid for holder in found] == [os.getpid()]
        assert holders(str(device)) == ()


def test_holders_are_read_from_the_links_of_proc(tmp_path: Path) -> None:
    """A link by another name counts; a process that hides its files does not stop us."""
    device = tmp_path / "ttyUSB0"
    device.touch()
    alias = tmp_path / "by-path"
    alias.symlink_to(device)
    proc = tmp_path / "proc"
    (proc / "812" / "fd").mkdir(parents=True)
    (proc / "812" / "fd" / "5").symlink_to(device)
    (proc / "812" / "comm").write_text("ModemManager\n")
    (proc / "900").mkdir()
    assert holders(str(alias), proc=proc) == (Holder(812, "ModemManager"),)
    assert holders(str(alias), proc=tmp_path / "nowhere") == ()


def test_the_holder_stands_in_the_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """``device.port_busy`` names the process; a URL has no process to look for."""
    monkeypatch.setattr(ports, "holders", lambda _: (Holder(812, "ModemManager"),))
    assert "ModemManager (process 812)" in str(ports.busy("/dev/ttyUSB0"))
    assert "another program" in str(ports.busy("sim://esp32"))
