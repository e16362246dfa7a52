"""The leash on the port: an end in time, no reopening inside a write, fast sockets."""

import pytest
import serial

from eol_inject.device.line import Line
from eol_inject.errors import StationError


class Port:
    """Stands in for a pyserial port; ``chunks`` is what arrives, read by read."""

    def __init__(self, *chunks: bytes) -> None:
        self.chunks = list(chunks)
        self.timeout: float | None = None
        self.write_timeout: float | None = None
        self.baudrate = 115200
        self.is_open = True
        self.opened = 0
        self.rts = self.dtr = False
        self.name = "port"
        self.reads: list[tuple[int, float | None]] = []

    def read(self, size: int) -> bytes:
        self.reads.append((size, self.timeout))
        return self.chunks.pop(0)[:size] if self.chunks else b""

    def write(self, data: bytes) -> int:
        return len(data)

    @property
    def in_waiting(self) -> int:
        return int(bool(self.chunks))

    def reset_input_buffer(self) -> None:
        self.chunks.clear()

    def open(self) -> None:
        self.opened += 1
        self.is_open = True

    def close(self) -> None:
        self.is_open = False


class Clock:
    """Time that only moves when told."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def _line(port: Port, clock: Clock, *, coarse: bool = False) -> Line:
    return Line(port, deadline=10.0, allowed_s=10.0, clock=clock, coarse=coarse)  # type: ignore[arg-type]


@pytest.mark.parametrize("use", ["read", "write", "in_waiting", "reset_input_buffer", "open"])
def test_after_the_deadline_the_port_is_closed_and_every_use_says_so(use: str) -> None:
    """However many packets esptool still wants to wait for, the session ends."""
    port, clock = Port(b"x"), Clock()
    line = _line(port, clock)
    clock.now = 10.0
    with pytest.raises(StationError) as caught:
        {
            "read": lambda: line.read(1),
            "write": lambda: line.write(b""),
            "in_waiting": lambda: line.in_waiting,
            "reset_input_buffer": line.flushInput,
            "open": line.open,
        }[use]()
    assert caught.value.code == "device.deadline"
    assert not port.is_open


def test_a_read_never_waits_longer_than_the_time_that_is_left() -> None:
    """A command with a limit of 120 s does not outlive a session that has 2 s."""
    port, clock = Port(), Clock()
    line = _line(port, clock)
    line.timeout = 120
    clock.now = 8.0
    line.read(1)
    assert port.reads == [(1, 2.0)]
    assert line.timeout == 120


def test_inside_a_write_the_port_cannot_be_opened_again() -> None:
    """esptool would reconnect and go on, with whatever unit is there by then."""
    port, clock = Port(), Clock()
    line = _line(port, clock)
    with line.sealed(), pytest.raises(serial.SerialException):
        line.open()
    assert port.opened == 0
    line.open()
    assert port.opened == 1


def test_a_socket_is_read_in_bulk() -> None:
    """pyserial's sockets say 0 or 1 byte is waiting; esptool would read byte by byte."""
    port, clock = Port(b"a" * 5000), Clock()
    line = _line(port, clock, coarse=True)
    assert line.in_waiting == 5000
    assert line.read(4096) == b"a" * 4096
    assert line.read(4096) == b"a" * 904
    assert len(port.reads) == 1


def test_the_console_rate_is_set_while_the_chip_is_held_in_reset() -> None:
    """Neither a command to the loader nor the application's first word meets the wrong rate."""
    port, clock = Port(), Clock()
    port.baudrate = 921600
    line = _line(port, clock)
    with line.console_at(74880):
        assert port.baudrate == 921600
        line.setRTS(True)
        assert port.baudrate == 74880
        line.setRTS(False)
    assert port.baudrate == 74880


def test_everything_else_is_the_ports_own() -> None:
    """esptool asks a port for its name, its lines and its descriptor."""
    port = Port()
    line = _line(port, Clock())
    assert line.name == "port"
    line.setDTR(True)
    line.baudrate = 9600
    line.write_timeout = 3
    assert (port.dtr, port.baudrate, port.write_timeout) == (True, 9600, 3)
