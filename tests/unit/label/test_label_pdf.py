"""The PDF's one page is the bitmap, dot for dot, in renderers that did not make it."""

import random
import subprocess
from pathlib import Path

import pypdfium2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops

from eol_inject.label import Label, Template, load_template, render, shipped
from eol_inject.unit import Proven


@pytest.fixture(params=shipped())
def label(request: pytest.FixtureRequest, proven: Proven, extra: dict[str, str]) -> Label:
    return render(proven, load_template(request.param), extra=extra)


def _wrong_dots(label: Label, rendered: Image.Image) -> int:
    assert rendered.size == (label.width, label.height)
    wrong = ImageChops.difference(label.bitmap.convert("L"), rendered.convert("L"))
    return sum(wrong.histogram()[1:])


def _poppler(label: Label, folder: Path) -> Image.Image:
    (folder / "label.pdf").write_bytes(label.pdf())
    subprocess.run(
        ["pdftoppm", "-mono", "-r", str(label.dpi), folder / "label.pdf", folder / "page"],
        check=True,
    )
    (page,) = folder.glob("page*.pbm")
    with Image.open(page) as rendered:
        return rendered.copy()


def _ghostscript(label: Label, folder: Path) -> Image.Image:
    (folder / "label.pdf").write_bytes(label.pdf())
    subprocess.run(
        ["gs", "-q", "-dNOPAUSE", "-dBATCH", "-dSAFER", "-sDEVICE=pngmono", f"-r{label.dpi}",
         f"-sOutputFile={folder / 'page.png'}", folder / "label.pdf"],
        check=True,
    )  # fmt: skip
    with Image.open(folder / "page.png") as rendered:
        return rendered.copy()


def _pdfium(label: Label) -> Image.Image:
    document = pypdfium2.PdfDocument(label.pdf())
    assert len(document) == 1
    grey = document[0].render(scale=label.dpi / 72, grayscale=True).to_pil()
    document.close()
    return grey.point(lambda level: 255 if level > 127 else 0)


@pytest.mark.needs_debian("pdftoppm")
def test_poppler_renders_every_dot(tmp_path: Path, label: Label) -> None:
    """At the stock's resolution ``pdftoppm -mono`` gives the bitmap itself: 0 wrong dots."""
    assert _wrong_dots(label, _poppler(label, tmp_path)) == 0


@pytest.mark.needs_debian("gs")
def test_ghostscript_renders_every_dot(tmp_path: Path, label: Label) -> None:
    """The renderer behind most CUPS queues moves no dot either."""
    assert _wrong_dots(label, _ghostscript(label, tmp_path)) == 0


def test_pdfium_renders_every_dot(label: Label) -> None:
    """What browsers show and print is the bitmap too, on its one page."""
    assert _wrong_dots(label, _pdfium(label)) == 0


@given(
    width=st.integers(40, 700),
    height=st.integers(40, 400),
    dpi=st.sampled_from([203, 300, 600]),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=40)
def test_no_size_moves_a_dot_in_pdfium(width: int, height: int, dpi: int, seed: int) -> None:
    """Edges fall on whole dots at any size: nothing rounds up into one more row or column."""
    noise = random.Random(seed).randbytes((width + 7) // 8 * height)
    label = Label("t", "", width, height, dpi, "tail00", None, rows=noise)
    assert _wrong_dots(label, _pdfium(label)) == 0


@pytest.mark.needs_debian("pdftoppm", "gs")
@pytest.mark.parametrize("seed", range(10))
def test_no_size_moves_a_dot_in_print_renderers(tmp_path: Path, seed: int) -> None:
    """The same in poppler and Ghostscript, at random sizes."""
    rng = random.Random(seed)
    width, height = rng.randrange(100, 900), rng.randrange(100, 500)
    noise = rng.randbytes((width + 7) // 8 * height)
    label = Label("t", "", width, height, rng.choice([203, 300, 600]), "tail00", None, rows=noise)
    assert _wrong_dots(label, _poppler(label, tmp_path)) == 0
    assert _wrong_dots(label, _ghostscript(label, tmp_path)) == 0


def test_the_page_has_the_labels_size(label: Label, template: Template) -> None:
    """Dots by 72 / dpi points, so that nothing has to be scaled to fit."""
    document = pypdfium2.PdfDocument(label.pdf())
    size = document[0].get_size()
    document.close()
    wanted = (label.width * 72 / label.dpi, label.height * 72 / label.dpi)
    assert size == pytest.approx(wanted, abs=0.01)


@pytest.mark.needs_debian("zbarimg", "pdftoppm")
def test_a_second_decoder_reads_the_finished_pdf(
    tmp_path: Path, label: Label, proven: Proven
) -> None:
    """ZBar, which shares no code with zxing-cpp, reads the same claim code."""
    _poppler(label, tmp_path).convert("L").save(tmp_path / "page.png")
    said = subprocess.run(
        ["zbarimg", "-q", "--raw", "-Sdisable", "-Sqrcode.enable", tmp_path / "page.png"],
        check=True,
        capture_output=True,
        text=True,
    )
    assert said.stdout.rstrip("\n") == proven.claim.reveal()
