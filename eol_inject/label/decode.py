"""The look back: what a scanner reads from a finished bitmap.

zxing-cpp shares no code with the library that made the symbol. No ISO/IEC 15415 grade is claimed:
that needs calibrated optics.
"""

from typing import TYPE_CHECKING, Final

from eol_inject.errors import RecordError
from eol_inject.label.geometry import Box

if TYPE_CHECKING:
    from PIL.Image import Image

BLUR_MODULES: Final = 0.5
"""Radius of the simulated blur, in modules: a phone slightly out of focus."""


_QR: Final = "QRCode"
_ANY: Final = "QRCode,MicroQRCode,DataMatrix,Aztec,MaxiCode,PDF417"
"""Bar codes are not looked for: in one of 80 QR symbols zxing-cpp also sees an ITF code."""


def compare(bitmap: "Image", expected: str, *, symbol: Box, module_dots: int) -> None:
    """Prove that the bitmap says ``expected`` and nothing else, also when printed and seen badly.

    Raises ``RecordError``: ``label.decode_mismatch`` where another text, no symbol or a second
    symbol is read; ``label.fragile`` where blur, or dot gain of one dot, makes the code inside the
    box ``symbol`` unreadable. The texts are not repeated.
    """
    from PIL import ImageFilter

    grey = bitmap.convert("L")
    wanted = [expected.encode()]
    seen = _read(grey, _QR)
    if len(seen) != 1:
        raise RecordError("label.decode_mismatch", why=f"{len(seen)} codes instead of one")
    if seen != wanted:
        raise RecordError("label.decode_mismatch", why="another text")
    place = grey.crop(symbol.corners)
    if _read(place.filter(ImageFilter.BoxBlur(BLUR_MODULES * module_dots)), _QR) != wanted:
        raise RecordError("label.fragile", damage="blur")
    if _read(_spread(place), _QR) != wanted:
        raise RecordError("label.fragile", damage="dot gain")


def compare_bars(bars: "Image", expected: str) -> None:
    """Prove that a Code 128 says ``expected``. Raises ``RecordError("label.decode_mismatch")``."""
    if _read(bars.convert("L"), "Code128") != [expected.encode()]:
        raise RecordError("label.decode_mismatch", why="the bar code says something else")


def holds_a_code(image: "Image") -> bool:
    """Whether a scanner would find any two-dimensional code, for pictures on labels."""
    return bool(_read(image.convert("L"), _ANY))


def _spread(grey: "Image") -> "Image":
    """Every black dot one dot larger on each side, as thermal paper and wet ink do."""
    from PIL import ImageChops

    for x, y in ((1, 0), (0, 1)):
        grey = ImageChops.darker(
            grey, ImageChops.darker(ImageChops.offset(grey, x, y), ImageChops.offset(grey, -x, -y))
        )
    return grey


def _read(image: "Image", formats: str) -> list[bytes]:
    import zxingcpp

    wanted = zxingcpp.barcode_formats_from_str(formats)
    return [bytes(code.bytes) for code in zxingcpp.read_barcodes(image, formats=wanted)]
