"""What goes wrong with a unit, as data: one row a fault, armed by the URL or by ``manage``.

``fault=NAME[@WHERE[:BYTES]][=VALUE][,xN][,back=S][,above=BAUD]``, for example
``unplug@write:4096,x1,back=0.5``. BYTES counts payload handled in that phase since the last reset
(for ``write``: bytes that reached the flash; for ``mute``: bytes that the unit sent). A swap at
``identify`` waits for the first command behind the MAC; every other fault happens in the middle of
its phase.
"""

import random
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from eol_inject.chips import SECTOR


class Phase(StrEnum):
    """What the unit is doing, told by the command it got last."""

    SYNC = "sync"
    STUB = "stub"
    IDENTIFY = "identify"
    ERASE = "erase"
    WRITE = "write"
    READ = "read"
    MD5 = "md5"
    BOOT = "boot"
    CONSOLE = "console"
    """Bytes for the running firmware's console."""


class Act(StrEnum):
    """How a fault takes effect."""

    HANG = "hang"
    MUTE = "mute"
    """Breaks off what the unit sends."""
    UNPLUG = "unplug"
    SWAP = "swap"
    SWAP_UNPLUG = "swap_unplug"
    BROWNOUT = "brownout"
    POWER_CUT = "power_cut"
    GATE = "gate"
    """Asked for by name at the point where it matters; fails that step."""
    NOISE = "noise"
    """Changes bytes on the wire."""
    CELL = "cell"
    """Changes what a flash sector holds after programming."""


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of fault."""

    name: str
    act: Act
    text: str
    """What happens, for people."""
    phase: Phase | None = None
    """Where it happens unless the URL says otherwise."""
    phases: frozenset[Phase] = frozenset(Phase)
    """Where it may happen."""
    value: float | None = None
    """Default VALUE."""


_ANY: Final = frozenset(Phase)
_NONE: Final[frozenset[Phase]] = frozenset()

FAULTS: Final[dict[str, Row]] = {
    row.name: row
    for row in (
        Row("no_sync", Act.GATE, "the loader never answers a sync", phases=_NONE),
        Row("flaky_reset", Act.GATE, "the first VALUE resets (or a rate below 1) miss the loader",
            phases=_NONE, value=2),
        Row("stub_fail", Act.GATE, "the stub does not start, VALUE times", phases=_NONE),
        Row("wrong_md5", Act.GATE, "the chip's MD5 is wrong", phases=_NONE),
        Row("boot_loop", Act.GATE, "the application crashes and starts again", phases=_NONE),
        Row("silent_boot", Act.GATE, "the console says nothing after a start", phases=_NONE),
        Row("lost_reply", Act.GATE, "the console does what it is told and does not say so",
            phases=_NONE),
        Row("busy", Act.GATE, "another program holds the port", phases=_NONE),
        Row("hang", Act.HANG, "answers nothing more until the next reset", Phase.WRITE, _ANY),
        Row("mute", Act.MUTE, "stops in the middle of an answer, silent until the next reset",
            Phase.READ, _ANY),
        Row("unplug", Act.UNPLUG, "the port goes away", Phase.WRITE, _ANY),
        Row("swap", Act.SWAP, "from then on another unit answers, without a gap", Phase.WRITE,
            _ANY),
        Row("swap_unplug", Act.SWAP_UNPLUG, "the port drops, then another unit is there",
            Phase.WRITE, _ANY),
        Row("brownout", Act.BROWNOUT, "the supply dips: the chip resets", Phase.ERASE, _ANY),
        Row("power_cut", Act.POWER_CUT, "the supply fails for a moment, without a word",
            Phase.WRITE, _ANY),
        Row("drop", Act.NOISE, "bytes get lost: VALUE bytes at once, or a rate below 1", None, _ANY,
            1),
        Row("flip", Act.NOISE, "bits flip at the rate VALUE per byte", None, _ANY, 1e-4),
        Row("bad_sector", Act.CELL, "one cell of the sector at WHERE programs wrong", phases=_NONE),
    )
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fault:
    """One armed fault."""

    row: Row
    phase: Phase | None = None
    after: int = 0
    """Bytes of the phase that still go well."""
    address: int | None = None
    """For a bad sector."""
    value: float | None = None
    times: int | None = None
    """How often it happens; None = always."""
    back_s: float | None = None
    """Unplugged: plugged in again after so many seconds; None = by hand."""
    above: int = 0
    """Only at this baud rate and faster ones."""


def parse(text: str) -> Fault:
    """Read one ``fault=``. Raises ``ValueError`` with the reason."""
    head, *modifiers = text.split(",")
    head, _, value = head.partition("=")
    name, _, where = head.partition("@")
    row = FAULTS.get(name)
    if row is None:
        raise ValueError(f"unknown fault '{name}'; known: {', '.join(FAULTS)}")
    fault = Fault(row, row.phase, value=float(value) if value else row.value)
    if where:
        fault = _at(fault, where)
    elif row.act is Act.CELL:
        raise ValueError(f"{name} needs an address: {name}@0x9000")
    for modifier in modifiers:
        fault = _but(fault, modifier)
    return _counted(fault)


def _at(fault: Fault, where: str) -> Fault:
    if fault.row.act is Act.CELL:
        return replace(fault, address=int(where, 0) // SECTOR * SECTOR)
    phase, _, after = where.partition(":")
    if phase not in {str(one) for one in fault.row.phases}:
        raise ValueError(f"{fault.row.name} cannot happen at '{phase}'")
    return replace(fault, phase=Phase(phase), after=int(after, 0) if after else 0)


def _but(fault: Fault, modifier: str) -> Fault:
    key, _, value = modifier.partition("=")
    if key == "back" and fault.row.act is Act.UNPLUG:
        return replace(fault, back_s=float(value))
    if key == "above":
        return replace(fault, above=int(value))
    if key[:1] == "x" and key[1:].isdigit() and not value:
        return replace(fault, times=int(key[1:]))
    raise ValueError(f"'{modifier}' is none of xN, back=SECONDS (unplug), above=BAUD")


def _counted(fault: Fault) -> Fault:
    """Turn a VALUE that counts occurrences into ``times``; no answer breaks off before it began."""
    if fault.row.act is Act.MUTE:
        return replace(fault, after=max(fault.after, 1))
    counts = fault.row.name in {"flaky_reset", "stub_fail", "drop"}
    if counts and fault.value is not None and fault.value >= 1 and fault.times is None:
        return replace(fault, times=1 if fault.row.name == "drop" else int(fault.value))
    return fault


class FaultBox:
    """The armed faults of one unit, and how often each may still happen.

    ``chance`` is seeded, so a run repeats itself.
    """

    def __init__(self, faults: list[Fault], seed: int) -> None:
        self._chance = random.Random(seed)  # noqa: S311  # noise that repeats itself, never a secret
        self._left: list[tuple[Fault, list[int | None]]] = []
        self._counts: dict[Phase, int] = {}
        self._sent: dict[Phase, int] = {}
        self._spent: set[int] = set()
        self.fired: dict[str, int] = {}
        """How often each kind has happened, for reports."""
        self.arm(faults)

    def arm(self, faults: list[Fault]) -> None:
        """Replace all armed faults."""
        self._left = [(fault, [fault.times]) for fault in faults]
        self._spent.clear()

    def new_session(self) -> None:
        """A reset: the phases count from zero again."""
        self._counts.clear()
        self._sent.clear()
        self._spent.clear()

    def gate(self, name: str, baud: int = 0) -> Fault | None:
        """Whether the step ``name`` fails now; counts it."""
        for fault, left in self._left:
            if fault.row.name == name and left[0] != 0 and baud >= fault.above:
                rate = fault.value
                if rate is not None and rate < 1 and self._chance.random() >= rate:
                    continue
                self._use(fault, left)
                return fault
        return None

    def peek(self, name: str) -> bool:
        """Whether the step ``name`` would fail, without counting."""
        return any(fault.row.name == name and left[0] != 0 for fault, left in self._left)

    def crossing(self, phase: Phase, size: int, baud: int) -> tuple[Fault, int] | None:
        """Whether something happens within the next ``size`` bytes of ``phase``; counts them.

        Gives the fault and how many of these bytes still go well.
        """
        return self._crossed(_EVENTS, self._counts, phase, size, baud)

    def breaking_off(self, phase: Phase, size: int, baud: int) -> tuple[Fault, int] | None:
        """Whether an answer of ``size`` bytes breaks off; as ``crossing``, for what is sent."""
        return self._crossed(_BREAKS, self._sent, phase, size, baud)

    def _crossed(
        self, acts: frozenset[Act], counts: dict[Phase, int], phase: Phase, size: int, baud: int
    ) -> tuple[Fault, int] | None:
        done = counts.get(phase, 0)
        counts[phase] = done + size
        for number, (fault, left) in enumerate(self._left):
            if (
                fault.row.act in acts
                and fault.phase is phase
                and left[0] != 0
                and number not in self._spent
                and baud >= fault.above
                and fault.after <= done + size
            ):
                self._spent.add(number)
                self._use(fault, left)
                return fault, min(max(fault.after - done, 0), size)
        return None

    def noise(self, phase: Phase | None, data: bytes, baud: int) -> bytes:
        """``data`` as it comes out at the other end of the wire."""
        for fault, left in self._left:
            if (
                fault.row.act is not Act.NOISE
                or left[0] == 0
                or (fault.phase is not None and fault.phase is not phase)
                or baud < fault.above
                or fault.value is None
            ):
                continue
            spoiled = self._spoil(fault, data)
            if spoiled != data:
                self._use(fault, left)
                data = spoiled
        return data

    def bad_sector(self, sector: int) -> bool:
        """Whether the sector at this address programs wrong."""
        return any(
            fault.row.act is Act.CELL and fault.address == sector and left[0] != 0
            for fault, left in self._left
        )

    def _spoil(self, fault: Fault, data: bytes) -> bytes:
        value = fault.value or 0.0
        if fault.row.name == "drop" and value >= 1:
            if len(data) <= value:
                return data
            at = self._chance.randrange(len(data) - int(value) + 1)
            return data[:at] + data[at + int(value) :]
        hits = [at for at in range(len(data)) if self._chance.random() < value]
        if not hits:
            return data
        bent = bytearray(data)
        for at in reversed(hits):
            if fault.row.name == "drop":
                del bent[at]
            else:
                bent[at] ^= 1 << self._chance.randrange(8)
        return bytes(bent)

    def _use(self, fault: Fault, left: list[int | None]) -> None:
        if left[0] is not None:
            left[0] -= 1
        self.fired[fault.row.name] = self.fired.get(fault.row.name, 0) + 1


_EVENTS: Final = frozenset(
    {Act.HANG, Act.UNPLUG, Act.SWAP, Act.SWAP_UNPLUG, Act.BROWNOUT, Act.POWER_CUT}
)
_BREAKS: Final = frozenset({Act.MUTE})
