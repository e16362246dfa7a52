"""Whether a secure-boot signature follows an image: then a patch inside would break it.

Sources: ESP-IDF "Secure Boot V2" (signature block of 1,216 bytes: magic E7, version 2 RSA or 3
ECDSA, CRC-32 at 1196) and "Secure Boot" V1 (u32 version 0, then 64 bytes of ECDSA).
"""

import zlib
from dataclasses import dataclass
from typing import Final, Literal

from eol_inject.chips import SECTOR
from eol_inject.image.containers.esp import EspImage

_V2_BLOCK: Final = 1216
_V2_MAGIC: Final = 0xE7
_V2_CRC_AT: Final = 1196
_V1_SIZE: Final = 68
_P256_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_LIKELY_FEWEST: Final = 24
"""Distinct bytes in 64 random ones: fewer than 24 comes once in 10^15; padding has one or two."""


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature behind an image."""

    scheme: Literal["secure boot v1", "secure boot v2"]
    offset: int
    """Where it begins in the file."""


def find(image: EspImage) -> Signature | None:
    """The signature that covers ``image``, or None."""
    data, end = image.data, image.end
    sector = end + -(end - image.start) % SECTOR
    if _is_v2_block(data[sector : sector + _V2_BLOCK]):
        return Signature("secure boot v2", sector)
    if _is_v1(data[end : end + _V1_SIZE], data[end + _V1_SIZE : end + 2 * _V1_SIZE]):
        return Signature("secure boot v1", end)
    return None


def _is_v2_block(block: bytes) -> bool:
    return (
        len(block) == _V2_BLOCK
        and block[0] == _V2_MAGIC
        and block[1] in {2, 3}
        and zlib.crc32(block[:_V2_CRC_AT]).to_bytes(4, "little") == block[_V2_CRC_AT:][:4]
    )


def _is_v1(block: bytes, after: bytes) -> bool:
    """Version 0 and two numbers that P-256 can have produced, with nothing but padding behind.

    A run of padding passes none of it; 68 bytes of foreign data with a zero word in front may.
    """
    if len(block) < _V1_SIZE or any(block[:4]):
        return False
    r, s = (int.from_bytes(block[at : at + 32], "big") for at in (4, 36))
    return (
        0 < r < _P256_ORDER
        and 0 < s < _P256_ORDER
        and len(set(block[4:])) >= _LIKELY_FEWEST
        and set(after) <= {0x00} | {0xFF}
    )
