"""Facts of chips by esptool's own classes, for those that are newer than ``chips.CHIPS``."""

from eol_inject.chips import Chip
from eol_inject.device.esp_lib import CHIP_DEFS


def facts(name: str) -> Chip | None:
    """The row of the chip that esptool's ``--chip`` calls ``name``; None for one it does not know.

    What esptool adds since the ESP32 is of that family: an extended header with a chip id, and a
    SHA-256 behind the image.
    """
    target = CHIP_DEFS.get(name)
    if target is None:
        return None
    is_esp8266 = name == "esp8266"
    return Chip(
        name,
        str(target.CHIP_NAME),
        "esp8266" if is_esp8266 else "esp32",
        None if is_esp8266 else int(target.IMAGE_CHIP_ID),
        int(target.BOOTLOADER_FLASH_OFFSET),
    )
