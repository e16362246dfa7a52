"""A unit behind an external programmer: identified, written, read and started by its commands.

The port is the programmer's while it runs, and nobody's in between. What the programmer says is
never kept or shown but for a short masked phrase of an error: it may quote what it moved.
"""

import contextlib
import re
import sys
import time
from collections.abc import Callable, Mapping
from typing import Final, Literal

from eol_inject.device import ports
from eol_inject.device.console import listen
from eol_inject.device.esp_errors import PORT_ERRORS
from eol_inject.device.identity import IsToken, public_fact
from eol_inject.device.line import Line
from eol_inject.device.masking import hide, mask
from eol_inject.device.programmer import commands, content
from eol_inject.device.programmer.commands import Done
from eol_inject.device.programmer.content import Blocks
from eol_inject.device.programmer.port_lock import PortLock
from eol_inject.device.programmer.spec import (
    CommandSpec,
    MemorySpec,
    ProgrammerSpec,
    TransferSpec,
)
from eol_inject.device.spec import DeviceSpec
from eol_inject.errors import EolError, StationError, StoppedError, UnitError, UsageError
from eol_inject.unit import Secret

__all__ = ["MemoryName", "Programmer", "missing_programs", "require_programs"]

MemoryName = Literal["flash", "eeprom"]

_SIM_PROGRAM: Final = (sys.executable, "-m", "eol_inject.sim.programmer")
_PULSE_S: Final = 0.1
_BYTES: Final = re.compile(r"\b(?:0x)?[0-9A-Fa-f]{2}\b")
"""A byte in hex: a programmer names those that differ, and they may be the token's."""
_LINES: Final = 6
_WORDS: Final = 320
"""Lines and characters of a complaint that are shown: the last line may be a goodbye."""


class Programmer:
    """One cycle's work with the unit on a port. Raises ``StationError`` for the program, the port
    and the time, ``UnitError`` for the unit.

    ``waiting`` is called again and again while a program runs; what it raises ends the program.
    """

    def __init__(
        self,
        port: str,
        device: DeviceSpec,
        spec: ProgrammerSpec,
        *,
        is_token: IsToken,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        aborted: Callable[[], bool] = lambda: False,
        waiting: Callable[[], None] = lambda: None,
    ) -> None:
        if port and ("://" in port) != spec.simulated:
            raise UsageError("device.programmer_port", port=port)
        self._port = port
        self._device = device
        self._spec = spec
        self._clock = clock
        self._sleep = sleep
        self._aborted = aborted
        self._waiting = waiting
        self._is_token = is_token
        self._end = clock() + device.deadline_s
        self._lock = PortLock(port)
        self._secrets: tuple[Secret, ...] = ()

    def keep_secret(self, secrets: tuple[Secret, ...]) -> None:
        """What this unit is given: no complaint quotes it."""
        self._secrets = secrets

    def close(self) -> None:
        """Let others have the port."""
        self._lock.release()

    def identify(self) -> Mapping[str, str]:
        """What the chip says of itself, by the groups of the profile's patterns.

        From the first time on the port is this one's, until ``close``. Raises ``UnitError``:
        ``device.other_chip`` where it is not what the profile requires,
        ``device.identity_is_token``.
        """
        if not self._spec.simulated:
            self._lock.take()
        facts = self._facts(self._spec.identify)
        for name, wanted in self._spec.require.items():
            if facts.get(name) != wanted:
                raise UnitError(
                    "device.other_chip",
                    what=name,
                    wanted=wanted,
                    found=facts.get(name) or "nothing",
                )
        return facts

    def read(self, name: MemoryName, start: int, size: int, *, few: bool = False) -> bytes:
        """``size`` bytes of a memory from ``start``; what was never written reads FF.

        ``few``: by the profile's ``peek``, where it has one. Raises ``UsageError``
        (``device.unreadable``) for a memory that the profile says nothing can read.
        """
        memory = self._memory(name)
        command = memory.peek if few and memory.peek is not None else memory.read
        if command is None:
            raise UsageError("device.unreadable", memory=name)
        first, count = (start, size) if command.in_ranges else (0, memory.size)
        data = self._receive(command, first, count)
        return data[start - first : start - first + size]

    def write(self, name: MemoryName, blocks: Blocks, *, part: bool = False) -> None:
        """Have it written. ``part``: whole pages, and nothing else is to change."""
        memory = self._memory(name)
        command = (memory.write_part if part else None) or memory.write
        start, end = content.extent(blocks)
        data = content.encode(blocks, command.format)
        if not command.by_file:
            self._judged(command, self._run(command, start, end - start, given=data))
            return
        with content.memory_file(data) as file:
            done = self._run(command, start, end - start, file=file)
        self._judged(command, done)

    def boot(
        self, *, listen_s: float, baud: int, until: Callable[[str], bool] | None = None
    ) -> str:
        """Start the firmware and return what it says, tokens hidden; see ``device.Device``."""
        if self._spec.reset is not None:
            self._judged(self._spec.reset, self._run(self._spec.reset))
        try:
            line = Line(
                ports.open_port(self._port, baud=baud),
                deadline=self._end,
                allowed_s=self._device.deadline_s,
                clock=self._clock,
                aborted=self._aborted,
                waiting=self._waiting,
            )
            try:
                if self._spec.reset is None:
                    self._pulse(line)
                return listen(line, seconds=listen_s, clock=self._clock, until=until)
            finally:
                line.close()
        except PORT_ERRORS:
            raise StationError("device.port_lost", port=self._port) from None

    def version(self) -> str:
        """The programmer's own, empty where the profile does not ask."""
        command = self._spec.version
        return "" if command is None else self._facts(command).get("version", "")

    def _memory(self, name: MemoryName) -> MemorySpec:
        memory = self._spec.flash if name == "flash" else self._spec.eeprom
        assert memory is not None  # noqa: S101  # the profile was refused without it
        return memory

    def _pulse(self, line: Line) -> None:
        """DTR lets the chip start (Arduino: a falling edge resets); a port without it is as open
        left it."""
        with contextlib.suppress(OSError):
            line.setDTR(False)
            self._sleep(_PULSE_S)
            line.setDTR(True)

    def _facts(self, command: CommandSpec) -> dict[str, str]:
        done = self._run(command)
        return self._judged(command, done)

    def _receive(self, command: TransferSpec, start: int, size: int) -> bytes:
        if not command.by_file:
            done = self._run(command, start, size, moves=True)
            self._judged(command, done)
            data = done.output
        else:
            with content.memory_file() as file:
                done = self._run(command, start, size, file=file)
                self._judged(command, done)
                data = file.content()
        program = command.run[0]
        try:
            return content.decode(data, command.format, start=start, size=size, program=program)
        except StationError:
            # some end well whatever happened, such as avrdude's terminal
            if (meant := self._meant(done)) is not None:
                raise meant from None
            raise

    def _run(
        self,
        command: CommandSpec,
        start: int = 0,
        size: int = 0,
        *,
        given: bytes | None = None,
        file: content.MemoryFile | None = None,
        moves: bool = False,
    ) -> Done:
        if self._aborted():
            raise StoppedError("device.aborted")
        left = self._end - self._clock()
        if left <= 0:
            raise StationError("device.deadline", seconds=f"{self._device.deadline_s:g}")
        values = {
            "port": self._port,
            "baud": str(self._device.baud),
            "chip": self._spec.chip,
            "address": f"{start:#x}",
            "size": str(size),
            "file": file.path if file else "",
        }
        typed = "".join(f"{line.format_map(values)}\n" for line in command.typed)
        return commands.run(
            [
                *(_SIM_PROGRAM if self._spec.simulated else command.run[:1]),
                *(argument.format_map(values) for argument in command.run[1:]),
            ],
            given=typed.encode() if given is None else given,
            moves=moves,
            files=(*self._lock.numbers, *((file.number,) if file else ())),
            timeout_s=min(command.timeout_s, left),
            clock=self._clock,
            aborted=self._aborted,
            waiting=self._waiting,
        )

    def _judged(self, command: CommandSpec, done: Done) -> dict[str, str]:
        """The facts it told. Raises by what it said, where it failed or said too little."""
        found = [re.search(pattern, done.said) for pattern in command.expect]
        if done.code == 0 and all(found):
            groups = [one.groupdict() for one in found if one is not None]
            return {
                name: public_fact(name, text, self._is_token)
                for row in groups
                for name, text in row.items()
                if text is not None
            }
        raise self._why(command, done)

    def _why(self, command: CommandSpec, done: Done) -> EolError:
        if (meant := self._meant(done)) is not None:
            return meant
        if done.code == 0:
            return StationError(
                "device.other_answer", program=command.run[0], why=self._complaint(done.said)
            )
        return StationError(
            "device.programmer_failed",
            program=command.run[0],
            exit=done.code,
            why=self._complaint(done.said),
        )

    def _complaint(self, said: str) -> str:
        """Its last words, without anything that could be of a token or a secret field."""
        lines = [line.strip() for line in said.splitlines() if line.strip()][-_LINES:]
        shown = hide("; ".join(lines), self._secrets)
        return _BYTES.sub("[hidden]", mask(shown))[:_WORDS] or "it says nothing"

    def _meant(self, done: Done) -> EolError | None:
        """What it said in our words, where the profile knows its words."""
        for says in self._spec.says:
            if re.search(says.match, done.said):
                return self._meaning(says.means)
        return None

    def _meaning(self, means: str) -> EolError:
        match means:
            case "port_busy":
                return ports.busy(self._port)
            case "wrong_chip":
                return UnitError(
                    "device.other_chip", what="chip", wanted=self._spec.chip, found="another"
                )
            case "verify_failed":
                return UnitError("device.verify_failed")
            case "port_missing":
                return StationError("device.port_missing", port=self._port)
            case "port_denied":
                return StationError("device.port_denied", port=self._port)
            case _:
                return StationError("device.no_sync", port=self._port)


def missing_programs(spec: ProgrammerSpec) -> tuple[str, ...]:
    """The programs of a profile that this computer does not find, each once."""
    import shutil

    programs = {command.run[0]: None for command in spec.commands if not spec.simulated}
    return tuple(one for one in programs if shutil.which(one) is None)


def require_programs(spec: ProgrammerSpec) -> None:
    """Raise ``StationError("device.programmer_missing")`` unless every program is there."""
    for program in missing_programs(spec):
        raise StationError("device.programmer_missing", program=program, why="not found on PATH")
