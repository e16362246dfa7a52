"""Facts of chips as rows; behaviour is elsewhere.

Sources: esptool 5.6.0 ``esptool/targets/*.py`` (addresses, image chip ids, detection values) and
the chips' technical reference manuals where named.
"""

from dataclasses import dataclass
from typing import Final, Literal

SECTOR: Final = 4096
"""Bytes the flash erases at once."""


@dataclass(frozen=True, slots=True)
class Chip:
    """One chip. All addresses and sizes in bytes."""

    name: str
    """As esptool's ``--chip`` takes it."""
    title: str
    """As esptool prints it."""
    family: Literal["esp32", "esp8266"]
    """How its images are built: extended header and SHA-256, or not."""
    image_chip_id: int | None
    """Chip id in the extended header of an image; ESP8266 has none."""
    bootloader_address: int
    """Where the second-stage bootloader stands."""
    default_flash: int = 4 * 1024 * 1024
    """Flash size of a common module."""


CHIPS: Final[dict[str, Chip]] = {
    chip.name: chip
    for chip in (
        Chip("esp8266", "ESP8266", "esp8266", None, 0x0),
        Chip("esp32", "ESP32", "esp32", 0, 0x1000),
        Chip("esp32s2", "ESP32-S2", "esp32", 2, 0x1000),
        Chip("esp32s3", "ESP32-S3", "esp32", 9, 0x0),
        Chip("esp32c2", "ESP32-C2", "esp32", 12, 0x0),
        Chip("esp32c3", "ESP32-C3", "esp32", 5, 0x0),
        Chip("esp32c5", "ESP32-C5", "esp32", 23, 0x2000),
        Chip("esp32c6", "ESP32-C6", "esp32", 13, 0x0),
        Chip("esp32c61", "ESP32-C61", "esp32", 20, 0x0),
        Chip("esp32e22", "ESP32-E22", "esp32", 31, 0x0),
        Chip("esp32h2", "ESP32-H2", "esp32", 16, 0x0),
        Chip("esp32h21", "ESP32-H21", "esp32", 25, 0x0),
        Chip("esp32h4", "ESP32-H4", "esp32", 28, 0x2000),
        Chip("esp32p4", "ESP32-P4", "esp32", 18, 0x2000),
        Chip("esp32s31", "ESP32-S31", "esp32", 32, 0x2000),
    )
}
"""By name. Whoever learns of a chip that is newer than this table adds it by ``learn``."""


def learn(chip: Chip) -> None:
    """Add a chip for the rest of this process; a row that is there stays as it is."""
    CHIPS.setdefault(chip.name, chip)


def by_image_id(chip_id: int) -> Chip | None:
    """The chip whose images carry this id in their extended header."""
    return next((row for row in CHIPS.values() if row.image_chip_id == chip_id), None)
