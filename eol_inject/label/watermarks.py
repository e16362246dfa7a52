"""The word on a label that is not meant for a product, such as TRAINING.

White on black in a place that the template keeps free for it: it cannot be overlooked, covers no
text, and never comes near the symbol.
"""

import re
from typing import TYPE_CHECKING, Final

from eol_inject.errors import UsageError
from eol_inject.label.geometry import watermark_box
from eol_inject.label.template import Template
from eol_inject.label.text import widest_px, word_image

if TYPE_CHECKING:
    from PIL.Image import Image

_WORD: Final = re.compile(r"[A-Z]{1,16}")
_PADDING: Final = 2
"""Black dots kept around the word."""


def draw(bitmap: "Image", template: Template, word: str) -> None:
    """Draw ``word`` in the template's place for it, upwards where the place is taller than wide.

    Raises ``UsageError``: ``label.bad_watermark`` for anything but 1 to 16 capital letters,
    ``label.no_watermark_place`` for a template that keeps no place.
    """
    from PIL import Image

    if not _WORD.fullmatch(word):
        raise UsageError("label.bad_watermark")
    box = watermark_box(template.spec)
    if box is None:
        raise UsageError("label.no_watermark_place", name=template.name)
    upright = box.height > box.width
    along, across = (box.height, box.width) if upright else (box.width, box.height)
    px = widest_px(word, along - 2 * _PADDING, across - 2 * _PADDING)
    if px is None:
        raise UsageError("label.no_watermark_place", name=template.name)
    mark = word_image(word, px)
    if upright:
        mark = mark.transpose(Image.Transpose.ROTATE_90)
    band = Image.new("1", (box.width, box.height), 0)
    at = ((box.width - mark.width) // 2, (box.height - mark.height) // 2)
    band.paste(mark, at)
    bitmap.paste(band, (box.left, box.top))
