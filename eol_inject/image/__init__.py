"""The golden image and what is made of it: pure bytes to bytes.

``containers`` say what a file is, ``regions`` where the token goes and in which form, ``seals``
what a boot loader checks, ``plans`` which flash sectors change.
"""

from eol_inject.errors import UsageError
from eol_inject.image import containers
from eol_inject.image.containers.esp import EspImage, Segment
from eol_inject.image.descriptions import Description, describe
from eol_inject.image.patching import Block, Golden, Patched, patch
from eol_inject.image.plans import Plan, Span, plan
from eol_inject.image.regions import Region, encode, locate
from eol_inject.image.seals import Seal
from eol_inject.image.seals import check as check_seal

__all__ = [
    "Block",
    "Description",
    "EspImage",
    "Golden",
    "Patched",
    "Plan",
    "Region",
    "Seal",
    "Segment",
    "Span",
    "check_seal",
    "describe",
    "encode",
    "locate",
    "open_image",
    "patch",
    "plan",
]


def open_image(data: bytes, *, chip: str | None = None) -> EspImage:
    """The one application in ``data``, for ``chip`` where one is named.

    Raises ``UsageError``: ``image.not_an_image``, ``image.is_elf``, ``image.is_hex``,
    ``image.truncated``, ``image.bad_header``, ``image.segment_outside``, ``image.wrong_chip``,
    ``image.no_application``, ``image.two_slots``.
    """
    image = containers.look(data, chip=chip).application()
    if not isinstance(image, EspImage):
        raise UsageError("image.is_hex")
    return image
