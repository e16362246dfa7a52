"""A label template: read, validated, and its geometry proved before any unit is touched."""

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from eol_inject.errors import UsageError
from eol_inject.label import qr
from eol_inject.label.spec import (
    LEAST_MODULE_DOTS,
    Element,
    QrElement,
    StockSpec,
    TemplateSpec,
    TextElement,
)
from eol_inject.label.values import BUILT_IN, EXTRA, is_known, names_in, nearest
from eol_inject.resources import folder
from eol_inject.specs import parse, read_toml

LINE_EM = 1.17
"""Height of one line of the Vera fonts in em: ascent 0.928 and descent 0.236, rounded up."""


@dataclass(frozen=True, slots=True)
class Template:
    """A checked template. ``digest`` is the SHA-256 of its file, frozen into every record."""

    name: str
    digest: str
    spec: TemplateSpec


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


def shipped() -> tuple[str, ...]:
    """Names of the templates that come with this installation."""
    return tuple(sorted(path.stem for path in folder("label_templates").glob("*.toml")))


def load_template(name_or_path: str | Path) -> Template:
    """A shipped template by name, or a template file by path (ends in ``.toml``).

    Raises ``UsageError``: ``label.no_template``, ``label.unreadable``, ``label.not_toml``,
    ``label.unknown_key``, ``label.invalid`` and the codes of the geometry.
    """
    path = Path(name_or_path)
    if path.suffix != ".toml":
        name, known = str(name_or_path), shipped()
        if name not in known:
            raise UsageError("label.no_template", name=name, nearest=nearest(name, known))
        path = folder("label_templates") / f"{name}.toml"
    data, table = read_toml(path, stage="label")
    return make_template(path.stem, hashlib.sha256(data).hexdigest(), table)


def make_template(name: str, digest: str, table: Mapping[str, Any]) -> Template:
    """A template from its table; errors as ``load_template``."""
    spec = parse(TemplateSpec, table, stage="label", source=name)
    _check_geometry(name, spec)
    return Template(name, digest, spec)


def check_template(
    template: Template, fields: Collection[str], *, organization: int | None = None
) -> None:
    """Prove that the template uses only names the label will have: for ``profile check``.

    ``fields`` are the profile's public ones. With ``organization`` the QR symbol is measured as it
    will be printed: a longer number grows it. Raises ``UsageError``: ``label.unknown_field``,
    ``label.shadowed_field`` (a field named like a built-in one), ``label.symbol_too_large``.
    """
    for field in fields:
        if field in BUILT_IN or field in EXTRA:
            raise UsageError("label.shadowed_field", field=field)
    for index, element in enumerate(template.spec.elements):
        if isinstance(element, TextElement):
            for name in names_in(element.text):
                if not is_known(name, fields):
                    raise UsageError(
                        "label.unknown_field",
                        field=name,
                        element=place_name(index),
                        nearest=nearest(name, {*BUILT_IN, *EXTRA, *fields}),
                    )
        elif isinstance(element, QrElement):
            _check_symbol(template.spec.stock, element, qr.claim_length(organization))


def place_name(index: int) -> str:
    """How messages call an element; counted from 1, as people count the tables of a file."""
    return f"elements.[{index + 1}]"


def place(stock: StockSpec, element: Element) -> Box:
    """The rectangle an element may use; nothing of it is ever drawn outside."""
    left, top = stock.dots(element.x_mm), stock.dots(element.y_mm)
    if isinstance(element, QrElement):
        side = stock.dots(element.max_mm)
        return Box(left, top, left + side, top + side)
    if isinstance(element, TextElement):
        height = element.lines * line_height(stock.px(element.size_pt))
        return Box(left, top, left + stock.dots(element.width_mm), top + height)
    length = stock.dots(element.length_mm)
    across, down = (element.dots, length) if element.vertical else (length, element.dots)
    return Box(left, top, left + across, top + down)


def line_height(px: int) -> int:
    """Dots from one line of text to the next."""
    return -int(-px * LINE_EM // 1)


def needed_dots(element: QrElement, modules: int) -> int:
    """Dots along one side of a symbol of ``modules``, quiet zone included."""
    return modules * element.module_dots


def _check_symbol(stock: StockSpec, element: QrElement, length: int) -> None:
    modules = qr.side_modules(length)
    needed = needed_dots(element, modules)
    if needed > stock.dots(element.max_mm):
        raise UsageError(
            "label.symbol_too_large",
            characters=length,
            needed_mm=round(needed * 25.4 / stock.dpi, 1),
            max_mm=element.max_mm,
        )


def watermark_box(spec: TemplateSpec) -> Box | None:
    """The rectangle kept for a watermark, or None."""
    if spec.watermark is None:
        return None
    stock, mark = spec.stock, spec.watermark
    left, top = stock.dots(mark.x_mm), stock.dots(mark.y_mm)
    return Box(left, top, left + stock.dots(mark.width_mm), top + stock.dots(mark.height_mm))


@dataclass(frozen=True, slots=True)
class _Placed:
    where: str
    kind: str
    box: Box


def _check_geometry(name: str, spec: TemplateSpec) -> None:
    symbols = [element for element in spec.elements if isinstance(element, QrElement)]
    if len(symbols) != 1:
        raise UsageError("label.one_symbol", name=name, count=len(symbols))
    placed = []
    for index, element in enumerate(spec.elements):
        where = place_name(index)
        _check_element(name, where, spec.stock, element)
        placed.append(_Placed(where, element.kind, place(spec.stock, element)))
    watermark = watermark_box(spec)
    if watermark is not None:
        placed.append(_Placed("watermark", "watermark", watermark))
    for each in placed:
        _check_on_label(name, spec.stock, each)
    for a, b in combinations(placed, 2):
        if a.box.meets(b.box):
            _refuse_meeting(name, a, b)


def _check_on_label(name: str, stock: StockSpec, each: _Placed) -> None:
    # A symbol's place may reach into the margin: its own edge is white anyway.
    margin = 0 if each.kind == "qr" else stock.dots(stock.margin_mm)
    if (
        each.box.left < margin
        or each.box.top < margin
        or each.box.right > stock.width_dots - margin
        or each.box.bottom > stock.height_dots - margin
    ):
        raise UsageError("label.off_label", name=name, element=each.where, kind=each.kind)


def _refuse_meeting(name: str, a: _Placed, b: _Placed) -> None:
    """Rules may cross each other; nothing may enter the symbol's place; text covers no text."""
    if "qr" in (a.kind, b.kind):
        intruder = b if a.kind == "qr" else a
        raise UsageError("label.quiet_zone", name=name, element=intruder.where)
    if (a.kind, b.kind) != ("line", "line"):
        raise UsageError("label.overlap", name=name, element=a.where, other=b.where)


def _check_element(name: str, where: str, stock: StockSpec, element: Element) -> None:
    if isinstance(element, QrElement):
        if element.module_dots < LEAST_MODULE_DOTS:
            raise UsageError(
                "label.module_too_small",
                name=name,
                dots=element.module_dots,
                least=LEAST_MODULE_DOTS,
            )
        _check_symbol(stock, element, qr.claim_length(None))
    elif isinstance(element, TextElement):
        if element.least_pt is not None and element.least_pt > element.size_pt:
            why = "it is above size_pt"
            raise UsageError("label.invalid", source=name, key=f"{where}.least_pt", why=why)
        try:
            names_in(element.text)
        except ValueError as error:
            raise UsageError(
                "label.invalid", source=name, key=f"{where}.text", why=str(error)
            ) from error
