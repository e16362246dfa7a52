"""What a profile says about its label (``[label]``), and what a template file says.

Places are millimetres from the label's top left corner; the renderer turns them into whole dots.
"""

from typing import Annotated, Final, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from eol_inject.specs import Spec

LEAST_MODULE_DOTS: Final = 4
"""Printer dots per QR module: 3 fails under dot gain, 4 holds (Denso Wave advises 4 or more)."""


LabelKind = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,12}$")]


class LabelSpec(Spec):
    """Which template the claim label uses."""

    template: str = Field(description="Name of a file in label_templates/, without .toml")
    confirm: Literal["scan", "pair", "printer", "none"] | None = Field(
        None,
        description="What closes a unit: its label scanned; first the board's mark, then its "
        "label; the printer's word; nothing. Default: scan with a printer, none with file:",
    )
    scan_timeout_s: float = Field(300, gt=0, le=86400, description="How long a slot waits")
    also: dict[LabelKind, str] = Field(
        default_factory=dict, description="Further labels of a unit, such as box: kind = template"
    )

    @model_validator(mode="after")
    def _unit_has_one(self) -> Self:
        if "unit" in self.also:
            raise ValueError("the unit's own label is `template`: give the other kind another name")
        return self


class SheetSpec(Spec):
    """A page of equal labels: where its cells are, row by row from the top left."""

    page_width_mm: float = Field(gt=0, le=500)
    page_height_mm: float = Field(gt=0, le=500)
    columns: int = Field(ge=1, le=50)
    rows: int = Field(ge=1, le=100)
    left_mm: float = Field(ge=0, description="Left edge of the first cell")
    top_mm: float = Field(ge=0, description="Top edge of the first cell")
    pitch_x_mm: float = Field(gt=0, description="From one cell's left edge to the next")
    pitch_y_mm: float = Field(gt=0, description="From one cell's top edge to the next")

    @property
    def cells(self) -> int:
        """Labels on one page."""
        return self.columns * self.rows


class StockSpec(Spec):
    """The piece of label: its size and the printer's dots."""

    media: Literal["roll", "die_cut", "sheet"] = "roll"
    width_mm: float = Field(gt=0, le=300)
    height_mm: float = Field(gt=0, le=300)
    dpi: int = Field(ge=100, le=1200)
    margin_mm: float = Field(1.0, ge=0, description="Edge that a printer may not reach")
    sheet: SheetSpec | None = Field(None, description="The page, for media = sheet and only there")

    @model_validator(mode="after")
    def _sheet_fits(self) -> Self:
        if (self.media == "sheet") != (self.sheet is not None):
            raise ValueError("media = sheet and a [stock.sheet] table go together")
        if self.sheet is not None:
            sheet = self.sheet
            right = sheet.left_mm + (sheet.columns - 1) * sheet.pitch_x_mm + self.width_mm
            bottom = sheet.top_mm + (sheet.rows - 1) * sheet.pitch_y_mm + self.height_mm
            if right > sheet.page_width_mm or bottom > sheet.page_height_mm:
                raise ValueError("the last cell lies off the page")
            narrow = sheet.columns > 1 and sheet.pitch_x_mm < self.width_mm
            if narrow or (sheet.rows > 1 and sheet.pitch_y_mm < self.height_mm):
                raise ValueError("the cells lie over each other")
        return self

    @property
    def width_dots(self) -> int:
        """Whole printer dots across."""
        return self.dots(self.width_mm)

    @property
    def height_dots(self) -> int:
        """Whole printer dots down."""
        return self.dots(self.height_mm)

    def dots(self, mm: float) -> int:
        """Millimetres as the nearest whole dot."""
        return round(mm * self.dpi / 25.4)

    def px(self, pt: float) -> int:
        """Type size in points as whole dots, at least one."""
        return max(1, round(pt * self.dpi / 72))


class QrElement(Spec):
    """The claim code as a QR symbol, centred with its quiet zone in a square place."""

    kind: Literal["qr"]
    x_mm: float = Field(ge=0, description="Left edge of the place")
    y_mm: float = Field(ge=0, description="Top edge of the place")
    max_mm: float = Field(
        gt=0, description="Side of the place: the symbol with its quiet zone must fit, or it fails"
    )
    module_dots: int = Field(
        LEAST_MODULE_DOTS, ge=1, le=40, description="Printer dots per module; 4 is the least"
    )


class TextElement(Spec):
    """Text that fits or fails; ``{name}`` takes a field, ``{{`` is a brace."""

    kind: Literal["text"]
    x_mm: float = Field(ge=0)
    y_mm: float = Field(ge=0, description="Top of the first line")
    width_mm: float = Field(gt=0)
    size_pt: float = Field(gt=3, le=72)
    least_pt: float | None = Field(
        None, gt=3, le=72, description="May shrink to this size before it fails; else it may not"
    )
    lines: int = Field(1, ge=1, le=20, description="May break between words into so many lines")
    align: Literal["left", "center", "right"] = "left"
    text: str = Field(min_length=1, max_length=400)
    bold: bool = False
    optional: bool = Field(False, description="Left out, not refused, where a field has no value")

    @model_validator(mode="after")
    def _shrinks(self) -> Self:
        if self.least_pt is not None and self.least_pt > self.size_pt:
            raise ValueError("least_pt is above size_pt")
        return self


class LineElement(Spec):
    """A straight rule, horizontal or vertical."""

    kind: Literal["line"]
    x_mm: float = Field(ge=0)
    y_mm: float = Field(ge=0)
    length_mm: float = Field(gt=0)
    vertical: bool = False
    dots: int = Field(1, ge=1, le=40, description="Thickness in printer dots")


class BoxElement(Spec):
    """A rectangle's outline; text may stand inside it."""

    kind: Literal["box"]
    x_mm: float = Field(ge=0)
    y_mm: float = Field(ge=0)
    width_mm: float = Field(gt=0)
    height_mm: float = Field(gt=0)
    dots: int = Field(1, ge=1, le=40, description="Thickness in printer dots")


class ImageElement(Spec):
    """A picture, such as a logo: a 1-bit PNG beside the template, one pixel a dot."""

    kind: Literal["image"]
    x_mm: float = Field(ge=0)
    y_mm: float = Field(ge=0)
    width_mm: float = Field(gt=0, description="The picture is centred in this place, or fails")
    height_mm: float = Field(gt=0)
    file: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,60}\.png$", description="Name only")


class Code128Element(Spec):
    """A Code 128 bar code; quiet zones of 10 modules are part of its width."""

    kind: Literal["code128"]
    x_mm: float = Field(ge=0)
    y_mm: float = Field(ge=0)
    width_mm: float = Field(gt=0)
    height_mm: float = Field(ge=3)
    module_dots: int = Field(2, ge=2, le=20, description="Printer dots of the narrowest bar")
    text: str = Field(min_length=1, max_length=100)
    optional: bool = Field(False, description="Left out, not refused, where a field has no value")


Element = Annotated[
    QrElement | TextElement | LineElement | BoxElement | ImageElement | Code128Element,
    Field(discriminator="kind"),
]


class WatermarkSpec(Spec):
    """The place kept free for the word on labels of a training ledger."""

    x_mm: float = Field(ge=0)
    y_mm: float = Field(ge=0)
    width_mm: float = Field(gt=0)
    height_mm: float = Field(gt=0)


class TemplateSpec(Spec):
    """One file of ``label_templates/``."""

    schema_version: Literal[1] = Field(1, alias="schema")
    description: str = ""
    stock: StockSpec
    watermark: WatermarkSpec | None = Field(None, description="Without it, no training labels")
    elements: tuple[Element, ...] = Field(min_length=1)
