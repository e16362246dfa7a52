"""The token goes in by an external programmer, and is read back by it.

Where the chip tells who it is, that is the unit. Where it does not, somebody scans a serial number,
and that alone is never enough to go on with a unit that was being written: the wrong one may lie in
the fixture. Its own token in its own memory is; else a lead has to say so (``unit clear``,
``unit reinject``).
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType, TracebackType
from typing import Final, Self

from eol_inject import verify
from eol_inject.device import Identity, Rates, Security, Watch
from eol_inject.device.identity import IDENTITIES
from eol_inject.device.programmer import MemoryName, Programmer, require_programs
from eol_inject.device.programmer.spec import ProgrammerSpec
from eol_inject.errors import EolError, StationError, UnitError, UsageError
from eol_inject.events import ByteProgress
from eol_inject.image import Patched
from eol_inject.image.programmed import Blocks, Programmed, read_from
from eol_inject.ledger import WRITTEN_TO, Act, Cycle, Ledger, Reserved, Standing, State
from eol_inject.profiles import Profile
from eol_inject.station import boot_check
from eol_inject.station.golden import in_memory, load_programmed
from eol_inject.station.resume import Next
from eol_inject.station.teller import Teller
from eol_inject.station.way import AskSerial, KeepLease, nobody_waits
from eol_inject.unit import AuthToken, Identifier, Proof, Unit
from eol_inject.verify import Findings, InMemory, Place, PlaceState, TableState

_VOUCHED: Final = {Act.CLEAR, Act.REINJECT}
_ORDER: Final = ("mac", "uid", "serial")
"""The identity that counts first, of those that a chip tells."""


def open_programmer_way(
    profile: Profile, ledger: Ledger, *, aborted: Callable[[], bool] = lambda: False
) -> "ProgrammerWay":
    """Judge the profile's files and look for its programs.

    Raises ``UsageError`` with image's own codes, ``StationError`` (``device.programmer_missing``).
    """
    spec = profile.spec.programmer
    assert spec is not None  # noqa: S101  # the profile says so itself
    require_programs(spec)
    image = load_programmed(profile)
    asked = Programmer("", profile.spec.device, spec, is_token=ledger.knows, aborted=aborted)
    tools = {spec.identify.run[0]: version} if (version := asked.version()) else {}
    return ProgrammerWay(
        profile, spec, ledger, image, in_memory(profile, image), aborted, MappingProxyType(tools)
    )


@dataclass(frozen=True, slots=True)
class ProgrammerWay:
    """See ``way.Way``."""

    profile: Profile
    spec: ProgrammerSpec
    ledger: Ledger
    image: Programmed
    place: InMemory
    aborted: Callable[[], bool]
    tools: Mapping[str, str]
    firmware_name: str = ""

    @property
    def image_sha256(self) -> str:
        """Of the golden image's file."""
        return self.image.sha256

    @property
    def readable(self) -> bool:
        """Whether the token can be read back."""
        return self.spec.proof == "read_back"

    def open(self, port: str, rates: Rates, ask: AskSerial, keep: KeepLease) -> "ProgrammerAtHand":
        """Nothing is opened: the port is the programmer's own."""
        return ProgrammerAtHand(self, self._programmer(port, keep), ask)

    def watch(self, port: str) -> Watch:
        """By the programmer, anew each time: it knows no way to ask without its own reset."""
        return _Asked(lambda: self._programmer(port, nobody_waits))

    def _programmer(self, port: str, keep: KeepLease) -> Programmer:
        return Programmer(
            port,
            self.profile.spec.device,
            self.spec,
            aborted=self.aborted,
            waiting=keep,
            is_token=self.ledger.knows,
        )


@dataclass(frozen=True, slots=True)
class _Asked:
    """See ``eol_inject.device.Watch``."""

    programmer: Callable[[], Programmer]

    def look(self) -> bool:
        """Whether the chip answers its programmer, asked once."""
        asked = self.programmer()
        try:
            asked.identify()
        except EolError:
            return False
        finally:
            asked.close()
        return True

    def close(self) -> None:
        """Nothing is held between two looks."""


class ProgrammerAtHand:
    """See ``way.AtHand``."""

    def __init__(self, way: ProgrammerWay, unit: Programmer, ask: AskSerial) -> None:
        self._way = way
        self._unit = unit
        self._ask = ask
        self._known: Identity | None = None
        self._reserved: Reserved | None = None
        self._patched: Patched | None = None
        self._its_own = False
        """The unit held its own token when it came."""
        self._started = False
        """Its firmware ran since its memory was read."""
        self._heard = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._unit.close()

    def identify(self) -> Identity:
        """By what the chip tells, else by the serial number that somebody scans once.

        Such a chip is not asked again, since it would answer like any other: its token is what it
        is known by, once its firmware ran.
        """
        if self._known is None:
            self._known = self._new(self._unit.identify())
        elif self._way.spec.serial is None:
            unit = _unit_of(self._unit.identify())
            if unit.primary != self._known.unit.primary:
                raise StationError("device.unit_changed", was=str(self._known.unit), now=str(unit))
        elif self._started:
            self._still_its_own()
        return self._known

    def _new(self, facts: Mapping[str, str]) -> Identity:
        spec = self._way.spec
        if spec.serial is None:
            unit = _unit_of(facts)
        else:
            with self._unit.unhurried():
                unit = Unit(Identifier("serial", self._ask(re.compile(spec.serial))))
        return Identity(
            unit=unit,
            chip=spec.chip,
            revision=facts.get("revision", ""),
            flash_size=spec.flash.size,
            security=Security(),
            baud=self._way.profile.spec.device.baud,
        )

    def _still_its_own(self) -> None:
        """A chip without an identity is known by the token in it."""
        if self._survey().effective != self._given.auth:
            raise StationError(
                "device.unit_changed", was=str(self._who), now="a unit that holds another token"
            )
        self._started = False

    def admit(self) -> None:
        """Whoever answers rightly is fit."""

    def inspect(self, standing: Standing) -> Findings:
        """The region, read; where nothing can be read, what the ledger says.

        Also what of our tokens stands anywhere else in a firmware that is read whole.
        """
        if not self._way.readable:
            given = standing.state in WRITTEN_TO
            return _by_word(self._way.place.memory, standing.own if given else None)
        findings = self.tell()
        found = findings.effective
        self._its_own = found is not None and found == standing.own
        return findings

    def tell(self) -> Findings:
        """What the unit holds, read; see ``inspect``."""
        findings, flash = self._survey(), self._way.spec.flash
        if flash.peek is None and flash.read is not None and not flash.read.in_ranges:
            strays = self._strays(self._read_flash())
            findings = replace(findings, places=(*findings.places, *strays))
        return findings

    def not_golden(self) -> UnitError | None:
        """Where the golden image does not stand around the token; None where it does, or where
        nothing reads it."""
        if self._way.spec.flash.read is None:
            return None
        start, end = self._way.image.extent
        try:
            self._prove_golden(start, self._unit.read("flash", start, end - start))
        except UnitError as error:
            return error
        return None

    def _survey(self) -> Findings:
        place = self._way.place
        return verify.inspect_memory(self._unit.read(place.memory, *place.span, few=True), place)

    def _strays(self, flash: bytes) -> list[Place]:
        """Tokens of the ledger that stand where this product's firmware does not look."""
        place = self._way.place
        own = range(place.address, place.address + place.size) if place.memory == "flash" else ()
        return [
            Place(
                f"flash at {at:#x}", at, PlaceState.TOKEN, token,
                bootable=False, why="of another firmware",
            )
            for at, token in verify.tokens_in(flash)
            if at not in own and self._way.ledger.look_up(token) is not None
        ]  # fmt: skip

    def ready(self, state: str, going_on: Next) -> None:
        """`inject`: the golden image is there. A scanned serial number needs a second witness.

        Raises ``UnitError``: ``verify.not_golden``, ``verify.serial_alone``.
        """
        if (
            self._way.spec.serial is not None
            and state == State.WRITING
            and not self._its_own
            and not self._vouched()
        ):
            raise UnitError("verify.serial_alone", unit=str(self._who))
        if self._way.profile.spec.device.mode == "inject":
            start, end = self._way.image.extent
            self._prove_golden(start, self._unit.read("flash", start, end - start))

    def _vouched(self) -> bool:
        """Whether a lead was the last who said that this very unit is to be written."""
        events = self._way.ledger.show(self._who.primary).events
        last = next((e for e in reversed(events) if e.act in {*_VOUCHED, Act.BEGIN}), None)
        return last is not None and last.act in _VOUCHED and last.attempt == ""

    def _prove_golden(self, start: int, flash: bytes) -> None:
        image = self._way.image
        for address, data in image.flash:
            found = flash[address - start : address - start + len(data)]
            if (at := _first_difference(data, found, address, image.holes)) is not None:
                raise UnitError(
                    "verify.not_golden", address=f"{at:#x}", size=address + len(data) - at
                )

    def patch(self, reserved: Reserved) -> None:
        """The unit's own image, from the golden one."""
        self._reserved = reserved
        self._unit.keep_secret(reserved.secrets)
        try:
            self._patched = self._way.image.golden.patch(reserved.auth, reserved.fields)
        except UsageError as error:  # another unit would get no better values
            raise StationError(error.code, **error.params) from error

    def write(self, cycle: Cycle, teller: Teller, progress: ByteProgress) -> None:
        """The firmware, or just its pages with a region; then the EEPROM, which an erased chip may
        have lost."""
        self.identify()
        steps = [(name, blocks) for name, blocks in self._content() if blocks]
        inject = self._way.profile.spec.device.mode == "inject"
        for number, (name, blocks) in enumerate(steps):
            progress(number, len(steps))
            self._unit.write(name, blocks, part=inject)
        progress(len(steps), len(steps))

    def _content(self) -> tuple[tuple[MemoryName, Blocks], ...]:
        assert self._patched is not None  # noqa: S101  # the cycle patches before it writes
        image, spec = self._way.image, self._way.spec
        if self._way.profile.spec.device.mode == "inject":
            flash = image.pages(self._patched, spec.flash.page) if image.holes else ()
        else:
            flash = image.of_unit(self._patched)
            if spec.flash.gaps == "fill":
                end = max(address + len(data) for address, data in flash)
                flash = ((0, read_from(flash, 0, end)),)
        return ("flash", flash), ("eeprom", image.eeprom_of(self._patched))

    def settle(self, cycle: Cycle, teller: Teller) -> None:
        """Where nothing can be read, the same image and token once more."""
        if self._way.readable:
            return
        cycle.note("write_again")
        self.write(cycle, teller, teller.progress)
        teller.note("verify.written_again", "Written again: this chip cannot be read back.")

    def read_back(self) -> tuple[AuthToken, Proof]:
        """Every byte that was written, and the token as the firmware finds it; else its own word.

        Raises ``UnitError``: ``verify.memory_differs``, ``verify.no_token``.
        """
        if not self._way.readable:
            return self._hear(), Proof.REPLY
        assert self._patched is not None  # noqa: S101  # the cycle patches before it reads back
        place = self._way.place
        seen = b""
        for name, blocks in self._content():
            spans = [(address, len(data)) for address, data in blocks]
            if name == place.memory:
                spans.append(place.span)
            for address, data in self._read_all(name, spans):
                self._compare(name, address, data, blocks)
                start, size = place.span
                if name == place.memory and address <= start <= address + len(data) - size:
                    seen = data[start - address : start - address + size]
        findings = verify.inspect_memory(seen, place)
        if findings.effective is None:
            raise UnitError("verify.no_token", unit=str(self._who))
        return findings.effective, Proof.READ_BACK

    def _read_all(self, name: MemoryName, spans: list[tuple[int, int]]) -> list[tuple[int, bytes]]:
        """Each span, read in part where just a few bytes were written; else all of them at once."""
        if not spans:
            return []
        if self._way.profile.spec.device.mode == "inject":
            wanted = [one for one in set(spans) if not any(_inside(one, other) for other in spans)]
            return [(at, self._unit.read(name, at, size, few=True)) for at, size in sorted(wanted)]
        start, end = min(at for at, _ in spans), max(at + size for at, size in spans)
        return [(start, self._unit.read(name, start, end - start))]

    def _compare(self, name: MemoryName, start: int, found: bytes, blocks: Blocks) -> None:
        for address, data in blocks:
            low, high = max(start, address), min(start + len(found), address + len(data))
            wanted = data[low - address : high - address] if low < high else b""
            at = _first_difference(wanted, found[low - start : high - start], low, ())
            if at is not None:
                raise UnitError(
                    "verify.memory_differs",
                    unit=str(self._who), memory=name, address=f"{at:#x}",
                )  # fmt: skip

    def _hear(self) -> AuthToken:
        self._start(self._keep)
        return self._given.auth

    def boot_check(self, keep: Callable[[str], None]) -> None:
        """Start the firmware and listen, once."""
        if not self._way.readable:
            keep(self._heard)
            return
        self._started = True
        self._start(keep)

    def _start(self, keep: Callable[[str], None]) -> None:
        spec = self._way.profile.spec.boot
        if spec is not None:
            boot_check.run(self._unit, spec, self._who, keep)

    def _keep(self, log: str) -> None:
        self._heard = log

    def _read_flash(self) -> bytes:
        return self._unit.read("flash", 0, self._way.spec.flash.size)

    @property
    def _given(self) -> Reserved:
        assert self._reserved is not None  # noqa: S101  # the cycle reserves first
        return self._reserved

    @property
    def _who(self) -> Unit:
        assert self._known is not None  # noqa: S101  # the cycle identifies first
        return self._known.unit


def _unit_of(facts: Mapping[str, str]) -> Unit:
    """Every identity that the chip told. Raises ``UnitError("device.bad_identity")``."""
    found = [Identifier(kind, facts[kind]) for kind in _ORDER if kind in IDENTITIES & set(facts)]
    return Unit(found[0], tuple(found[1:]))


def _inside(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether a span lies in another, larger one."""
    ends = one[0] + one[1] <= other[0] + other[1]
    return one != other and other[0] <= one[0] and ends


def _by_word(memory: str, own: AuthToken | None) -> Findings:
    state = PlaceState.BLANK if own is None else PlaceState.TOKEN
    place = Place(f"{memory}, by the ledger's word", 0, state, own, bootable=True, used=bool(own))
    return Findings(places=(place,), effective=own, table=TableState.NONE)


def _first_difference(
    wanted: bytes, found: bytes, address: int, holes: tuple[tuple[int, int], ...]
) -> int | None:
    """Address of the first byte that differs, ``holes`` left out; None where none does."""
    if wanted == found:
        return None
    for number, byte in enumerate(wanted):
        at = address + number
        if any(start <= at < start + size for start, size in holes):
            continue
        if number >= len(found) or found[number] != byte:
            return at
    return None
