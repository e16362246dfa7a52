"""Connects, starts the stub and sets the pace; after a failure, again and more modestly.

Every fallback happens once, or down a fixed ladder, and is recorded as a note. Whatever answers
after one must be the unit from before. Nothing here is ever used inside a write.
"""

from collections.abc import Callable
from typing import Any, Final, TypeVar

from eol_inject import chips
from eol_inject.device.esp_errors import CHIP_ERRORS, require_answers, slower_may_help
from eol_inject.device.esp_guard import Facts, read_facts, require_same
from eol_inject.device.esp_lib import (
    answers,
    change_baud,
    cmds,
    connect,
    flash_bytes,
    pulse_reset,
    run_stub,
)
from eol_inject.device.line import Line
from eol_inject.device.spec import DeviceSpec
from eol_inject.errors import StationError, UnitError

LADDER: Final = (921600, 460800, 230400, 115200)
"""Baud rates to step down to; each is known to every bridge and to every chip."""

SAFE_BAUD: Final = LADDER[-1]
"""What every ROM loader syncs at."""

_FAST_ATTEMPTS: Final = 2
"""Sync attempts at a rate that not every unit syncs at, before the safe one is tried."""

NOT_STARTED: Final = "Failed to start stub flasher"
"""How esptool says that all of the stub was taken, and then nothing came of it."""

NOT_SHIPPED: Final = "Flasher stub data is missing"
"""How esptool says that it brings no stub for this chip: a new one, or a distribution's package
without them. Nothing has been sent by then."""

Answer = TypeVar("Answer")


class Link:
    """The connection to one chip; ``rom`` and ``flash`` bring it up as far as is needed."""

    def __init__(
        self,
        line: Line,
        spec: DeviceSpec,
        *,
        paced: bool,
        settle: Callable[[], None],
        note: Callable[[str], None],
        log: Callable[[str], None],
    ) -> None:
        """``paced`` says that the port can change its baud rate."""
        self._line = line
        self._spec = spec
        self._settle = settle
        self._note = note
        self._log = log
        self._esp: Any = None
        self._with_flash = False
        self._use_stub = True
        self._stub_failed = False
        self._paced = paced
        self._first = spec.rates.sync if paced else SAFE_BAUD
        """Rate of the next sync: no faster than what the profile trusts the wire with."""
        self._bauds = _ladder(spec) if paced else (SAFE_BAUD,)
        self.facts: Facts | None = None
        self.flash_size = 0
        """Bytes; 0 until the flash was asked."""
        self.proved: dict[tuple[int, int], str] = {}
        """(address, size) → MD5 that the chip gave of what it wrote there, while it stays."""
        self.pace = self._first
        """Bits per second that transfers last had."""

    @property
    def live(self) -> bool:
        """Whether a loader answers."""
        return self._esp is not None

    @property
    def first(self) -> int:
        """Rate of the next sync; 0 where the port cannot change its own."""
        return self._first if self._paced else 0

    def drop(self) -> None:
        """Forget the connection: the next use begins with a reset."""
        self._esp = None
        self._with_flash = False
        self.proved.clear()

    def rom(self) -> Facts:
        """What the chip tells by its ROM, with a loader that answers."""
        fresh = self._esp is None
        if fresh:
            self._esp = self._sync()
        try:
            return self._told()
        except CHIP_ERRORS as error:
            if not fresh or self._line.baudrate <= SAFE_BAUD:
                require_answers(self._esp, error)
                raise
            self._note(f"trouble at {self._line.baudrate} baud, tried {SAFE_BAUD}")
        self.drop()
        self._first = SAFE_BAUD
        return self.rom()

    def greet(self) -> bool:
        """Whether the loader that answered before still does; resets nothing."""
        return answers(self._esp)

    def _told(self) -> Facts:
        """What the chip says, the first time; after that, whether it is still the same."""
        facts = self.facts
        if facts is None:
            self.facts = facts = read_facts(self._esp, expected=self._spec.chip)
        else:
            require_same(self._esp, facts.unit)
        return facts

    def flash(self) -> Any:
        """The loader with the flash attached, at full pace.

        Raises as ``Security.refuse_if_secured`` does, before the stub is even sent.
        """
        while not self._with_flash:
            facts = self.facts if self._esp is not None and self.facts is not None else self.rom()
            facts.security.refuse_if_secured(self._spec.security)
            self._start_stub(facts)
            try:
                self._speed_up()
            except CHIP_ERRORS as error:
                self._give_way(error)
        return self._esp

    def steadily(self, ask: Callable[[Any], Answer]) -> Answer:
        """``ask`` the loader; a garbled answer is asked for again, slower. Never for writing."""
        while True:
            esp = self.flash()
            try:
                return ask(esp)
            except CHIP_ERRORS as error:
                self._give_way(error)

    def restart(self) -> None:
        """Pulse the reset line, so that the application starts; proved by what it says."""
        if self._esp is None:
            pulse_reset(self._line)
        else:
            self._esp.hard_reset()
        self.drop()

    # ── steps ───────────────────────────────────────────────────────────────────────────────────

    def _sync(self) -> Any:
        """A loader that answers. esptool changes the reset strategy from attempt to attempt."""
        first = min(self._first, self._bauds[0])
        if first <= SAFE_BAUD:
            return self._sync_at(first)
        try:
            return self._sync_at(first)
        except CHIP_ERRORS:
            self._note(f"no sync at {first} baud, tried {SAFE_BAUD}")
            self._first = SAFE_BAUD
        return self._sync_at(SAFE_BAUD)

    def _sync_at(self, baud: int) -> Any:
        if not self._line.is_open:  # esptool closes the port when it gives up
            self._settle()
            self._line.open()
        attempts = self._spec.attempts if baud <= SAFE_BAUD else _FAST_ATTEMPTS
        esp = connect(
            self._line, self._spec.chip, baud=baud, before=self._spec.before, attempts=attempts
        )
        if esp is None:  # it is another chip, or does not say: esptool's own way finds out which
            esp = cmds.detect_chip(
                self._line,
                baud,
                self._spec.before,
                trace_enabled=False,
                connect_attempts=self._spec.attempts,
            )
        self._log(f"{esp.CHIP_NAME} answers at {baud} baud")
        return esp

    def _start_stub(self, facts: Facts) -> None:
        """Send the stub; should it not arrive, slower; should it not start, see below."""
        if self._esp.IS_STUB or not self._use_stub:
            return
        try:
            self._esp = run_stub(self._esp, signed=facts.security.secure_boot)
            if not self._esp.IS_STUB:
                # too new a chip for it, or one that takes none with secure boot: esptool knows
                self._use_stub = False
                self._note("this chip takes no stub, used the ROM loader")
            return
        except CHIP_ERRORS as error:
            if NOT_SHIPPED in str(error) and self._spec.chip != "esp8266":
                self._use_stub = False
                self._note("esptool brings no stub for this chip, used the ROM loader")
                return
            rate, arrived = self._line.baudrate, NOT_STARTED in str(error)
            self.drop()
            self._first = SAFE_BAUD
        if arrived or rate <= SAFE_BAUD:
            self._without_stub()
        else:
            self._note(f"the stub did not arrive at {rate} baud, tried {SAFE_BAUD}")
        self._start_stub(self.rom())

    def _without_stub(self) -> None:
        """Send it once more, or do with the ROM loader alone.

        The ESP8266 cannot do without: its ROM neither reads flash nor hashes it.
        """
        if self._stub_failed:
            raise StationError("device.stub_failed", chip=self._spec.chip)
        self._stub_failed = True
        self._use_stub = self._spec.chip == "esp8266"
        again = "sent it again" if self._use_stub else "used the ROM loader"
        self._note(f"the stub did not start, {again}")

    def _speed_up(self) -> None:
        """Change the baud rate, attach the flash and learn its size."""
        esp = self._esp
        # esptool must not reconnect by itself inside a write: it would not look at the MAC again
        esp.WRITE_FLASH_ATTEMPTS = 1
        if self._bauds[0] > self._line.baudrate:
            change_baud(esp, self._line, self._bauds[0])
        self.pace = self._line.baudrate
        expected = self._spec.flash_size or chips.CHIPS[self._spec.chip].default_flash
        self.flash_size = self._checked(flash_bytes(esp, expected, self._note))
        esp.flash_set_parameters(self.flash_size)
        self._with_flash = True
        self._log(f"{self.flash_size} bytes of flash at {self.pace} baud")

    def _checked(self, size: int | None) -> int:
        if size is None:
            raise UnitError("device.no_flash")
        wanted = self._spec.flash_size
        if wanted is not None and size != wanted:
            raise UnitError("device.wrong_flash_size", expected=wanted, found=size)
        return size

    def _give_way(self, error: Exception) -> None:
        """Let the connection go, to begin anew at a slower pace; raises where there is none."""
        esp = self._esp
        self.drop()
        if not self._slower(error):
            require_answers(esp, error)
            raise error

    def _slower(self, error: BaseException) -> bool:
        """One step down the ladder, recorded; False at its end, or where pace is not to blame."""
        if len(self._bauds) == 1 or not slower_may_help(error):
            return False
        self._note(f"trouble at {self._bauds[0]} baud, stepped down to {self._bauds[1]}")
        self._bauds = self._bauds[1:]
        return True


def _ladder(spec: DeviceSpec) -> tuple[int, ...]:
    """The profile's rate and slower ones, down to the one that always works."""
    return (spec.baud, *(rate for rate in LADDER if rate < spec.baud))
