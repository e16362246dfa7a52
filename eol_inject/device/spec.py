"""What a profile says about the unit's chip and how to reach it: ``[device]`` and ``[boot]``."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from eol_inject import chips
from eol_inject.device.identity import SecurityChoice
from eol_inject.specs import Spec


class DeviceSpec(Spec):
    """The chip, the wire and the mode of the cycle."""

    chip: str = Field(description="Chip name as esptool says it, e.g. esp32c3")
    mode: Literal["flash", "inject", "console"] = Field(
        "flash",
        description="flash: firmware and token in one pass; inject: golden image is already there; "
        "console: the running firmware takes the token, as [console] says",
    )
    baud: int = Field(921600, ge=9600, le=4_000_000, description="Baud rate for transfers")
    first_baud: int = Field(
        921600,
        ge=9600,
        le=921600,
        description="Baud rate of the first sync, at most `baud`; where it fails, 115200 is tried",
    )
    flash_size: int | None = Field(None, gt=0, description="Bytes the flash must have")
    before: Literal["default-reset", "usb-reset", "no-reset"] = Field(
        "default-reset", description="How the chip is brought into its bootloader"
    )
    security: SecurityChoice = Field(
        "refuse",
        description="refuse: any protected chip; allow_secure_boot: the region is outside of what "
        "is signed; encrypted: the chip must encrypt its flash, and [boot] is the proof",
    )
    attempts: int = Field(3, ge=1, le=10, description="Sync attempts, each with another reset")
    deadline_s: float = Field(120.0, gt=0, description="Seconds after which a cycle is given up")

    @field_validator("chip")
    @classmethod
    def _known(cls, chip: str) -> str:
        if chip not in chips.CHIPS:
            # costs a load of esptool, for a name that our table does not have
            from eol_inject.device.esp_chips import facts

            newer = facts(chip)
            if newer is not None:
                chips.learn(newer)
        if chip not in chips.CHIPS:
            raise ValueError(f"unknown chip; known: {', '.join(sorted(chips.CHIPS))}")
        return chip


def _regex(pattern: str | None) -> str | None:
    if pattern is not None:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from None
    return pattern


Pattern = Annotated[str, AfterValidator(_regex)]


class PresenceSpec(Spec):
    """How a station knows that a unit is in its slot, and that it has left."""

    kind: Literal["enter", "usb", "cts", "dsr", "dcd", "poll", "scan"] = Field(
        "enter",
        description="enter: somebody says so; usb: its port is there; cts, dsr, dcd: a switch of "
        "the fixture on that line; poll: it answers its boot loader; scan: the slot's name is "
        "scanned, or anything where there is one slot",
    )
    debounce_s: float = Field(0.3, ge=0, le=10, description="Steady for so long before it counts")
    every_s: float = Field(0.2, gt=0, le=10, description="Seconds between two looks")


class BootSpec(Spec):
    """What the firmware has to say on its console after the write; without it nothing is asked."""

    expect: Pattern = Field(description="Regular expression that one console line must match")
    refuse: Pattern | None = Field(None, description="Regular expression that fails the unit")
    timeout_s: float = Field(5.0, gt=0, le=120)
    baud: int = Field(115200, ge=9600)


class AskSpec(Spec):
    """One line to the console, and the line that answers it."""

    name: str = Field(description="For error texts: what this line is for")
    send: str = Field("", description="Template; {auth} and fields in braces; empty: only listen")
    expect: Pattern = Field(description="Regular expression that one line of the answer matches")
    refuse: Pattern | None = Field(None, description="Regular expression that fails the unit")
    timeout_s: float = Field(5.0, gt=0, le=120)


class ConsoleSpec(Spec):
    """How a running firmware takes its token over its serial console."""

    preset: Literal["classic-edgent", "edgent"] | None = Field(
        None, description="Blynk's own commands; what the table says itself comes first"
    )
    baud: int = Field(115200, ge=9600, le=4_000_000)
    line_end: Literal["\n", "\r", "\r\n"] = Field("\n", description="Behind each line sent")
    enter: Literal["reset", "open"] = Field(
        "reset", description="reset: by the port's lines; open: the firmware runs already"
    )
    ready: Pattern | None = Field(None, description="What it says once its console listens")
    ready_timeout_s: float = Field(10.0, gt=0, le=120)
    identify: tuple[AskSpec, ...] = Field(
        min_length=1, description="Their named groups: mac or serial, and what `require` names"
    )
    require: dict[str, str] = Field(
        default_factory=dict, description="Group of `identify` → what it has to say"
    )
    erase: tuple[AskSpec, ...] = Field((), description="Sent before the token")
    inject: tuple[AskSpec, ...] = Field(min_length=1, description="One of them sends {auth}")
    holds: AskSpec | None = Field(
        None, description="What the unit holds: the group `token`, empty where it has none"
    )
    proof: Literal["read_back", "reply"] = Field(
        "reply", description="read_back: `holds` tells the token; reply: `inject` was answered"
    )

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, table: Any) -> Any:
        """A preset's lines, under what the profile says itself."""
        if isinstance(table, dict) and table.get("preset") in CONSOLES:
            return {**CONSOLES[table["preset"]], **table}
        return table

    @model_validator(mode="after")
    def _proves_what_it_does(self) -> Self:
        if self.proof == "read_back" and (
            self.holds is None or "token" not in re.compile(self.holds.expect).groupindex
        ):
            raise ValueError("proof 'read_back' needs `holds` with a group (?P<token>…)")
        if sum("{auth}" in ask.send for ask in self.inject) != 1:
            raise ValueError("exactly one line of `inject` sends {auth}")
        known = {name for ask in self.identify for name in re.compile(ask.expect).groupindex}
        if not known & {"mac", "serial"}:
            raise ValueError("`identify` needs a group (?P<mac>…) or (?P<serial>…)")
        if missing := sorted(set(self.require) - known):
            raise ValueError(f"`require` names '{missing[0]}', which no pattern of identify has")
        return self


_OK = r'"status":"OK"'
_BAD = r'"status":"error"'
_IDENTIFY = (
    {"name": "devinfo", "send": "devinfo", "expect": r'"fw_type":"(?P<type>[^"]*)"'},
    {"name": "wifi show", "send": "wifi show", "expect": r"mac:(?P<mac>[0-9A-Fa-f:]{17})"},
)
CONSOLES: dict[str, dict[str, Any]] = {
    "classic-edgent": {
        "identify": _IDENTIFY,
        "inject": (
            {"name": "connect", "send": "connect {auth} {ssid} {pass}", "expect": _OK,
             "refuse": _BAD},
        ),
    },
    "edgent": {
        "identify": _IDENTIFY,
        "erase": ({"name": "config erase", "send": "config erase", "expect": _OK},),
        "inject": (
            {"name": "connect", "send": "connect {auth}", "expect": _OK, "refuse": _BAD},
        ),
    },
}  # fmt: skip
"""Blynk's own consoles (blynk-library ``Edgent``, Edgent-Arduino): the firmware answers that it
took the token, and tells it to nobody, so what it proves is `reply`."""
