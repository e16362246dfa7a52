"""The token goes in over the console of the unit's own running firmware.

Nothing is flashed. Where the firmware tells which token it has, that is read back and compared.
Where it tells nobody, its answer is the proof (`reply`), and before that the ledger's word is all
there is: a unit that was given a token is taken to hold it, and is given the same one again.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

from eol_inject.device import Identity, Rates, Security, Watch, console_line, watch_loader
from eol_inject.device.console_unit import ConsoleUnit
from eol_inject.device.spec import AskSpec, ConsoleSpec
from eol_inject.errors import StationError, UnitError, UsageError
from eol_inject.events import ByteProgress
from eol_inject.ledger import WRITTEN_TO, Cycle, Ledger, Reserved, Standing, State
from eol_inject.profiles import Profile
from eol_inject.station import boot_check
from eol_inject.station.flash_way import NO_TOOLS
from eol_inject.station.resume import Next
from eol_inject.station.teller import Teller
from eol_inject.station.way import AskSerial, KeepLease
from eol_inject.unit import AuthToken, Identifier, Proof, Secret, Unit
from eol_inject.verify import Findings, Place, PlaceState, TableState

_PLACE = "console"


def open_console_way(
    profile: Profile, ledger: Ledger, *, aborted: Callable[[], bool]
) -> "ConsoleWay":
    """For a profile with a ``[console]``."""
    assert profile.spec.console is not None  # noqa: S101  # the profile says so itself
    return ConsoleWay(profile, profile.spec.console, ledger, aborted)


@dataclass(frozen=True, slots=True)
class ConsoleWay:
    """See ``way.Way``."""

    profile: Profile
    console: ConsoleSpec
    ledger: Ledger
    aborted: Callable[[], bool]
    image_sha256: str = ""
    firmware_name: str = ""

    @property
    def tools(self) -> Mapping[str, str]:
        """The firmware does it itself."""
        return NO_TOOLS

    def watch(self, port: str) -> Watch:
        """By the chip's boot loader."""
        return watch_loader(port, self.profile.spec.device)

    def open(self, port: str, rates: Rates, ask: AskSerial, keep: KeepLease) -> "ConsoleAtHand":
        """Open the port; the firmware is started, or found running, and says who it is."""
        unit = ConsoleUnit(
            port,
            self.profile.spec.device,
            self.console,
            sleep=time.sleep,
            clock=time.monotonic,
            aborted=self.aborted,
            waiting=keep,
            is_token=self.ledger.knows,
        )
        return ConsoleAtHand(self, unit)


class ConsoleAtHand:
    """See ``way.AtHand``."""

    def __init__(self, way: ConsoleWay, unit: ConsoleUnit) -> None:
        self._way = way
        self._unit = unit
        self._started = False
        self._known: Identity | None = None
        self._reserved: Reserved | None = None
        self._told = False
        """The firmware has answered to the token in this cycle."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._unit.__exit__(kind, error, trace)

    def identify(self) -> Identity:
        """By what the firmware says of itself."""
        if not self._started:
            self._unit.start()
            self._started = True
        said: dict[str, str] = {}
        for ask in self._way.console.identify:
            said |= self._unit.ask(ask, {}).groups
        ids = [Identifier(kind, said[kind]) for kind in ("mac", "serial") if said.get(kind)]
        if not ids:
            raise UnitError("device.bad_identity", kind="mac, serial", value="", why="none is told")
        unit = Unit(ids[0], tuple(ids[1:]))
        if self._known is not None and self._known.unit != unit:
            raise StationError("device.unit_changed", was=str(self._known.unit), now=str(unit))
        self._require(said)
        spec = self._way.profile.spec.device
        self._known = Identity(
            unit=unit,
            chip=spec.chip,
            revision=said.get("revision", ""),
            flash_size=0,
            security=Security(),
            baud=self._way.console.baud,
        )
        return self._known

    def _require(self, said: Mapping[str, str]) -> None:
        for name, wanted in self._way.console.require.items():
            if said.get(name) != wanted:
                raise UnitError(
                    "device.other_firmware", what=name, wanted=wanted, found=said.get(name, "")
                )

    def admit(self) -> None:
        """Whoever answers rightly is fit."""

    def inspect(self, standing: Standing) -> Findings:
        """What the firmware says it holds; where it tells nobody, what the ledger says."""
        if self._way.console.holds is not None:
            return self.tell()
        given = standing.state in WRITTEN_TO and standing.state is not State.WRITING
        return _findings(standing.own if given else None)

    def tell(self) -> Findings:
        """What the firmware says it holds.

        Raises ``UsageError("verify.not_told")`` for a firmware that tells nobody, and
        ``UnitError("verify.told_oddly")`` where it is neither a token nor what means none.
        """
        return _findings(self._asked())

    def _asked(self) -> AuthToken | None:
        holds = self._way.console.holds
        if holds is None:
            raise UsageError("verify.not_told", profile=self._way.profile.name)
        told = self._unit.ask(holds, {})
        if told.odd:
            raise UnitError("verify.told_oddly", unit=str(self._who.unit))
        return told.token

    def ready(self, state: str, going_on: Next) -> None:
        """Nothing more to look at."""

    def patch(self, reserved: Reserved) -> None:
        """Every line is tried: a value that cannot be sent is found before anything is written."""
        self._reserved = reserved
        for ask in self._script:
            console_line.fill(ask, self._values, self._way.console)

    def write(self, cycle: Cycle, teller: Teller, progress: ByteProgress) -> None:
        """The script: erase, then the token; each time to the unit that was identified.

        Raises ``StationError("device.unit_changed")``.
        """
        for number, ask in enumerate(self._script):
            progress(number, len(self._script))
            if number in {0, len(self._way.console.erase)}:
                self.identify()
            self._unit.ask(ask, self._values)
        self._told = True

    def settle(self, cycle: Cycle, teller: Teller) -> None:
        """Nothing stands in the way of a saved token."""

    def read_back(self) -> tuple[AuthToken, Proof]:
        """What the unit tells, or its own answer; asked again where an earlier cycle had it."""
        console, reserved = self._way.console, self._given
        if console.proof == "read_back":
            token = self._asked()
            if token is None:
                raise UnitError("verify.no_token", unit=str(self._who.unit))
            return token, Proof.READ_BACK
        if not self._told:
            self.identify()
            for ask in console.inject:
                self._unit.ask(ask, self._values)
        return reserved.auth, Proof.REPLY

    def boot_check(self, keep: Callable[[str], None]) -> None:
        """Start it once more; what it says has to be what the profile expects."""
        spec = self._way.profile.spec.boot
        if spec is not None:
            boot_check.run(self._unit, spec, self._who.unit, keep)

    @property
    def _script(self) -> tuple[AskSpec, ...]:
        return (*self._way.console.erase, *self._way.console.inject)

    @property
    def _values(self) -> dict[str, str | Secret]:
        return {**self._given.fields, "auth": self._given.auth}

    @property
    def _given(self) -> Reserved:
        assert self._reserved is not None  # noqa: S101  # the cycle reserves first
        return self._reserved

    @property
    def _who(self) -> Identity:
        assert self._known is not None  # noqa: S101  # the cycle identifies first
        return replace(self._known)


def _findings(token: AuthToken | None) -> Findings:
    state = PlaceState.BLANK if token is None else PlaceState.TOKEN
    place = Place(_PLACE, 0, state, token, bootable=True, used=token is not None)
    return Findings(places=(place,), effective=token, table=TableState.NONE, boots=_PLACE)
