"""The plain esptool command, as a process of its own, on the TCP doors of a unit."""

import subprocess
import sys
from pathlib import Path

import pytest

from eol_inject.sim import manage

UNIT = "sim://esp32c3?mac=a0:76:4e:12:34:56"


def esptool(port: str | None, *arguments: str) -> str:
    """Run the command; gives what it said."""
    assert port is not None
    done = subprocess.run(
        [sys.executable, "-m", "esptool", "--chip", "esp32c3", "--port", port, *arguments],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_rfc2217_carries_resets_both_ways(units: Path) -> None:
    """Into the loader, though its lines are slow, and back into the application (devices.md 8)."""
    port = manage.listen(UNIT).rfc2217
    assert manage.status(UNIT).mode == "application"
    said = esptool(port, "--no-stub", "read-mac")
    assert "a0:76:4e:12:34:56" in said
    assert manage.status(UNIT).mode == "application"
    assert manage.status(UNIT).resets == 2
    assert not manage.status(UNIT).open


def test_a_raw_socket_writes_and_reads(units: Path, tmp_path: Path) -> None:
    """Without modem lines: BOOT is held by hand."""
    unit = UNIT + "&boot=download"
    port = manage.listen(unit).socket
    data = bytes(range(256)) * 100
    source, target = tmp_path / "in.bin", tmp_path / "out.bin"
    source.write_bytes(data)
    lines = ("--before", "no-reset", "--after", "no-reset")
    esptool(port, *lines, "write-flash", "0x10000", str(source))
    assert manage.peek(unit, 0x10000, len(data)) == data
    said = esptool(port, *lines, "read-flash", "0x10000", str(len(data)), str(target))
    assert "Stub flasher is already running" in said or "already running" in said
    assert target.read_bytes() == data


def test_listening_twice_gives_the_same_doors(units: Path) -> None:
    """And they are listed, with the faults left as they were."""
    unit = UNIT + "&fault=wrong_md5"
    first = manage.listen(unit)
    assert manage.listen(unit) == first
    assert manage.running() == [first]


@pytest.mark.parametrize("door", ["rfc2217", "socket"])
def test_a_held_unit_hangs_up_on_visitors(units: Path, door: str) -> None:
    """One holder at a time, through whatever door."""
    import socket

    import serial

    where = getattr(manage.listen(UNIT), door)
    with serial.serial_for_url(UNIT):
        host, _, port = where.rpartition("/")[2].rpartition(":")
        with socket.create_connection((host, int(port)), timeout=5) as visitor:
            assert visitor.recv(100) == b""
