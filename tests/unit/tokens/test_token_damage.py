"""What spreadsheets do to a table is undone: every well-formed set of rows comes through."""

import csv
import io
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.token_sources import HEADER, auth, opened, pairs, qr, refused, table

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
Rows = list[tuple[str, ...]]

characters = st.text(ALPHABET, min_size=32, max_size=32)
names = st.text(
    st.characters(codec="utf-8", categories=("L", "N", "P", "Zs")), min_size=0, max_size=20
).map(str.strip)
well_formed = st.lists(
    st.tuples(characters, characters.map("sqr_{}".format), names),
    min_size=1,
    max_size=8,
    unique_by=(lambda row: row[0], lambda row: row[1]),
)


def written(rows: Rows, **how: object) -> str:
    """Rows as the csv module writes them, with quotes where needed."""
    text = io.StringIO(newline="")
    csv.writer(text, **({"lineterminator": "\n"} | how)).writerows(rows)  # type: ignore[arg-type]
    return text.getvalue()


def guarded(rows: Rows) -> Rows:
    """A ``'`` before what would be a formula."""
    return [tuple(f"'{cell}" if cell[:1] in "=+-@" and cell else cell for cell in r) for r in rows]


def wrapped(rows: Rows) -> Rows:
    """Each cell as the formula of its text."""
    return [tuple('="{}"'.format(cell.replace('"', '""')) for cell in row) for row in rows]


def padded(rows: Rows) -> Rows:
    """Blanks of all kinds around the cells, empty columns and rows at the end."""
    wide = [(*(f"\u00a0 {cell}\u200b\t " for cell in row), "", "") for row in rows]
    return [*wide, ("",) * 5, (" ",) * 5]


DAMAGE: dict[str, Callable[[Rows], bytes]] = {
    "none": lambda rows: written(rows).encode(),
    "byte-order mark": lambda rows: written(rows).encode("utf-8-sig"),
    "two byte-order marks": lambda rows: ("\ufeff" + written(rows)).encode("utf-8-sig"),
    "semicolons": lambda rows: written(rows, delimiter=";").encode(),
    "tabs": lambda rows: written(rows, delimiter="\t").encode(),
    "bars": lambda rows: written(rows, delimiter="|").encode(),
    "announced separator": lambda rows: ("sep=;\r\n" + written(rows, delimiter=";")).encode(),
    "all quoted": lambda rows: written(rows, quoting=csv.QUOTE_ALL).encode(),
    "CR LF": lambda rows: written(rows, lineterminator="\r\n").encode(),
    "CR": lambda rows: written(rows, lineterminator="\r").encode(),
    "no last line end": lambda rows: written(rows).removesuffix("\n").encode(),
    "blank lines": lambda rows: written(rows).replace("\n", "\n\n").encode(),
    "UTF-16": lambda rows: written(rows, delimiter="\t").encode("utf-16"),
    "UTF-16 big": lambda rows: b"\xfe\xff" + written(rows, delimiter=";").encode("utf-16-be"),
    "guards": lambda rows: written(guarded(rows)).encode(),
    "wrapped": lambda rows: written(wrapped(rows)).encode(),
    "padded": lambda rows: written(padded(rows), delimiter=";").encode("utf-8-sig"),
    "quoted as a whole": lambda rows: written([(line,) for line in written(rows).split("\n")]
    ).encode(),
    "all of it": lambda rows: written(
        guarded(padded(rows)), delimiter=";", quoting=csv.QUOTE_ALL, lineterminator="\r\n"
    ).encode("utf-16"),
}  # fmt: skip


def _come_through(damage: str, rows: Rows) -> None:
    batch = opened(DAMAGE[damage]([(*HEADER, "Name"), *rows]))
    found = [(t.auth.reveal(), t.claim.reveal() if t.claim else None) for t in batch.tokens]
    assert found == [row[:2] for row in rows]


@pytest.mark.parametrize("damage", DAMAGE)
@settings(max_examples=30)
@given(rows=well_formed)
def test_well_formed_rows_come_through_every_damage(damage: str, rows: Rows) -> None:
    """AuthToken, and claim code are those that were exported, in their order."""
    _come_through(damage, rows)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("damage", DAMAGE)
@settings(max_examples=2000)
@given(rows=well_formed)
def test_well_formed_rows_come_through_for_long(damage: str, rows: Rows) -> None:
    """The same, many more rows."""
    _come_through(damage, rows)


@pytest.mark.parametrize("damage", DAMAGE)
def test_names_come_through_every_damage(damage: str) -> None:
    """Quotes, separators, apostrophes and other scripts in a name are the name's own."""
    names = ["Küche, links; oben", "'s-Hertogenbosch", 'the "big" one', "Лампа 5", "a|b", "-5 °C"]
    rows = [(*pair, name) for pair, name in zip(pairs(6), names, strict=True)]
    batch = opened(DAMAGE[damage]([(*HEADER, "Name"), *rows]))
    assert [token.fields["Name"] for token in batch.tokens] == names


@pytest.mark.parametrize(
    ("cell", "code"),
    [
        ("1.23E+11", "tokens.shortened_number"),
        ("1,23456E+31", "tokens.shortened_number"),
        ("-4E-07", "tokens.shortened_number"),
        ("#NAME?", "tokens.formula_error"),
        ("#VALUE!", "tokens.formula_error"),
        ("########", "tokens.formula_error"),
        ("", "tokens.cell_empty"),
        ("'", "tokens.cell_empty"),
        (auth(2)[:-1], "tokens.bad_cell"),
        (auth(2) + "A", "tokens.bad_cell"),
        (auth(2)[:31] + "é", "tokens.bad_cell"),
        (auth(2)[:16] + " " + auth(2)[17:], "tokens.bad_cell"),
    ],
)
def test_a_destroyed_token_is_refused_with_its_row(cell: str, code: str) -> None:
    """What stood there is lost, so nothing is guessed; the other rows wait."""
    for row in ((cell, qr(2)), (auth(2), cell)):
        error = refused(table(HEADER, *pairs(1), row, *pairs(2, 3), separator=";"))
        assert (error.code, error.params["row"]) == (code, 3)


@pytest.mark.parametrize("header", ["Serial Number", "MAC address"])
def test_a_shortened_number_of_a_unit_is_refused(header: str) -> None:
    """``4.9E+11`` was somebody's serial number, or a MAC with an E in it."""
    error = refused(table((*HEADER, header), (auth(1), qr(1), "4.9015E+11")))
    assert (error.code, error.params["column"]) == ("tokens.shortened_number", header)


def test_damage_where_no_field_looks_is_a_note() -> None:
    """It stops nothing; the operator may take the better file."""
    batch = opened(table((*HEADER, "Order"), (auth(1), qr(1), "1.2E+12")))
    assert "Row 2: a spreadsheet damaged 'Order'" in " ".join(batch.notes)


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "cp1251", "mac-roman", "shift-jis"])
def test_other_encodings_are_refused_with_the_row(encoding: str) -> None:
    """Guessing would print a wrong name on a label; only the spreadsheet knows the right one."""
    name = {"cp1251": "Лампа", "shift-jis": "ランプ"}.get(encoding, "Küche")
    text = table((*HEADER, "Name"), (*pairs(1)[0], "a"), (*pairs(1, 2)[0], name)).decode()
    error = refused(text.encode(encoding))
    assert (error.code, error.params["row"]) == ("tokens.bad_encoding", 3)
