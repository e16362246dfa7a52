"""From a ``Proven`` to a bitmap that was decoded and compared with it. There is no other way in."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, assert_never

from eol_inject.errors import RecordError
from eol_inject.label import code128, decode, qr, text, values, watermarks
from eol_inject.label.bitmap import Label
from eol_inject.label.geometry import Box, ink, needed_dots, place, place_name
from eol_inject.label.spec import (
    BoxElement,
    Code128Element,
    ImageElement,
    LineElement,
    QrElement,
    StockSpec,
    TextElement,
)
from eol_inject.label.template import NOTHING, Template
from eol_inject.unit import Proven

if TYPE_CHECKING:
    from PIL.Image import Image


def render(
    proven: Proven,
    template: Template,
    *,
    extra: Mapping[str, str] = NOTHING,
    watermark: str | None = None,
) -> Label:
    """The label of one proven unit.

    ``extra`` are values of ``values.EXTRA`` (date, product name …). ``watermark`` is a word in the
    place that the template keeps for it (``UsageError`` where it keeps none).

    Raises ``RecordError``, since the unit is good and its label cannot be made: ``label.no_value``,
    ``label.bad_text``, ``label.no_glyph``, ``label.text_too_long``, ``label.token_shaped``,
    ``label.claim_shaped``, ``label.symbol_too_large``, ``label.bars_too_wide``,
    ``label.decode_mismatch``, ``label.fragile``; and ``TypeError`` for anything that is not a
    ``Proven``.
    """
    if not isinstance(proven, Proven):
        raise TypeError("a label is made from a Proven and from nothing else")
    from PIL import Image

    claim = proven.claim.reveal()
    stock = template.spec.stock
    texts = values.collect(proven, extra)
    bitmap = Image.new("1", (stock.width_dots, stock.height_dots), 1)
    if watermark is not None:
        watermarks.draw(bitmap, template.name, template.spec, watermark)
    for index, element in enumerate(template.spec.elements):
        where = place_name(index)
        box = place(stock, element)
        match element:
            case QrElement():
                bitmap.paste(_symbol(stock, element, box, claim), box.corners)
            case TextElement():
                words = values.fill(element.text, texts, element=where, optional=element.optional)
                if words is not None:
                    bitmap.paste(text.draw(stock, element, box, words, where), box.corners)
            case Code128Element():
                words = values.fill(element.text, texts, element=where, optional=element.optional)
                if words is not None:
                    bars = code128.draw(box, element.module_dots, words, where)
                    bitmap.paste(bars, box.corners)
                    decode.compare_bars(bars, words)
            case ImageElement():
                _paste_centred(bitmap, template.pictures[element.file].bitmap, box)
            case LineElement() | BoxElement():
                for side in ink(stock, element):
                    bitmap.paste(0, side.corners)
            case _:
                assert_never(element)
    (symbol,) = (each for each in template.spec.elements if isinstance(each, QrElement))
    module, symbol_box = symbol.module_dots, place(stock, symbol)
    decode.compare(bitmap, claim, symbol=symbol_box, module_dots=module)
    return Label(
        template=template.name,
        template_digest=template.digest,
        width=stock.width_dots,
        height=stock.height_dots,
        dpi=stock.dpi,
        tail=proven.claim.tail,
        watermark=watermark,
        rows=bitmap.tobytes(),
    )


def _symbol(stock: StockSpec, element: QrElement, box: Box, claim: str) -> "Image":
    """The symbol at whole dots a module, centred in a white image of the size of its place."""
    from PIL import Image

    rows = qr.modules(claim)
    side = needed_dots(element, len(rows))
    if side > box.width:
        raise RecordError(
            "label.symbol_too_large",
            characters=len(claim),
            needed_mm=round(side * 25.4 / stock.dpi, 1),
            max_mm=element.max_mm,
        )
    symbol = Image.new("1", (len(rows), len(rows)), 1)
    symbol.putdata([0 if black else 1 for row in rows for black in row])
    image = Image.new("1", (box.width, box.height), 1)
    whole = Box(0, 0, box.width, box.height)
    _paste_centred(image, symbol.resize((side, side), Image.Resampling.NEAREST), whole)
    return image


def _paste_centred(bitmap: "Image", image: "Image", box: Box) -> None:
    left = box.left + (box.width - image.width) // 2
    top = box.top + (box.height - image.height) // 2
    bitmap.paste(image, (left, top))
