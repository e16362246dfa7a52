"""Sheets: every label in its cell, in order, none twice and none missing, dot for dot."""

import itertools
import random
import string
import subprocess
from collections.abc import Callable
from pathlib import Path

import pypdfium2
import pytest
from PIL import Image, ImageChops

from eol_inject.errors import UsageError
from eol_inject.label import Label, Template, load_template, render, sheet_pdf
from eol_inject.label.sheet import cells
from eol_inject.unit import ClaimCode, Proven

MakeProven = Callable[..., Proven]


@pytest.fixture(params=["sheet-avery-l7160", "sheet-avery-5160"])
def sheet(request: pytest.FixtureRequest) -> Template:
    return load_template(request.param)


def _claims(count: int) -> list[str]:
    rng = random.Random(count)
    alphabet = string.ascii_letters + string.digits + "_-"
    return ["sqr_" + "".join(rng.choices(alphabet, k=32)) + "+1" for _ in range(count)]


def _labels(make_proven: MakeProven, template: Template, claims: list[str]) -> list[Label]:
    return [
        render(
            make_proven(claim=ClaimCode.parse(claim)), template, extra={"product_name": "Sensor"}
        )
        for claim in claims
    ]


def _pages(pdf: bytes, dpi: int, folder: Path) -> list[Image.Image]:
    (folder / "sheet.pdf").write_bytes(pdf)
    subprocess.run(
        ["pdftoppm", "-mono", "-r", str(dpi), folder / "sheet.pdf", folder / "page"], check=True
    )
    pages = []
    for path in sorted(folder.glob("page*.pbm")):
        with Image.open(path) as page:
            pages.append(page.convert("L"))
    return pages


@pytest.mark.needs_debian("pdftoppm")
def test_every_label_lies_in_its_cell_dot_for_dot(
    make_proven: MakeProven, sheet: Template, tmp_path: Path
) -> None:
    """A part-used sheet goes on in its next cell, over the page's end; the rest stays white."""
    labels = _labels(make_proven, sheet, _claims(6))
    assert sheet.spec.stock.sheet is not None
    start = sheet.spec.stock.sheet.cells - 3
    pages = _pages(sheet_pdf(labels, sheet, start_at=start), sheet.spec.stock.dpi, tmp_path)
    assert len(pages) == 2
    for label, cell in zip(labels, cells(sheet, start_at=start), strict=False):
        box = (cell.left, cell.top, cell.left + label.width, cell.top + label.height)
        page = pages[cell.page - 1]
        wrong = ImageChops.difference(page.crop(box), label.bitmap.convert("L"))
        assert wrong.getbbox() is None
        page.paste(255, box)
    assert [ImageChops.invert(page).getbbox() for page in pages] == [None, None]


@pytest.mark.needs_debian("pdftoppm", "zbarimg")
def test_another_decoder_reads_every_label_of_the_finished_sheet(
    make_proven: MakeProven, sheet: Template, tmp_path: Path
) -> None:
    """One whole page and one label more, read from the PDF by ZBar: none missing, none double."""
    assert sheet.spec.stock.sheet is not None
    claims = _claims(sheet.spec.stock.sheet.cells + 1)
    labels = _labels(make_proven, sheet, claims)
    for number, page in enumerate(_pages(sheet_pdf(labels, sheet), sheet.spec.stock.dpi, tmp_path)):
        page.save(tmp_path / f"{number}.png")
    said = subprocess.run(
        ["zbarimg", "-q", "--raw", "-Sdisable", "-Sqrcode.enable", *sorted(tmp_path.glob("*.png"))],
        check=True,
        capture_output=True,
        text=True,
    )
    assert sorted(said.stdout.split()) == sorted(claims)


def test_cells_follow_row_by_row_without_gap_or_double(sheet: Template) -> None:
    """Stopping after any label and starting at the next cell gives the same places."""
    whole = list(itertools.islice(cells(sheet), 70))
    assert len({(cell.page, cell.cell) for cell in whole}) == 70
    for cut in (1, 5, 20):
        rest = itertools.islice(cells(sheet, start_at=whole[cut].cell), 9)
        assert [(c.cell, c.left, c.top) for c in rest] == [
            (c.cell, c.left, c.top) for c in whole[cut : cut + 9]
        ]


def test_l7160_is_where_avery_says() -> None:
    """First cell 7.25 / 15.15 mm from the corner, pitch 66.04 x 38.1 mm, 3 x 7 on A4."""
    sheet = load_template("sheet-avery-l7160")
    first, second, *_, fourth = itertools.islice(cells(sheet), 4)
    dots = 300 / 25.4
    assert (first.left, first.top) == (round(7.25 * dots), round(15.15 * dots))
    assert second.left == round((7.25 + 66.04) * dots)
    assert fourth.top == round((15.15 + 38.1) * dots)


def test_the_same_labels_give_the_same_bytes(make_proven: MakeProven, sheet: Template) -> None:
    """A sheet that is made again can be compared with the one that was printed."""
    labels = _labels(make_proven, sheet, _claims(3))
    assert sheet_pdf(labels, sheet) == sheet_pdf(iter(labels), sheet)


def test_progress_counts_the_labels(make_proven: MakeProven, sheet: Template) -> None:
    """Told after each label, for the line on the screen."""
    told: list[int] = []
    sheet_pdf(_labels(make_proven, sheet, _claims(3)), sheet, progress=told.append)
    assert told == [1, 2, 3]


def test_an_offset_moves_everything(sheet: Template) -> None:
    """A printer that feeds a little low is corrected in millimetres."""
    (plain,) = itertools.islice(cells(sheet), 1)
    (moved,) = itertools.islice(cells(sheet, offset_mm=(1.0, -2.0)), 1)
    dots = sheet.spec.stock.dots
    assert moved.left - plain.left == pytest.approx(dots(1.0), abs=1)
    assert moved.top - plain.top == pytest.approx(-dots(2.0), abs=1)


@pytest.mark.parametrize("start", [0, -1, 99])
def test_a_cell_that_is_not_there_is_refused(sheet: Template, start: int) -> None:
    """Cells are counted from 1."""
    with pytest.raises(UsageError) as caught:
        sheet_pdf([], sheet, start_at=start)
    assert caught.value.code == "label.bad_start"


@pytest.mark.parametrize("offset", [(-50.0, 0.0), (0.0, 50.0)])
def test_an_offset_off_the_page_is_refused(sheet: Template, offset: tuple[float, float]) -> None:
    """No label is cut at the paper's edge."""
    with pytest.raises(UsageError) as caught:
        sheet_pdf([], sheet, offset_mm=offset)
    assert caught.value.code == "label.bad_offset"


def test_only_the_sheets_own_labels_go_on_it(
    proven: Proven, extra: dict[str, str], template: Template, sheet: Template
) -> None:
    """A roll's label, or one of an edited template, has another size or other texts."""
    other = render(proven, template, extra=extra)
    with pytest.raises(UsageError) as caught:
        sheet_pdf([other], sheet)
    assert caught.value.code == "label.other_template"
    with pytest.raises(UsageError) as caught:
        sheet_pdf([other], template)
    assert caught.value.code == "label.no_sheet"


def test_no_labels_are_one_empty_page(sheet: Template) -> None:
    """An empty lot is no error here; whoever asks says so first."""
    document = pypdfium2.PdfDocument(sheet_pdf([], sheet))
    assert len(document) == 1
    document.close()
