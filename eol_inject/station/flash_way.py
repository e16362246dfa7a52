"""Flash written over the chip's own boot loader, and read back over the wire."""

from collections.abc import Callable, Mapping
from types import MappingProxyType, TracebackType
from typing import Final, Self

from eol_inject.device import Device, Identity, Rates, Watch, open_device, watch_loader
from eol_inject.events import ByteProgress
from eol_inject.image import Patched
from eol_inject.ledger import Cycle, Ledger, Reserved, Standing
from eol_inject.profiles import Profile
from eol_inject.station import boot_check, content
from eol_inject.station.content import Product
from eol_inject.station.golden import load_firmware, where
from eol_inject.station.resume import Next
from eol_inject.station.teller import Teller
from eol_inject.station.way import AskSerial, AtHand, KeepLease
from eol_inject.unit import AuthToken, Proof
from eol_inject.verify import Findings


def open_flash_way(
    profile: Profile, ledger: Ledger, *, aborted: Callable[[], bool] = lambda: False
) -> "FlashWay":
    """Judge the profile's files. Raises ``UsageError`` with image's own codes."""
    files = load_firmware(profile)
    product = Product(profile, ledger, files, where(profile, files))
    return FlashWay(product, opener(profile, aborted), FlashAtHand)


NO_TOOLS: Final[Mapping[str, str]] = MappingProxyType({})


OpenUnit = Callable[[str, Rates, KeepLease], Device]
"""Opens a port at rates that may be lower than the profile's."""


def opener(profile: Profile, aborted: Callable[[], bool]) -> OpenUnit:
    """For the units of a profile."""

    def open_at(port: str, rates: Rates, keep: KeepLease) -> Device:
        spec = profile.spec.device.model_copy(
            update={"baud": rates.transfer, "first_baud": rates.sync}
        )
        return open_device(port, spec, aborted=aborted, waiting=keep)

    return open_at


class FlashWay:
    """See ``way.Way``; ``take`` makes what holds one unit."""

    def __init__(
        self,
        product: Product,
        open_unit: OpenUnit,
        take: Callable[[Product, Device], AtHand],
    ) -> None:
        self._product = product
        self._open = open_unit
        self._take = take

    @property
    def image_sha256(self) -> str:
        """Of the golden image's file."""
        return self._product.firmware.sha256

    @property
    def firmware_name(self) -> str:
        """Type and version as the image says them."""
        return self._product.firmware.name

    @property
    def tools(self) -> Mapping[str, str]:
        """esptool is a library, and on record as one."""
        return NO_TOOLS

    def open(self, port: str, rates: Rates, ask: AskSerial, keep: KeepLease) -> AtHand:
        """Open the port."""
        return self._take(self._product, self._open(port, rates, keep))

    def watch(self, port: str) -> Watch:
        """By the chip's boot loader."""
        return watch_loader(port, self._product.profile.spec.device)


class FlashAtHand:
    """See ``way.AtHand``."""

    def __init__(self, product: Product, device: Device) -> None:
        self._product = product
        self._device = device
        self._before = content.before_write(product, device)
        self._identity: Identity | None = None
        self._stale: tuple[tuple[int, int], ...] = ()
        """(address, size) of a saved configuration that has to go."""
        self._kept: dict[str, bytes] = {}
        """What stores hold that the token shares with others, by region."""
        self._patched: Patched | None = None

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
        """A protected chip is refused, unless the profile knows better."""
        self._known.security.refuse_if_secured(self._product.profile.spec.device.security)

    def inspect(self, standing: Standing) -> Findings:
        """Every place the firmware would look in, over the wire."""
        findings = content.inspect(self._product, self._before, self._known)
        unit = self._known.unit
        self._stale = content.stale_configuration(self._product, findings, standing.own, unit)
        return findings.without_saved() if self._stale else findings

    def ready(self, state: str, going_on: Next) -> None:
        """`inject`: the golden image is there; what shares the token's store can be kept."""
        if self._product.profile.spec.device.mode == "inject":
            content.prove_golden(self._product, self._before)
        self._kept = content.kept(self._product, self._device, state, going_on)

    def patch(self, reserved: Reserved) -> None:
        """The unit's own image, from the golden one."""
        self._patched = content.patch(self._product, reserved.auth, reserved.fields, self._kept)

    def write(self, cycle: Cycle, teller: Teller, progress: ByteProgress) -> None:
        """Whole sectors, hashed by the chip."""
        self.settle(cycle, teller)
        whole = self._product.profile.spec.device.mode == "flash"
        common = self._product.firmware.common if whole else frozenset()
        for blocks in self._product.firmware.groups(self._made, whole=whole):
            self._device.write(cycle.unit, blocks, progress, common=common)

    def settle(self, cycle: Cycle, teller: Teller) -> None:
        """A saved configuration that would beat the token goes, where the profile says so."""
        for address, size in self._stale:
            cycle.note("erase_stale", address=f"{address:#x}", size=size)
            self._device.erase(cycle.unit, address, size)
            teller.note("verify.stale_erased", f"An old configuration at {address:#x} was erased.")

    def read_back(self) -> tuple[AuthToken, Proof]:
        """From the unit's own bytes."""
        expected = self._product.firmware.expected(self._made)
        auth = content.read_back(self._product, self._device, self._known, expected)
        return auth, Proof.READ_BACK

    def boot_check(self, keep: Callable[[str], None]) -> None:
        """Reset into the application and listen."""
        spec = self._product.profile.spec.boot
        if spec is not None:
            boot_check.run(self._device, spec, self._known.unit, keep)

    @property
    def _known(self) -> Identity:
        assert self._identity is not None  # noqa: S101  # the cycle identifies first
        return self._identity

    @property
    def _made(self) -> Patched:
        assert self._patched is not None  # noqa: S101  # the cycle patches before it writes
        return self._patched
