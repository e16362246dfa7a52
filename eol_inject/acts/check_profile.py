"""Check a profile before a line depends on it: image, region and template against each other."""

from collections.abc import Iterator
from dataclasses import dataclass

from eol_inject.image import firmware
from eol_inject.image.firmware import Firmware
from eol_inject.label import check_template, load_template
from eol_inject.profiles import Profile


@dataclass(frozen=True, slots=True)
class ProfileCheck:
    """What was checked, in the words of ``profile check``."""

    name: str
    sha256: str
    chip: str
    mode: str
    product: str
    image: str
    image_sha256: str
    firmware: str
    region: str
    sectors: str
    template: str
    warnings: tuple[str, ...]


def check_profile(profile: Profile) -> ProfileCheck:
    """Load everything the profile names and try it.

    Raises ``UsageError`` with the first thing that is wrong: the image's, the region's or the
    template's own codes.
    """
    spec = profile.spec
    image = None
    if spec.console is None:
        image = firmware.load(
            profile.firmware,
            spec.regions,
            application=profile.firmware_file,
            parts=profile.part_files,
            chip=spec.device.chip,
        )
        if spec.device.security == "encrypted":
            firmware.require_decrypted(image)
    public = [name for name, field in spec.fields.items() if not field.secret]
    template = "none: units are closed without a label"
    if spec.label is not None:
        known = {"product_name": spec.product.name, "product": spec.product.id}
        names = (spec.label.template, *spec.label.also.values())
        templates = [load_template(profile.template(name)) for name in names]
        for each in templates:
            check_template(each, public, organization=spec.product.organization, known=known)
        template = ", ".join(f"{each.name} ({each.digest[:12]})" for each in templates)
    return ProfileCheck(
        name=profile.name,
        sha256=profile.sha256,
        chip=spec.device.chip,
        mode=spec.device.mode,
        product=f"{spec.product.name} ({spec.product.id})",
        image=str(profile.firmware_file) if image else "none: the token goes in over the console",
        image_sha256=image.sha256 if image else "",
        firmware=image.name if image else "",
        region="; ".join(_places(image) if image else _lines(profile)),
        sectors=", ".join(f"{address:#x}" for address in image.changed) if image else "",
        template=template,
        warnings=(
            *profile.warnings(),
            *(firmware.doubts(image, _flash_size(profile)) if image else ()),
        ),
    )


def _flash_size(profile: Profile) -> int:
    """Bytes the product's flash has: as the profile says, else as a common module does."""
    return profile.spec.device.flash_size or profile.chip.default_flash


def _lines(profile: Profile) -> Iterator[str]:
    """What is said to the console, in words, and what it proves."""
    console = profile.spec.console
    if console is not None:
        yield from (ask.name for ask in console.asks)
        yield f"proof: {console.proof}"


def _places(image: Firmware) -> Iterator[str]:
    """Every region in words: name, size, flash address."""
    for region in image.golden.regions:
        yield f"{region.name}: {region.size} bytes at {image.address + region.offset:#x}"
    for place in image.golden.places:
        yield f"{place.name}: {place.size} bytes at {place.address:#x}"
