"""Errors of esptool, pyserial and the system → ours: one table, used in one place.

esptool has one class for nearly everything, so its message is what tells; each row quotes a piece
of the message as esptool 5.6.0 writes it, and a test looks for that piece in esptool's source.
The original never travels on, not even as a cause: some messages repeat bytes from the wire.
"""

import functools
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Concatenate, Final, ParamSpec, Protocol, TypeVar

import serial

from eol_inject.device.esp_lib import FatalError, FellSilentError, ReadingsDifferError, answers
from eol_inject.device.masking import mask
from eol_inject.errors import EolError, StationError, UnitError, UsageError


@dataclass(frozen=True, slots=True)
class Row:
    """Messages that hold ``piece`` become ``kind(code)``."""

    piece: str
    kind: type[EolError]
    code: str


TABLE: Final = (
    # sync
    Row("Wrong boot mode detected", StationError, "device.wrong_boot_mode"),
    Row("The serial TX path seems to be down", StationError, "device.tx_down"),
    Row("Failed to connect to ", StationError, "device.no_sync"),
    Row("Failed to autodetect chip type", StationError, "device.unknown_chip"),
    Row("Failed to set baud rate", StationError, "device.baud_refused"),
    # what esptool itself refuses, behind our own guard
    Row("in UART download mode disabled", UnitError, "device.encryption_locked"),
    Row("Can't perform encrypted flash write", UnitError, "device.encryption_refused"),
    Row("does not support encrypted writes", StationError, "device.needs_stub"),
    Row("Secure Boot V1 detected", UnitError, "device.secure_boot"),
    Row("flash encryption", UnitError, "device.flash_encrypted"),
    Row("Flash encryption with Key Manager", UnitError, "device.flash_encrypted"),
    Row("Active security features detected", UnitError, "device.secure_boot"),
    Row("not supported in Secure Download Mode", UnitError, "device.secure_download"),
    Row("Use --force to flash anyway", UsageError, "device.foreign_image"),
    Row("will not fit in", UnitError, "device.flash_refused"),
    # flash
    Row("Flash write error", UnitError, "device.flash_refused"),
    Row("Flash read error", UnitError, "device.flash_refused"),
    Row("Failed SPI operation", UnitError, "device.flash_refused"),
    Row("Failed SPI unlock", UnitError, "device.flash_refused"),
    Row("SPI command did not complete in time", UnitError, "device.flash_refused"),
    Row("Unknown OUI", UnitError, "device.unknown_mac"),
    Row("Guru Meditation Error detected", StationError, "device.chip_crashed"),
    # wire
    Row("No serial data received", StationError, "device.no_answer"),
    Row("No more data to read", StationError, "device.garbled"),
    Row("Serial data stream stopped", StationError, "device.garbled"),
    Row("Packet content transfer stopped", StationError, "device.garbled"),
    Row("Invalid head of packet", StationError, "device.garbled"),
    Row("Invalid SLIP escape", StationError, "device.garbled"),
    Row("Response doesn't match request", StationError, "device.garbled"),
    Row("byte status response", StationError, "device.garbled"),
    Row("Corrupt data, expected", StationError, "device.garbled"),
    Row("Expected digest, got", StationError, "device.garbled"),
    Row("Digest mismatch", StationError, "device.garbled"),
    Row("Read more than expected", StationError, "device.garbled"),
    Row("Serial errors?", StationError, "device.garbled"),
    Row("(result was ", StationError, "device.refused"),
    Row("is not supported in the current download mode", StationError, "device.refused"),
    Row("ROM does not support function", StationError, "device.needs_stub"),
)
"""First match wins. A stub that does not start and a hash that differs are judged where they
happen, since only there it is known which chip or address to name."""

DECODING: Final = (struct.error, zlib.error, UnicodeDecodeError, IndexError)
"""What esptool lets out when an answer is damaged in a way it did not think of."""

CHIP_ERRORS: Final = (FatalError, *DECODING)
"""The chip or the wire, not the port: a slower baud rate may help."""


def _port_errors() -> tuple[type[BaseException], ...]:
    """What a port that went away raises; ``termios.error`` is no OSError, and POSIX only."""
    try:
        import termios
    except ImportError:
        return (serial.SerialException, OSError)
    return (serial.SerialException, OSError, termios.error)


PORT_ERRORS: Final = _port_errors()

_STRAY: Final = (RuntimeError, LookupError, ValueError, TypeError, AttributeError)
"""What else was seen to come out: esptool raises some of its own classes without their arguments,
and pyserial trips over a descriptor that is gone."""

_LIBRARIES: Final = ("esptool", "esp_pylib", "serial")


def translate(error: BaseException, *, port: str) -> EolError:
    """``error`` as one of ours. Never repeats bytes from the wire."""
    if isinstance(error, PORT_ERRORS):
        return StationError("device.port_lost", port=port)
    if isinstance(error, (*DECODING, ReadingsDifferError)):
        return StationError("device.garbled", port=port)
    if isinstance(error, FellSilentError):
        return StationError("device.no_answer", port=port)
    message = str(error)
    for row in TABLE:
        if row.piece in message:
            return row.kind(row.code, port=port)
    return StationError(
        "device.esptool_failed", port=port, kind=type(error).__name__, why=_harmless(message)
    )


_PACE: Final = frozenset(
    {"device.garbled", "device.no_answer", "device.refused", "device.baud_refused"}
)


def slower_may_help(error: BaseException) -> bool:
    """Whether ``error`` looks like bytes damaged on the way, or a rate that the port cannot do."""
    return translate(error, port="").code in _PACE


def require_answers(esp: Any, error: Exception) -> None:
    """Raise ``FellSilentError`` where ``error`` looks like damage, and the chip is gone.

    esptool says noise also where an answer breaks off or the chip restarts in its middle; a byte
    lost on the way and a chip that died look alike, until the chip is asked.
    """
    if translate(error, port="").code == "device.garbled" and not answers(esp):
        raise FellSilentError


def _harmless(message: str) -> str:
    """The first words of a message, up to where it may begin to quote data."""
    line = mask(message.partition("\n")[0])
    for quote in ("b'", 'b"', "0x", ":", "("):
        line = line.partition(quote)[0]
    return line.strip()[:80]


class HasUrl(Protocol):
    """Whose errors name a port."""

    @property
    def url(self) -> str:
        """The port."""
        ...


Self_ = TypeVar("Self_", bound=HasUrl)
Args = ParamSpec("Args")
Result = TypeVar("Result")


def translated(
    method: Callable[Concatenate[Self_, Args], Result],
) -> Callable[Concatenate[Self_, Args], Result]:
    """A public method whose foreign errors leave as ours.

    Ours is raised after the handler has ended, so it carries neither cause nor context.
    """

    @functools.wraps(method)
    def translating(self: Self_, /, *args: Args.args, **kwargs: Args.kwargs) -> Result:
        try:
            return method(self, *args, **kwargs)
        except EolError as error:
            ours = error
        except (FatalError, *PORT_ERRORS) as error:
            ours = translate(error, port=self.url)
        except (*DECODING, *_STRAY) as error:
            if not _from_library(error):
                raise  # a defect of ours must look like one
            ours = translate(error, port=self.url)
        ours.__cause__ = ours.__context__ = None
        raise ours

    return translating


def _from_library(error: BaseException) -> bool:
    """Whether ``error`` was raised inside one of the libraries."""
    trace = error.__traceback__
    module = ""
    while trace is not None:
        module = str(trace.tb_frame.f_globals.get("__name__", ""))
        trace = trace.tb_next
    return module.partition(".")[0] in _LIBRARIES
