"""Every error of esptool and pyserial leaves the adapter as one of ours, and tells no bytes."""

import errno
import functools
import inspect
import re
import struct
import termios
import zlib
from collections.abc import Iterator

import pytest
import serial
from esp_pylib import errors as pylib_errors
from esptool import bin_image, cmds, loader, targets, util

from eol_inject.device.esp_errors import TABLE, Row, slower_may_help, translate, translated
from eol_inject.device.esp_link import NOT_SHIPPED, NOT_STARTED
from eol_inject.errors import EolError, StationError, UnitError, texts

TOKEN = "Zq4Rk9-fT_2mXw7Lc0Vb5NpJ8yHs3DgE"


def _classes() -> Iterator[type[BaseException]]:
    """Every exception class that esptool, its base library and pyserial define."""
    for module in (util, pylib_errors, serial.serialutil):
        for _, found in inspect.getmembers(module, inspect.isclass):
            if issubclass(found, BaseException) and found.__module__.startswith(
                ("esptool", "esp_pylib", "serial")
            ):
                yield found


def _made(kind: type[BaseException]) -> BaseException:
    """An instance, whatever its constructor wants."""
    error = kind.__new__(kind)
    Exception.__init__(error, f"Unexpected response: b'{TOKEN}'")
    return error


@pytest.mark.parametrize("kind", sorted(set(_classes()), key=lambda kind: kind.__name__))
def test_every_class_of_theirs_becomes_one_of_ours(kind: type[BaseException]) -> None:
    """Also the ones that esptool adds later: they end as ``device.esptool_failed``."""
    assert issubclass(kind, RuntimeError | OSError | LookupError)
    ours = translate(_made(kind), port="COM7")
    assert isinstance(ours, StationError)
    assert ours.code.partition(".")[2] in texts()["device"]
    assert TOKEN not in f"{ours} {ours.hint} {ours.params}"
    assert "{" not in f"{ours} {ours.hint}"


@functools.cache
def _their_source() -> str:
    sources = [inspect.getsource(module) for module in (loader, cmds, util, bin_image)]
    sources += [inspect.getsource(cls) for cls in targets.ROM_LIST]
    # literals that esptool spreads over several lines are read as one
    return re.sub(r'"\s*\n\s*f?"', "", "\n".join(sources))


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.code)
def test_every_row_quotes_esptool(row: Row) -> None:
    """A message that a new esptool words differently is noticed here, not on the line."""
    assert row.piece in _their_source()


def test_what_a_stub_is_judged_by_quotes_esptool() -> None:
    """Two messages that are no errors of ours: other ways are taken after them."""
    text = re.sub(r'"\s*\n\s*f?"', "", inspect.getsource(loader))
    assert NOT_SHIPPED in text
    assert NOT_STARTED in text


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.code)
def test_every_row_has_a_complete_sentence(row: Row) -> None:
    """The port is all a row can name; its text needs no more."""
    ours = translate(util.FatalError(f"x {row.piece} y"), port="COM7")
    assert ours.code in {row.code, *(other.code for other in TABLE if other.piece in row.piece)}
    assert "{" not in f"{ours} {ours.hint}"


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (serial.SerialException("device disconnected"), StationError, "device.port_lost"),
        (serial.SerialTimeoutException("Write timeout"), StationError, "device.port_lost"),
        (serial.PortNotOpenError(), StationError, "device.port_lost"),
        (OSError(errno.EIO, "Input/output error"), StationError, "device.port_lost"),
        (termios.error(5, "Input/output error"), StationError, "device.port_lost"),
        (struct.error("unpack requires"), StationError, "device.garbled"),
        (zlib.error("Error -3"), StationError, "device.garbled"),
        (IndexError("index out of range"), StationError, "device.garbled"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "x"), StationError, "device.garbled"),
        (util.FatalError("Failed to connect to ESP32: No serial data received."), StationError,
         "device.no_sync"),
        (util.FatalError("Failed to connect to X: Wrong boot mode detected (0x13)!"), StationError,
         "device.wrong_boot_mode"),
        (util.FatalError("Failed to write to target flash after seq 1 (result was 0108: Flash "
         "write error)"), UnitError, "device.flash_refused"),
        (util.FatalError("Failed to write to target flash (result was 0107: Checksum error)"),
         StationError, "device.refused"),
        (util.FatalError("Guru Meditation Error detected (LoadProhibited)."), StationError,
         "device.chip_crashed"),
    ],
)  # fmt: skip
def test_the_verdict_falls_on_the_right_side(
    error: Exception, kind: type[EolError], code: str
) -> None:
    """Wire and port are the station's; the flash chip is the unit's."""
    ours = translate(error, port="COM7")
    assert type(ours) is kind
    assert ours.code == code


def test_an_unknown_message_is_cut_before_it_quotes_anything() -> None:
    """Only the class and the first words remain."""
    for text in (
        f"Unheard of thing: b'{TOKEN}'",
        f"Unheard of thing ({TOKEN})",
        f"Unheard of thing b'{TOKEN[:20]}'",
        "Unheard of thing 0xdeadbeef\nand more",
    ):
        ours = translate(util.FatalError(text), port="COM7")
        assert ours.code == "device.esptool_failed"
        assert ours.params["kind"] == "FatalError"
        assert str(ours.params["why"]).startswith("Unheard of thing")
        assert TOKEN[:20] not in str(ours)
        assert "beef" not in str(ours)


def test_a_slower_pace_is_tried_for_damage_only() -> None:
    """A flash chip that fails, or a command that the chip does not have, stays what it is."""
    assert slower_may_help(util.FatalError("Invalid head of packet (0x11): Possible serial noise"))
    assert slower_may_help(IndexError())
    assert slower_may_help(util.FatalError("Failed to set baud rate 921600. The driver may not"))
    assert not slower_may_help(util.FatalError("Flash read error"))
    assert not slower_may_help(util.FatalError("ESP8266 ROM does not support function x."))


class _Session:
    """Something with a port and methods that fail."""

    url = "COM7"

    @translated
    def library(self) -> None:
        """esptool raises."""
        raise util.FatalError(f"Unexpected response: b'{TOKEN}'")

    @translated
    def defect(self) -> None:
        """Our own mistake."""
        raise TypeError("ours")

    @translated
    def stray(self) -> None:
        """esptool raises one of its classes without the arguments it wants."""
        loader.ESPLoader.read_mac(None, "BASE_MAC")

    @translated
    def ours_already(self) -> None:
        """One of ours, raised while another was handled."""
        try:
            raise util.FatalError(TOKEN)
        except util.FatalError as error:
            raise UnitError("device.no_flash") from error


def test_the_original_does_not_travel_as_cause_or_context() -> None:
    """A traceback printer follows both; either may quote bytes from the wire."""
    for method in (_Session().library, _Session().ours_already):
        with pytest.raises(EolError) as caught:
            method()
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None


def test_a_defect_of_ours_looks_like_one() -> None:
    """A TypeError from our own code is not dressed up as the chip's fault."""
    with pytest.raises(TypeError, match="ours"):
        _Session().defect()


def test_a_stray_error_out_of_esptool_is_translated() -> None:
    """esptool 5.6.0 raises a class of its own without arguments: a TypeError comes out."""
    with pytest.raises(StationError) as caught:
        _Session().stray()
    assert caught.value.code == "device.esptool_failed"
