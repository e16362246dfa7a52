"""A golden image and the copies made of it, one for each unit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from eol_inject.errors import UsageError
from eol_inject.image import containers, identity, plans, regions, signatures
from eol_inject.image.containers.esp import EspImage
from eol_inject.image.plans import Plan, Span
from eol_inject.image.regions import Region
from eol_inject.image.seals import Change, Sealer
from eol_inject.image.spec import RegionSpec
from eol_inject.unit import AuthToken, Secret


@dataclass(frozen=True, slots=True)
class Patched:
    """One unit's image: as long as the golden one, sealed again. It holds the token."""

    data: bytes = field(repr=False)
    regions: tuple[Region, ...]


class Golden:
    """The common image of a product, judged once and patched for each unit.

    Raises ``UsageError`` with the code of the first thing that is wrong with it: see
    ``containers.look``, ``regions.locate``, ``identity.require``, and ``image.two_slots``,
    ``image.no_application``, ``image.bad_seal``, ``image.signed``.
    """

    def __init__(
        self,
        data: bytes,
        specs: Sequence[RegionSpec],
        *,
        chip: str | None = None,
        expect_type: str | None = None,
        expect_version: str | None = None,
    ) -> None:
        self.data = data
        self.image = containers.look(data, chip=chip).application()
        identity.require(self.image, fw_type=expect_type, version=expect_version)
        self._specs = tuple(specs)
        self.regions = tuple(regions.locate(self.image, spec) for spec in specs)
        self._sealer = Sealer(self.image, min(region.offset for region in self.regions))
        _require_sound(self.image, self._sealer)
        self._spans: dict[tuple[int, ...], tuple[Span, ...]] = {}

    def patch(self, auth: AuthToken, fields: Mapping[str, str | Secret]) -> Patched:
        """The image of the unit that gets ``auth``.

        Raises ``UsageError``: see ``regions.encode``.
        """
        changes = [
            Change(region.offset, regions.encode(spec, region.size, auth, fields))
            for spec, region in zip(self._specs, self.regions, strict=True)
        ]
        return Patched(self._sealer.apply(changes), self.regions)

    def plan(self, patched: Patched, address: int) -> Plan:
        """How to turn a flash that holds the golden image at ``address`` into the unit's.

        Raises ``UsageError("image.not_plannable")``.
        """
        changed = plans.changed_sectors(self.data, patched.data, address)
        key = (address, *changed)
        if key not in self._spans:
            self._spans[key] = plans.spans(self.data, changed, address)
        return Plan(plans.contents(patched.data, changed, address), self._spans[key])


def patch(
    golden: bytes,
    specs: Sequence[RegionSpec],
    auth: AuthToken,
    fields: Mapping[str, str | Secret],
    *,
    chip: str | None = None,
    expect_type: str | None = None,
    expect_version: str | None = None,
) -> Patched:
    """One unit's image from the golden one. Raises what ``Golden`` and ``Golden.patch`` raise."""
    judged = Golden(
        golden, specs, chip=chip, expect_type=expect_type, expect_version=expect_version
    )
    return judged.patch(auth, fields)


def _require_sound(image: EspImage, sealer: Sealer) -> None:
    """A damaged golden image would be sealed into a valid one, a signed one into a dead unit."""
    seal = sealer.seal()
    if not seal.valid:
        what = "checksum" if not seal.checksum else str(seal.digest)
        raise UsageError("image.bad_seal", what=what)
    signature = signatures.find(image)
    if signature is not None:
        raise UsageError("image.signed", scheme=signature.scheme)
