"""Flash that the chip encrypts while it is written, and that only the chip can read.

Nothing can be read back, so three things stand in for it. A unit that the ledger has not begun has
to be erased, all of its flash, by the chip's own MD5 (erased flash is FF, encrypted or not). For a
unit that it has begun the ledger's word counts, and its image is written again in every cycle with
the same token, since what stands there could be anything. The proof is the unit's own firmware, a
``reply``: its boot loader decrypts the application and checks its hash before it starts it.
"""

import hashlib
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

from eol_inject.device import Device, Identity
from eol_inject.device.masking import hide
from eol_inject.errors import UnitError
from eol_inject.events import ByteProgress
from eol_inject.image import Patched
from eol_inject.image.firmware import require_decrypted
from eol_inject.ledger import Cycle, Ledger, Reserved, Standing
from eol_inject.profiles import Profile
from eol_inject.station import boot_check, content
from eol_inject.station.content import Product
from eol_inject.station.flash_way import FlashWay, opener
from eol_inject.station.golden import load_firmware, where
from eol_inject.station.resume import Next
from eol_inject.station.teller import Teller
from eol_inject.unit import AuthToken, Proof, Secret
from eol_inject.verify import Findings, Place, PlaceState, TableState

_BLANK: Final = Findings(places=(), effective=None, table=TableState.NONE)
_LAST_WORDS: Final = 300
"""Characters of a console that did not say what it should, for the notice about it."""


def open_encrypted_way(
    profile: Profile, ledger: Ledger, *, aborted: Callable[[], bool] = lambda: False
) -> FlashWay:
    """Judge the profile's files. Raises ``UsageError`` with image's own codes."""
    files = load_firmware(profile)
    require_decrypted(files)
    product = Product(profile, ledger, files, where(profile, files))
    return FlashWay(product, opener(profile, aborted), EncryptedAtHand)


class EncryptedAtHand:
    """See ``way.AtHand``."""

    def __init__(self, product: Product, device: Device) -> None:
        self._product = product
        self._device = device
        self._identity: Identity | None = None
        self._auth: AuthToken | None = None
        self._secrets: tuple[Secret, ...] = ()
        self._patched: Patched | None = None
        self._teller: Teller | None = None
        self._heard = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._device.close()

    def identify(self) -> Identity:
        """By the chip's MAC."""
        self._identity = self._device.identify()
        return self._identity

    def admit(self) -> None:
        """Flash encryption is on, and still open to the loader; nothing else is burned."""
        self._known.security.refuse_if_secured("encrypted")

    def inspect(self, standing: Standing) -> Findings:
        """Erased, or what the ledger says of a unit that it knows.

        Raises ``UnitError("verify.not_erased")`` for a unit that holds something, and to which the
        ledger gave nothing.
        """
        if self._is_erased():
            return _BLANK
        if standing.own is None:
            raise UnitError("verify.not_erased", unit=str(self._known.unit))
        by_word = Place(
            "application, by the ledger's word",
            self._product.firmware.app_address,
            PlaceState.TOKEN,
            standing.own,
            bootable=True,
            used=True,
        )
        return Findings(places=(by_word,), effective=standing.own, table=TableState.NONE)

    def ready(self, state: str, going_on: Next) -> None:
        """Whatever the unit holds is written over."""

    def patch(self, reserved: Reserved) -> None:
        """The unit's own image, from the golden one."""
        self._auth = reserved.auth
        self._secrets = reserved.secrets
        self._patched = content.patch(self._product, reserved.auth, reserved.fields, {})

    def write(self, cycle: Cycle, teller: Teller, progress: ByteProgress) -> None:
        """Everything, encrypted by the chip; the identity read before and after."""
        assert self._patched is not None  # noqa: S101  # the cycle patches before it writes
        self._teller = teller
        for blocks in self._product.firmware.groups(self._patched, whole=True):
            self._device.write(cycle.unit, blocks, progress)
            cycle.keep()

    def settle(self, cycle: Cycle, teller: Teller) -> None:
        """The same image and token once more: what the unit holds cannot be seen."""
        cycle.note("write_again")
        self.write(cycle, teller, teller.progress)
        teller.note("verify.written_again", "Written again: encrypted flash cannot be read back.")

    def read_back(self) -> tuple[AuthToken, Proof]:
        """Start the firmware that was just written, and hear it say what the profile expects."""
        spec = self._product.profile.spec.boot
        assert spec is not None  # noqa: S101  # the profile was refused without it
        assert self._auth is not None  # noqa: S101  # the cycle patches before it reads back
        try:
            boot_check.run(self._device, spec, self._known.unit, self._keep)
        except UnitError as bad:
            if self._teller is not None and self._heard:
                self._teller.note(bad.code, f"The unit's last words: {self._heard[-_LAST_WORDS:]}")
            raise
        return self._auth, Proof.REPLY

    def boot_check(self, keep: Callable[[str], None]) -> None:
        """Done already; what was heard stays with the attempt."""
        keep(self._heard)

    def _keep(self, log: str) -> None:
        self._heard = hide(log, self._secrets)

    def _is_erased(self) -> bool:
        size = self._known.flash_size
        ours = hashlib.md5(b"\xff" * size, usedforsecurity=False).hexdigest()
        return self._device.md5(0, size).lower() == ours

    @property
    def _known(self) -> Identity:
        assert self._identity is not None  # noqa: S101  # the cycle identifies first
        return self._identity
