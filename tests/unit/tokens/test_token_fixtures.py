"""The sample sources: made by a kept script, and read as what they are."""

import pytest

from eol_inject.tokens import Batch, open_source
from eol_inject.unit import Identifier, StaticToken
from tests.support.token_sources import FIXTURES, script


def read(name: str) -> Batch:
    return open_source(str(FIXTURES / name), stdin=None, mapping={}, organization=None, fields={})


def halves(tokens: list[StaticToken]) -> list[tuple[str, str]]:
    return [(token.auth.reveal(), str(token.claim)) for token in tokens]


@pytest.mark.parametrize("name", sorted(script().files()))
def test_the_kept_files_are_what_the_kept_script_makes(name: str) -> None:
    """Whoever changes a sample changes the script: byte for byte the same, on every machine."""
    assert (FIXTURES / name).read_bytes() == script().files()[name]


def test_the_console_export_gives_tokens_and_organization() -> None:
    """Twelve tokens with their claim codes; the organization comes from the images."""
    batch = read("console_export.zip")
    assert (batch.kind, batch.organization, batch.notes) == ("zip", 1, ())
    made = script().samples("pool")
    assert [token.auth.reveal() for token in batch.tokens] == [one.auth for one in made]
    assert [token.claim.reveal() for token in batch.tokens if token.claim] == [
        f"{one.qr}+1" for one in made
    ]
    assert [token.row for token in batch.tokens] == list(range(2, 14))


def test_the_export_with_metadata_binds_each_token_to_its_unit() -> None:
    """Serial number and MAC name the unit; the name is kept as a field."""
    batch = read("console_export_metadata.zip")
    third = batch.tokens[2]
    assert third.bound == (
        Identifier("serial", "SN-2026-00003"),
        Identifier("mac", "02:5a:4d:50:4c:03"),
    )
    assert third.fields["Device Name"] == "Sample Sensor 3"
    assert all(token.bound for token in batch.tokens)


def test_the_devices_export_has_tokens_without_claim_codes() -> None:
    """Injection works as for any token; the operator is told that there will be no label."""
    batch = read("devices_export.csv")
    assert [token.claim for token in batch.tokens] == [None] * 10
    assert "no claim label" in " ".join(batch.notes)


def test_what_excel_damaged_is_read_as_what_it_was() -> None:
    """BOM, semicolons, guards, wrapped cells, padding and empty rest change nothing."""
    assert halves(list(read("excel_damaged.csv").tokens)) == halves(
        list(read("console_export.zip").tokens)
    )


def test_nothing_shows_a_token() -> None:
    """A batch can be printed, with all that hangs on it."""
    for name in script().files():
        batch = read(name)
        shown = repr(batch) + repr(batch.tokens) + repr(list(batch.tokens)) + str(batch.columns)
        assert not [
            one.auth
            for series in ("pool", "from file", "devices")
            for one in script().samples(series)
            if one.auth[:12] in shown or one.qr[:16] in shown
        ]
