"""Values from a hostile token file: refused, or printed as the plain text they are."""

import random
import string
from collections.abc import Callable
from typing import Any

import pytest
from PIL import ImageChops

from eol_inject.errors import EolError
from eol_inject.label import Label, Template, render
from eol_inject.label.geometry import place
from eol_inject.label.spec import TextElement
from eol_inject.unit import ClaimCode, Identifier, Proven, Unit

MakeProven = Callable[..., Proven]
REFUSALS = {
    "device.bad_identity",
    "label.bad_text",
    "label.claim_shaped",
    "label.no_glyph",
    "label.no_value",
    "label.text_too_long",
    "label.token_shaped",
}
ALPHABET = string.ascii_letters + string.digits + "_-"
PIECES = [
    *("^XA^FO0,0^GFA,8,8,1,FFFFFFFFFFFFFFFF^XZ", "^XA", "~JA", "^FS", "_41", "\x10\x04\x01"),
    *("\u202e", "\u200b", "\u200f", "\u2066", "\ufeff", "\u00ad", "\x00", "\x1b[2J", "\r\n", "\t"),
    *("{tail}", "{unit.__class__}", "{{", "}", "%s", "\\N{BULLET}", "'; DROP TABLE label; --"),
    *(
        "é",
        "e\u0301",
        "e" + "\u0301" * 60,
        "ﬃ",
        "Ⅷ",
        "中文",
        "🙂",
        "\u0430",
        "\u0455qr_",
        "שלום",
        "\ud800",
    ),
    *("sqr_gCCsLSydh3d0ArmZj50l9zr79JXVooBR+1", "sqr_", "SQR_x", "…XVooBR", "█▀▄ ▄▀█", "■■■"),
    *("=cmd|' /C calc'!A0", "../../etc/passwd", "con", "http://x.invalid/", "A" * 40, " " * 50),
]


def _hostile(rng: random.Random) -> str:
    """One value: known tricks, random Unicode, long runs, or tricks inside ordinary text."""
    match rng.randrange(6):
        case 0:
            return rng.choice(PIECES)
        case 1:
            return "".join(chr(rng.randrange(0x11_0000)) for _ in range(rng.randrange(1, 12)))
        case 2:
            return "".join(rng.choices(ALPHABET, k=rng.choice([12, 31, 32, 33, 64, 10_000])))
        case 3:
            return "".join(rng.choices(string.printable, k=rng.randrange(1, 20)))
        case 4:
            return "Sensor " + rng.choice(PIECES) + rng.choice(["", " x", "42"])
        case _:
            return "".join(chr(rng.randrange(0x20, 0x250)) for _ in range(rng.randrange(1, 14)))


def _render_with(make_proven: MakeProven, template: Template, field: str, value: str) -> Label:
    extra = {"product_name": "Sensor", "date": "2026-11-22", "label_id": "K7QX", "copy": "1"}
    changes: dict[str, Any] = {"unit": Unit(Identifier("serial", "A-1"))}
    if field == "unit":
        changes["unit"] = Unit(Identifier("serial", value))
    elif field == "lot":
        changes["lot"] = value
    else:
        extra[field] = value
    return render(make_proven(**changes), template, extra=extra)


def _outside(label: Label, template: Template, field: str) -> bytes:
    """The label's dots with the boxes of that field's text blanked."""
    bitmap = label.bitmap
    for element in template.spec.elements:
        if isinstance(element, TextElement) and f"{{{field}}}" in element.text:
            bitmap.paste(1, place(template.spec.stock, element).corners)
    return bitmap.tobytes()


def _campaign(make_proven: MakeProven, template: Template, *, seed: int, cases: int) -> int:
    rng = random.Random(seed)
    fields = ("product_name", "unit", "lot", "date", "label_id")
    plain = {
        field: _outside(_render_with(make_proven, template, field, "P1"), template, field)
        for field in fields
    }
    printed = 0
    for case in range(cases):
        field, value = rng.choice(fields), _hostile(rng)
        result = _render_or_refuse(make_proven, template, field, value)
        if isinstance(result, Label):
            printed += 1
            # render has decoded the code and compared it; what is left is the layout
            assert _outside(result, template, field) == plain[field], (seed, case, field)
        else:
            assert result.code in REFUSALS, (seed, case)
            if len(value) > 9 and result.code != "device.bad_identity":
                assert value not in f"{result} {result.params}", (seed, case)
    return printed


def _render_or_refuse(
    make_proven: MakeProven, template: Template, field: str, value: str
) -> Label | EolError:
    try:
        return _render_with(make_proven, template, field, value)
    except EolError as error:
        return error


def test_no_hostile_value_changes_more_than_its_own_text(
    make_proven: MakeProven, template: Template
) -> None:
    """500 generated values: each is refused with a known code, or stays inside its own box."""
    printed = _campaign(make_proven, template, seed=20261122, cases=500)
    assert 50 < printed < 475  # both ways out were taken


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(10))
def test_hostile_values_for_an_hour(make_proven: MakeProven, template: Template, seed: int) -> None:
    """The same with 100,000 values."""
    _campaign(make_proven, template, seed=seed, cases=10_000)


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("\x00", "label.bad_text"),
        ("a\nb", "label.bad_text"),
        ("\u202eRBooVX", "label.bad_text"),
        ("a\u200bb", "label.bad_text"),
        ("e\u0301\u0301", "label.bad_text"),
        ("\ud800", "label.bad_text"),
        ("x" * 10_000, "label.bad_text"),
        ("中", "label.no_glyph"),
        ("сенсор", "label.no_glyph"),
        (
            "A very long name that nobody would ever print on so small a label",
            "label.text_too_long",
        ),
        ("Unbreakablenameofasensor", "label.text_too_long"),
        ("sqr_short", "label.claim_shaped"),
        ("   ", "label.no_value"),
    ],
)
def test_each_trick_has_its_own_answer(
    make_proven: MakeProven, template: Template, value: str, code: str
) -> None:
    """The operator reads what is wrong with the value, never a traceback."""
    with pytest.raises(EolError) as caught:
        _render_with(make_proven, template, "product_name", value)
    assert caught.value.code == code


def test_printer_commands_print_as_text(make_proven: MakeProven, template: Template) -> None:
    """A bitmap has no escape characters: ``^XA`` is three glyphs."""
    plain = _render_with(make_proven, template, "product_name", "Sensor")
    tricky = _render_with(make_proven, template, "product_name", "^XA ~JA ^XZ")
    assert (
        ImageChops.difference(plain.bitmap.convert("L"), tricky.bitmap.convert("L")).getbbox()
        is not None
    )


def test_composed_and_decomposed_letters_print_the_same(
    make_proven: MakeProven, template: Template
) -> None:
    """``é`` from a Mac and from a PC is one letter."""
    one = _render_with(make_proven, template, "product_name", "Caf\u00e9")
    two = _render_with(make_proven, template, "product_name", "Cafe\u0301")
    assert one.digest == two.digest


def test_no_claim_code_is_refused_by_mistake(make_proven: MakeProven, template: Template) -> None:
    """300 random codes of every length pass the look back, blur and dot gain included."""
    rng = random.Random(7)
    for _ in range(300):
        token = "sqr_" + "".join(rng.choices(ALPHABET, k=32))
        claim = ClaimCode(token, rng.choice([None, 1, 99_999, 123_456_789_012]))
        render(make_proven(claim=claim), template, extra={"product_name": "P"})
