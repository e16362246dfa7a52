"""A second reading of a region by another method: no walk, no shared word, only a search.

An encoder and a decoder can be wrong in the same way and agree (one fact misread by both). This
one looks for the exact bytes that the firmware compares, so that all three would have to be wrong.
"""

import re
from typing import Final

_BEGINS: Final = b"\x62\x6c\x6e\x6b\x6f\x70\x74\x00"
"""``blnkopt`` and its NUL, as they stand in flash; spelt apart from the decoder's on purpose."""
_SSID: Final = re.compile(rb"\x00ssid\x00")
_AUTH: Final = re.compile(rb"\x00auth\x00([0-9A-Za-z\-_]{32})(?=\x00)")


def token_in(data: bytes) -> str | None:
    """The one token that stands behind ``auth`` in the region ``data``; None for none or several.

    Secret: compare it, do not show it.
    """
    tokens = _AUTH.findall(data)
    if len(tokens) != 1 or not data.startswith(_BEGINS) or not _SSID.search(data):
        return None
    return bytes(tokens[0]).decode("ascii")
