"""Text in whole dots: no grey, no shaping, nothing outside its box.

The fonts are Bitstream Vera as reportlab ships them, drawn by Pillow's basic layout, so a label
does not depend on what the station has installed.
"""

import re
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Final

from eol_inject.errors import RecordError
from eol_inject.label.geometry import Box, line_height
from eol_inject.label.spec import StockSpec, TextElement

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFont import FreeTypeFont


_FIELD: Final = re.compile(r"(?<!\{)\{([a-z]\w*)")
LEAST_WORD_PX: Final = 10
"""Dots of type below which a watermark is not readable."""


@dataclass(frozen=True, slots=True)
class _Setting:
    """Lines as they are set at one size."""

    px: int
    lines: tuple[str, ...]


def draw(stock: StockSpec, element: TextElement, box: Box, text: str, where: str) -> "Image":
    """The text as a bitmap of the size of its box, black on white.

    Raises ``RecordError``: ``label.no_glyph``, ``label.text_too_long``.
    """
    from PIL import Image, ImageDraw

    _refuse_missing_glyphs(element.bold, text, where)
    setting = _set(stock, element, box, text)
    if setting is None:
        fields = ", ".join(_FIELD.findall(element.text)) or "fixed words"
        raise RecordError("label.text_too_long", element=where, fields=fields, lines=element.lines)
    font = _font(element.bold, setting.px)
    image = Image.new("1", (box.width, box.height), 1)
    pen = ImageDraw.Draw(image)
    pen.fontmode = "1"
    step, top = line_height(setting.px), _ascent(element.bold, setting.px)
    for number, line in enumerate(setting.lines):
        left, _, right, _ = font.getbbox(line, mode="1", anchor="ls")
        room = box.width - (right - left)
        at = {"left": 0, "center": room // 2, "right": room}[element.align]
        pen.text((at - left, number * step + top), line, fill=0, font=font, anchor="ls")
    return image


def _set(stock: StockSpec, element: TextElement, box: Box, text: str) -> _Setting | None:
    """The largest allowed size at which the text fits, or None; steps of one dot."""
    largest = stock.px(element.size_pt)
    least = largest if element.least_pt is None else stock.px(element.least_pt)
    for px in range(largest, least - 1, -1):
        lines = _broken(_font(element.bold, px), text, box.width, element.lines)
        if lines is not None:
            return _Setting(px, lines)
    return None


def _broken(font: "FreeTypeFont", text: str, width: int, most: int) -> tuple[str, ...] | None:
    """The text in at most so many lines, broken only at spaces; None where it does not fit."""
    lines: list[str] = []
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and _width(font, longer) <= width:
            lines[-1] = longer
        elif _width(font, word) <= width and len(lines) < most:
            lines.append(word)
        else:
            return None
    return tuple(lines)


def _width(font: "FreeTypeFont", line: str) -> int:
    left, _, right, _ = font.getbbox(line, mode="1", anchor="ls")
    return int(right - left)


def _refuse_missing_glyphs(bold: bool, text: str, where: str) -> None:
    glyphs = _glyphs(bold)
    for character in text:
        if ord(character) not in glyphs:
            raise RecordError("label.no_glyph", element=where, glyph=f"U+{ord(character):04X}")


def _file(bold: bool) -> str:
    return str(resources.files("reportlab") / "fonts" / ("VeraBd.ttf" if bold else "Vera.ttf"))


@cache
def _font(bold: bool, px: int) -> "FreeTypeFont":
    from PIL import ImageFont

    return ImageFont.truetype(_file(bold), px, layout_engine=ImageFont.Layout.BASIC)


@cache
def _ascent(bold: bool, px: int) -> int:
    """Dots from the top of a line to its baseline: no accent of any letter is cut off."""
    font = _font(bold, px)
    return -min(int(font.getbbox(chr(each), mode="1", anchor="ls")[1]) for each in _glyphs(bold))


@cache
def _glyphs(bold: bool) -> frozenset[int]:
    """Code points the font can draw."""
    from reportlab.pdfbase.ttfonts import TTFontFile

    return frozenset(TTFontFile(_file(bold)).charToGlyph)


def widest_px(word: str, width: int, height: int) -> int | None:
    """The largest bold size at which the word's ink fits, or None below what is readable."""
    for px in range(2 * height, LEAST_WORD_PX - 1, -1):
        image = word_image(word, px)
        if image.width <= width and image.height <= height:
            return px
    return None


@cache
def word_image(word: str, px: int) -> "Image":
    """A word in bold type, white on black, cut to its ink. Shared: not to be drawn on."""
    from PIL import Image, ImageDraw

    font = _font(True, px)
    left, top, right, bottom = font.getbbox(word, mode="1", anchor="ls")
    image = Image.new("1", (int(right - left), int(bottom - top)), 0)
    pen = ImageDraw.Draw(image)
    pen.fontmode = "1"
    pen.text((-left, -top), word, fill=1, font=font, anchor="ls")
    return image
