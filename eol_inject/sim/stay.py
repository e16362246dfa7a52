"""One stay in the download mode, from reset to reset: what all its commands share."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from eol_inject.sim.board import Board
from eol_inject.sim.faults import Act, Fault, FaultBox, Phase
from eol_inject.sim.models import Model
from eol_inject.sim.ops import Rom
from eol_inject.sim.timing import Timing

_ROM_FLASH_SIZE: Final = 2 * 1024 * 1024
"""What the ROM believes in until SPI_SET_PARAMS (esptool, ``erase_region``)."""


class Host(Protocol):
    """What the loader needs of the machine around it."""

    board: Board
    baud: int

    def send(self, data: bytes, at: float) -> None:
        """Put bytes on the wire, not before ``at``."""

    def change_baud(self, baud: int) -> None:
        """From the next byte on."""

    def restart(self) -> None:
        """Leave the loader for the application."""

    def strike(self, fault: Fault) -> None:
        """Let a fault take effect."""


class Struck(Exception):  # noqa: N818  (no error: the way out of a command that a fault ended)
    """A fault took effect in the middle of a command: no reply."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.row.name)
        self.fault = fault


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command gives back, and how long it took before and keeps on after the reply."""

    value: int = 0
    body: bytes = b""
    status: int = 0
    reason: int = 0
    before_s: float = 0.0
    after_s: float = 0.0
    then: Callable[[], None] | None = None
    """Done once the reply is on its way."""
    silent: bool = False


def rom_error(reason: int) -> Answer:
    """Status 1 and a reason."""
    return Answer(status=1, reason=reason)


def stub_error(code: int) -> Answer:
    """The stub's one byte."""
    return Answer(status=code)


class Stay:
    """Who is there, what was set up, and when the chip has time for the next command."""

    def __init__(self, host: Host, model: Model, timing: Timing, faults: FaultBox) -> None:
        self.host: Final = host
        self.model: Final = model
        self.timing: Final = timing
        self.faults: Final = faults
        self.is_stub = False
        self.phase: Phase | None = None
        """Of the last command."""
        self.start = 0.0
        """When the command at hand began."""
        self.flash_limit: int | None = None if model.is_esp8266 else _ROM_FLASH_SIZE

    @property
    def board(self) -> Board:
        """The one on the port now: a fault may change it under a running command."""
        return self.host.board

    def step(self, phase: Phase, size: int, effect: Callable[[int, int], None]) -> None:
        """Do ``effect(from, to)`` for ``size`` bytes of ``phase``, unless a fault comes between.

        Raises ``Struck`` for a fault that ends the command.
        """
        self.phase = phase
        hit = self.faults.crossing(phase, size, self.host.baud)
        if hit is None:
            effect(0, size)
            return
        fault, good = hit
        effect(0, good)
        if fault.row.act is not Act.SWAP:
            raise Struck(fault)
        self.host.strike(fault)
        effect(good, size)

    def unreachable(self, address: int, size: int, reason: int = Rom.FAILED) -> Answer | None:
        """Why the ROM does not get at this piece of flash, if it does not."""
        attached = self.board.registers.attached
        within = self.flash_limit is None or address + size <= self.flash_limit
        return None if self.is_stub or (attached and within) else rom_error(reason)


def nothing(_from: int, _to: int) -> None:
    """The effect of a step that only has to be passed."""
