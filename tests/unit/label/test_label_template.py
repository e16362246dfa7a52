"""What a template may say, and what is refused before any unit is touched."""

import tomllib
from copy import deepcopy
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from eol_inject.errors import UsageError
from eol_inject.label import Template, check_template, load_template, shipped
from eol_inject.label import text as text_module
from eol_inject.label.geometry import line_height
from eol_inject.label.template import make_template
from eol_inject.resources import folder

Table = dict[str, Any]


@pytest.fixture
def table() -> Table:
    """A minimal good template."""
    return tomllib.loads(
        """
        schema = 1
        stock = { width_mm = 50, height_mm = 25, dpi = 203 }
        [[elements]]
        kind = "qr"
        x_mm = 1
        y_mm = 1
        max_mm = 20.6
        [[elements]]
        kind = "text"
        x_mm = 23
        y_mm = 2
        width_mm = 25
        size_pt = 6
        text = "{unit}"
        """
    )


def make(table: Table, picture: bytes = b"") -> Template:
    return make_template("t", b"", table, read_file=lambda _: picture)


def _refused(table: Table) -> UsageError:
    with pytest.raises(UsageError) as caught:
        make(table)
    return caught.value


def test_every_shipped_template_loads() -> None:
    """What is shipped is valid, and its digest is that of its file."""
    for name in shipped():
        template = load_template(name)
        assert template.name == name
        assert len(template.digest) == 64
        check_template(template, ())


def test_a_template_of_ones_own_is_named_by_its_path(tmp_path: Path) -> None:
    """A path that ends in .toml is read; anything else is a shipped name."""
    copy = tmp_path / "mine.toml"
    copy.write_bytes((folder("label_templates") / "claim-50x25-203.toml").read_bytes())
    assert load_template(copy).spec == load_template("claim-50x25-203").spec
    assert load_template(copy).digest == load_template("claim-50x25-203").digest


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    """A typing error costs no look into a folder."""
    with pytest.raises(UsageError) as caught:
        load_template("claim-50x52-203")
    assert caught.value.code == "label.no_template"
    assert caught.value.params["nearest"] == "claim-50x25-203"


def test_an_unreadable_file_says_why(tmp_path: Path) -> None:
    """Missing and malformed files are usage errors with the file's name."""
    broken = tmp_path / "broken.toml"
    broken.write_text("schema = [", encoding="utf-8")
    for path, code in ((tmp_path / "none.toml", "unreadable"), (broken, "not_toml")):
        with pytest.raises(UsageError) as caught:
            load_template(path)
        assert caught.value.code == f"label.{code}"
        assert path.name in str(caught.value)


@pytest.mark.parametrize(
    ("path", "key", "nearest"),
    [
        ((), "stocks", "stock"),
        (("stock",), "widht_mm", "width_mm"),
        (("elements", 0), "max", "max_mm"),
        (("elements", 1), "size", "size_pt"),
    ],
)
def test_an_unknown_key_is_answered_with_the_nearest(
    table: Table, path: tuple[str | int, ...], key: str, nearest: str
) -> None:
    """No key is silently ignored, at any level."""
    target: Any = table
    for part in path:
        target = target[part]
    target[key] = 1
    error = _refused(table)
    assert error.code == "label.unknown_key"
    assert nearest in str(error)


@pytest.mark.parametrize(
    ("element", "changes", "code"),
    [
        (0, {"module_dots": 3}, "label.module_too_small"),
        (0, {"max_mm": 18.0}, "label.symbol_too_large"),
        (0, {"x_mm": 35}, "label.off_label"),
        (0, {"x_mm": 3}, "label.quiet_zone"),
        (1, {"x_mm": 21}, "label.quiet_zone"),
        (1, {"width_mm": 27}, "label.off_label"),
        (1, {"lines": 9}, "label.off_label"),
        (1, {"size_pt": 72}, "label.off_label"),
        (1, {"y_mm": 0.5}, "label.off_label"),
        (1, {"least_pt": 7}, "label.invalid"),
        (1, {"text": "{unit"}, "label.invalid"),
        (1, {"text": "{unit!r}"}, "label.invalid"),
        (1, {"text": "{unit:>9}"}, "label.invalid"),
        (1, {"text": "{}"}, "label.invalid"),
        (1, {"text": "{unit.__class__}"}, "label.invalid"),
        (1, {"text": "{unit[0]}"}, "label.invalid"),
        (1, {"text": ""}, "label.invalid"),
        (1, {"size_pt": "six"}, "label.invalid"),
    ],
)
def test_bad_geometry_and_text_have_exact_codes(
    table: Table, element: int, changes: Table, code: str
) -> None:
    """Each way in which an element can be wrong is told apart."""
    table["elements"][element] |= changes
    assert _refused(table).code == code


def test_text_over_text_is_refused(table: Table) -> None:
    """Two texts on one place would be readable as neither."""
    table["elements"].append(deepcopy(table["elements"][1]))
    error = _refused(table)
    assert error.code == "label.overlap"
    assert (error.params["element"], error.params["other"]) == ("elements.[2]", "elements.[3]")


@pytest.mark.parametrize("count", [0, 2])
def test_a_label_has_exactly_one_symbol(table: Table, count: int) -> None:
    """None would claim nothing; with two, nobody knows which one is scanned."""
    symbol, text = table["elements"]
    table["elements"] = [symbol] * count + [text]
    assert _refused(table).code == "label.one_symbol"


def test_the_watermark_keeps_out_of_the_symbol(table: Table) -> None:
    """The place for TRAINING counts like an element."""
    table["watermark"] = {"x_mm": 20, "y_mm": 20, "width_mm": 20, "height_mm": 3}
    error = _refused(table)
    assert (error.code, error.params["element"]) == ("label.quiet_zone", "watermark")


def test_a_field_that_is_not_declared_is_refused(table: Table) -> None:
    """``profile check`` proves that the label will have every value it names."""
    table["elements"][1]["text"] = "{colour}"
    template = make(table)
    check_template(template, ("colour",))
    with pytest.raises(UsageError) as caught:
        check_template(template, ("color",))
    assert caught.value.code == "label.unknown_field"
    assert caught.value.params["nearest"] == "color"


def test_names_every_label_has_need_no_declaration(table: Table) -> None:
    """Unit, product, lot, tail, role, date and the like come with the record."""
    names = "unit unit.mac unit.serial unit_kind product product_name lot tail role date slot"
    for name in names.split():
        table["elements"][1]["text"] = f"{{{name}}}"
        check_template(make(table), ())


@pytest.mark.parametrize("field", ["tail", "lot", "date"])
def test_a_declared_field_cannot_take_the_place_of_a_fact(template: Template, field: str) -> None:
    """A column called `tail` must not print as the claim code's last characters."""
    with pytest.raises(UsageError) as caught:
        check_template(template, (field,))
    assert caught.value.code == "label.shadowed_field"


def test_a_longer_organization_is_measured_before_the_run(table: Table) -> None:
    """Six digits grow the symbol to version 4: a place for version 3 fails, it is not shrunk."""
    table["elements"][0]["max_mm"] = 18.6
    template = make(table)
    check_template(template, (), organization=99999)
    with pytest.raises(UsageError) as caught:
        check_template(template, (), organization=100000)
    assert caught.value.code == "label.symbol_too_large"
    assert (caught.value.params["needed_mm"], caught.value.params["max_mm"]) == (20.5, 18.6)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"media": "sheet"}, "go together"),
        ({"sheet": {}}, "required"),
        ({"media": "sheet", "sheet": {"columns": 5}}, "off the page"),
        ({"media": "sheet", "sheet": {"pitch_x_mm": 40}}, "over each other"),
    ],
)
def test_a_sheet_that_cannot_be_is_refused(table: Table, changes: Table, why: str) -> None:
    """Cells lie on the page and beside each other, and only a sheet has them."""
    page = {
        "page_width_mm": 210, "page_height_mm": 297, "columns": 3, "rows": 7,
        "left_mm": 5, "top_mm": 10, "pitch_x_mm": 60, "pitch_y_mm": 30,
    }  # fmt: skip
    if changes.get("sheet"):
        changes["sheet"] = page | changes["sheet"]
    table["stock"] |= changes
    error = _refused(table)
    assert error.code == "label.invalid"
    assert why in str(error)


def _png(size: tuple[int, int], mode: str = "1") -> bytes:
    buffer = BytesIO()
    Image.new(mode, size).save(buffer, format="PNG")
    return buffer.getvalue()


@pytest.fixture
def with_logo(table: Table) -> Table:
    """The minimal template with a place for a picture of 40 x 24 dots."""
    table["elements"].append(
        {"kind": "image", "x_mm": 23, "y_mm": 8, "width_mm": 5, "height_mm": 3, "file": "logo.png"}
    )
    return table


def test_a_picture_is_placed_one_to_one(with_logo: Table) -> None:
    """A 1-bit PNG at the printer's dots goes on as it is, and into the template's digest."""
    template = make(with_logo, _png((40, 24)))
    assert template.pictures["logo.png"].width == 40
    assert template.digest != make(with_logo, _png((39, 24))).digest


@pytest.mark.parametrize(
    ("picture", "why"),
    [
        (_png((41, 24)), "do not fit"),
        (_png((40, 24), "RGB"), "colours"),
        (b"GIF89a", "no PNG"),
        (_png((40, 24))[:40], "no PNG"),
    ],
)
def test_a_picture_that_would_have_to_be_changed_is_refused(
    with_logo: Table, picture: bytes, why: str
) -> None:
    """It is neither scaled, nor dithered, nor guessed."""
    with pytest.raises(UsageError, match=why) as caught:
        make(with_logo, picture)
    assert caught.value.code == "label.bad_picture"


def test_a_picture_with_a_code_is_refused(table: Table, template: Template) -> None:
    """A second code on a label would be scanned instead of the claim code."""
    table["elements"][1]["y_mm"] = 20
    table["stock"] = {"width_mm": 60, "height_mm": 25, "dpi": 203}
    table["elements"].append(
        {"kind": "image", "x_mm": 23, "y_mm": 1, "width_mm": 18.6, "height_mm": 18.6,
         "file": "logo.png"}
    )  # fmt: skip
    with Image.open(folder("fixtures") / "labels" / "claim-50x25-203.png") as golden:
        code = golden.crop((18, 14, 166, 162))
    buffer = BytesIO()
    code.save(buffer, format="PNG")
    with pytest.raises(UsageError, match="holds a code"):
        make(table, buffer.getvalue())


@pytest.mark.parametrize("file", ["../logo.png", "/etc/logo.png", "a/b.png", ".png", "logo.svg"])
def test_a_picture_is_named_beside_the_template(with_logo: Table, file: str) -> None:
    """A template from elsewhere reads no other folder."""
    with_logo["elements"][2]["file"] = file
    assert _refused(with_logo).code == "label.invalid"


def test_a_missing_picture_is_named(tmp_path: Path) -> None:
    """The path is told that was looked at."""
    text = (folder("label_templates") / "claim-23x23-300.toml").read_text(encoding="utf-8")
    text += '[[elements]]\nkind = "image"\nx_mm = 3\ny_mm = 20.03\nwidth_mm = 5\n'
    text += 'height_mm = 0.01\nfile = "logo.png"\n'
    (tmp_path / "mine.toml").write_text(text, encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        load_template(tmp_path / "mine.toml")
    assert caught.value.code == "label.unreadable"
    assert "logo.png" in str(caught.value)


def test_text_may_stand_in_a_box_but_not_on_it(table: Table) -> None:
    """Only the outline of a box is inked."""
    box = {"kind": "box", "x_mm": 22, "y_mm": 1, "width_mm": 27, "height_mm": 10}
    table["elements"].append(box)
    make(table)
    box["y_mm"] = 3
    assert _refused(table).code == "label.overlap"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{product_name}", "label.text_too_long"),
        ("\u0414\u0430\u0442\u0447\u0438\u043a", "label.no_glyph"),
        ("A caption that is far too long for its element", "label.text_too_long"),
        ("{lot}", "label.token_shaped"),
    ],
)
def test_what_is_the_same_on_every_label_is_tried_before_the_run(
    table: Table, text: str, code: str
) -> None:
    """A product name that does not fit is found by the check, not on the first written unit."""
    table["elements"][1]["text"] = text
    known = {"product_name": "A product name that nobody can print here", "lot": "x" * 32}
    with pytest.raises(UsageError) as caught:
        check_template(make(table), (), known=known)
    assert caught.value.code == code


def test_a_text_with_values_of_the_unit_is_not_tried(table: Table) -> None:
    """They are judged on the unit's own label."""
    table["elements"][1]["text"] = "{unit} {lot}"
    check_template(make(table), (), known={"lot": "L1"})


def test_a_training_run_needs_a_place_for_its_word(table: Table) -> None:
    """Found by the check too, since such labels are never made without it."""
    with pytest.raises(UsageError) as caught:
        check_template(make(table), (), watermark="TRAINING")
    assert caught.value.code == "label.no_watermark_place"
    table["watermark"] = {"x_mm": 23, "y_mm": 20, "width_mm": 20, "height_mm": 3}
    check_template(make(table), (), watermark="TRAINING")


def test_no_letter_is_cut_off_at_any_size() -> None:
    """Accents and tails of every glyph stay inside a line's height: an Ä never prints as an A."""
    for px in range(8, 80):
        for bold in (False, True):
            font = text_module._font(bold, px)
            boxes = [font.getbbox(chr(c), mode="1", anchor="ls") for c in text_module._glyphs(bold)]
            lowest = max(box[3] for box in boxes)
            assert text_module._ascent(bold, px) + lowest <= line_height(px), (px, bold)
