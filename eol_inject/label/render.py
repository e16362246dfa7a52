"""From a ``Proven`` to a bitmap that was decoded and compared with it. There is no other way in."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, assert_never

from eol_inject.errors import RecordError
from eol_inject.label import decode, qr, values, watermarks
from eol_inject.label.bitmap import Label
from eol_inject.label.spec import LineElement, QrElement, StockSpec, TextElement
from eol_inject.label.template import Template, needed_dots, place, place_name
from eol_inject.unit import Proven

if TYPE_CHECKING:
    from PIL.Image import Image

NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


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
    ``label.claim_shaped``, ``label.symbol_too_large``, ``label.decode_mismatch``,
    ``label.fragile``; and ``TypeError`` for anything that is not a ``Proven``.
    """
    if not isinstance(proven, Proven):
        raise TypeError("a label is made from a Proven and from nothing else")
    from PIL import Image

    stock = template.spec.stock
    bitmap = Image.new("1", (stock.width_dots, stock.height_dots), 1)
    (symbol,) = (each for each in template.spec.elements if isinstance(each, QrElement))
    if watermark is not None:
        watermarks.draw(bitmap, template, watermark)
    texts = values.collect(proven, extra)
    for index, element in enumerate(template.spec.elements):
        if isinstance(element, QrElement):
            _paste_symbol(bitmap, stock, element, proven.claim.reveal())
        elif isinstance(element, TextElement):
            _paste_text(bitmap, stock, element, texts, place_name(index))
        elif isinstance(element, LineElement):
            bitmap.paste(0, place(stock, element).corners)
        else:
            assert_never(element)
    decode.compare(
        bitmap,
        proven.claim.reveal(),
        symbol=place(stock, symbol),
        module_dots=symbol.module_dots,
    )
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


def _paste_symbol(bitmap: "Image", stock: StockSpec, element: QrElement, claim: str) -> None:
    from PIL import Image

    box = place(stock, element)
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
    symbol = symbol.resize((side, side), Image.Resampling.NEAREST)
    inset = (box.width - side) // 2
    bitmap.paste(1, box.corners)
    bitmap.paste(symbol, (box.left + inset, box.top + inset))


def _paste_text(
    bitmap: "Image",
    stock: StockSpec,
    element: TextElement,
    texts: Mapping[str, str],
    where: str,
) -> None:
    from PIL import ImageChops

    from eol_inject.label.text import draw

    filled = values.fill(element.text, texts, element=where, optional=element.optional)
    if filled is None:
        return
    box = place(stock, element)
    ink = draw(stock, element, box, filled, where)
    behind = bitmap.crop(box.corners)
    bitmap.paste(ImageChops.logical_and(behind, ink), (box.left, box.top))
