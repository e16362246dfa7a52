"""Pictures on a label: a logo as the printer's own dots, placed one to one."""

from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Final

from eol_inject.errors import UsageError
from eol_inject.label.decode import holds_a_code
from eol_inject.label.geometry import Box

if TYPE_CHECKING:
    from PIL.Image import Image

_MOST_BYTES: Final = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Picture:
    """A 1-bit picture; ``rows`` packed as Pillow's mode "1"."""

    width: int
    height: int
    rows: bytes

    @property
    def bitmap(self) -> "Image":
        """A fresh Pillow image of mode "1"."""
        from PIL import Image

        return Image.frombytes("1", (self.width, self.height), self.rows)


def read(data: bytes, box: Box, *, where: str) -> Picture:
    """A PNG of one bit a dot that fits the box; it is neither scaled nor dithered.

    Raises ``UsageError("label.bad_picture")``.
    """
    from PIL import Image, UnidentifiedImageError

    if len(data) > _MOST_BYTES:
        raise UsageError("label.bad_picture", element=where, why="the file is too large")
    try:
        with Image.open(BytesIO(data), formats=["PNG"]) as image:
            if image.mode != "1":
                why = f"it has the colours of mode {image.mode} instead of black and white"
                raise UsageError("label.bad_picture", element=where, why=why)
            if image.width > box.width or image.height > box.height:
                why = f"{image.width} x {image.height} dots do not fit {box.width} x {box.height}"
                raise UsageError("label.bad_picture", element=where, why=why)
            if holds_a_code(image):
                raise UsageError("label.bad_picture", element=where, why="it holds a code itself")
            return Picture(image.width, image.height, image.tobytes())
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise UsageError("label.bad_picture", element=where, why="it is no PNG") from error
