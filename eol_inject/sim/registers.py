"""The registers esptool reads and writes: efuses, the UART divider, the SPI controller.

Whatever was written reads back; the SPI controller runs the flash commands given to it, so the
flash is identified and probed the way a real one is.
"""

from collections.abc import Callable
from typing import Final

from eol_inject.sim.models import MAGIC_REGISTER, Model

_START: Final = 1 << 18
"""SPI_CMD_USR: the controller clears it when the command is done."""
_WINBOND: Final = 0x40EF
"""Manufacturer and type of a W25Q flash, as RDID gives them, low byte first."""
_SFDP: Final = 0x50444653
_NO_FLASH: Final = 0xFFFFFF
_RDID, _RDSFDP, _WRSR = 0x9F, 0x5A, 0x01
_RDSR = (0x05, 0x35, 0x15)


class Registers:
    """The registers of one board; ``baud`` tells the UART's rate of the moment."""

    def __init__(
        self,
        model: Model,
        mac: bytes,
        flash_size: int,
        *,
        secure_boot: bool,
        flash_encryption: bool,
        release: bool,
        baud: Callable[[], int],
    ) -> None:
        self._model = model
        self._baud = baud
        self._flash_id = _WINBOND | (flash_size.bit_length() - 1) << 16
        self._status = 0
        self._words: dict[int, int] = dict(model.words)
        self._words[MAGIC_REGISTER] = model.magic
        for register, word in _mac_words(model, mac).items():
            self._words[register] = self._words.get(register, 0) | word  # ESP32-C2: revision beside
        self._last_mac_word = max(_mac_words(model, mac))
        if model.mac_layout == "esp32":
            self._last_mac_word = model.mac  # esptool reads the upper word first
        burned = (*model.flash_encryption,) if flash_encryption else ()
        if secure_boot and model.secure_boot:
            burned += (model.secure_boot,)
        if release and model.release:
            burned += (model.release,)
        for register, bits in burned:
            self._words[register] = self._words.get(register, 0) | bits
        self.attached = False
        """Whether the flash pins were enabled: until then nobody answers on the bus."""

    def read(self, address: int) -> int:
        """One word; registers nobody set read as zero."""
        if address == self._model.clock_divider:
            return self._model.crystal_hz * self._model.divider_factor // max(self._baud(), 1)
        return self._words.get(address, 0)

    def write(self, address: int, value: int, mask: int) -> None:
        """One word under ``mask``; starts a flash command where it says so."""
        old = self._words.get(address, 0)
        self._words[address] = (old & ~mask | value & mask) & 0xFFFFFFFF
        if address == self._model.spi.base and self._words[address] & _START:
            self._words[address] &= ~_START
            self._run()

    def ends_identity(self, address: int) -> bool:
        """Whether esptool knows the whole MAC once it has read this word."""
        return address == self._last_mac_word

    def is_mac(self, address: int) -> bool:
        """Whether the word is part of the MAC."""
        return address in _mac_words(self._model, bytes(6))

    def _run(self) -> None:
        spi = self._model.spi
        command = self._words.get(spi.base + spi.usr2, 0) & 0xFF
        address = self._words.get(spi.base + 4, 0)
        if spi.address_msb:
            address >>= 8
        answer = 0
        if not self.attached:
            answer = _NO_FLASH
        elif command == _RDID:
            answer = self._flash_id
        elif command == _RDSFDP:
            answer = _SFDP if address == 0 else 0xFF
        elif command in _RDSR:
            answer = self._status >> 8 * _RDSR.index(command) & 0xFF
        elif command == _WRSR:
            self._status = self._words.get(spi.base + spi.w0, 0) & 0xFFFF
            return
        self._words[spi.base + spi.w0] = answer


def _mac_words(model: Model, mac: bytes) -> dict[int, int]:
    """Efuse words that hold ``mac``, as each chip's ``read_mac`` in esptool takes them apart."""
    at = model.mac
    if model.mac_layout == "esp8266":
        return {
            at: mac[5] << 24,
            at + 4: mac[3] << 8 | mac[4],
            at + 12: mac[0] << 16 | mac[1] << 8 | mac[2],
        }
    return {at: int.from_bytes(mac[2:], "big"), at + 4: int.from_bytes(mac[:2], "big")}
