"""Where the readers look, and what a profile wants done about what they find (``[inspect]``).

The readers share no code with ``image/``: ``profiles`` builds a ``Where`` for them from the same
tables of the profile.
"""

from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from eol_inject.specs import Spec


class InspectSpec(Spec):
    """The ``[inspect]`` table."""

    stale_nvs: Literal["refuse", "erase"] = Field(
        "refuse",
        description="A valid Blynk configuration in NVS beats the region: stop, or erase that NVS "
        "partition, all of it (every namespace goes, WiFi settings and calibration too)",
    )


@dataclass(frozen=True, slots=True)
class Where:
    """Where the token of a unit can be, all addresses in flash bytes.

    ``hint`` and ``size`` are the region's offset inside the application and its length, from the
    golden image; a unit with another firmware is searched segment by segment, and its region is
    read to its own end.
    """

    family: Literal["esp32", "esp8266"]
    app_address: int
    partition_table: int | None
    """0x8000 by default; None on ESP8266, which has none."""
    region_kind: Literal["blnkopt"]
    hint: int | None = None
    size: int | None = None
    image_chip_id: int | None = None
    """The chip id the image header must carry; None on ESP8266."""
