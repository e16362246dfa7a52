"""`label preview` in a terminal."""

import pytest
from PIL import Image

from eol_inject.cli import answer
from eol_inject.cli.picture import in_braille


def test_every_dot_of_a_small_picture_is_there() -> None:
    """One raised dot a black pixel, none for a white one, at a size that fits."""
    bitmap = Image.new("1", (5, 6), 1)
    for at in ((0, 0), (4, 5), (1, 3)):
        bitmap.putpixel(at, 0)
    lines = in_braille(bitmap, columns=10)
    raised = sum((ord(cell) - 0x2800).bit_count() for line in lines for cell in line)
    assert (len(lines), raised) == (2, 3)
    assert lines[0][0] == chr(0x2800 + 0x01 + 0x80)


def test_a_label_is_drawn_where_no_file_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """Lines of Braille no wider than the terminal, then the facts."""
    assert answer.run(["label", "preview", "claim-50x25-203"]) == 0
    out = capsys.readouterr().out.splitlines()
    drawn = [line for line in out if line and all(0x2800 <= ord(c) < 0x2900 for c in line)]
    assert len(drawn) >= 15
    assert max(map(len, drawn)) <= 80
