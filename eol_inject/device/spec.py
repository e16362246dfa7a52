"""What a profile says about the unit's chip and how to reach it: ``[device]`` and ``[boot]``."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from eol_inject import chips
from eol_inject.device.console_presets import PRESETS
from eol_inject.device.identity import Rates, SecurityChoice
from eol_inject.specs import Spec


class DeviceSpec(Spec):
    """The chip, the wire and the mode of the cycle."""

    chip: str = Field(
        "",
        description="Chip name as esptool says it, e.g. esp32c3; a [programmer] has a name of its "
        "own for its chip",
    )
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

    @property
    def rates(self) -> Rates:
        """What a session begins with: no sync is faster than what the wire is trusted with."""
        return Rates(min(self.first_baud, self.baud), self.baud)

    @field_validator("chip")
    @classmethod
    def _known(cls, chip: str) -> str:
        if not chip:
            return chip
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
        "the fixture on that line; poll: it answers its boot loader, where it waits to be taken "
        "out; scan: the slot's name is scanned, or anything where there is one slot",
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
    expect: Pattern | None = Field(
        None,
        description="Regular expression that one line of the answer matches; without it the "
        "console's `prompt` is the answer",
    )
    refuse: Pattern | None = Field(None, description="Regular expression that fails the unit")
    timeout_s: float = Field(5.0, gt=0, le=600)


class ConsoleSpec(Spec):
    """How a running firmware takes its token over its serial console."""

    preset: Literal["classic-edgent", "edgent", "edgent-prefs"] | None = Field(
        None, description="Blynk's own commands; what the table says itself comes first"
    )
    baud: int = Field(115200, ge=9600, le=4_000_000)
    line_end: Literal["\n", "\r", "\r\n"] = Field("\n", description="Behind each line sent")
    longest: int = Field(
        1000, ge=40, description="Bytes that the console takes as one line, with its end"
    )
    escape: Literal["word", "blynk", "quotes", "raw"] = Field(
        "word",
        description="How a value in {braces} is sent. word: only one without blanks, quotes and "
        "backslashes; blynk: those as \\xNN; quotes: in double quotes, with backslashes; raw: as "
        "it is. What cannot be sent is refused",
    )
    enter: Literal["reset", "open"] = Field(
        "reset", description="reset: by the port's lines; open: the firmware runs already"
    )
    ready: Pattern | None = Field(
        None,
        description="What it says once its console listens; without it `prompt`, after a reset",
    )
    prompt: Pattern | None = Field(
        None, description="How a line begins, with or without an end, when it waits for a command"
    )
    ready_timeout_s: float = Field(10.0, gt=0, le=120)
    identify: tuple[AskSpec, ...] = Field(
        min_length=1, description="Their named groups: mac or serial, and what `require` names"
    )
    require: dict[str, str] = Field(
        default_factory=dict, description="Group of `identify` → what it has to say"
    )
    erase: tuple[AskSpec, ...] = Field((), description="Sent before the token")
    inject: tuple[AskSpec, ...] = Field(
        min_length=1,
        description="One of them sends {auth}; the last answer has to mean that it is saved",
    )
    holds: AskSpec | None = Field(None, description="What the unit holds: the group `token`")
    blank: Pattern = Field(
        "",
        description="What the whole group `token` says where there is none; what is neither this "
        "nor a token stops the unit",
    )
    blind: bool = Field(
        False, description="Instead of `holds`: the firmware tells nobody, the ledger's word counts"
    )
    cloud: bool = Field(False, description="The token is saved only once the cloud has accepted it")
    proof: Literal["read_back", "reply"] = Field(
        "reply", description="read_back: `holds` tells the token; reply: `inject` was answered"
    )

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, table: Any) -> Any:
        """A preset's lines, under what the profile says itself."""
        if not isinstance(table, dict) or table.get("preset") not in PRESETS:
            return table
        preset = PRESETS[table["preset"]]
        if "holds" in table:
            preset = {**preset, "blind": False}
        if "inject" in table:
            preset = {**preset, "cloud": False}
        return {**preset, **table}

    @model_validator(mode="after")
    def _proves_what_it_does(self) -> Self:
        if (self.holds is None) != self.blind:
            raise ValueError(
                "`holds` with a group (?P<token>…), or blind = true where the firmware tells nobody"
            )
        if self.holds is not None and "token" not in _groups(self.holds):
            raise ValueError("`holds` needs a group (?P<token>…)")
        if self.proof == "read_back" and self.holds is None:
            raise ValueError("proof 'read_back' needs `holds` with a group (?P<token>…)")
        if sum("{auth}" in ask.send for ask in self.inject) != 1:
            raise ValueError("exactly one line of `inject` sends {auth}")
        known = {name for ask in self.identify for name in _groups(ask)}
        if not known & {"mac", "serial"}:
            raise ValueError("`identify` needs a group (?P<mac>…) or (?P<serial>…)")
        if missing := sorted(set(self.require) - known):
            raise ValueError(f"`require` names '{missing[0]}', which no pattern of identify has")
        return self

    @model_validator(mode="after")
    def _every_line_is_answered(self) -> Self:
        for ask in self.asks:
            if ask.expect is None and (self.prompt is None or not ask.send):
                raise ValueError(f"nothing answers '{ask.name}': give it `expect`, or a `prompt`")
        return self

    @property
    def asks(self) -> tuple[AskSpec, ...]:
        """Every line, in the order in which they are sent."""
        return (
            *self.identify, *self.erase, *self.inject, *((self.holds,) if self.holds else ()),
        )  # fmt: skip


def _groups(ask: AskSpec) -> set[str]:
    return set(re.compile(ask.expect or "").groupindex)
