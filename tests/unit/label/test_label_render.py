"""From a record to dots: only from a Proven, the same every time, read back before it leaves."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import zxingcpp
from PIL import Image, ImageChops

from eol_inject.errors import EolError, RecordError, UsageError
from eol_inject.label import Template, code128, load_template, qr, render, shipped
from eol_inject.label.geometry import place
from eol_inject.label.spec import Code128Element, QrElement, TextElement
from eol_inject.label.template import make_template
from eol_inject.label.values import collect, fill
from eol_inject.resources import folder
from eol_inject.unit import ClaimCode, Identifier, Proven, Secret, Unit

MakeProven = Callable[..., Proven]
CLAIM = "sqr_gCCsLSydh3d0ArmZj50l9zr79JXVooBR+1"
AUTH = "Zq3-9xW_bT7mK2cR8vLpN4sD6fHjY0aE"
GOLDEN = folder("fixtures") / "labels"
GOLDEN_EXTRA = {
    "product_name": "Room Climate Sensor",
    "date": "2026-11-22",
    "label_id": "K7QX",
    "copy": "1",
}


def _symbol_box(template: Template) -> tuple[int, int, int, int]:
    (symbol,) = (e for e in template.spec.elements if isinstance(e, QrElement))
    return place(template.spec.stock, symbol).corners


def _refusal(*args: Any, **options: Any) -> str:
    """The code that ``render`` refuses with."""
    with pytest.raises(EolError) as caught:
        render(*args, **options)
    return caught.value.code


def _saying(template: Template, text: str) -> Template:
    """The template with the same text in every text element."""
    elements = tuple(
        each.model_copy(update={"text": text}) if isinstance(each, TextElement) else each
        for each in template.spec.elements
    )
    return Template("saying", "", template.spec.model_copy(update={"elements": elements}))


@pytest.mark.parametrize("watermark", [None, "TRAINING"])
@pytest.mark.parametrize("name", shipped())
def test_labels_look_as_the_golden_ones(
    make_proven: MakeProven, name: str, watermark: str | None
) -> None:
    """Every dot of every template is where it was when somebody looked at it and liked it."""
    unit = Unit(Identifier("mac", "34:85:18:aa:b6:01"), (Identifier("serial", "RCS-0042"),))
    if name.endswith("-long"):
        unit = Unit(Identifier("uid", "0123456789ABCDEF8899AABBCCDDEEFF"))
    label = render(
        make_proven(unit=unit), load_template(name), extra=GOLDEN_EXTRA, watermark=watermark
    )
    with Image.open(GOLDEN / f"{name}{'-training' if watermark else ''}.png") as golden:
        assert golden.mode == "1"
        assert golden.size == (label.width, label.height)
        wrong = ImageChops.difference(golden.convert("L"), label.bitmap.convert("L"))
        assert wrong.getbbox() is None


def test_the_same_record_gives_the_same_bytes(
    proven: Proven, template: Template, extra: dict[str, str]
) -> None:
    """PNG and PDF are byte-identical from run to run, so a digest names a label."""
    first, second = (render(proven, template, extra=extra) for _ in range(2))
    assert first.digest == second.digest
    assert first.png() == second.png()
    assert first.pdf() == second.pdf()


def test_only_a_proven_becomes_a_label(
    proven: Proven, template: Template, extra: dict[str, str]
) -> None:
    """A look-alike with the same attributes is not enough: the ledger has to have proved it."""
    look_alike: Any = SimpleNamespace(**{n: getattr(proven, n) for n in Proven.__slots__})
    with pytest.raises(TypeError, match="Proven"):
        render(look_alike, template, extra=extra)


def test_a_label_does_not_show_its_claim_code(
    proven: Proven, template: Template, extra: dict[str, str]
) -> None:
    """Its repr may stand in a log: the tail is there, the code and its picture are not."""
    label = render(proven, template, extra=extra)
    assert proven.claim.tail in repr(label)
    assert proven.claim.reveal() not in repr(label)
    assert "rows" not in repr(label)


def test_modules_are_whole_dots_on_a_white_place(
    proven: Proven, template: Template, extra: dict[str, str]
) -> None:
    """Version 3 at 4 dots: 148 dots with the quiet zone, centred in a place that stays white."""
    bitmap = render(proven, template, extra=extra, watermark="TRAINING").bitmap
    left, top, right, bottom = _symbol_box(template)
    inside = ImageChops.invert(bitmap.convert("L")).crop((left, top, right, bottom)).getbbox()
    assert inside is not None
    assert (inside[2] - inside[0], inside[3] - inside[1]) == (29 * 4, 29 * 4)
    assert inside[0] >= 4 * 4
    assert inside[1] >= 4 * 4
    assert right - left - inside[2] >= 4 * 4
    assert bottom - top - inside[3] >= 4 * 4


def test_a_longer_organization_takes_the_larger_symbol(
    make_proven: MakeProven, template: Template, extra: dict[str, str]
) -> None:
    """Six digits need version 4, which the 50 x 25 mm template has room for."""
    claim = ClaimCode.parse("sqr_gCCsLSydh3d0ArmZj50l9zr79JXVooBR+123456")
    bitmap = render(make_proven(claim=claim), template, extra=extra).bitmap
    inside = ImageChops.invert(bitmap.convert("L")).crop(_symbol_box(template)).getbbox()
    assert inside is not None
    assert inside[2] - inside[0] == 33 * 4


def test_a_symbol_that_outgrew_its_place_fails(make_proven: MakeProven) -> None:
    """It is never shrunk to fit, also where nobody checked the template before."""
    table = {
        "schema": 1,
        "stock": {"width_mm": 25, "height_mm": 25, "dpi": 203},
        "elements": [{"kind": "qr", "x_mm": 1, "y_mm": 1, "max_mm": 18.6}],
    }
    small = make_template("small", b"", table, read_file=lambda _: b"")
    claim = ClaimCode.parse("sqr_gCCsLSydh3d0ArmZj50l9zr79JXVooBR+123456")
    assert _refusal(make_proven(claim=claim), small) == "label.symbol_too_large"


def test_another_units_code_is_not_printed(
    proven: Proven, template: Template, extra: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A symbol swapped with a neighbour's is found by reading the bitmap back."""
    neighbour = qr.modules("sqr_BBBBLSydh3d0ArmZj50l9zr79JXVooBR+1")
    monkeypatch.setattr(qr, "modules", lambda _: neighbour)
    assert _refusal(proven, template, extra=extra) == "label.decode_mismatch"


def test_an_unreadable_code_is_not_printed(
    proven: Proven, template: Template, extra: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Damage beyond the symbol's own correction leaves nothing to compare with."""
    damaged = [row[:20] + [False] * (len(row) - 20) for row in qr.modules(proven.claim.reveal())]
    monkeypatch.setattr(qr, "modules", lambda _: damaged)
    assert _refusal(proven, template, extra=extra) == "label.decode_mismatch"


@pytest.mark.parametrize(("module_dots", "damage"), [(2, "blur"), (3, "dot gain")])
def test_a_code_that_is_barely_readable_is_not_printed(
    proven: Proven, template: Template, extra: dict[str, str], module_dots: int, damage: str
) -> None:
    """Modules below four dots decode from the bitmap, and are lost on paper or out of focus."""
    elements = tuple(
        e.model_copy(update={"module_dots": module_dots}) if isinstance(e, QrElement) else e
        for e in template.spec.elements
    )
    fine = Template("fine", "", template.spec.model_copy(update={"elements": elements}))
    with pytest.raises(RecordError) as caught:
        render(proven, fine, extra=extra)
    assert (caught.value.code, caught.value.params) == ("label.fragile", {"damage": damage})


def test_identity_is_shown_as_people_read_it(make_proven: MakeProven) -> None:
    """MACs in capitals, serial numbers as they are; ``unit.KIND`` takes any identifier."""
    unit = Unit(Identifier("serial", "aBc-7"), (Identifier("mac", "34:85:18:aa:b6:01"),))
    texts = collect(make_proven(unit=unit), {})
    shown = fill("{unit_kind} {unit} {unit.mac} {unit.serial} {{x}}", texts, element="e")
    assert shown == "SERIAL aBc-7 34:85:18:AA:B6:01 aBc-7 {x}"


def test_a_missing_value_fails_unless_the_element_is_optional(
    proven: Proven, template: Template
) -> None:
    """The product name must be there; a date may be missing."""
    render(proven, template, extra={"product_name": "P"})
    with pytest.raises(RecordError) as caught:
        render(proven, template, extra={"date": "2026-11-22"})
    assert caught.value.code == "label.no_value"
    assert caught.value.params["field"] == "product_name"


def test_extra_takes_known_names_only(proven: Proven, template: Template) -> None:
    """Nothing the ledger proved can be replaced on the way to the label."""
    for name in ("tail", "unit", "lot", "auth"):
        call = {"product_name": "P", name: "x"}
        with pytest.raises(UsageError) as caught:
            render(proven, template, extra=call)
        assert caught.value.code == "label.unknown_field"


@pytest.mark.parametrize("place_of_it", ["product_name", "lot", "serial", "date", "field"])
@pytest.mark.parametrize("dress", ["{}", "SN{}", "{}-A", "lot {} x", "{}{}", "_{}", "'{}'"])
def test_an_auth_token_cannot_be_printed(
    make_proven: MakeProven, place_of_it: str, dress: str
) -> None:
    """Wherever a secret slips into a public value, its shape stops the label, unrepeated."""
    value = dress.replace("{}", AUTH)
    template = load_template("claim-50x25-203")
    extra = dict(GOLDEN_EXTRA)
    changes: dict[str, Any] = {}
    if place_of_it == "lot":
        changes["lot"] = value
    elif place_of_it == "serial":
        changes["unit"] = Unit(Identifier("serial", value))
    elif place_of_it == "field":
        changes["fields"] = {"colour": value}
        template = _saying(template, "{colour}")
    else:
        extra[place_of_it] = value
    with pytest.raises(RecordError) as caught:
        render(make_proven(**changes), template, extra=extra)
    assert caught.value.code == "label.token_shaped"
    assert AUTH not in f"{caught.value} {caught.value.hint} {caught.value.params}"


def test_two_fields_cannot_form_an_auth_token(make_proven: MakeProven, template: Template) -> None:
    """The filled text is looked at, not only each value."""
    halves = make_proven(fields={"a": AUTH[:16], "b": AUTH[16:]})
    assert _refusal(halves, _saying(template, "{a}{b}")) == "label.token_shaped"


def test_a_uuid_is_not_taken_for_a_token() -> None:
    """36 characters of the same alphabet, but its form cannot be an AuthToken's."""
    uuid = "123e4567-e89b-42d3-a456-426614174000"
    assert fill("ID {id}", {"id": uuid}, element="e") == f"ID {uuid}"
    with pytest.raises(RecordError):
        fill("ID {id}", {"id": uuid.replace("-", "")}, element="e")


def test_a_secret_among_the_fields_is_not_text(make_proven: MakeProven, template: Template) -> None:
    """A wrapped value is refused by its type, even where its shape says nothing."""
    proven = make_proven(fields={"pin": Secret("4711")})
    assert _refusal(proven, _saying(template, "{pin}")) == "label.bad_text"


@pytest.mark.parametrize("word", ["", "training", "TEST 1", "A" * 17, "^XA", "ÄÖ"])
def test_a_watermark_is_one_plain_word(
    proven: Proven, template: Template, extra: dict[str, str], word: str
) -> None:
    """It is drawn large, so it takes no text from anywhere."""
    assert _refusal(proven, template, extra=extra, watermark=word) == "label.bad_watermark"


def test_a_template_without_a_place_makes_no_training_labels(
    proven: Proven, template: Template, extra: dict[str, str]
) -> None:
    """A label without its watermark is never made where one was asked for."""
    bare = Template("bare", "", template.spec.model_copy(update={"watermark": None}))
    assert _refusal(proven, bare, extra=extra, watermark="TRAINING") == ("label.no_watermark_place")


def test_the_packed_rows_are_the_golden_files_dots(
    proven: Proven, template: Template, extra: dict[str, str], tmp_path: Path
) -> None:
    """The PNG says mode 1, the stock's resolution, and exactly the bits that were compared."""
    label = render(proven, template, extra=extra)
    (tmp_path / "label.png").write_bytes(label.png())
    with Image.open(tmp_path / "label.png") as image:
        assert image.mode == "1"
        assert image.tobytes() == label.rows
        assert [round(dpi) for dpi in image.info["dpi"]] == [203, 203]


@pytest.fixture
def with_bars(template: Template) -> Template:
    """The symbol and a Code 128 of the unit's identity."""
    bars = Code128Element(
        kind="code128", x_mm=22.8, y_mm=2, width_mm=26, height_mm=6, module_dots=2, text="{unit}"
    )
    elements = (template.spec.elements[0], bars)
    return Template("bars", "", template.spec.model_copy(update={"elements": elements}))


def test_a_bar_code_says_the_identity(make_proven: MakeProven, with_bars: Template) -> None:
    """Bars of whole dots with their quiet zones, read back like the symbol."""
    label = render(make_proven(unit=Unit(Identifier("serial", "AB12"))), with_bars)
    found = zxingcpp.read_barcodes(label.bitmap.convert("L"))
    assert {code.text for code in found} == {CLAIM, "AB12"}


@pytest.mark.parametrize(
    ("serial", "code"), [("AB1234567890123", "label.bars_too_wide"), ("ÄB12", "label.no_glyph")]
)
def test_bars_that_do_not_fit_fail(
    make_proven: MakeProven, with_bars: Template, serial: str, code: str
) -> None:
    """Bars are not shrunk, and Code 128 holds ASCII only."""
    assert _refusal(make_proven(unit=Unit(Identifier("serial", serial))), with_bars) == code


def test_wrong_bars_are_not_printed(
    make_proven: MakeProven, with_bars: Template, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bar code that says something else is found like a wrong symbol."""
    draw = code128.draw
    monkeypatch.setattr(code128, "draw", lambda box, dots, _, where: draw(box, dots, "XX", where))
    proven = make_proven(unit=Unit(Identifier("serial", "AB12")))
    assert _refusal(proven, with_bars) == "label.decode_mismatch"


@pytest.mark.parametrize("watermark", [None, "TRAINING"])
@pytest.mark.parametrize("name", shipped())
def test_the_widest_ids_and_copies_fit(
    make_proven: MakeProven, name: str, watermark: str | None
) -> None:
    """No label is refused for its own id once its unit was written."""
    for letter in "NQRXG2":
        extra = GOLDEN_EXTRA | {"label_id": letter * 6, "copy": "99", "slot": "12"}
        render(make_proven(), load_template(name), extra=extra, watermark=watermark)
