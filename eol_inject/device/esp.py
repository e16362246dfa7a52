"""The one adapter to esptool: an ESP chip behind a port, as a ``Device``."""

import contextlib
from collections.abc import Callable, Container, Iterator, Sequence
from types import TracebackType
from typing import Any, Final, Self

from eol_inject.device import esp_flash, esp_guard, ports
from eol_inject.device.console import listen
from eol_inject.device.esp_errors import CHIP_ERRORS, PORT_ERRORS, require_answers, translated
from eol_inject.device.esp_guard import Facts
from eol_inject.device.esp_lib import Ear, check_settings, hearing
from eol_inject.device.esp_link import Link
from eol_inject.device.holders import holders
from eol_inject.device.identity import Identity
from eol_inject.device.line import Line
from eol_inject.device.runs import coalesce, fits, whole_sectors
from eol_inject.device.spec import DeviceSpec
from eol_inject.errors import EolError, UnitError
from eol_inject.events import ByteProgress
from eol_inject.unit import Unit

_SETTLE_S: Final = 0.1
"""Pause before a port is opened again: bridges need a moment after a close."""


def open_esp(
    url: str,
    spec: DeviceSpec,
    *,
    sleep: Callable[[float], None],
    clock: Callable[[], float],
    log: Callable[[str], None] | None,
    aborted: Callable[[], bool],
    waiting: Callable[[], None],
) -> "EspDevice":
    """Open the port; nothing is said to the chip yet. Raises as ``ports.open_port`` does."""
    check_settings()
    port = ports.open_port(url, baud=spec.rates.sync)
    line = Line(
        port,
        deadline=clock() + spec.deadline_s,
        allowed_s=spec.deadline_s,
        clock=clock,
        coarse=url.lower().startswith("socket:"),
        aborted=aborted,
        waiting=waiting,
    )
    return EspDevice(url, line, spec, sleep=sleep, clock=clock, log=log or (lambda _: None))


class EspDevice:
    """One session with whatever unit is on the port. See ``eol_inject.device.Device``."""

    def __init__(
        self,
        url: str,
        line: Line,
        spec: DeviceSpec,
        *,
        sleep: Callable[[float], None],
        clock: Callable[[], float],
        log: Callable[[str], None],
    ) -> None:
        self.url = url
        self._line = line
        self._spec = spec
        self._clock = clock
        self._notes: list[str] = []
        self._log = log
        self._link = Link(
            line,
            spec,
            paced=not url.lower().startswith("socket:"),
            settle=lambda: sleep(_SETTLE_S),
            note=self._note,
            log=log,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # ── the Device protocol ─────────────────────────────────────────────────────────────────────

    @translated
    def identify(self) -> Identity:
        """Read who is on the port; each call asks the chip anew."""
        with hearing(Ear(self._note)):
            facts = self._contact()
            if facts.security.admits(self._spec.security) and not self._link.flash_size:
                self._link.flash()
        self._log(f"unit {facts.unit}, {facts.chip} {facts.revision}".rstrip())
        return Identity(
            unit=facts.unit,
            chip=facts.chip,
            revision=facts.revision,
            flash_size=self._link.flash_size,
            security=facts.security,
            baud=self._link.pace,
            first_baud=self._link.first,
            notes=tuple(self._notes),
        )

    @translated
    def greet(self, *, within_s: float) -> bool:
        """Whether a chip answers in its loader; one that is not there yet is brought by a reset.

        Raises as ``identify`` does.
        """
        self._line.allow(within_s)
        with hearing(Ear(self._note)):
            if self._link.live:
                return self._link.greet()
            self._link.rom()
            return True

    @translated
    def read(self, address: int, size: int, progress: ByteProgress | None = None) -> bytes:
        """Bytes over the wire."""
        with hearing(Ear(self._note)):
            proved = self._link.proved.get((address, size))
            return self._link.steadily(
                lambda esp: esp_flash.read(esp, address, size, progress, proved=proved)
            )

    @translated
    def md5(self, address: int, size: int) -> str:
        """The chip's own hash of its flash."""
        with hearing(Ear(self._note)):
            return self._link.steadily(lambda esp: esp_flash.md5(esp, address, size))

    @translated
    def write(
        self,
        unit: Unit,
        blocks: Sequence[tuple[int, bytes]],
        progress: ByteProgress | None = None,
        *,
        common: Container[int] = frozenset(),
    ) -> None:
        """Whole sectors, hashed by the chip, the identity read before and after."""
        runs = coalesce(blocks, common)
        tally = _Tally(sum(len(run.data) for run in runs), progress)
        with hearing(Ear(self._note, tally.part)):
            esp = self._link.flash()
            for run in runs:
                fits(run.end, self._link.flash_size)
            with self._changing(esp, unit):
                for run in runs:
                    tally.begin(len(run.data))
                    self._changes(run.address, len(run.data))
                    if self._spec.security == "encrypted":
                        esp_flash.write_encrypted(esp, run)
                    else:
                        proved = esp_flash.write(esp, run, tally.part, self._note)
                        self._link.proved[run.address, len(run.data)] = proved
                    self._log(f"wrote {len(run.data)} bytes at {run.address:#x}")
        tally.begin(0)

    @translated
    def erase(self, unit: Unit, address: int, size: int) -> None:
        """Whole sectors to FF, the identity read before and after."""
        whole_sectors(address, size)
        with hearing(Ear(self._note)):
            esp = self._link.flash()
            fits(address + size, self._link.flash_size)
            with self._changing(esp, unit):
                self._changes(address, size)
                esp_flash.erase(esp, address, size)
        self._log(f"erased {size} bytes at {address:#x}")

    @translated
    def boot(
        self, *, listen_s: float, baud: int, until: Callable[[str], bool] | None = None
    ) -> str:
        """Restart into the application and return what it says, tokens hidden."""
        with hearing(Ear(self._note)):
            if not self._line.is_open:
                self._line.open()
            self._line.reset_input_buffer()
            with self._line.console_at(baud):
                self._link.restart()
            return listen(self._line, seconds=listen_s, clock=self._clock, until=until)

    def close(self) -> None:
        """Leave the unit running its application, and let the port go.

        What fails here is passed over: the session is over, and what came before is its outcome.
        """
        if self._link.live and self._line.is_open and self._spec.before != "no-reset":
            with (
                hearing(Ear(self._note)),
                contextlib.suppress(*CHIP_ERRORS, *PORT_ERRORS, EolError),
            ):
                self._link.restart()
        self._line.close()

    # ── inside ──────────────────────────────────────────────────────────────────────────────────

    def _note(self, phrase: str) -> None:
        if phrase not in self._notes:
            self._notes.append(phrase)
            self._log(phrase)

    def _contact(self) -> Facts:
        """A chip that answers; where none does, whoever else holds the port is the likely cause."""
        if self._link.live:
            with contextlib.suppress(*CHIP_ERRORS):  # asked again below, after a reset
                return self._link.rom()
            self._link.drop()
        try:
            return self._link.rom()
        except CHIP_ERRORS:
            self._link.drop()
            if "://" not in self.url and holders(self.url):
                raise ports.busy(self.url) from None
            raise

    def _changes(self, address: int, size: int) -> None:
        """What was proved of these bytes is proved no longer."""
        for at, length in tuple(self._link.proved):
            if at < address + size and address < at + length:
                del self._link.proved[at, length]

    @contextlib.contextmanager
    def _changing(self, esp: Any, unit: Unit) -> Iterator[None]:
        """The flash of ``unit`` is changed within; no reconnect, and no verdict on another unit."""
        whole = False
        try:
            with self._line.sealed():
                esp_guard.require_same(esp, unit)
                try:
                    yield
                except UnitError:
                    esp_guard.require_same(esp, unit)
                    raise
                except CHIP_ERRORS as error:
                    require_answers(esp, error)
                    raise
                esp_guard.require_same(esp, unit)
            whole = True
        finally:
            if not whole:
                self._link.drop()


class _Tally:
    """Turns the fraction of one run into bytes of all runs."""

    def __init__(self, total: int, progress: ByteProgress | None) -> None:
        self._total = total
        self._progress = progress
        self._done = 0
        self._size = 0

    def begin(self, size: int) -> None:
        """The run before is whole; one of ``size`` bytes begins."""
        self._done += self._size
        self._size = size
        self.part(0.0)

    def part(self, fraction: float) -> None:
        """So much of the present run is written."""
        if self._progress is not None:
            self._progress(self._done + int(fraction * self._size), self._total)
