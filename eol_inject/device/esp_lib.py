"""esptool, imported once with its settings pinned, its log silent and its traces empty.

Everything the adapter uses of esptool is named here; nothing else may import it. Facts were read
from esptool 5.6.0.
"""

import os
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from eol_inject.device.esp_slip import Source, packets
from eol_inject.errors import StationError

Reading = TypeVar("Reading")

_SETTINGS: Final = "ESPTOOL_CFGFILE"
_PINNED: Final = Path(__file__).with_name("esptool.cfg")


@contextmanager
def _pinned_settings() -> Iterator[None]:
    """esptool reads its settings while it is imported: from our empty file, and nothing else's.

    The variable goes back to what it was, so a program started later sees the station's own.
    """
    before = os.environ.get(_SETTINGS)
    os.environ[_SETTINGS] = str(_PINNED)
    try:
        yield
    finally:
        if before is None:
            del os.environ[_SETTINGS]
        else:
            os.environ[_SETTINGS] = before


with _pinned_settings():
    from esptool import cmds, loader, reset
    from esptool.logger import TemplateLogger, log
    from esptool.targets import CHIP_DEFS
    from esptool.util import FatalError, flash_size_bytes, strip_chip_name

__all__ = [
    "CHIP_DEFS",
    "Ear",
    "FatalError",
    "FellSilentError",
    "ReadingsDifferError",
    "agreed",
    "answers",
    "change_baud",
    "check_settings",
    "cmds",
    "connect",
    "each_word_once",
    "flash_bytes",
    "hearing",
    "loader",
    "plain_name",
    "pulse_reset",
    "run_stub",
]


class ReadingsDifferError(FatalError):  # type: ignore[misc]  # esptool has no type information
    """Two readings of one value disagree: damaged on the way."""


class FellSilentError(FatalError):  # type: ignore[misc]  # esptool has no type information
    """What looked like damage was the last that came: the chip answers nothing any more."""


def answers(esp: Any) -> bool:
    """Whether the loader still answers a sync; without a reset, which would bring back the dead.

    More than once: a stub that streams flash takes the first one for an acknowledgement that is
    wrong, and stops. A bad line gets more tries than a silent one; a chip that started its
    application instead is heard as well, and answers none.
    """
    silences = 0
    for _ in range(_SYNC_TRIES):
        try:
            esp.flush_input()
            esp.command(esp.ESP_CMDS["SYNC"], _SYNC, timeout=_PROBE_S)
        except (FatalError, struct.error) as error:
            silences += _NOTHING in str(error)
        else:
            return True
        if silences == _SILENT_TRIES:
            break
    return False


_SYNC: Final = b"\x07\x07\x12\x20" + b"\x55" * 32
_SYNC_TRIES: Final = 10
_SILENT_TRIES: Final = 3
_NOTHING: Final = "No serial data received"


def agreed(read: Callable[[], Reading]) -> Reading:
    """What two readings in a row agree on, out of three.

    The loader's answers carry no checksum: one flipped bit in a MAC would be another unit, one in
    an eFuse word an unprotected chip. Raises ``ReadingsDifferError``.
    """
    before = read()
    for _ in range(2):
        value = read()
        if value == before:
            return value
        before = value
    raise ReadingsDifferError


def check_settings() -> None:
    """Raise ``StationError("device.esptool_settings")`` where esptool has settings of others.

    That happens only if another library imported it before us, in a folder with such a file.
    """
    foreign = sorted(loader.cfg)
    if foreign:
        raise StationError("device.esptool_settings", keys=", ".join(foreign))


def connect(port: Any, chip: str, *, baud: int, before: str, attempts: int) -> Any:
    """The ROM loader of ``chip``, taken at the profile's word and asked only whether it is one.

    ``detect_chip`` asks every kind of question first, and an ESP32 that does not know one answers
    after 0.2 s. None where the chip does not say that it is what it should be: then it has to be
    asked that way. Raises as ``detect_chip`` does.
    """
    esp = CHIP_DEFS[chip](port, baud, trace_enabled=False)
    esp.connect(before, attempts, detecting=True, warnings=False)
    try:
        if esp.USES_MAGIC_VALUE:
            known = esp.read_reg(esp.CHIP_DETECT_MAGIC_REG_ADDR) == esp.MAGIC_VALUE
        else:
            info = esp.get_security_info(cache=False)
            esp.secure_download_mode = info["parsed_flags"]["SECURE_DOWNLOAD_ENABLE"]
            known = info["chip_id"] == esp.IMAGE_CHIP_ID
    except FatalError:
        return None
    if not known:
        return None
    esp._post_connect()  # noqa: SLF001  # what `connect` does by itself after its own questions
    return esp


def plain_name(chip: str) -> str:
    """``ESP32-C3`` → ``esp32c3``."""
    return str(strip_chip_name(chip))


def pulse_reset(port: Any) -> None:
    """Restart whatever chip is on ``port`` by its lines alone.

    DTR first: an open port holds it active, and then RTS resets nothing.
    """
    port.setDTR(False)
    reset.HardReset(port)()


def run_stub(esp: Any, *, signed: bool) -> Any:
    """The stub, or ``esp`` itself where the chip takes none.

    esptool looks for Secure Boot first; a chip that was found without it is not asked again.
    """
    if signed:
        return cmds.run_stub(esp)
    esp.get_secure_boot_enabled = lambda: False
    try:
        return cmds.run_stub(esp)
    finally:
        del esp.get_secure_boot_enabled


def change_baud(esp: Any, port: Any, baud: int) -> None:
    """Both ends to ``baud``, with a pause that a stub needs and no longer: esptool waits 50 ms for
    noise to pass. Whether it went well the caller's next question tells.

    Raises ``FatalError`` where the port does not know the rate.
    """
    now = port.baudrate if esp.IS_STUB else 0
    esp.command(esp.ESP_CMDS["CHANGE_BAUDRATE"], struct.pack("<II", baud, now))
    try:
        port.baudrate = baud
    except OSError:
        raise FatalError(f"Failed to set baud rate {baud}.") from None
    time.sleep(_BAUD_PAUSE_S)
    esp.flush_input()


_BAUD_PAUSE_S: Final = 0.01

_PROBE_S: Final = 0.5
"""A register is read within microseconds; a garbled answer would be waited for 3 s."""


@contextmanager
def each_word_once(esp: Any) -> Iterator[None]:
    """Within this, a register that was read is not asked for again: for words that never change."""
    known: dict[int, int] = {}

    def read_reg(address: int) -> int:
        if address not in known:
            known[address] = int(ask(address))
        return known[address]

    ask = esp.read_reg
    esp.read_reg = read_reg
    try:
        yield
    finally:
        del esp.read_reg


@contextmanager
def writes_together(esp: Any) -> Iterator[None]:
    """Within this, register writes wait for the next read and go out as one command.

    WRITE_REG takes any number of (address, value, mask, delay) and does them in order; esptool
    itself sends two in one (``write_reg``), else each by itself, and each is a round trip. Reads
    are answered within microseconds or not at all, so they wait no longer than that.
    """
    waiting: list[bytes] = []

    def write_reg(address: int, value: int, mask: int = 0xFFFFFFFF) -> None:
        waiting.append(struct.pack("<IIII", address, value, mask, 0))

    def send() -> None:
        if waiting:
            command, words = esp.ESP_CMDS["WRITE_REG"], b"".join(waiting)
            waiting.clear()
            esp.check_command("write target memory", command, words, timeout=_PROBE_S)

    def read_reg(address: int) -> int:
        send()
        return int(ask(address, timeout=_PROBE_S))

    ask = esp.read_reg
    esp.read_reg, esp.write_reg = read_reg, write_reg
    try:
        yield
        send()
    finally:
        del esp.read_reg, esp.write_reg


_XMC: Final = 0x20
"""Manufacturer whose chips may not have started up right; esptool's attach mends that."""


def flash_bytes(esp: Any, expected: int, note: Callable[[str], None]) -> int | None:
    """Bytes of the flash by its id; None where the id is not known.

    The stub attaches the flash by itself, so esptool's own attach (57 round trips) is left to the
    ROM loader, and to chips of a maker that need its start-up. One reading is enough where it says
    what is ``expected``; a damaged answer would say anything else.
    """
    if not esp.IS_STUB or _manufacturer(esp, note) in {None, _XMC}:
        cmds.attach_flash(esp)
    found = _bytes_of(cmds.detect_flash_size(esp))
    if found != expected:
        agreed(lambda: esp.flash_id(cache=False))
        found = _bytes_of(cmds.detect_flash_size(esp))
    return found


def _manufacturer(esp: Any, note: Callable[[str], None]) -> int | None:
    """None where the flash did not answer: then esptool's own way looks for the reason.

    Raises ``FatalError`` where the chip does not answer either: at this rate nothing will.
    """
    try:
        with writes_together(esp):
            return int(esp.flash_id(cache=False)) & 0xFF
    except FatalError:
        esp.read_reg(esp.CHIP_DETECT_MAGIC_REG_ADDR, timeout=_PROBE_S)
        note("the short way to ask the flash failed, took esptool's own")
        return None


def _bytes_of(size: str | None) -> int | None:
    return None if size is None else int(flash_size_bytes(size))


# ── what it says ────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Ear:
    """What one session wants to hear of esptool; all else it says is dropped, never shown."""

    note: Callable[[str], None]
    progress: Callable[[float], None] | None = None
    """Takes the fraction of the write under way."""


_ear: ContextVar[Ear | None] = ContextVar("ear", default=None)


@contextmanager
def hearing(ear: Ear) -> Iterator[None]:
    """Route esptool's words of this thread to ``ear``."""
    token = _ear.set(ear)
    try:
        yield
    finally:
        _ear.reset(token)


class _Silence(TemplateLogger):  # type: ignore[misc]  # esptool has no type information
    """esptool's process-wide log: says nothing.

    Its texts are not passed on, since some repeat bytes of what is written; the one warning that
    changes what we may believe becomes a note.
    """

    def print(self, *args: object, **kwargs: object) -> None:
        """Nothing."""

    def note(self, message: str) -> None:
        """Nothing."""

    def warning(self, message: str) -> None:
        """Keep the one about a port without modem lines."""
        ear = _ear.get()
        if ear is not None and "Chip was NOT reset" in message:
            ear.note("the port could not reset the chip")

    def error(self, message: str) -> None:
        """Nothing: errors come as exceptions."""

    def stage(self, finish: bool = False) -> None:
        """Nothing."""

    def progress_bar(
        self,
        cur_iter: int,
        total_iters: int,
        prefix: str = "",
        suffix: str = "",
        bar_length: int = 0,
    ) -> None:
        """Pass on how far the write is."""
        ear = _ear.get()
        if ear is not None and ear.progress is not None and total_iters:
            ear.progress(cur_iter / total_iters)

    def set_verbosity(self, verbosity: str) -> None:
        """Nothing: it stays silent."""


def _no_dump(_: object) -> str:
    """The text of every hex dump: esptool formats them even with tracing off.

    That costs 0.9 s of CPU for each 1.2 MB written, and makes readable copies of tokens.
    """
    return ""


_ordinary_reader: Final = loader.slip_reader


def _reader(port: Source, trace: Callable[[str], None]) -> Iterator[bytes]:
    """What every loader object reads its packets with."""
    return packets(port, lambda source: _ordinary_reader(source, trace))


log.set_logger(_Silence())
reset.ResetStrategy.print_once = log.warning  # was bound to the former log while esptool loaded
loader.HexFormatter.__str__ = _no_dump
loader.slip_reader = _reader
