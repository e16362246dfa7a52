"""What the firmware says it is: the ``blnkinf`` constant beside the region."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from eol_inject.errors import UsageError
from eol_inject.image import pairs
from eol_inject.image.containers import Image

TAG: Final = b"blnkinf\0"


def read(image: Image) -> Mapping[str, str]:
    """Key to value (``mcu`` is the version, ``fw-type`` the product); empty where there is none.

    Two different constants are none: nobody could say which one holds.
    """
    found = {
        tuple(constant.pairs)
        for at, limit in pairs.find_tags(image, TAG)
        if (constant := pairs.read(image.data, at + len(TAG), limit)) is not None
    }
    if len(found) != 1:
        return MappingProxyType({})
    return MappingProxyType(
        {key.decode("ascii"): value.decode("utf-8", "replace") for key, value in found.pop()}
    )


def require(image: Image, *, fw_type: str | None, version: str | None) -> None:
    """Refuse an image that is not the product's.

    Raises ``UsageError``: ``image.no_identity``, ``image.wrong_product``, ``image.wrong_version``.
    """
    if fw_type is None and version is None:
        return
    says = read(image)
    if not says:
        raise UsageError("image.no_identity")
    if fw_type is not None and says.get("fw-type") != fw_type:
        found = says.get("fw-type", "nothing")
        raise UsageError("image.wrong_product", found=found, wanted=fw_type)
    if version is not None and says.get("mcu") != version:
        found = says.get("mcu", "nothing")
        raise UsageError("image.wrong_version", found=found, wanted=version)
