"""What leaves the ledger: public facts for everybody, secrets for few and on record."""

import csv
import io
import json

import pytest

from eol_inject.errors import EolError
from eol_inject.ledger.exporting import Format, safe
from eol_inject.ledger.people import Role
from eol_inject.unit import Identifier, Secret, Unit
from tests.support.ledger import auth_text, begin, mac, run_to, static_token, take_in


@pytest.fixture
def used(empty):
    """Three tokens: one closed in a unit, one reserved, one in the pool with a hostile name."""
    take_in(
        empty,
        [
            static_token(0, fields={"name": "Lamp", "wifi": Secret("hush hush hush")}),
            static_token(1),
            static_token(2, fields={"name": "=cmd|' /C calc'!A1"}),
        ],
    )
    run_to(begin(empty), "closed")
    run_to(begin(empty, one=Unit(Identifier("serial", "+SN 7")), slot="B"), "reserved")
    return empty


def export(ledger, how, **more):
    out = io.StringIO()
    assert ledger.export(out, how, **more) == 3
    return out.getvalue()


def test_json_lines_tell_every_token(used):
    """State, unit and public fields of each; nothing secret."""
    text = export(used, Format.JSON_LINES)
    first, second, third = (json.loads(line) for line in text.splitlines())
    assert (first["state"], first["unit"]) == ("closed", str(mac(1)))
    assert first["fields"] == {"name": "Lamp"}
    assert (second["state"], second["unit"]) == ("reserved", "serial:+SN 7")
    assert (third["state"], third["unit"]) == ("available", "")
    for secret in (auth_text(0), auth_text(0, kind="qr"), "hush"):
        assert secret not in text


def test_csv_cells_are_no_formulas(used):
    """Whatever the token's metadata says."""
    rows = list(csv.reader(io.StringIO(export(used, Format.CSV))))
    assert rows[0][:3] == ["product", "organization", "lot"]
    assert len(rows) == 4
    for cell in (cell for row in rows for cell in row):
        assert not cell.startswith(("=", "+", "-", "@", "\t"))
    assert [safe(v) for v in ("=1", "+1", "-x", "@a", "a=1", None, 5)] == [
        "'=1", "'+1", "'-x", "'@a", "a=1", "", "5",
    ]  # fmt: skip


def test_secrets_need_an_engineer_and_a_reason(used):
    """And are on record before the first one leaves."""
    pin = Secret("4711")
    admin = used.add_person("root", Role.ADMIN, pin)
    lead = used.add_person("lea", Role.LEAD, pin, by=admin)
    eng = used.add_person("eng", Role.ENGINEER, pin, by=admin)
    for person, reason, code in (
        (lead, "r", "ledger.not_allowed"), (eng, " ", "ledger.reason_missing"),
    ):  # fmt: skip
        out = io.StringIO()
        with pytest.raises(EolError) as refused:
            used.export(out, Format.CSV, secrets_for=person, reason=reason)
        assert refused.value.code == code
        assert out.getvalue() == ""
    before = used.check().events
    text = export(used, Format.JSON_LINES, secrets_for=eng, reason="cloud asks")
    assert auth_text(0) in text
    assert "sqr_" + auth_text(0, kind="qr") in text
    assert used.check().events == before + 1


def test_one_lot_alone(used):
    """Or none of another."""
    out = io.StringIO()
    assert used.export(out, Format.CSV, lot="other") == 0
    assert out.getvalue() == ""
