"""The PDF's one page is the bitmap, dot for dot, in renderers that did not make it."""

import subprocess
from io import BytesIO
from pathlib import Path

import pypdfium2
import pytest
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


@pytest.mark.needs_debian("pdftoppm")
def test_poppler_renders_every_dot(tmp_path: Path, label: Label) -> None:
    """At the stock's resolution ``pdftoppm -mono`` gives the bitmap itself: 0 wrong dots."""
    (tmp_path / "label.pdf").write_bytes(label.pdf())
    subprocess.run(
        ["pdftoppm", "-mono", "-r", str(label.dpi), tmp_path / "label.pdf", tmp_path / "page"],
        check=True,
    )
    (page,) = tmp_path.glob("page*")
    with Image.open(page) as rendered:
        assert _wrong_dots(label, rendered) == 0


@pytest.mark.needs_debian("gs")
def test_ghostscript_renders_every_dot(tmp_path: Path, label: Label) -> None:
    """The renderer behind most CUPS queues moves no dot either."""
    (tmp_path / "label.pdf").write_bytes(label.pdf())
    subprocess.run(
        ["gs", "-q", "-dNOPAUSE", "-dBATCH", "-dSAFER", "-sDEVICE=pngmono", f"-r{label.dpi}",
         f"-sOutputFile={tmp_path / 'page.png'}", tmp_path / "label.pdf"],
        check=True,
    )  # fmt: skip
    with Image.open(tmp_path / "page.png") as rendered:
        assert _wrong_dots(label, rendered) == 0


def test_pdfium_renders_every_dot(label: Label) -> None:
    """What browsers show and print is the bitmap too, and there is one page."""
    document = pypdfium2.PdfDocument(label.pdf())
    assert len(document) == 1
    rendered = document[0].render(scale=label.dpi / 72, grayscale=True).to_pil()
    document.close()
    assert _wrong_dots(label, rendered.point(lambda grey: 255 if grey > 127 else 0)) == 0


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
    (tmp_path / "label.pdf").write_bytes(label.pdf())
    subprocess.run(
        ["pdftoppm", "-mono", "-r", str(label.dpi), tmp_path / "label.pdf", tmp_path / "page"],
        check=True,
    )
    (page,) = tmp_path.glob("page*")
    png = BytesIO()
    with Image.open(page) as rendered:
        rendered.convert("L").save(png, format="PNG")
    (tmp_path / "page.png").write_bytes(png.getvalue())
    said = subprocess.run(
        ["zbarimg", "-q", "--raw", "-Sdisable", "-Sqrcode.enable", tmp_path / "page.png"],
        check=True,
        capture_output=True,
        text=True,
    )
    assert said.stdout.rstrip("\n") == proven.claim.reveal()
