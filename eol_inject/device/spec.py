"""What a profile says about the unit's chip and how to reach it: ``[device]`` and ``[boot]``."""

import re
from typing import Literal

from pydantic import Field, field_validator

from eol_inject import chips
from eol_inject.device.identity import SecurityChoice
from eol_inject.specs import Spec


class DeviceSpec(Spec):
    """The chip, the wire and the mode of the cycle."""

    chip: str = Field(description="Chip name as esptool says it, e.g. esp32c3")
    mode: Literal["flash", "inject"] = Field(
        "flash",
        description="flash: firmware and token in one pass; inject: golden image is already there",
    )
    baud: int = Field(921600, ge=9600, le=4_000_000, description="Baud rate for transfers")
    first_baud: int = Field(
        460800,
        ge=9600,
        le=921600,
        description="Baud rate of the first sync; where it fails, 115200 is tried then",
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


class PresenceSpec(Spec):
    """How a station knows that a unit is in its slot, and that it has left."""

    kind: Literal["enter", "usb", "cts", "dsr", "dcd", "poll"] = Field(
        "enter",
        description="enter: somebody says so; usb: its port is there; cts, dsr, dcd: a switch of "
        "the fixture on that line; poll: it answers its boot loader",
    )
    debounce_s: float = Field(0.3, ge=0, le=10, description="Steady for so long before it counts")
    every_s: float = Field(0.2, gt=0, le=10, description="Seconds between two looks")


class BootSpec(Spec):
    """What the firmware has to say on its console after the write; without it nothing is asked."""

    expect: str = Field(description="Regular expression that one console line must match")
    refuse: str | None = Field(None, description="Regular expression that fails the unit")
    timeout_s: float = Field(5.0, gt=0, le=120)
    baud: int = Field(115200, ge=9600)

    @field_validator("expect", "refuse")
    @classmethod
    def _compiles(cls, pattern: str | None) -> str | None:
        if pattern is not None:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"not a regular expression: {error}") from None
        return pattern
