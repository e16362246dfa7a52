"""Millimetres to whole dots, and what may not lie where. Proved before any unit is touched."""

from dataclasses import dataclass
from itertools import combinations
from typing import Final, assert_never

from eol_inject.errors import UsageError
from eol_inject.label import qr
from eol_inject.label.spec import (
    LEAST_MODULE_DOTS,
    BoxElement,
    Code128Element,
    Element,
    ImageElement,
    LineElement,
    QrElement,
    StockSpec,
    TemplateSpec,
    TextElement,
    WatermarkSpec,
)

LINE_EM: Final = 1.17
"""Height of one line of the Vera fonts in em: ascent 0.928 and descent 0.236, rounded up.
Hinting moves an accent up by a whole dot at some sizes, hence the one dot more in ``line_height``.
"""


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in dots; right and bottom are the first dots outside."""

    left: int
    top: int
    right: int
    bottom: int

    def meets(self, other: "Box") -> bool:
        """Whether the two share a dot."""
        return (
            self.left < other.right
            and other.left < self.right
            and self.top < other.bottom
            and other.top < self.bottom
        )

    @property
    def corners(self) -> tuple[int, int, int, int]:
        """As Pillow takes it."""
        return (self.left, self.top, self.right, self.bottom)

    @property
    def width(self) -> int:
        """Dots across."""
        return self.right - self.left

    @property
    def height(self) -> int:
        """Dots down."""
        return self.bottom - self.top


def place_name(index: int) -> str:
    """How messages call an element; counted from 1, as people count the tables of a file."""
    return f"elements.[{index + 1}]"


def place(stock: StockSpec, element: Element) -> Box:
    """The rectangle an element may use; nothing of it is ever drawn outside."""
    left, top = stock.dots(element.x_mm), stock.dots(element.y_mm)
    match element:
        case QrElement():
            side = stock.dots(element.max_mm)
            return Box(left, top, left + side, top + side)
        case TextElement():
            down = element.lines * line_height(stock.px(element.size_pt))
            return Box(left, top, stock.dots(element.x_mm + element.width_mm), top + down)
        case LineElement(vertical=True):
            bottom = stock.dots(element.y_mm + element.length_mm)
            return Box(left, top, left + element.dots, bottom)
        case LineElement():
            right = stock.dots(element.x_mm + element.length_mm)
            return Box(left, top, right, top + element.dots)
        case BoxElement() | ImageElement() | Code128Element():
            return _rectangle(stock, element)
        case _:
            assert_never(element)


def _rectangle(
    stock: StockSpec, place: BoxElement | ImageElement | Code128Element | WatermarkSpec
) -> Box:
    """Edges are rounded, not sizes: what meets in millimetres meets in dots."""
    return Box(
        stock.dots(place.x_mm),
        stock.dots(place.y_mm),
        stock.dots(place.x_mm + place.width_mm),
        stock.dots(place.y_mm + place.height_mm),
    )


def ink(stock: StockSpec, element: Element) -> tuple[Box, ...]:
    """The rectangles that an element can blacken: a box only its four sides."""
    box = place(stock, element)
    if not isinstance(element, BoxElement):
        return (box,)
    left, top, right, bottom = box.corners
    dots = element.dots
    return (
        Box(left, top, right, top + dots),
        Box(left, bottom - dots, right, bottom),
        Box(left, top, left + dots, bottom),
        Box(right - dots, top, right, bottom),
    )


def watermark_box(spec: TemplateSpec) -> Box | None:
    """The rectangle kept for a watermark, or None."""
    return None if spec.watermark is None else _rectangle(spec.stock, spec.watermark)


def line_height(px: int) -> int:
    """Dots from one line of text to the next."""
    return 1 - int(-px * LINE_EM // 1)


def needed_dots(element: QrElement, modules: int) -> int:
    """Dots along one side of a symbol of ``modules``, quiet zone included."""
    return modules * element.module_dots


def check_symbol(stock: StockSpec, element: QrElement, length: int) -> None:
    """Prove that a claim code of ``length`` characters fits: a symbol is never shrunk.

    Raises ``UsageError("label.symbol_too_large")``.
    """
    needed = needed_dots(element, qr.side_modules(length))
    if needed > stock.dots(element.max_mm):
        raise UsageError(
            "label.symbol_too_large",
            characters=length,
            needed_mm=round(needed * 25.4 / stock.dpi, 1),
            max_mm=element.max_mm,
        )


@dataclass(frozen=True, slots=True)
class _Placed:
    where: str
    kind: str
    boxes: tuple[Box, ...]


def check(name: str, spec: TemplateSpec) -> None:
    """Prove a template's geometry.

    Raises ``UsageError``: ``label.one_symbol``, ``label.module_too_small``,
    ``label.symbol_too_large``, ``label.off_label``, ``label.quiet_zone``, ``label.overlap``.
    """
    symbols = [element for element in spec.elements if isinstance(element, QrElement)]
    if len(symbols) != 1:
        raise UsageError("label.one_symbol", name=name, count=len(symbols))
    (symbol,) = symbols
    if symbol.module_dots < LEAST_MODULE_DOTS:
        raise UsageError(
            "label.module_too_small", name=name, dots=symbol.module_dots, least=LEAST_MODULE_DOTS
        )
    check_symbol(spec.stock, symbol, qr.claim_length(None))
    placed = [
        _Placed(place_name(index), element.kind, ink(spec.stock, element))
        for index, element in enumerate(spec.elements)
    ]
    watermark = watermark_box(spec)
    if watermark is not None:
        placed.append(_Placed("watermark", "watermark", (watermark,)))
    for each in placed:
        _check_on_label(name, spec.stock, each)
    for a, b in combinations(placed, 2):
        if any(mine.meets(other) for mine in a.boxes for other in b.boxes):
            _refuse_meeting(name, a, b)


def _check_on_label(name: str, stock: StockSpec, each: _Placed) -> None:
    # A symbol's place may reach into the margin: its own edge is white anyway.
    margin = 0.0 if each.kind == "qr" else stock.margin_mm
    edge = stock.dots(margin)
    right, bottom = stock.dots(stock.width_mm - margin), stock.dots(stock.height_mm - margin)
    for box in each.boxes:
        if box.left < edge or box.top < edge or box.right > right or box.bottom > bottom:
            raise UsageError("label.off_label", name=name, element=each.where, kind=each.kind)


def _refuse_meeting(name: str, a: _Placed, b: _Placed) -> None:
    """Rules may cross each other; nothing may enter the symbol's place; text covers no text."""
    if "qr" in {a.kind, b.kind}:
        intruder = b if a.kind == "qr" else a
        raise UsageError("label.quiet_zone", name=name, element=intruder.where)
    if not {a.kind, b.kind} <= {"line", "box"}:
        raise UsageError("label.overlap", name=name, element=a.where, other=b.where)
