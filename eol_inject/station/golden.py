"""A product's files, judged, and where in a unit its token can be."""

from eol_inject.errors import UsageError
from eol_inject.image import firmware, programmed
from eol_inject.image.firmware import Firmware
from eol_inject.image.programmed import Programmed
from eol_inject.image.spec import NvsSpec, RecordSpec
from eol_inject.profiles import Profile, form_of
from eol_inject.verify.spec import InMemory, RegionAt, Where


def load_firmware(profile: Profile) -> Firmware:
    """The files a profile names, judged."""
    return firmware.load(
        profile.firmware,
        profile.spec.regions,
        application=profile.firmware_file,
        parts=profile.part_files,
        chip=profile.spec.device.chip,
    )


def load_programmed(profile: Profile) -> Programmed:
    """The golden image of a product that an external programmer writes, judged."""
    programmer = profile.spec.programmer
    assert programmer is not None  # noqa: S101  # the caller asked the profile
    return programmed.load(
        profile.firmware,
        profile.spec.regions,
        file=profile.firmware_file,
        flash_size=programmer.flash.size,
        eeprom_size=programmer.eeprom.size if programmer.eeprom else 0,
    )


def in_memory(profile: Profile, image: Programmed) -> InMemory:
    """Where the token of such a unit is."""
    area = image.area
    return profile.in_memory(
        eeprom=area.eeprom,
        address=area.address,
        size=area.size,
        before=area.before,
        behind=area.behind,
    )


def where(profile: Profile, files: Firmware) -> Where:
    """Where verify's readers look in a unit of this product."""
    carrier, region, place = profile.spec.carrier, files.token_region, files.token_place
    form = form_of(carrier)
    if region is not None:
        offset = region.offset - files.golden.image.start
        end = offset + region.size
        token = RegionAt(
            form,
            offset=offset,
            size=region.size,
            before=files.application[max(offset - _AROUND, 0) : offset],
            behind=files.application[end : end + _AROUND],
        )
        return profile.where(
            app_address=files.app_address, token=token, hint=offset, size=region.size
        )
    if place is None:
        raise UsageError("profile.no_programmer", profile=profile.name, kind=carrier.kind)
    label = carrier.partition if isinstance(carrier, (RecordSpec, NvsSpec)) else None
    token = RegionAt(
        form, address=None if label else place.address, partition=label, size=place.size
    )
    return profile.where(app_address=files.app_address, token=token, hint=None, size=None)


_AROUND = 32
"""Bytes beside a placeholder by which the golden firmware is known."""
