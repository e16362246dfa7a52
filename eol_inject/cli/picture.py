"""A label's bitmap in a terminal: Braille patterns, two dots across and four down a character."""

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from PIL.Image import Image

_BLANK: Final = 0x2800
_DOTS: Final = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""Unicode, Braille Patterns: the bit of each dot, row by row."""


def in_braille(bitmap: "Image", *, columns: int) -> list[str]:
    """``bitmap`` (mode "1", 0 is ink) in lines of at most ``columns`` characters.

    Made smaller where it has to be; a raised dot is ink.
    """
    width = min(bitmap.width, columns * 2)
    height = max(1, round(bitmap.height * width / bitmap.width))
    small = (
        bitmap.convert("L").resize((width, height)).point(lambda level: 0 if level < _INK else 1)
    )
    ink = small.load()
    assert ink is not None  # noqa: S101  # an image that was just made has pixels
    lines = []
    for top in range(0, height, 4):
        cells = []
        for left in range(0, width, 2):
            bits = sum(
                _DOTS[y][x]
                for y in range(min(4, height - top))
                for x in range(min(2, width - left))
                if ink[left + x, top + y] == 0
            )
            cells.append(chr(_BLANK + bits))
        lines.append("".join(cells).rstrip(chr(_BLANK)))
    return lines


_INK: Final = 150
"""Grey level of a made-smaller dot that still counts as ink: thin strokes should stay."""
