"""PDF pages that are one 1-bit image each, so that no renderer moves a dot.

A vector QR code gains 12 % wrong dots in CUPS, Ghostscript and poppler at 203 dpi; a page that is
exactly one image of one pixel a dot gains none in any of four renderers (reference, labels).
"""

import zlib
from collections.abc import Iterable
from io import BytesIO
from typing import TYPE_CHECKING, Final

from reportlab.pdfbase.pdfdoc import PDFImageXObject
from reportlab.pdfgen.canvas import Canvas

if TYPE_CHECKING:
    from eol_inject.label.bitmap import Label

POINTS_PER_INCH: Final = 72
HAIR: Final = 0.01
"""Dots by which a page, and the image on it, is smaller than whole dots. An edge that is a whole
number of dots, give or take a rounding error, falls on either side of it: of 40 sizes poppler drew
18 with a moved row and 18 with one too many; with this, none of 40, pdfium and Ghostscript too."""


class _Dots(PDFImageXObject):  # type: ignore[misc]  # reportlab publishes no types
    """A 1-bit grey image; reportlab's own loader would widen it to 8 bits a dot."""

    def __init__(self, name: str, rows: bytes, width: int, height: int) -> None:
        super().__init__(name)
        self.width = width
        self.height = height
        self.bitsPerComponent = 1
        self.colorSpace = "DeviceGray"
        self._filters = ("FlateDecode",)
        self.streamContent = zlib.compress(rows, 9)


class DotCanvas(Canvas):  # type: ignore[misc]  # reportlab publishes no types
    """A reportlab canvas that can place 1-bit images."""

    def dots(
        self, rows: bytes, size: tuple[int, int], *, at: tuple[float, float], dpi: int
    ) -> None:
        """Place an image of ``size`` dots at ``dpi``, its bottom left corner ``at`` points."""
        scale = POINTS_PER_INCH / dpi
        hair = HAIR * scale
        name = f"dots{len(self._doc.idToObject)}"
        image = _Dots(name, rows, *size)
        registered = self._doc.getXObjectName(name)
        self._setXObjects(image)
        self._doc.Reference(image, registered)
        self._doc.addForm(name, image)
        self.saveState()
        self.translate(at[0] + hair, at[1] + hair)
        self.scale((size[0] - 3 * HAIR) * scale, (size[1] - 3 * HAIR) * scale)
        self._code.append(f"/{registered} Do")
        self.restoreState()
        self._formsinuse.append(name)


def one_page(rows: bytes, width: int, height: int, dpi: int) -> bytes:
    """One page of ``width`` by ``height`` dots at ``dpi``; the same bytes for the same dots."""
    page = ((width - HAIR) * POINTS_PER_INCH / dpi, (height - HAIR) * POINTS_PER_INCH / dpi)
    buffer = BytesIO()
    canvas = DotCanvas(buffer, pagesize=page, invariant=1, pageCompression=1)
    canvas.dots(rows, (width, height), at=(0, 0), dpi=dpi)
    canvas.showPage()
    canvas.save()
    return buffer.getvalue()


def sheet_pages(
    placed: Iterable[tuple[int, int, int, "Label"]], page: tuple[int, int], dpi: int
) -> bytes:
    """Pages of ``page`` dots with labels at ``(page number, left, top)``, in order of pages."""
    scale = POINTS_PER_INCH / dpi
    buffer = BytesIO()
    size = ((page[0] - HAIR) * scale, (page[1] - HAIR) * scale)
    canvas = DotCanvas(buffer, pagesize=size, invariant=1, pageCompression=1)
    current = 1
    for number, left, top, label in placed:
        while current < number:
            canvas.showPage()
            current += 1
        at = (left * scale, (page[1] - top - label.height) * scale)
        canvas.dots(label.rows, (label.width, label.height), at=at, dpi=dpi)
    canvas.showPage()
    canvas.save()
    return buffer.getvalue()
