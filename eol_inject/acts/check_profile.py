"""Check a profile before a line depends on it: image, region and template against each other."""

from collections.abc import Iterator
from dataclasses import dataclass

from eol_inject.device.programmer import missing_programs
from eol_inject.image import firmware
from eol_inject.image.firmware import Firmware
from eol_inject.image.programmed import Programmed
from eol_inject.image.spec import EepromSpec
from eol_inject.label import check_template, load_template
from eol_inject.profiles import Profile
from eol_inject.station.golden import load_firmware, load_programmed


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
    image = memories = None
    if spec.programmer is not None:
        memories = load_programmed(profile)
    elif spec.console is None:
        image = load_firmware(profile)
        if spec.device.security == "encrypted":
            firmware.require_decrypted(image)
    judged = image or memories
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
        chip=profile.chip_name,
        mode=spec.device.mode,
        product=f"{spec.product.name} ({spec.product.id})",
        image="none: the token goes in over the console"
        if spec.console
        else str(profile.firmware_file),
        image_sha256=judged.sha256 if judged else "",
        firmware=image.name if image else "",
        region="; ".join(_words(profile, image, memories)),
        sectors=", ".join(f"{address:#x}" for address in image.changed) if image else "",
        template=template,
        warnings=(
            *profile.warnings(),
            *_missing(profile),
            *(firmware.doubts(image, _flash_size(profile)) if image else ()),
        ),
    )


def _missing(profile: Profile) -> Iterator[str]:
    """Not an error here: a profile may be checked on another computer than the station."""
    if profile.spec.programmer is not None:
        for program in missing_programs(profile.spec.programmer):
            yield (
                f"The program '{program}' is not installed on this computer, or not found on PATH: "
                "a station needs it, and `eol-inject run` refuses to start without it."
            )


def _flash_size(profile: Profile) -> int:
    """Bytes the product's flash has: as the profile says, else as a common module does."""
    return profile.spec.device.flash_size or profile.chip.default_flash


def _words(profile: Profile, image: Firmware | None, memories: Programmed | None) -> Iterator[str]:
    """Where the token goes, and whatever goes with it."""
    if image is not None:
        yield from _places(image)
    elif memories is not None:
        yield from _areas(profile, memories)
    else:
        yield from _lines(profile)


def _areas(profile: Profile, image: Programmed) -> Iterator[str]:
    """Every region in words, by its memory; by what the unit is known, and what the proof is."""
    names = (region.name for region in image.golden.regions)
    for name, (address, size) in zip(names, image.holes, strict=True):
        yield f"{name}: {size} bytes at {address:#x} of the flash"
    for region in profile.spec.regions:
        if isinstance(region, EepromSpec):
            yield f"{region.name}: {region.width} bytes at {region.offset:#x} of the EEPROM"
    programmer = profile.spec.programmer
    if programmer is not None:
        yield f"unit: {'a scanned serial number' if programmer.serial else 'as its chip says'}"
        yield f"proof: {programmer.proof}"


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
