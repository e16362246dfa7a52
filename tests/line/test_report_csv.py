"""The table of a lot for a spreadsheet."""

import csv
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eol_inject.acts.export_units import counts, frame_of, write_csv
from eol_inject.ledger import Hold, LabelState, State
from eol_inject.ledger.listing import UnitLine
from tests.line.conftest import LOT, Line


def one(unit: str = "u1", lot: str = "L", state: State = State.CLOSED) -> UnitLine:
    """A unit's line."""
    return UnitLine(
        unit=unit, role="self", state=state, hold=Hold.NONE, product="p", lot=lot,
        claim_tail="abcdef", label=LabelState.PRINTED, proof="read_back", attempts=1,
        changed_at="2026-01-01",
    )  # fmt: skip


def test_units_become_a_table(line: Line) -> None:
    """One row a unit, owner-only, read back as it was; a file that is there is left alone."""
    units = [line.unit(), line.unit()]
    assert [line.run(unit).code for unit in units] == [0, 0]
    path = line.folder / "units.csv"
    told = line.type("report", "units", "--lot", LOT, "--csv", str(path))
    assert (told.code, told.out["rows"]) == (0, 2)
    assert told.out["counts_by_lot"] == {LOT: {"closed": 2}}
    table = pd.read_csv(path, dtype=str)
    assert list(table["unit"]) == [unit.mac for unit in units]
    assert path.stat().st_mode & 0o777 == 0o600
    for token, claim in line.pool.items():
        assert token not in path.read_text("utf-8-sig")
        assert claim not in path.read_text("utf-8-sig")
    assert line.type("report", "units", "--csv", str(path)).error == "report.output_exists"


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff20"])
def test_no_cell_is_a_formula(tmp_path: Path, start: str) -> None:
    """A serial number or a lot that a spreadsheet would run is text."""
    path = tmp_path / "t.csv"
    write_csv([one(unit=f"{start}cmd|' /C calc'!A0", lot=f"{start}1+1")], path)
    with path.open(encoding="utf-8-sig", newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["unit"].startswith("'")
    assert row["lot"].startswith("'")
    assert row["attempts"] == "1"


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
def test_every_other_value_stays_as_it_is(text: str) -> None:
    """Nothing is lost: a guarded cell is the value behind one apostrophe."""
    cell = frame_of([one(unit=text)])["unit"][0]
    assert cell in {text, f"'{text}"}


def test_counts_by_lot_and_state() -> None:
    """As they first appear; nothing for nothing."""
    lines = [one(lot="B"), one(lot="A"), one(lot="B", state=State.VERIFIED), one(lot="B")]
    assert counts(lines) == {"B": {"closed": 2, "verified": 1}, "A": {"closed": 1}}
    assert counts([]) == {}
