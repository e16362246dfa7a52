"""Packets out of bytes, in one go, and the same as esptool's reader finds."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eol_inject.device import esp_lib
from eol_inject.device.esp_slip import packets

ordinary = esp_lib._ordinary_reader


class Port:
    """Brings its pieces one after the other, then nothing."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = [piece for piece in pieces if piece]
        self.waits = 0

    def inWaiting(self) -> int:  # noqa: N802  # the name that esptool calls
        return len(self._pieces[0]) if self._pieces else 0

    def read(self, size: int = 1) -> bytes:
        if not self._pieces:
            self.waits += 1
            return b""
        data, rest = self._pieces[0][:size], self._pieces[0][size:]
        self._pieces[:1] = [rest] if rest else []
        return data


def _all(reader: Iterator[bytes]) -> list[bytes | str]:
    """Every packet, and the words at the end."""
    found: list[bytes | str] = []
    try:
        found.extend(reader)
    except esp_lib.FatalError as error:
        found.append(str(error))
    return found


def _ours(port: Port) -> Iterator[bytes]:
    return packets(port, lambda source: ordinary(source, lambda _: None))


ENDS = st.sampled_from([b"\xc0", b"\xdb", b"\xdc", b"\xdd", b"\x00", b"ets", b"\xdb\xdc"])
WIRE = st.lists(st.lists(ENDS, max_size=8).map(b"".join), max_size=6)


@given(WIRE)
def test_it_finds_what_esptools_reader_finds_and_fails_in_its_words(pieces: list[bytes]) -> None:
    """Whatever is on the wire, in whatever pieces."""
    assert _all(_ours(Port(*pieces))) == _all(ordinary(Port(*pieces), lambda _: None))


@given(st.lists(st.binary(max_size=64), max_size=5), st.integers(1, 40))
def test_what_was_packed_comes_out(bodies: list[bytes], step: int) -> None:
    """Every byte may stand in a packet."""
    wire = b"".join(
        b"\xc0" + body.replace(b"\xdb", b"\xdb\xdd").replace(b"\xc0", b"\xdb\xdc") + b"\xc0"
        for body in bodies
    )
    port = Port(*(wire[at : at + step] for at in range(0, len(wire), step)))
    assert _all(_ours(port))[:-1] == bodies


@pytest.mark.parametrize("before", [b"", b"\xc0OHAI\xc0", b"\xc0OH"])
def test_silence_is_waited_for_once(before: bytes) -> None:
    """A time limit counts once: the port is not asked again for the error's words."""
    port = Port(before)
    _all(_ours(port))
    assert port.waits == 1


def test_every_loader_reads_by_it() -> None:
    """esptool looks its reader up in its own module when an object is made."""
    esp = esp_lib.CHIP_DEFS["esp32c3"](_Quiet(), 115200)
    assert esp._slip_reader.gi_code is packets.__code__


class _Quiet(Port):
    baudrate = 115200
    write_timeout = None
