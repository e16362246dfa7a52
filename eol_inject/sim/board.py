"""One board: a chip with its MAC, its efuses and its flash. A port can meet two of them."""

import random
from collections.abc import Callable

from eol_inject.sim.flash import Flash
from eol_inject.sim.models import Model
from eol_inject.sim.registers import Registers


class Board:
    """What stays the same from reset to reset, and goes away with the unit."""

    def __init__(
        self,
        model: Model,
        mac: bytes,
        flash_size: int,
        *,
        secure_boot: bool = False,
        flash_encryption: bool = False,
        release: bool = False,
        secure_download: bool = False,
        bad_sector: Callable[[int], bool] = lambda _sector: False,
        baud: Callable[[], int] = lambda: 115200,
    ) -> None:
        self.model = model
        self.mac = mac
        self.secure_boot = secure_boot
        self.flash_encryption = flash_encryption
        self.secure_download = secure_download
        self.flash = Flash(flash_size, bad_sector)
        self.networks: dict[str, str] = {}
        """WiFi that a firmware's console was told, and kept; not in the flash's bytes."""
        self._pad = random.Random(mac).randbytes(flash_size) if flash_encryption else b""  # noqa: S311  # stands for AES-XTS, hides nothing
        self._new_registers: Callable[[], Registers] = lambda: Registers(
            model,
            mac,
            flash_size,
            secure_boot=secure_boot,
            flash_encryption=flash_encryption,
            release=release,
            baud=baud,
        )
        self.registers = self._new_registers()

    def crypt(self, address: int, data: bytes) -> bytes:
        """What flash encryption makes of ``data``, in or out; the same where it is off."""
        if not self._pad:
            return data
        at = address % self.flash.size
        pad = self._pad[at : at + len(data)]
        mixed = int.from_bytes(data, "little") ^ int.from_bytes(pad, "little")
        return mixed.to_bytes(len(data), "little")

    def read_decrypted(self, address: int, size: int) -> bytes:
        """As the running chip sees its flash."""
        return self.crypt(address, self.flash.read(address, size))

    def reset(self) -> None:
        """Registers go back to their values at reset; the flash stays."""
        self.registers = self._new_registers()
