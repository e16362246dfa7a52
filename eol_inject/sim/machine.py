"""One unit: power, modem lines, the wire at its baud rate, and what answers at the other end.

The machine knows no sockets. ``Outside`` gives it a clock and takes what it says, so it runs the
same in the server process and in a test.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final, Protocol

from eol_inject.sim import boot
from eol_inject.sim import console as consoles
from eol_inject.sim.board import Board
from eol_inject.sim.console import Console
from eol_inject.sim.faults import Act, Fault, FaultBox, Phase
from eol_inject.sim.loader import Loader
from eol_inject.sim.models import MODELS, Model
from eol_inject.sim.stay import Struck
from eol_inject.sim.timing import (
    BOOT_LOOP_S,
    POWER_BACK_S,
    SAMPLE_IO0_S,
    SETTLE_S,
    TIMINGS,
    USB_PACKET,
    Timing,
)

_BAUD_TOLERANCE: Final = 0.03
"""A UART frame is still read right when the two rates differ by less (10 bits, half a bit off)."""


class Outside(Protocol):
    """Clock and cable."""

    def now(self) -> float:
        """Seconds, monotonic."""

    def call_at(self, when: float, act: Callable[[], None]) -> None:
        """Run ``act`` at ``when``."""

    def deliver(self, data: bytes) -> None:
        """Bytes to whoever has the port open; nobody listening loses them."""

    def unplugged(self) -> None:
        """The port is gone: hang up on whoever has it open."""

    def listening(self) -> bool:
        """Whether somebody has the port open."""


class Mode(Enum):
    """What runs on the chip."""

    RESET = auto()
    """EN is low, or the chip has no power."""
    LOADER = auto()
    APPLICATION = auto()
    HUNG = auto()


@dataclass(frozen=True, slots=True)
class Config:
    """How a unit is born. ``images`` are preloaded: flash address and content."""

    chip: str
    mac: bytes
    flash_size: int
    images: tuple[tuple[int, bytes], ...] = ()
    secure_boot: bool = False
    flash_encryption: bool = False
    release: bool = False
    """With flash encryption: its loader encrypts nothing any more."""
    secure_download: bool = False
    boot_held: bool = False
    """Somebody holds BOOT: every reset ends in the loader."""
    seed: int = 1
    timing: str = "off"
    leak: bool = False
    console: str = ""
    """Whose commands the running firmware takes; empty: none."""
    echo: bool = True
    cloud: str = "accepts"
    usb: bool = False
    """The port is the chip's own USB-Serial/JTAG."""
    faults: list[Fault] = field(default_factory=list)


class Machine:
    """The unit behind one port; ``boards`` are itself and, after a swap, its neighbour."""

    def __init__(self, config: Config, outside: Outside) -> None:
        self._config = config
        self._outside = outside
        self._model: Model = MODELS[config.chip]
        self.faults = FaultBox(config.faults, config.seed)
        self.timing: Timing = TIMINGS[config.timing]
        self.leak = config.leak
        self._chance = random.Random(config.seed)  # noqa: S311  # garbage at the wrong baud rate
        self.boards = [self._new_board(config.mac)]
        self._active = 0
        self.plugged = True
        self.mode = Mode.RESET
        self.resets = 0
        """How often EN rose, for reports."""
        self.baud = self._model.rom_baud
        """The chip's own rate."""
        self.host_baud = boot.CONSOLE_BAUD
        self._autobaud = False
        self._lines = (False, False)
        self._download_asked = False
        """The USB-Serial/JTAG's flag: the next reset ends in the loader."""
        self._loader: Loader | None = None
        self._console: Console | None = None
        self._era = 0
        """Counts resets: what an older era scheduled is void."""
        self._rx_free = 0.0
        self._tx_free = 0.0
        self._packet = bytearray()
        """In the USB bridge, not yet a whole packet."""
        self._packets = 0
        self._resting = False
        """A start that failed is repeated only for an audience."""
        self._start("0x1 (POWERON)", held=config.boot_held)

    # -- boards ------------------------------------------------------------------------------

    @property
    def board(self) -> Board:
        """The board that answers now."""
        return self.boards[self._active]

    @board.setter
    def board(self, board: Board) -> None:
        self._active = self.boards.index(board)

    def other(self) -> Board:
        """The neighbour: same chip, same images, a MAC of the maker's that no unit nearby has."""
        if len(self.boards) == 1:
            mac = self._config.mac
            self.boards.append(self._new_board(mac[:3] + bytes((mac[3] ^ 0x80,)) + mac[4:]))
        return self.boards[1 - self._active]

    def _new_board(self, mac: bytes) -> Board:
        config = self._config
        board = Board(
            self._model,
            mac,
            config.flash_size,
            secure_boot=config.secure_boot,
            flash_encryption=config.flash_encryption,
            release=config.release,
            secure_download=config.secure_download,
            bad_sector=self.faults.bad_sector,
            baud=lambda: self.baud,
        )
        for address, data in config.images:
            board.flash.load(address, board.crypt(address, data))
        return board

    # -- the cable ---------------------------------------------------------------------------

    def opened(self) -> None:
        """Somebody opened the port."""
        if self._resting:
            self._resting = False
            self._again(self._era)

    def closed(self) -> None:
        """The port was closed: the system lets both lines go."""
        self._lines = (False, False)

    def set_lines(self, *, dtr: bool, rts: bool) -> None:
        """Two transistors: EN = not(RTS and not DTR), IO0 = not(DTR and not RTS)."""
        if self._config.usb:
            self._set_usb_lines(dtr=dtr, rts=rts)
            return
        was_low = _en_low(self._lines)
        self._lines = (dtr, rts)
        if not self.plugged:
            return
        if _en_low(self._lines):
            if not was_low:
                self._halt()
        elif was_low:
            self._sample(self._era, self._outside.now() + SETTLE_S)

    def _set_usb_lines(self, *, dtr: bool, rts: bool) -> None:
        """No transistors: DTR alone asks for the loader, neither takes that back, RTS alone resets,
        both mean nothing (ESP32-C3 TRM, "USB Serial/JTAG Controller", CDC-ACM control signals)."""
        before, self._lines = self._lines, (dtr, rts)
        if not self.plugged or self._lines == before:
            return
        if not rts:
            self._download_asked = dtr
        elif not dtr:
            self._rise(wants_loader=self._download_asked, reason="0x15 (USB_UART_CHIP_RESET)")

    def _rise(self, *, wants_loader: bool, reason: str) -> None:
        """A reset ends; what comes is the loader where it is wanted or BOOT is held."""
        wants_loader = wants_loader or self._config.boot_held
        if wants_loader and self.faults.gate("flaky_reset"):
            wants_loader = False
        self.resets += 1
        self._start(reason, held=wants_loader)

    def _sample(self, era: int, latest: float) -> None:
        """Read IO0 a moment after EN rose; while the host holds both lines it is still moving."""

        def look() -> None:
            if era != self._era or _en_low(self._lines):
                return
            if self._lines == (True, True) and self._outside.now() < latest:
                self._outside.call_at(self._outside.now() + SAMPLE_IO0_S, look)
                return
            dtr, rts = self._lines
            self._rise(wants_loader=dtr and not rts, reason="0x1 (POWERON_RESET)")

        self._outside.call_at(self._outside.now() + SAMPLE_IO0_S, look)

    def receive(self, data: bytes) -> None:
        """Bytes that the host wrote."""
        now = self._outside.now()
        if not self.timing.wire:
            self._arrive(data, self._era)
            return
        era = self._era
        self._rx_free = max(now, self._rx_free) + 10 * len(data) / max(self.host_baud, 1)
        self._outside.call_at(self._rx_free, lambda: self._arrive(data, era))

    def _arrive(self, data: bytes, era: int) -> None:
        if era == self._era and self.mode is Mode.APPLICATION and self._console is not None:
            self._to_console(self._console, data)
            return
        loader = self._loader
        if era != self._era or self.mode is not Mode.LOADER or loader is None:
            return
        if self._autobaud:
            self._autobaud = False
            self.baud = self.host_baud
        if not self._rates_match():
            data = self._garbage(data)
        else:
            data = self.faults.noise(loader.phase, data, self.baud)
        loader.receive(data, self._outside.now())

    def _to_console(self, console: Console, data: bytes) -> None:
        """What the host types while the application runs."""
        if not self._rates_match():
            return
        hit = self.faults.crossing(Phase.CONSOLE, len(data), self.baud)
        if hit is not None:
            console.receive(data[: hit[1]])
            self.strike(hit[0])
            return
        console.answers = not (data.count(b"\n") and self.faults.gate("lost_reply"))
        console.receive(data)

    def send(self, data: bytes, at: float) -> None:
        """Bytes from the chip, not before ``at``, at the chip's rate.

        Raises ``Struck`` where a fault breaks them off: what came before it is still on its way.
        """
        phase = self._loader.phase if self._loader else None
        hit = self.faults.breaking_off(phase, len(data), self.baud) if phase else None
        if hit is not None:
            self._put(data[: hit[1]], phase, at)
            raise Struck(hit[0])
        self._put(data, phase, at)

    def _put(self, data: bytes, phase: Phase | None, at: float) -> None:
        takes_s = 10 * len(data) / self.baud  # whatever the other side makes of it
        if self.mode is Mode.LOADER:
            data = self.faults.noise(phase, data, self.baud)
        if not self._rates_match():
            data = self._garbage(data)
        if not self.timing.wire:
            self._outside.deliver(data)
            return
        era = self._era
        begin = max(at, self._tx_free, self._outside.now())
        self._tx_free = begin + takes_s
        out = self._tx_free + self.timing.round_trip_s
        self._outside.call_at(out, lambda: self._bridge(data, era))

    def _bridge(self, data: bytes, era: int) -> None:
        """The USB bridge passes on whole packets at once; what is left waits for more bytes, or
        for its latency timer (FTDI AN232B-04, section 3.3). Nothing overtakes anything."""
        if era != self._era or not self.plugged:
            return
        self._packet += data
        whole = len(self._packet) // USB_PACKET * USB_PACKET
        if whole:
            self._outside.deliver(bytes(self._packet[:whole]))
            del self._packet[:whole]
        if self._packet:
            self._packets += 1
            number = self._packets
            self._outside.call_at(
                self._outside.now() + self.timing.latency_timer_s,
                lambda: self._timer(number, era),
            )

    def _timer(self, number: int, era: int) -> None:
        """The latency timer of the last bytes that came has run out."""
        if era == self._era and self.plugged and number == self._packets and self._packet:
            self._outside.deliver(bytes(self._packet))
            self._packet.clear()

    def _rates_match(self) -> bool:
        return self._config.usb or abs(self.host_baud - self.baud) <= _BAUD_TOLERANCE * self.baud

    def _garbage(self, data: bytes) -> bytes:
        count = max(1, len(data) * min(self.host_baud, 4 * self.baud) // max(self.baud, 1))
        return self._chance.randbytes(count)

    def change_baud(self, baud: int) -> None:
        """The chip goes to another rate after its reply is out."""
        if not self.timing.wire:
            self.baud = baud
            return
        era = self._era

        def switch() -> None:
            if era == self._era:
                self.baud = baud

        self._outside.call_at(self._tx_free, switch)

    # -- power and resets --------------------------------------------------------------------

    def _halt(self) -> None:
        self._era += 1
        self.mode = Mode.RESET
        self._loader = None
        self._console = None
        self._rx_free = self._tx_free = 0.0
        self._packet.clear()
        self.board.reset()
        self.faults.new_session()

    def _start(self, reason: str, *, held: bool) -> None:
        self._halt()
        if held:
            self.mode = Mode.LOADER
            self._say(boot.download(self.board, reason))
            self._loader = Loader(self, self._model, self.timing, self.faults)
            self._autobaud = True
            return
        self.mode = Mode.APPLICATION
        crash = self.faults.gate("boot_loop") is not None
        console = boot.boot(self.board, reason=reason, leak=self.leak, crash=crash)
        silent = self.faults.gate("silent_boot") is not None
        if not silent:
            self._say(console)
        hit = self.faults.crossing(boot.PHASE, len(console.rest), self.baud)
        if console.runs and self._config.console:
            self._console = self._firmware_console()
            if not silent:
                self._console.start()
        if hit is not None:
            self.strike(hit[0])
        elif not console.runs:
            self._again(self._era)

    def _firmware_console(self) -> Console:
        board = self.board
        era = self._era

        def later(seconds: float, act: Callable[[], None]) -> None:
            self._outside.call_at(
                self._outside.now() + seconds, lambda: act() if era == self._era else None
            )

        return Console(
            self._config.console,
            consoles.Facts(board.mac.hex(":"), boot.product(board)),
            consoles.Flash(
                store=lambda config: boot.store(
                    board, config, classic=self._config.console == "classic"
                ),
                stored=lambda: boot.stored(board),
                networks=board.networks,
            ),
            say=lambda text: self.send(text.encode("latin-1", "replace"), self._outside.now()),
            later=later,
            echo=self._config.echo,
            cloud=self._config.cloud,
            leak=self.leak,
            chatty=True,
        )

    def _again(self, era: int) -> None:
        """A start that failed is tried for ever, while somebody listens."""

        def retry() -> None:
            if era != self._era or not self.plugged or self.mode is not Mode.APPLICATION:
                return
            self._resting = not self._outside.listening()
            if not self._resting:
                self._start("0x3 (SW_RESET)", held=False)

        self._outside.call_at(self._outside.now() + BOOT_LOOP_S, retry)

    def _say(self, console: boot.Console) -> None:
        now = self._outside.now()
        for text, baud in ((console.rom, console.rom_baud), (console.rest, boot.CONSOLE_BAUD)):
            if text:
                self.baud = baud
                self.send(text.encode("ascii", "replace"), now)

    def restart(self) -> None:
        """The loader hands over to the application, once its reply is out."""
        if not self.timing.wire:
            self._start("0x3 (SW_RESET)", held=False)
            return
        era = self._era
        self._outside.call_at(
            self._tx_free,
            lambda: self._start("0x3 (SW_RESET)", held=False) if era == self._era else None,
        )

    def strike(self, fault: Fault) -> None:
        """Let ``fault`` happen now."""
        act = fault.row.act
        if act in (Act.HANG, Act.MUTE):
            if act is Act.HANG:
                self._era += 1
            self.mode = Mode.HUNG
            self._loader = None
        elif act is Act.UNPLUG:
            self.unplug(fault.back_s)
        elif act is Act.SWAP:
            self._swap_live()
        elif act is Act.SWAP_UNPLUG:
            self.swap()
        elif act in (Act.BROWNOUT, Act.POWER_CUT):
            self._halt()
            if act is Act.BROWNOUT:
                self.send(b"\r\nBrownout detector was triggered\r\n\r\n", self._outside.now())
            era = self._era
            self._outside.call_at(
                self._outside.now() + POWER_BACK_S,
                lambda: (
                    self._start("0xf (RTCWDT_BROWN_OUT_RESET)", held=False)
                    if era == self._era
                    else None
                ),
            )

    def unplug(self, back_s: float | None = None) -> None:
        """Take the unit off its port; it comes back after ``back_s``, or by ``replug``."""
        self._halt()
        self.plugged = False
        self._outside.unplugged()
        if back_s is not None:
            self._outside.call_at(self._outside.now() + back_s, self.replug)

    def replug(self) -> None:
        """Plug it in again: the port is back, the chip starts from power-on."""
        if self.plugged:
            return
        self.plugged = True
        self._lines = (False, False)
        self._start("0x1 (POWERON)", held=self._config.boot_held)

    def swap(self) -> None:
        """Take this board off the port and put its neighbour there."""
        other = self.other()
        self.unplug()
        self.board = other
        self.replug()

    def _swap_live(self) -> None:
        """Another board in the very same state: what no fixture does, and no guard may miss."""
        attached = self.board.registers.attached
        self.board = self.other()
        self.board.registers.attached = attached
        if self._console is not None:
            self._console = self._firmware_console()

    def rearm(self, faults: list[Fault]) -> None:
        """Other faults from now on. A hang or an absence that the old ones caused ends."""
        self.faults.arm(faults)
        self.replug()


def _en_low(lines: tuple[bool, bool]) -> bool:
    dtr, rts = lines
    return rts and not dtr
