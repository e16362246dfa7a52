"""What a profile says about its label (``[label]``), and what a template file says."""

from typing import Annotated, Literal

from pydantic import Field

from eol_inject.specs import Spec


class LabelSpec(Spec):
    """Which template the claim label uses."""

    template: str = Field(description="Name of a file in label_templates/, without .toml")


class StockSpec(Spec):
    """The piece of label: its size and the printer's dots."""

    width_mm: float = Field(gt=0, le=300)
    height_mm: float = Field(gt=0, le=300)
    dpi: int = Field(ge=100, le=1200)
    margin_mm: float = Field(1.0, ge=0)


class QrElement(Spec):
    """The claim code as a QR symbol, quiet zone included in its place."""

    kind: Literal["qr"]
    x_mm: float = Field(ge=0, description="Left edge of the quiet zone")
    y_mm: float = Field(ge=0, description="Top edge of the quiet zone")
    max_mm: float = Field(
        gt=0, description="The symbol with its quiet zone must fit in this square"
    )
    module_dots: int = Field(4, ge=1, le=40, description="Printer dots per module; 4 is the least")


class TextElement(Spec):
    """One line of text that fits or fails; ``{name}`` takes a field, ``{{`` is a brace."""

    kind: Literal["text"]
    x_mm: float = Field(ge=0)
    y_mm: float = Field(ge=0)
    width_mm: float = Field(gt=0)
    size_pt: float = Field(gt=3, le=72)
    text: str
    bold: bool = False
    optional: bool = Field(False, description="Left out, not refused, where a field has no value")


Element = Annotated[QrElement | TextElement, Field(discriminator="kind")]


class TemplateSpec(Spec):
    """One file of ``label_templates/``."""

    schema_version: Literal[1] = Field(1, alias="schema")
    description: str = ""
    stock: StockSpec
    elements: tuple[Element, ...]
