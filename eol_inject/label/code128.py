"""Code 128 bars in whole dots, for a serial number that old scanners read.

reportlab chooses the code sets and the check character; the bars are drawn here, since its own
drawing is vector (ISO/IEC 15417).
"""

from typing import TYPE_CHECKING, Final

from eol_inject.errors import RecordError
from eol_inject.label.geometry import Box

if TYPE_CHECKING:
    from PIL.Image import Image

QUIET_MODULES: Final = 10
"""White modules on each side that the standard asks for."""


def draw(box: Box, module_dots: int, text: str, where: str) -> "Image":
    """The bars at full height, centred in a white image of the size of the box.

    Raises ``RecordError``: ``label.no_glyph``, ``label.bars_too_wide``.
    """
    from PIL import Image, ImageDraw

    for character in text:
        if not " " <= character <= "~":
            raise RecordError("label.no_glyph", element=where, glyph=f"U+{ord(character):04X}")
    widths = _widths(text)
    side = (sum(widths) + 2 * QUIET_MODULES) * module_dots
    if side > box.width:
        raise RecordError("label.bars_too_wide", element=where, needed=side, dots=box.width)
    image = Image.new("1", (box.width, box.height), 1)
    pen = ImageDraw.Draw(image)
    x = (box.width - side) // 2 + QUIET_MODULES * module_dots
    for index, width in enumerate(widths):
        if index % 2 == 0:
            pen.rectangle((x, 0, x + width * module_dots - 1, box.height - 1), fill=0)
        x += width * module_dots
    return image


def _widths(text: str) -> list[int]:
    """Widths in modules, bars and spaces in turn, beginning with a bar."""
    from reportlab.graphics.barcode.code128 import Code128

    code = Code128(text, quiet=0)
    code.validate()
    code.encode()
    code.decompose()
    return [ord(letter.lower()) - ord("a") + 1 for letter in code.decomposed]
