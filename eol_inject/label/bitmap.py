"""A finished label: one bit a dot on the printer's own grid, the same for every sink.

The bits are immutable bytes, so what was decoded and compared is what is sent.
"""

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True, slots=True)
class Label:
    """One rendered, decoded and compared label.

    ``rows`` is packed as Pillow's mode "1": 1 is white, most significant bit left, each row padded
    to a byte. It holds the claim code as a picture, so it is not part of ``repr``. ``tail`` is
    what records may say of the claim code.
    """

    template: str
    template_digest: str
    width: int
    height: int
    dpi: int
    tail: str
    watermark: str | None
    rows: bytes = field(repr=False)

    @property
    def digest(self) -> str:
        """SHA-256 of the dots, with their shape."""
        shape = f"{self.width}x{self.height}@{self.dpi}:".encode()
        return hashlib.sha256(shape + self.rows).hexdigest()

    @property
    def bitmap(self) -> "Image":
        """A fresh Pillow image of mode "1"; changing it changes no label."""
        from PIL import Image

        return Image.frombytes("1", (self.width, self.height), self.rows)

    def png(self) -> bytes:
        """A 1-bit PNG that says its resolution."""
        from io import BytesIO

        buffer = BytesIO()
        self.bitmap.save(buffer, format="PNG", dpi=(self.dpi, self.dpi))
        return buffer.getvalue()

    def pdf(self) -> bytes:
        """A PDF whose one page is exactly this bitmap, a dot a pixel."""
        from eol_inject.label.pdf import one_page

        return one_page(self.rows, self.width, self.height, self.dpi)
