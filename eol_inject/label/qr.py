"""The QR symbol of a claim code: its size by length, and its modules.

Level M, byte mode, pinned mask: the same code is the same symbol on every station and in every
golden file. Capacities: ISO/IEC 18004, table 7, byte mode, level M.
"""

from typing import Final

QUIET_ZONE: Final = 4
"""White modules on each side that the standard asks for."""

MASK: Final = 3
"""Mask pattern of every symbol. Fixed, because libraries choose differently and golden labels must
not depend on which; also five times faster than trying all eight. Every label is decoded anyway."""

_SHORTEST_CLAIM: Final = 36
"""Characters of ``sqr_`` and the 32 behind it, without an organization."""

_BYTES_AT_M: Final = (14, 26, 42, 62, 84, 106, 122, 152, 180, 213)
"""Bytes that versions 1, 2, 3 … hold."""


def claim_length(organization: int | None) -> int:
    """Characters of a claim code of this organization; without one, the shortest there is."""
    return _SHORTEST_CLAIM + (0 if organization is None else 1 + len(str(organization)))


def side_modules(length: int) -> int:
    """Modules along one side of a symbol for ``length`` bytes, both quiet zones included."""
    for version, capacity in enumerate(_BYTES_AT_M, start=1):
        if length <= capacity:
            return 17 + 4 * version + 2 * QUIET_ZONE
    raise ValueError("no claim code is this long")


def modules(text: str) -> list[list[bool]]:
    """Rows of modules, True is black, quiet zone included."""
    import qrcode
    from qrcode.constants import ERROR_CORRECT_M

    code = qrcode.QRCode(
        error_correction=ERROR_CORRECT_M, border=QUIET_ZONE, box_size=1, mask_pattern=MASK
    )
    code.add_data(text.encode("ascii"), optimize=0)
    code.make(fit=True)
    rows: list[list[bool]] = code.get_matrix()
    return rows
