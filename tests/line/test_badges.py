"""A badge instead of a name: who works at a station is scanned."""

import io
import sys
from pathlib import Path

import pytest

from eol_inject.errors import UsageError
from tests.line.conftest import Line, Told

BADGE = "EMP-0042-7731"


def typed(line: Line, monkeypatch: pytest.MonkeyPatch, text: str, *args: str) -> Told:
    """One command while somebody scans ``text`` with a scanner that types."""
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))
    return line.type(*args)


@pytest.fixture
def pins(tmp_path: Path) -> str:
    """A file with a PIN."""
    path = tmp_path / "pin"
    path.write_text("271828\n")
    return str(path)


@pytest.fixture
def named(line: Line, monkeypatch: pytest.MonkeyPatch, pins: str) -> Line:
    """Ada, an admin, has a badge."""
    told = typed(
        line, monkeypatch, f"{BADGE}\n",
        "ledger", "people", "add", "Ada", "--role", "admin", "--new-pin-file", pins,
        "--new-badge", "tty",
    )  # fmt: skip
    assert told.code == 0
    return line


def test_a_badge_says_who_works_here(
    named: Line, monkeypatch: pytest.MonkeyPatch, pins: str
) -> None:
    """An act is on record under the name that the badge belongs to, and still takes the PIN."""
    unit = named.unit()
    assert named.run(unit).code == 0
    told = typed(
        named, monkeypatch, f"{BADGE}\r\n",
        "unit", "quarantine", unit.mac, "--reason", "smells", "--badge", "tty", "--pin-file", pins,
    )  # fmt: skip
    assert told.code == 0
    shown = named.type("unit", "show", unit.mac).out
    (event,) = [one for one in shown["events"] if one["act"] == "quarantine"]
    assert event["operator"] == "Ada"
    assert BADGE not in (named.folder / "ledger.db").read_bytes().decode("latin-1")


def test_a_badge_alone_overrides_nothing(
    named: Line, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A badge can be lost; what overrides a guard needs what only its owner knows."""
    unit = named.unit()
    assert named.run(unit).code == 0
    wrong = tmp_path / "wrong"
    wrong.write_text("0000\n")
    told = typed(
        named, monkeypatch, f"{BADGE}\n",
        "unit", "quarantine", unit.mac, "--reason", "r", "--badge", "tty", "--pin-file", str(wrong),
    )  # fmt: skip
    assert told.error == "ledger.wrong_pin"


@pytest.mark.parametrize(
    ("text", "code"), [("EMP-9999-0000\n", "ledger.unknown_badge"), ("", "label.nothing_scanned")]
)
def test_an_unknown_badge_starts_nothing(
    named: Line, monkeypatch: pytest.MonkeyPatch, text: str, code: str
) -> None:
    """Refused before a unit is touched; what was scanned is not repeated."""
    unit = named.unit()
    told = typed(
        named, monkeypatch, text,
        "run", "--once", "--profile", "esp32c3-blnkopt", "--port", unit.url, "--lot", "L1",
        "--badge", "tty",
    )  # fmt: skip
    assert (told.code, told.error) == (2, code)
    assert "9999" not in str(told.out)
    with pytest.raises(UsageError, match="No simulated unit"):
        unit.tokens(named.pool)


def test_two_people_do_not_share_a_badge(
    named: Line, monkeypatch: pytest.MonkeyPatch, pins: str
) -> None:
    """Or nobody would know which of them it was."""
    told = typed(
        named, monkeypatch, f"{BADGE}\n",
        "ledger", "people", "add", "Lea", "--role", "lead", "--new-pin-file", pins,
        "--pin-file", pins, "--new-badge", "tty",
    )  # fmt: skip
    assert told.error == "ledger.badge_taken"
