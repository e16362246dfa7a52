"""What makes an attempt traceable: which image, profile, template, tools and wire made it."""

import platform
from dataclasses import replace
from functools import cache
from importlib import metadata

from eol_inject import __version__
from eol_inject.device import Identity
from eol_inject.ledger.model import CycleFacts
from eol_inject.station.bench import Bench

_LIBRARIES = ("esptool", "pyserial", "qrcode", "pillow", "zxing-cpp", "sqlalchemy")


def of_bench(bench: Bench, port: str) -> CycleFacts:
    """What is known before a unit is in the slot."""
    spec = bench.profile.spec
    return CycleFacts(
        product=spec.product.id,
        lot=bench.lot,
        profile=bench.profile.name,
        profile_sha256=bench.profile.sha256,
        template_sha256=bench.template.digest,
        image_sha256=bench.way.image_sha256,
        firmware=bench.way.firmware_name,
        mode=spec.device.mode,
        chip=bench.profile.chip_name,
        port=port,
        baud=spec.device.baud,
        versions={**versions(), **bench.way.tools},
    )


def with_identity(facts: CycleFacts, identity: Identity) -> CycleFacts:
    """The same, and what the unit said about itself."""
    return replace(
        facts,
        chip=identity.chip,
        revision=identity.revision,
        flash_size=identity.flash_size,
        baud=identity.baud,
        unit=str(identity.unit.primary),
    )


@cache
def versions() -> dict[str, str]:
    """Tool and library versions of this process."""
    found = {name: metadata.version(name) for name in _LIBRARIES}
    return {"eol_inject": __version__, "python": platform.python_version()} | found
