"""Numbers of the serial protocol: commands, who knows them, and error codes.

Sources: Espressif "Serial Protocol" (esptool documentation), esptool 5.6.0 ``loader.py``.
"""

from enum import IntEnum
from typing import Final


class Op(IntEnum):
    """Commands."""

    FLASH_BEGIN = 0x02
    FLASH_DATA = 0x03
    FLASH_END = 0x04
    MEM_BEGIN = 0x05
    MEM_END = 0x06
    MEM_DATA = 0x07
    SYNC = 0x08
    WRITE_REG = 0x09
    READ_REG = 0x0A
    SPI_SET_PARAMS = 0x0B
    SPI_ATTACH = 0x0D
    READ_FLASH_SLOW = 0x0E
    CHANGE_BAUDRATE = 0x0F
    FLASH_DEFL_BEGIN = 0x10
    FLASH_DEFL_DATA = 0x11
    FLASH_DEFL_END = 0x12
    SPI_FLASH_MD5 = 0x13
    GET_SECURITY_INFO = 0x14
    ERASE_FLASH = 0xD0
    ERASE_REGION = 0xD1
    READ_FLASH = 0xD2
    RUN_USER_CODE = 0xD3


class Rom(IntEnum):
    """The ROM's reasons, behind status 1."""

    INVALID = 0x05
    FAILED = 0x06
    BAD_CHECKSUM = 0x07
    WRITE_FAILED = 0x08
    READ_FAILED = 0x09
    READ_TOO_LONG = 0x0A
    DEFLATE = 0x0B


class Stub(IntEnum):
    """The stub's status bytes."""

    BAD_DATA_LENGTH = 0xC0
    BAD_CHECKSUM = 0xC1
    BAD_ALIGNMENT = 0xC2
    NOT_IN_FLASH_MODE = 0xC6
    INFLATE = 0xC7
    NOT_ENOUGH_DATA = 0xC8
    TOO_MUCH_DATA = 0xC9
    NOT_IMPLEMENTED = 0xFF


ESP8266_ROM_OPS: Final = frozenset(
    {
        Op.FLASH_BEGIN, Op.FLASH_DATA, Op.FLASH_END, Op.MEM_BEGIN, Op.MEM_END, Op.MEM_DATA,
        Op.SYNC, Op.WRITE_REG, Op.READ_REG,
    }
)  # fmt: skip
DOWNLOAD_LOCK_OPS: Final = frozenset(
    {
        Op.FLASH_BEGIN, Op.FLASH_DATA, Op.FLASH_END, Op.FLASH_DEFL_BEGIN, Op.FLASH_DEFL_DATA,
        Op.FLASH_DEFL_END, Op.SYNC, Op.SPI_SET_PARAMS, Op.SPI_ATTACH, Op.CHANGE_BAUDRATE,
        Op.GET_SECURITY_INFO,
    }
)  # fmt: skip
"""What is left in Secure Download Mode."""
_STUB_ONLY: Final = frozenset({Op.ERASE_FLASH, Op.ERASE_REGION, Op.READ_FLASH, Op.RUN_USER_CODE})
ROM_OPS: Final = frozenset(Op) - _STUB_ONLY
STUB_OPS: Final = frozenset(Op) - {Op.READ_FLASH_SLOW}

STUB_LENGTHS: Final[dict[int, tuple[int, ...]]] = {
    Op.FLASH_BEGIN: (16, 20),
    Op.FLASH_DEFL_BEGIN: (16, 20),
    Op.MEM_BEGIN: (16,),
    Op.MEM_END: (8,),
    Op.READ_REG: (4,),
    Op.SPI_SET_PARAMS: (24,),
    Op.SPI_ATTACH: (4,),
    Op.CHANGE_BAUDRATE: (8,),
    Op.SPI_FLASH_MD5: (16,),
    Op.ERASE_FLASH: (0,),
    Op.ERASE_REGION: (8,),
    Op.READ_FLASH: (16,),
    Op.RUN_USER_CODE: (0,),
}
"""The stub refuses other lengths with C000: how a ROM-mode session notices that it talks to one."""
