"""Where each chip keeps what esptool asks for: rows of addresses.

Source: esptool 5.6.0 ``esptool/targets/*.py`` for every address, bit and magic value; ROM banners
from the chips' own boot logs. Values at reset are those of a common, current module.
ESP32-E22, H21 and S31 have no public manual yet: they are what esptool says of them, no more.
"""

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Literal

from eol_inject.chips import CHIPS, Chip

MAGIC_REGISTER: Final = 0x40001000
_XTS_128: Final = 4
"""Purpose of an efuse key: flash encryption with XTS-AES-128."""


WITH_USB_JTAG: Final = frozenset(
    {
        "esp32c3", "esp32c5", "esp32c6", "esp32c61", "esp32h2", "esp32h21", "esp32h4", "esp32p4",
        "esp32s3", "esp32s31",
    }
)  # fmt: skip
"""Chips with a USB-Serial/JTAG of their own (their technical reference manuals)."""


@dataclass(frozen=True, slots=True)
class Spi:
    """The SPI controller that reaches the flash; offsets from ``base``."""

    base: int
    usr: int = 0x18
    usr2: int = 0x20
    w0: int = 0x58
    address_msb: bool = False
    """Whether a 24-bit address stands in the upper bits of the address register."""


@dataclass(frozen=True, slots=True)
class Model:
    """One chip's registers and manners."""

    name: str
    magic: int
    """What stands at 0x40001000, and tells older chips apart."""
    spi: Spi
    mac: int
    """First efuse word of the MAC."""
    mac_layout: Literal["esp8266", "esp32", "low_first"]
    banner: str
    """What the mask ROM says first after a reset."""
    flash_boot: str
    """``boot:…`` of a start from flash."""
    download_boot: str
    """``boot:…`` of the download mode."""
    words: MappingProxyType[int, int] = field(default_factory=lambda: MappingProxyType({}))
    """Registers that do not read as zero."""
    security_bytes: Literal[0, 12, 20] = 20
    """Length of the security information; 0 where the ROM has no such command."""
    secure_boot: tuple[int, int] | None = None
    """Efuse register and mask that say secure boot."""
    flash_encryption: tuple[tuple[int, int], ...] = ()
    """Efuse registers and bits: one odd bit of the crypt counter, and that there is a key."""
    release: tuple[int, int] | None = None
    """Efuse register and bit that say the loader encrypts nothing any more."""
    clock_divider: int = 0x60000014
    """UART divider register."""
    crystal_hz: int = 40_000_000
    divider_factor: int = 1
    rom_baud: int = 115200
    """Of the ROM's own messages."""
    has_download_lock: bool = True
    """Whether the chip knows Secure Download Mode."""
    stub_by_read_pointer: int | None = None
    """ROM variable through which a stub is started where secure boot is on."""

    @property
    def chip(self) -> Chip:
        """The chip's row for everybody."""
        return CHIPS[self.name]

    @property
    def is_esp8266(self) -> bool:
        """The one that differs in nearly everything."""
        return self.name == "esp8266"


def _words(**named: int) -> MappingProxyType[int, int]:
    return MappingProxyType({int(name[1:], 16): value for name, value in named.items()})


def _riscv(
    name: str,
    magic: int,
    efuse: int,
    *,
    spi: int,
    words: MappingProxyType[int, int],
    secure_boot: tuple[int, int],
    flash_encryption: tuple[tuple[int, int], ...],
    release: int = 1 << 20,
    mac: int = 0x44,
    build: str = "",
    crystal_hz: int = 40_000_000,
    clock_divider: int = 0x60000014,
) -> Model:
    """A chip of the newer kind; efuse offsets count from ``efuse``."""
    return Model(
        name,
        magic,
        Spi(spi),
        efuse + mac,
        "low_first",
        f"ESP-ROM:{name}-sim{build}",
        "0xc (SPI_FAST_FLASH_BOOT)",
        "0x4 (DOWNLOAD(USB/UART0/1))",
        words=MappingProxyType({efuse + offset: value for offset, value in words.items()}),
        secure_boot=(efuse + secure_boot[0], secure_boot[1]),
        flash_encryption=tuple((efuse + offset, bits) for offset, bits in flash_encryption),
        release=(efuse + 0x30, release) if flash_encryption else None,
        crystal_hz=crystal_hz,
        clock_divider=clock_divider,
    )


def _block1(**named: int) -> MappingProxyType[int, int]:
    """Efuse block 1 words by number, ``w3=…``, as offsets from the efuse base."""
    return MappingProxyType({0x44 + 4 * int(name[1:]): value for name, value in named.items()})


MODELS: Final[dict[str, Model]] = {
    model.name: model
    for model in (
        Model(
            "esp8266",
            0xFFF0C101,
            Spi(0x60000200, usr=0x1C, usr2=0x24, w0=0x40, address_msb=True),
            0x3FF00050,
            "esp8266",
            " ets Jan  8 2013,rst cause:2, ",
            "boot mode:(3,6)",
            "boot mode:(1,6)",
            security_bytes=0,
            crystal_hz=26_000_000,
            divider_factor=2,
            rom_baud=74880,
            has_download_lock=False,
        ),
        Model(
            "esp32",
            0x00F01D83,
            Spi(0x3FF42000, usr=0x1C, usr2=0x24, w0=0x80, address_msb=True),
            0x3FF5A004,
            "esp32",
            "ets Jul 29 2019 12:21:46",
            "0x13 (SPI_FAST_FLASH_BOOT)",
            "0x3 (DOWNLOAD_BOOT(UART0/UART1/SDIO_REI_REO_V2))",
            words=_words(
                x3FF5A00C=(1 << 15) | (1 << 13) | (1 << 9),  # D0WD, 240 MHz, revision bit 0
                x3FF5A010=0xA0,  # CK8M frequency: makes the ROM's crystal estimate 40 MHz
                x3FF5A014=(1 << 20) | (1 << 24),  # revision bit 1, minor 1: v3.1
                x3FF6607C=1 << 31,  # APB date: revision bit 2
                x3FF5F06C=640 << 7,  # RTC calibration, with CK8M above 40 MHz
            ),
            security_bytes=0,
            secure_boot=(0x3FF5A018, 1 << 5),
            flash_encryption=(
                (0x3FF5A000, 1 << 20 | 1 << 19 | 1 << 16),  # counter; config and key unreadable
            ),
            release=(0x3FF5A018, 1 << 7),
            clock_divider=0x3FF40014,
            has_download_lock=False,
        ),
        Model(
            "esp32s2",
            0x000007C6,
            Spi(0x3F402000),
            0x3F41A044,
            "low_first",
            "ESP-ROM:esp32s2-sim",
            "0x8 (SPI_FAST_FLASH_BOOT)",
            "0x0 (DOWNLOAD_BOOT)",
            words=_words(x3F41A050=1 << 18),  # v1.0
            security_bytes=12,
            secure_boot=(0x3F41A038, 1 << 20),
            flash_encryption=((0x3F41A034, 1 << 18 | _XTS_128 << 24),),
            release=(0x3F41A030, 1 << 19),
            clock_divider=0x3F400014,
        ),
        Model(
            "esp32s3",
            0x9,
            Spi(0x60002000),
            0x60007044,
            "low_first",
            "ESP-ROM:esp32s3-sim",
            "0x8 (SPI_FAST_FLASH_BOOT)",
            "0x0 (DOWNLOAD(USB/UART0))",
            words=_words(x60007050=2 << 18),  # v0.2
            secure_boot=(0x60007038, 1 << 20),
            flash_encryption=((0x60007034, 1 << 18 | _XTS_128 << 24),),
            release=(0x60007030, 1 << 20),
            stub_by_read_pointer=0x3FCEF688,
        ),
        _riscv(
            "esp32c2",
            0x6F51306F,
            0x60008800,
            spi=0x60002000,
            words=MappingProxyType({0x44: (1 << 20) | (1 << 16)}),  # v1.1
            secure_boot=(0x30, 1 << 21),
            flash_encryption=((0x30, 1 << 7), (0x60, 1)),
            release=1 << 6,
            mac=0x40,
        ),
        _riscv(
            "esp32c3",
            0x1B31506F,
            0x60008800,
            spi=0x60002000,
            words=_block1(w3=4 << 18),  # v0.4
            secure_boot=(0x38, 1 << 20),
            flash_encryption=((0x34, 1 << 18 | _XTS_128 << 24),),
            build="-20210207",
        ),
        _riscv(
            "esp32c5",
            0x1101406F,
            0x600B4800,
            spi=0x60003000,
            words=_block1(w2=1 << 4),  # v1.0
            secure_boot=(0x38, 1 << 25),
            flash_encryption=((0x34, 1 << 16 | _XTS_128 << 22),),
        ),
        _riscv(
            "esp32c6",
            0x2CE0806F,
            0x600B0800,
            spi=0x60003000,
            words=_block1(w3=1 << 18),  # v0.1
            secure_boot=(0x38, 1 << 20),
            flash_encryption=((0x34, 1 << 18 | _XTS_128 << 24),),
        ),
        _riscv(
            "esp32c61",
            0x7211606F,
            0x600B4800,
            spi=0x60003000,
            words=_block1(w2=1 << 4),  # v1.0
            secure_boot=(0x34, 1 << 26),
            flash_encryption=((0x30, 1 << 23), (0x34, _XTS_128)),
            release=1 << 14,
        ),
        _riscv(
            "esp32h2",
            0xD7B73E80,
            0x600B0800,
            spi=0x60003000,
            words=_block1(w3=2 << 18),  # v0.2
            secure_boot=(0x38, 1 << 20),
            flash_encryption=((0x34, 1 << 18 | _XTS_128 << 24),),
            crystal_hz=32_000_000,
        ),
        _riscv(
            "esp32h21",
            0,
            0x600B4000,
            spi=0x60003000,
            words=_block1(w5=1 << 4),  # v0.1
            secure_boot=(0x38, 1 << 20),
            flash_encryption=((0x34, 1 << 18 | _XTS_128 << 24),),
            crystal_hz=32_000_000,
        ),
        _riscv(
            "esp32h4",
            0x0000001C,
            0x600B1800,
            spi=0x60099000,
            words=MappingProxyType({}),
            secure_boot=(0x38, 1 << 5),
            flash_encryption=((0x30, 1 << 23), (0x34, _XTS_128)),
            release=1 << 14,
            crystal_hz=32_000_000,
            clock_divider=0x60012014,
        ),
        _riscv(
            "esp32p4",
            0x00000012,
            0x5012D000,
            spi=0x5008D000,
            words=_block1(w2=1 << 4),  # v1.0
            secure_boot=(0x38, 1 << 20),
            flash_encryption=((0x34, 1 << 18 | _XTS_128 << 24),),
        ),
        _riscv(
            "esp32s31",
            0,
            0x20715000,
            spi=0x20501000,
            words=MappingProxyType({0x5C: 1 << 18}),  # v0.1
            secure_boot=(0x3C, 1 << 2),
            flash_encryption=((0x34, 1 << 21), (0x38, _XTS_128)),
            mac=0x50,
        ),
        _riscv(
            "esp32e22",
            0,
            0xC4008000,
            spi=0xC3003000,
            words=MappingProxyType({}),
            secure_boot=(0x38, 1 << 20),
            flash_encryption=(),  # esptool 5.6.0 knows no place for it yet
            clock_divider=0xC3102014,
        ),
    )
}
