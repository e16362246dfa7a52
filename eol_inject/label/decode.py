"""The look back: what a scanner reads from a finished bitmap.

zxing-cpp shares no code with the library that made the symbol. No ISO/IEC 15415 grade is claimed:
that needs calibrated optics.
"""

from typing import TYPE_CHECKING

from eol_inject.errors import RecordError

if TYPE_CHECKING:
    from PIL.Image import Image

BLUR_MODULES = 0.35
"""Standard deviation of the simulated blur, in modules: a phone slightly out of focus."""


def compare(bitmap: "Image", expected: str, *, module_dots: int) -> None:
    """Prove that the bitmap says ``expected`` and nothing else, also when printed and seen badly.

    Raises ``RecordError``: ``label.decode_mismatch`` where another text, no symbol or a second
    symbol is read; ``label.fragile`` where blur or dot gain of one dot makes it unreadable. The
    texts are not repeated.
    """
    from PIL import ImageFilter

    seen = symbols(bitmap.convert("L"))
    if len(seen) != 1:
        raise RecordError("label.decode_mismatch", why=f"{len(seen)} codes instead of one")
    if seen[0] != ("QR Code", expected.encode()):
        raise RecordError("label.decode_mismatch", why="another text")
    grey = bitmap.convert("L")
    for damage, filtered in (
        ("blur", ImageFilter.GaussianBlur(BLUR_MODULES * module_dots)),
        ("dot gain", ImageFilter.MinFilter(3)),
    ):
        if symbols(grey.filter(filtered)) != seen:
            raise RecordError("label.fragile", damage=damage)


def symbols(image: "Image") -> list[tuple[str, bytes]]:
    """Format and bytes of every code that zxing-cpp finds."""
    import zxingcpp

    return [(str(code.format), bytes(code.bytes)) for code in zxingcpp.read_barcodes(image)]
