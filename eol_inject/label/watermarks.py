"""The word on a label that is not meant for a product, such as TRAINING.

White on black in a place that the template keeps free for it: it cannot be overlooked, covers no
text, and never comes near the symbol.
"""

import re
from typing import TYPE_CHECKING, Final

from eol_inject.errors import UsageError
from eol_inject.label.geometry import Box, watermark_box
from eol_inject.label.spec import TemplateSpec
from eol_inject.label.text import widest_px, word_image

if TYPE_CHECKING:
    from PIL.Image import Image

_WORD: Final = re.compile(r"[A-Z]{1,16}")
_PADDING: Final = 2
"""Black dots kept around the word."""


def check(name: str, spec: TemplateSpec, word: str) -> None:
    """Prove that ``word`` can be drawn; raises what ``draw`` raises."""
    _mark(name, spec, word)


def draw(bitmap: "Image", name: str, spec: TemplateSpec, word: str) -> None:
    """Draw ``word`` in the template's place for it, upwards where the place is taller than wide.

    Raises ``UsageError``: ``label.bad_watermark`` for anything but 1 to 16 capital letters,
    ``label.no_watermark_place`` for a template that keeps no place where it is readable.
    """
    from PIL import Image

    mark, box = _mark(name, spec, word)
    band = Image.new("1", (box.width, box.height), 0)
    at = ((box.width - mark.width) // 2, (box.height - mark.height) // 2)
    band.paste(mark, at)
    bitmap.paste(band, (box.left, box.top))


def _mark(name: str, spec: TemplateSpec, word: str) -> tuple["Image", Box]:
    """The word at its largest readable size, and the place it fits."""
    from PIL import Image

    if not _WORD.fullmatch(word):
        raise UsageError("label.bad_watermark")
    box = watermark_box(spec)
    if box is None:
        raise UsageError("label.no_watermark_place", name=name)
    upright = box.height > box.width
    along, across = (box.height, box.width) if upright else (box.width, box.height)
    px = widest_px(word, along - 2 * _PADDING, across - 2 * _PADDING)
    if px is None:
        raise UsageError("label.no_watermark_place", name=name)
    mark = word_image(word, px)
    return (mark.transpose(Image.Transpose.ROTATE_90) if upright else mark), box
