"""Backup, restore, check and people through the command line, judged by the units' flash."""

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from eol_inject.ledger import Keys
from tests.line.conftest import Line, Scanner, Told

WHY = ("--reason", "a test")


def finish(line: Line, count: int) -> None:
    """Whole units, each with its own token."""
    for _ in range(count):
        told = line.run(line.unit())
        assert told.code == 0, told


def restore(line: Line) -> None:
    """The backup in the ledger's place."""
    told = line.type("ledger", "restore", str(line.folder / "backup.db"))
    assert (told.code, told.out["generation"]) == (0, 2), told
    assert Path(told.out["kept"]).exists()


def test_backup_ten_units_restore_ten_others_no_double(line: Line) -> None:
    """The restored ledger refuses the line until this station replayed what it remembers."""
    line.import_tokens(14, seed=2)
    finish(line, 2)
    assert line.type("ledger", "backup", str(line.folder / "backup.db")).code == 0
    finish(line, 10)
    restore(line)
    waiting = line.unit()
    for _ in range(2):
        told = line.run(waiting)
        assert (told.code, told.error) == (3, "ledger.behind_witness")
    assert waiting.tokens(line.pool) == set()
    told = line.type("ledger", "replay", *WHY)
    assert (told.out["known"], told.out["replayed"], told.out["set_aside"]) == (2, 10, 0)
    finish(line, 10)
    line.judge()
    held = set().union(*(unit.tokens(line.pool) for unit in line.units))
    assert len(held) == 22
    lost = line.units[5]
    assert line.run(lost).code == 0
    assert len(lost.tokens(line.pool)) == 1
    line.judge()
    assert line.type("ledger", "check").code == 0


def test_another_station_waits_until_the_first_has_spoken(line: Line) -> None:
    """Settled by name where a station is gone; not by the station that remembers."""
    finish(line, 1)
    assert line.run(line.unit(), station="S2").code == 0
    assert line.type("ledger", "backup", str(line.folder / "backup.db")).code == 0
    assert line.run(line.unit(), station="S2").code == 0
    restore(line)
    assert line.run(line.unit()).error == "ledger.unsettled"
    assert line.type("ledger", "settle", "S1", *WHY).error == "ledger.own_memory"
    assert line.type("ledger", "settle", "S2").error == "ledger.reason_missing"
    told = line.type("ledger", "replay", *WHY, station="S2")
    assert told.out["replayed"] == 1
    finish(line, 3)
    line.judge()


def test_a_copied_old_ledger_is_refused(line: Line) -> None:
    """Not by our own restore: somebody put yesterday's file back (a virtual machine did)."""
    finish(line, 1)
    shutil.copy(line.folder / "ledger.db", line.folder / "yesterday.db")
    finish(line, 1)
    for suffix in ("-wal", "-shm"):
        (line.folder / f"ledger.db{suffix}").unlink(missing_ok=True)
    shutil.copy(line.folder / "yesterday.db", line.folder / "ledger.db")
    assert line.run(line.unit()).error == "ledger.behind_witness"
    assert line.type("ledger", "replay", *WHY).out["replayed"] == 1
    finish(line, 2)
    line.judge()


def test_a_backup_is_never_written_over_and_a_foreign_file_never_restored(line: Line) -> None:
    """Both with a code, and the ledger as it was."""
    backup = str(line.folder / "backup.db")
    assert line.type("ledger", "backup", backup).code == 0
    assert line.type("ledger", "backup", backup).error == "ledger.backup_exists"
    (line.folder / "junk").write_bytes(b"junk" * 2000)
    assert line.type("ledger", "restore", str(line.folder / "junk")).error == "ledger.foreign"
    finish(line, 1)


def test_a_restore_with_other_keys_changes_nothing(line: Line) -> None:
    """It is refused before the backup takes the ledger's place."""
    finish(line, 1)
    assert line.type("ledger", "backup", str(line.folder / "backup.db")).code == 0
    finish(line, 1)
    key = line.folder / "ledger.key"
    kept = key.rename(line.folder / "kept.key")
    key.write_text(Keys.new().to_text(), "ascii")
    key.chmod(0o600)
    told = line.type("ledger", "restore", str(line.folder / "backup.db"))
    assert (told.code, told.error) == (3, "ledger.wrong_key")
    kept.rename(key)
    assert not list(line.folder.glob("*restor*"))
    finish(line, 1)
    line.judge()


def test_a_damaged_ledger_gives_way_to_its_backup(line: Line) -> None:
    """The damaged file is kept, and nothing is drawn before the memory was replayed."""
    finish(line, 1)
    assert line.type("ledger", "backup", str(line.folder / "backup.db")).code == 0
    finish(line, 1)
    file = line.folder / "ledger.db"
    file.write_bytes(file.read_bytes()[:9000])
    for suffix in ("-wal", "-shm"):
        file.with_name(file.name + suffix).unlink(missing_ok=True)
    assert line.run(line.unit()).error == "ledger.corrupt"
    restore(line)
    assert line.run(line.unit()).error == "ledger.behind_witness"
    assert line.type("ledger", "replay", *WHY).out["replayed"] == 1
    finish(line, 1)
    line.judge()


def test_a_lost_ledger_comes_back_from_its_backup(line: Line) -> None:
    """The disk died: there is nothing to restore over."""
    finish(line, 1)
    assert line.type("ledger", "backup", str(line.folder / "backup.db")).code == 0
    finish(line, 1)
    for path in line.folder.glob("ledger.db*"):
        path.unlink()
    told = line.type("ledger", "restore", str(line.folder / "backup.db"))
    assert (told.code, told.out["kept"]) == (0, None)
    assert line.run(line.unit()).error == "ledger.behind_witness"
    assert line.type("ledger", "replay", *WHY).out["replayed"] == 1
    finish(line, 1)
    line.judge()


def test_a_station_that_lost_its_memory_draws_nothing_after_a_restore(line: Line) -> None:
    """A new computer under the old name knows nothing: a lead has to vouch for it."""
    finish(line, 1)
    assert line.type("ledger", "backup", str(line.folder / "backup.db")).code == 0
    finish(line, 2)
    restore(line)
    memory = Path(line.type("ledger", "show").out["memory"])
    shutil.rmtree(memory)
    waiting = line.unit()
    for _ in range(2):
        assert line.run(waiting).error == "ledger.no_witness"
    assert line.type("ledger", "replay", *WHY).error == "ledger.no_witness"
    assert line.run(waiting).error == "ledger.no_witness"
    assert waiting.tokens(line.pool) == set()
    assert line.type("ledger", "settle", "S1", *WHY).code == 0
    assert line.run(waiting).code == 0


def test_a_check_names_the_changed_row_and_what_was_cut_off(line: Line) -> None:
    """By the chain, and by an anchor that was kept elsewhere."""
    finish(line, 1)
    anchor = ("--anchor", str(line.folder / "anchors"))
    told = line.type("ledger", "check", *anchor)
    assert (told.code, told.out["anchors"]) == (0, 0)
    finish(line, 1)
    told = line.type("ledger", "check", *anchor)
    assert (told.code, told.out["anchors"]) == (0, 1)
    with sqlite3.connect(line.folder / "ledger.db") as conn:
        (text,) = conn.execute("SELECT sql FROM sqlite_master WHERE name='event_no_update'"
                               " OR (type='trigger' AND tbl_name='event' AND sql LIKE '%UPDATE%')"
                               " LIMIT 1").fetchone()  # fmt: skip
        (name,) = conn.execute("SELECT name FROM sqlite_master WHERE sql=?", (text,)).fetchone()
        conn.execute(f"DROP TRIGGER {name}")
        conn.execute("UPDATE event SET operator='Eve' WHERE seq=3")
        conn.execute(text)
    told = line.type("ledger", "check", *anchor)
    assert (told.code, told.error) == (3, "ledger.check_failed")
    assert {"where": "event S1/3", "what": "was changed"} in told.out["findings"]


def test_an_export_has_every_row_and_no_secret(line: Line) -> None:
    """JSON Lines and CSV; with secrets only with a reason, and that is on record."""
    finish(line, 1)
    (unit,) = line.units
    (token,) = unit.tokens(line.pool)
    paths = {how: line.folder / f"out.{how}" for how in ("jsonl", "csv")}
    for how, path in paths.items():
        told = line.type("ledger", "export", str(path), "--format", how)
        assert (told.code, told.out["rows"]) == (0, 10)
        text = path.read_text("utf-8")
        assert unit.mac in text
        assert not [one for pair in line.pool.items() for one in pair if one in text]
        assert path.stat().st_mode & 0o777 == 0o600
    told = line.type("ledger", "export", str(paths["csv"]))
    assert (told.code, told.error) == (2, "ledger.backup_exists")
    secret = ("ledger", "export", str(line.folder / "secret.csv"), "--with-secrets")
    assert line.type(*secret).error == "ledger.reason_missing"
    assert line.type(*secret, *WHY).code == 0
    assert token in (line.folder / "secret.csv").read_text("utf-8")


def test_a_ledger_that_moved_is_adopted_by_name(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On another computer it is a copy, until somebody says that it moved."""
    finish(line, 1)
    monkeypatch.setattr("socket.gethostname", lambda: "another")
    assert line.run(line.unit()).error == "ledger.copied"
    assert line.type("ledger", "adopt").error == "ledger.reason_missing"
    assert line.type("ledger", "adopt", *WHY).code == 0
    assert line.type("ledger", "replay", *WHY).code == 0
    finish(line, 1)
    line.judge()


@pytest.fixture
def people(line: Line, scan: Scanner) -> Callable[..., Told]:
    """Ada is admin, Lea lead, Olga operator; a call types a command as one of them."""
    pins = {"Ada": "1111", "Lea": "2222", "Olga": "3333"}

    def type_as(name: str, *args: str, pin: str = "") -> Told:
        scan((pin or pins[name]) + "\n")
        return line.type(*args, "--pin-file", "-", operator=name)

    scan("1111\n")
    add = ("ledger", "people", "add")
    told = line.type(*add, "Lea", "--role", "lead", "--new-pin-file", "-")
    assert told.error == "ledger.first_is_admin"
    scan("1111\n")
    assert line.type(*add, "Ada", "--role", "admin", "--new-pin-file", "-").code == 0
    for name, role in (("Lea", "lead"), ("Olga", "operator")):
        pin = line.folder / f"pin-{name}"
        pin.write_text(pins[name] + "\n", "utf-8")
        told = type_as("Ada", *add, name, "--role", role, "--new-pin-file", str(pin))
        assert told.code == 0, told
    return type_as


def test_rework_needs_the_role_the_pin_and_a_reason(
    line: Line, people: Callable[..., Told]
) -> None:
    """Each refusal has its code and exit 2, and changes nothing."""
    finish(line, 1)
    (unit,) = line.units
    act = ("unit", "reinject", unit.mac)
    refused = {
        "ledger.not_allowed": people("Olga", *act, *WHY),
        "ledger.wrong_pin": people("Lea", *act, *WHY, pin="0000"),
        "ledger.reason_missing": people("Lea", *act, "--reason", " "),
        "ledger.no_pin": line.type(*act, *WHY, operator="Lea"),
        "ledger.unknown_person": line.type(*act, *WHY, operator="Mallory"),
    }
    assert {code: (told.error, told.code) for code, told in refused.items()} == {
        code: (code, 2) for code in refused
    }
    assert line.run(unit).error == "ledger.unit_closed"
    assert people("Olga", "unit", "quarantine", unit.mac, *WHY).code == 0
    assert people("Lea", "unit", "clear", unit.mac, *WHY).code == 0
    assert line.run(unit).code == 0
    line.judge()


def test_five_wrong_pins_lock_until_an_admin_gives_a_new_one(
    line: Line, people: Callable[..., Told]
) -> None:
    """A PIN is short: guessing has to end."""
    finish(line, 1)
    act = ("unit", "reinject", line.units[0].mac, *WHY)
    for _ in range(5):
        assert people("Lea", *act, pin="0000").error == "ledger.wrong_pin"
    assert people("Lea", *act).error == "ledger.pin_locked"
    new = line.folder / "new-pin"
    new.write_text("4444\n", "utf-8")
    add = ("ledger", "people", "add", "Lea", "--role", "lead", "--new-pin-file", str(new))
    assert people("Olga", *add).error == "ledger.not_allowed"
    assert people("Ada", *add).code == 0
    assert people("Lea", *act, pin="4444").code == 0


def test_people_are_listed_and_leave(line: Line, people: Callable[..., Told]) -> None:
    """The last admin stays; who left may do nothing; a restore is for engineers."""
    listed = line.type("ledger", "people", "list").out["people"]
    assert {one["name"]: one["role"] for one in listed} == {
        "Ada": "admin", "Lea": "lead", "Olga": "operator",
    }  # fmt: skip
    assert people("Lea", "ledger", "people", "remove", "Olga").error == "ledger.not_allowed"
    assert people("Ada", "ledger", "people", "remove", "Ada").error == "ledger.last_admin"
    assert line.type("ledger", "backup", str(line.folder / "backup.db")).code == 0
    assert people("Lea", "ledger", "restore", str(line.folder / "backup.db")).code == 2
    assert people("Ada", "ledger", "people", "remove", "Lea").code == 0
    told = people("Lea", "unit", "quarantine", "60:55:f9:00:00:01", *WHY)
    assert told.error in {"ledger.unknown_person", "ledger.unknown_unit"}


def test_production_without_people_overrides_nothing(
    line: Line, capfd: pytest.CaptureFixture[str]
) -> None:
    """On a production ledger somebody has to be named first."""
    from eol_inject.cli import answer

    source = next(line.folder.glob("tokens-*.csv"))
    where = ["--ledger", f"sqlite:///{line.folder / 'real.db'}",
             "--key-file", str(line.folder / "real.key"), "--operator", "Ada"]  # fmt: skip
    assert answer.run(
        ["tokens", "import", str(source), "--product", "P", "--lot", "L", *where]
    ) == 0  # fmt: skip
    token = next(iter(line.pool))
    assert token not in capfd.readouterr().out
    assert answer.run(["tokens", "lots", *where]) == 0
    code = answer.run(["ledger", "settle", "S9", *WHY, *where])
    assert code == 2
    assert "knows nobody" in capfd.readouterr().err
