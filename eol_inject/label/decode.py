"""The look back: what a scanner reads from a finished bitmap.

zxing-cpp shares no code with the library that made the symbol. No ISO/IEC 15415 grade is claimed:
that needs calibrated optics.
"""

from typing import TYPE_CHECKING, Final

from eol_inject.errors import RecordError
from eol_inject.label.geometry import Box

if TYPE_CHECKING:
    from PIL.Image import Image

BLUR_MODULES: Final = 0.35
"""Standard deviation of the simulated blur, in modules: a phone slightly out of focus."""


_QR: Final = "QRCode"
_MATRIX: Final = "QRCode,MicroQRCode,DataMatrix,Aztec,MaxiCode,PDF417"


def compare(bitmap: "Image", expected: str, *, symbol: Box, module_dots: int) -> None:
    """Prove that the bitmap says ``expected`` and nothing else, also when printed and seen badly.

    Raises ``RecordError``: ``label.decode_mismatch`` where another text, no symbol or a second
    symbol is read; ``label.fragile`` where blur, or dot gain of one dot, makes the code inside the
    box ``symbol`` unreadable. The texts are not repeated.
    """
    from PIL import ImageFilter

    grey = bitmap.convert("L")
    wanted = [("QR Code", expected.encode())]
    seen = symbols(grey)
    if len(seen) != 1:
        raise RecordError("label.decode_mismatch", why=f"{len(seen)} codes instead of one")
    if seen != wanted:
        raise RecordError("label.decode_mismatch", why="another text")
    place = grey.crop(symbol.corners)
    for damage, filtered in (
        ("blur", ImageFilter.GaussianBlur(BLUR_MODULES * module_dots)),
        ("dot gain", ImageFilter.MinFilter(3)),
    ):
        if symbols(place.filter(filtered), only_qr=True) != wanted:
            raise RecordError("label.fragile", damage=damage)


def compare_bars(bars: "Image", expected: str) -> None:
    """Prove that a Code 128 says ``expected``. Raises ``RecordError("label.decode_mismatch")``."""
    import zxingcpp

    formats = zxingcpp.barcode_formats_from_str("Code128")
    found = zxingcpp.read_barcodes(bars.convert("L"), formats=formats)
    if [bytes(code.bytes) for code in found] != [expected.encode()]:
        raise RecordError("label.decode_mismatch", why="the bar code says something else")


def symbols(image: "Image", *, only_qr: bool = False) -> list[tuple[str, bytes]]:
    """Format and bytes of every two-dimensional code found; five times faster with ``only_qr``.

    Bar codes are not looked for: in one of 80 QR symbols zxing-cpp also sees an ITF code.
    """
    import zxingcpp

    formats = zxingcpp.barcode_formats_from_str(_QR if only_qr else _MATRIX)
    codes = zxingcpp.read_barcodes(image, formats=formats)
    return [(str(code.format), bytes(code.bytes)) for code in codes]
