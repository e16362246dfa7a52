"""One board: a chip with its MAC, its efuses and its flash. A port can meet two of them."""

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
        self.written_plain = False
        """Something was written that flash encryption will not decrypt to what it should be."""
        self._new_registers: Callable[[], Registers] = lambda: Registers(
            model,
            mac,
            flash_size,
            secure_boot=secure_boot,
            flash_encryption=flash_encryption,
            baud=baud,
        )
        self.registers = self._new_registers()

    def reset(self) -> None:
        """Registers go back to their values at reset; the flash stays."""
        self.registers = self._new_registers()
