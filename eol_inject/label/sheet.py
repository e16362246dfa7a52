"""Sheets of labels for a laser printer: one PDF, each label a 1-bit image on whole dots.

The caller says which labels and from which cell on; a sheet that was used in part starts in its
first free cell. Labels are taken one by one, so a thousand of them need no more memory than their
packed pictures.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from eol_inject.errors import UsageError
from eol_inject.label.bitmap import Label
from eol_inject.label.spec import SheetSpec, StockSpec
from eol_inject.label.template import Template


@dataclass(frozen=True, slots=True)
class Cell:
    """Where a label lies: page from 1, cell from 1 row by row, top left corner in dots."""

    page: int
    cell: int
    left: int
    top: int


def cells(
    template: Template, *, start_at: int = 1, offset_mm: tuple[float, float] = (0.0, 0.0)
) -> Iterator[Cell]:
    """The cells from ``start_at`` on, page after page, without end.

    ``offset_mm`` shifts everything right and down, for a printer that feeds a little off. Raises
    ``UsageError``: ``label.no_sheet``, ``label.bad_start``, ``label.bad_offset``.
    """
    stock, sheet = _sheet_of(template)
    if not 1 <= start_at <= sheet.cells:
        raise UsageError("label.bad_start", start=start_at, cells=sheet.cells)
    _check_offset(stock, sheet, offset_mm)
    return _cells(stock, sheet, start_at, offset_mm)


def sheet_pdf(
    labels: Iterable[Label],
    template: Template,
    *,
    start_at: int = 1,
    offset_mm: tuple[float, float] = (0.0, 0.0),
    progress: Callable[[int], None] | None = None,
) -> bytes:
    """A PDF of all labels in order, the same bytes for the same labels.

    ``progress`` is told how many are placed. Raises what ``cells`` raises, and
    ``UsageError("label.other_template")`` for a label that was not made with ``template``.
    """
    from eol_inject.label.pdf import sheet_pages

    stock, sheet = _sheet_of(template)
    places = cells(template, start_at=start_at, offset_mm=offset_mm)
    page = (stock.dots(sheet.page_width_mm), stock.dots(sheet.page_height_mm))

    def placed() -> Iterator[tuple[int, int, int, Label]]:
        for number, (label, cell) in enumerate(zip(labels, places, strict=False), start=1):
            if label.template_digest != template.digest:
                raise UsageError("label.other_template", name=template.name, other=label.template)
            yield cell.page, cell.left, cell.top, label
            if progress is not None:
                progress(number)

    return sheet_pages(placed(), page, stock.dpi)


def _sheet_of(template: Template) -> tuple[StockSpec, SheetSpec]:
    stock = template.spec.stock
    if stock.sheet is None:
        raise UsageError("label.no_sheet", name=template.name)
    return stock, stock.sheet


def _cells(
    stock: StockSpec, sheet: SheetSpec, start_at: int, offset_mm: tuple[float, float]
) -> Iterator[Cell]:
    index = start_at - 1
    while True:
        page, cell = divmod(index, sheet.cells)
        row, column = divmod(cell, sheet.columns)
        left = sheet.left_mm + column * sheet.pitch_x_mm + offset_mm[0]
        top = sheet.top_mm + row * sheet.pitch_y_mm + offset_mm[1]
        yield Cell(page + 1, cell + 1, stock.dots(left), stock.dots(top))
        index += 1


def _check_offset(stock: StockSpec, sheet: SheetSpec, offset_mm: tuple[float, float]) -> None:
    right = sheet.left_mm + (sheet.columns - 1) * sheet.pitch_x_mm + stock.width_mm
    bottom = sheet.top_mm + (sheet.rows - 1) * sheet.pitch_y_mm + stock.height_mm
    fits = (
        -sheet.left_mm <= offset_mm[0] <= sheet.page_width_mm - right
        and -sheet.top_mm <= offset_mm[1] <= sheet.page_height_mm - bottom
    )
    if not fits:
        raise UsageError("label.bad_offset", x=offset_mm[0], y=offset_mm[1])
