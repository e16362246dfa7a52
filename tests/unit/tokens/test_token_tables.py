"""Columns: found by the shape of their values, by mapping, by header; refused where ambiguous."""

import pytest

from eol_inject.tokens import FieldSpec
from eol_inject.unit import Identifier, Secret
from tests.support.token_sources import HEADER, auth, opened, pairs, qr, refused, table

HEX = "0123456789abcdef0123456789abcdef"
"""A chip's unique number: it has the shape of an AuthToken, as any 32 such characters."""


def one(*cells: str) -> tuple[str, ...]:
    """A row of the first token with these cells behind it."""
    return (auth(1), qr(1), *cells)


@pytest.mark.parametrize(
    "header", [HEADER, ("x", "y"), ("Token d'appareil", "Jeton QR"), ("", "a")]
)
def test_columns_are_found_by_the_shape_of_their_values(header: tuple[str, str]) -> None:
    """The console's header row is documented nowhere, so it does not matter what it says."""
    batch = opened(table(header, *pairs(3)))
    assert [token.auth.reveal() for token in batch.tokens] == [auth(1), auth(2), auth(3)]
    assert list(batch.columns.values()) == ["AuthToken", "QR token"]


def test_the_order_of_columns_does_not_matter() -> None:
    """QR token first, other things between."""
    batch = opened(table(("a", "b", "c"), (qr(1), "Hall 3", auth(1))))
    token = batch.tokens[0]
    assert (token.auth.reveal(), token.fields) == (auth(1), {"b": "Hall 3"})
    assert token.claim
    assert token.claim.reveal() == qr(1)


def test_two_columns_of_token_shape_are_refused_by_their_headers() -> None:
    """Nobody but the operator can know; the hint shows how to say it."""
    data = table(("A", "Chip"), (auth(1), HEX), (auth(2), HEX[::-1]))
    error = refused(data)
    assert error.code == "tokens.ambiguous"
    assert "'A', 'Chip'" in str(error)
    assert '--map "A=auth_token"' in error.hint
    said = opened(data, mapping={"A": "auth_token", "Chip": "chip_uid"})
    assert said.tokens[0].auth.reveal() == auth(1)
    assert said.tokens[0].bound == (Identifier("chip_uid", HEX),)


def test_mapping_knows_headers_without_case_and_columns_by_number() -> None:
    """``a`` finds ``A``; ``2`` and ``column 2`` are the second column."""
    data = table(("A", "Chip"), (auth(1), HEX))
    for mapping in ({"a": "auth_token"}, {"1": "auth_token"}, {"column 2": "ignore"}):
        assert opened(data, mapping=mapping).tokens[0].auth.reveal() == auth(1)


@pytest.mark.parametrize(
    ("mapping", "code"),
    [
        ({"Nope": "auth_token"}, "tokens.no_column"),
        ({"99": "auth_token"}, "tokens.no_column"),
        ({"Device Token": "auth_tokn"}, "tokens.bad_map"),
        ({"Device Token": "auth_token", "QR Token": "auth_token"}, "tokens.map_twice"),
        ({"Device Token": "auth_token", "1": "serial"}, "tokens.map_twice"),
        ({"QR Token": "auth_token"}, "tokens.bad_cell"),
        ({"Device Token": "serial"}, "tokens.no_auth_column"),
        ({"Device Token": "qr_token"}, "tokens.no_auth_column"),
    ],
)
def test_a_wrong_mapping_is_refused(mapping: dict[str, str], code: str) -> None:
    """A slip in ``--map`` never makes a token public or takes something else for one."""
    assert refused(table(HEADER, *pairs(2)), mapping=mapping).code == code


def test_a_token_mapped_to_an_identifier_is_refused() -> None:
    """Identifiers are shown: the other token column must not become one."""
    data = table(("A", "B"), (auth(1), auth(2)))
    error = refused(data, mapping={"A": "auth_token", "B": "serial"})
    assert error.code == "tokens.token_in_public"
    assert error.params["row"] == 2


def test_a_file_without_header_is_read_where_claim_codes_prove_it() -> None:
    """A claim code is never a header; the first token is not lost."""
    batch = opened(table(*pairs(2)))
    assert [token.row for token in batch.tokens] == [1, 2]
    assert "no header" in batch.notes[0]


def test_a_first_row_that_may_be_a_header_has_to_be_said() -> None:
    """Thirty-two letters could be one; by its number the column is said to be data."""
    data = table((auth(1), "x"), (auth(2), "y"))
    error = refused(data)
    assert (error.code, error.params["column"]) == ("tokens.no_header", 1)
    assert len(opened(data, mapping={"1": "auth_token"}).tokens) == 2


@pytest.mark.parametrize(
    ("header", "value", "kind"),
    [
        ("MAC address", "4A:33:54:68:A9:F1", "mac"),
        ("mac", "4a335468a9f1", "mac"),
        ("whatever", "4A-33-54-68-A9-F1", "mac"),
        ("Bluetooth MAC", "4A33.5468.A9F1", "bt_mac"),
        ("Serial Number", "A-0017", "serial"),
        ("S/N", "A-0017", "serial"),
        ("IMEI", "356938035643809", "imei"),
    ],
)
def test_a_token_that_names_a_unit_is_bound_to_it(header: str, value: str, kind: str) -> None:
    """By the usual headers, and MACs by shape."""
    token = opened(table((*HEADER, header), one(value))).tokens[0]
    assert token.bound == (Identifier(kind, value),)


def test_any_header_can_be_mapped_to_an_identifier() -> None:
    """The line's own words for a serial number."""
    data = table((*HEADER, "Werknummer"), one("W-17"))
    assert opened(data).tokens[0].bound == ()
    said = opened(data, mapping={"Werknummer": "serial"})
    assert said.tokens[0].bound == (Identifier("serial", "W-17"),)


@pytest.mark.parametrize(("header", "value"), [("Serial Number", "AB000001"), ("Serial", "7")])
def test_a_column_mapped_to_a_field_names_no_unit(header: str, value: str) -> None:
    """A number that is only data; without the mapping its header binds the token to one unit."""
    fields = {"number": FieldSpec(column=header)}
    data = table((*HEADER, header), one(value))
    said = opened(data, fields=fields)
    assert said.tokens[0].bound == (Identifier("serial", value),)
    assert any(f"by '{header}'" in note for note in said.notes)
    said = opened(data, fields=fields, mapping={header: "number"})
    assert (said.tokens[0].bound, said.tokens[0].fields) == ((), {"number": value})
    assert not any("belong to one unit" in note for note in said.notes)


def test_two_columns_of_macs_are_refused_until_one_is_chosen() -> None:
    """Which of them the unit answers with is not in the file."""
    data = table((*HEADER, "left", "right"), one("4A:33:54:68:A9:F1", "4A:33:54:68:A9:F2"))
    assert refused(data).code == "tokens.ambiguous"
    said = opened(data, mapping={"right": "mac"})
    assert said.tokens[0].bound == (Identifier("mac", "4a:33:54:68:a9:f2"),)


def test_tokens_without_unit_among_bound_ones_are_told() -> None:
    """They are not refused: a part of a batch may be free."""
    data = table((*HEADER, "MAC"), one("4A:33:54:68:A9:F1"), (auth(2), qr(2), ""))
    batch = opened(data)
    assert [len(token.bound) for token in batch.tokens] == [1, 0]
    assert "1 of 2 tokens name no unit" in " ".join(batch.notes)


@pytest.mark.parametrize(
    "value", ["4A:33:54:68:K9:F1", "00:00:00:00:00:00", "FF-FF-FF-FF-FF-FF", "01:00:5e:00:00:01"]
)
def test_an_impossible_mac_is_refused_with_its_row(value: str) -> None:
    """The documentation's own sample row holds one; the value itself is not repeated."""
    data = table((*HEADER, "MAC address"), one("4A:33:54:68:A9:F1"), (auth(2), qr(2), value))
    error = refused(data)
    assert (error.code, error.params["row"]) == ("tokens.bad_identifier", 3)
    assert value not in str(error) + error.hint


@pytest.mark.parametrize("value", ["0", "0000", "unknown", "x" * 65])
def test_a_placeholder_serial_is_refused(value: str) -> None:
    """It would bind a token to every unit, or to none."""
    assert refused(table((*HEADER, "Serial"), one(value))).code == "tokens.bad_identifier"


def test_fields_come_from_their_columns() -> None:
    """The profile says which column, by header; secret ones are wrapped."""
    fields = {
        "name": FieldSpec(column="Device Name"),
        "wifi": FieldSpec(column="wifi password", secret=True),
        "room": FieldSpec(),
    }
    data = table((*HEADER, "Device Name", "WiFi Password", "Room"), one("Lamp", "hunter2", "3"))
    found = opened(data, fields=fields).tokens[0].fields
    assert found["name"] == "Lamp"
    assert found["room"] == "3"
    assert isinstance(found["wifi"], Secret)
    assert found["wifi"].reveal() == "hunter2"
    assert set(found) == {"name", "wifi", "room"}


def test_a_field_can_be_mapped() -> None:
    """``--map`` beats the profile's column."""
    fields = {"name": FieldSpec(column="Device Name")}
    data = table((*HEADER, "Device Name", "Alias"), one("Lamp", "Left lamp"))
    found = opened(data, fields=fields, mapping={"Alias": "name"}).tokens[0].fields
    assert found == {"name": "Left lamp", "Device Name": "Lamp"}


@pytest.mark.parametrize(
    ("spec", "value", "code"),
    [
        (FieldSpec(column="F", required=True), "", "tokens.field_missing"),
        (FieldSpec(column="F", pattern="[0-9]+"), "12a", "tokens.field_pattern"),
        (FieldSpec(column="F"), "x" * 1001, "tokens.field_text"),
        (FieldSpec(column="F"), "evil\u202etxt", "tokens.field_text"),
        (FieldSpec(column="F"), "a\x1b[31m", "tokens.field_text"),
        (FieldSpec(column="F", secret=True), "x" * 20_000, "tokens.field_text"),
        (FieldSpec(column="F"), "1.5E+11", "tokens.shortened_number"),
        (FieldSpec(column="F"), "#VALUE!", "tokens.formula_error"),
        (FieldSpec(column="F"), auth(7), "tokens.token_in_public"),
        (FieldSpec(column="F", pattern=".*"), f"see {auth(1)}", "tokens.token_in_public"),
        (FieldSpec(column="F"), f"scan {qr(7)}+1", "tokens.token_in_public"),
        (FieldSpec(column="G", required=True), "", "tokens.no_field_column"),
        (FieldSpec(column="Device Token"), "", "tokens.field_is_token"),
        (FieldSpec(column="QR Token", secret=True), "", "tokens.field_is_token"),
    ],
)
def test_a_field_that_breaks_its_rules_is_refused(spec: FieldSpec, value: str, code: str) -> None:
    """At import, with the row, and not when the label is printed."""
    rest = [(*pair, "12") for pair in pairs(3, start=2)]
    error = refused(table((*HEADER, "F"), one(value), *rest), fields={"f": spec})
    assert error.code == code
    assert error.params.get("row") in (2, None)


def test_a_pattern_is_a_consent() -> None:
    """A calibration value may look like a shortened number, a hash like a token: if declared."""
    fields = {"cal": FieldSpec(column="F", pattern=r"[0-9.E+]+")}
    assert opened(table((*HEADER, "F"), one("1.5E+11")), fields=fields).tokens[0].fields == {
        "cal": "1.5E+11"
    }


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("Note", auth(9)),
        ("Note", f"was {auth(9)} before"),
        ("Note", qr(9)),
        ("Owner", "ann@example.com"),
        ("WiFi Password", "hunter2"),
        ("Private key", "x"),
        ("Old token", "x"),
        ("", "no header"),
        ("Note", "y" * 201),
        ("Note", "control\x07"),
        ("tQ7vX2mK9pL4wZ8r", "a header like a piece of a token"),
    ],
)
def test_what_nobody_declared_is_kept_only_if_harmless(header: str, value: str) -> None:
    """A column with one value that may be secret or private is left out, and that is told."""
    harmless = [(*pair, "fine") for pair in pairs(3)]
    batch = opened(table((*HEADER, header), *harmless, (auth(4), qr(4), value)))
    assert [dict(token.fields) for token in batch.tokens] == [{}] * 4
    assert "Left out" in " ".join(batch.notes)
    assert "left out" in batch.columns.values()
    assert value not in " ".join([*batch.notes, *batch.columns])


def test_a_uuid_or_hash_is_harmless() -> None:
    """Numbers in hexadecimal have one case; tokens have two."""
    data = table((*HEADER, "Id", "Chip"), one("a" * 8 + "-1234-1234-1234-123456789abc", "AB12"))
    assert set(opened(data).tokens[0].fields) == {"Id", "Chip"}


def test_a_header_twice_is_refused() -> None:
    """Which of the two would a label show?"""
    assert refused(table((*HEADER, "Name", "name"), one("a", "b"))).code == "tokens.header_twice"
    named = {"name": FieldSpec(column="Name")}
    data = table((*HEADER, "Name", "Name"), one("a", "b"))
    assert refused(data, fields=named).code == "tokens.header_twice"
    assert len(opened(data, mapping={"4": "ignore", "3": "ignore"}).tokens) == 1


def test_a_row_wider_than_its_header_is_refused() -> None:
    """A comma in an unquoted name would shift every value behind it by one column."""
    data = table((*HEADER, "Name", "MAC"), one("Lamp", " left", "4A:33:54:68:A9:F1"))
    error = refused(data)
    assert (error.code, error.params["row"]) == ("tokens.row_too_wide", 2)


def test_missing_cells_at_the_end_are_empty() -> None:
    """Spreadsheets do not write trailing separators for every row."""
    data = table((*HEADER, "Name", "Room"), one("Lamp", "3"), (auth(2), qr(2)))
    assert [dict(token.fields) for token in opened(data).tokens] == [
        {"Name": "Lamp", "Room": "3"},
        {},
    ]


def test_the_organization_comes_from_the_claim_codes() -> None:
    """``+7`` in the cells says it for all; a second organization is refused."""
    batch = opened(table(HEADER, (auth(1), f"{qr(1)}+7"), (auth(2), qr(2))))
    assert batch.organization == 7
    assert [token.claim.organization for token in batch.tokens if token.claim] == [7, 7]
    mixed = table(HEADER, (auth(1), f"{qr(1)}+7"), (auth(2), f"{qr(2)}+8"))
    assert refused(mixed).params["row"] == 3
    assert refused(table(HEADER, (auth(1), f"{qr(1)}+7")), organization=8).code == (
        "tokens.other_organization"
    )


def test_an_organization_that_nobody_says_is_told() -> None:
    """The label would carry the QR token alone, which the cloud takes too."""
    batch = opened(table(HEADER, *pairs(1)))
    assert batch.organization is None
    assert "--org" in " ".join(batch.notes)
    assert opened(table(HEADER, *pairs(1)), organization=5).tokens[0].claim.organization == 5
