"""The label desk on the command line: copies by hand, void ones, sheets, and what a label is."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pypdfium2
import pytest
import zxingcpp

from eol_inject.acts import label_desk
from eol_inject.errors import StationError
from eol_inject.label import open_printer
from tests.line.conftest import LOT, Line, Scanner, Told, Unit

PROFILE = "esp32c3-blnkopt"


def later(line: Line, *, count: int = 1) -> list[Unit]:
    """Units that are verified and have no label."""
    units = [line.unit() for _ in range(count)]
    for unit in units:
        told = line.type(
            "run", "--once", "--profile", PROFILE, "--port", unit.url, "--lot", LOT,
            "--label-later", "--printer", str(line.folder / "labels"),
        )  # fmt: skip
        assert (told.code, told.unit["state"], told.unit["label"]) == (0, "verified", None)
    return units


def desk(line: Line, act: str, unit: Unit, *options: str) -> Told:
    """``label print`` or ``reprint`` into the line's folder."""
    return line.type(
        "label", act, unit.mac, "--profile", PROFILE, "--printer", str(line.folder / "labels"),
        *options,
    )  # fmt: skip


def own_claim(line: Line, unit: Unit) -> str:
    """What the unit's label has to say, by its flash."""
    (token,) = unit.tokens(line.pool)
    return line.pool[token]


def state(line: Line, unit: Unit) -> str:
    """Of the unit's token."""
    return str(line.type("unit", "show", unit.mac).out["tokens"][-1]["state"])


def test_a_verified_unit_gets_its_label_by_hand(line: Line) -> None:
    """From the stored proof: the code of the token that stands in its flash; it closes the unit."""
    (unit,) = later(line)
    told = desk(line, "print", unit)
    assert (told.code, told.out["label"]["state"], told.out["label"]["copy"]) == (0, "confirmed", 1)
    assert list(line.labels().values()) == [own_claim(line, unit)]
    assert state(line, unit) == "closed"
    assert desk(line, "print", unit).error == "ledger.label_live"


def test_nothing_is_printed_for_a_unit_that_was_never_proved(line: Line) -> None:
    """Nor for one that nobody knows."""
    unit = line.unit("esp32c3", "fault=unplug@write:4096")
    assert line.run(unit).code != 0
    told = desk(line, "print", unit)
    assert (told.code, told.error) == (1, "ledger.not_proven")
    assert line.labels() == {}


def test_a_reprint_is_another_copy_of_the_same_code(line: Line) -> None:
    """Counted, with its reason; the copy before it does not count any more."""
    unit = line.unit()
    assert line.run(unit).code == 0
    assert desk(line, "reprint", unit).error == "ledger.reason_missing"
    told = desk(line, "reprint", unit, "--reason", "torn")
    assert (told.code, told.out["label"]["copy"], told.out["label"]["reason"]) == (0, 2, "torn")
    assert list(line.labels().values()) == [own_claim(line, unit)] * 2
    copies = line.type("label", "show", unit.mac).out["labels"]
    assert [(one["copy"], one["state"]) for one in copies] == [(1, "void"), (2, "confirmed")]
    assert len({one["code"] for one in copies}) == 2
    line.judge()


def test_the_scan_of_the_old_label_is_a_reason(line: Line, scan: Scanner) -> None:
    """And another unit's label is none."""
    unit, other = line.unit(), line.unit()
    assert line.run(unit).code == line.run(other).code == 0
    scan(own_claim(line, other) + "\n")
    told = desk(line, "reprint", unit, "--old-scanned")
    assert (told.code, told.error) == (4, "label.scan_used")
    scan(own_claim(line, unit) + "\n")
    assert desk(line, "reprint", unit, "--old-scanned").code == 0
    scan("")
    assert desk(line, "reprint", unit, "--old-scanned").error == "label.nothing_scanned"


def test_a_stopped_unit_gets_no_copy(line: Line) -> None:
    """Quarantine voids the label, and the desk gives no other."""
    unit = line.unit()
    assert line.run(unit).code == 0
    assert line.type("unit", "quarantine", unit.mac, "--reason", "smoke").code == 0
    assert desk(line, "reprint", unit, "--reason", "torn").error == "ledger.not_proven"
    (copy,) = line.type("label", "show", unit.mac).out["labels"]
    assert copy["state"] == "void"


def test_a_void_label_is_told_by_its_id(line: Line, scan: Scanner) -> None:
    """`label scan` says what it is, by code and id; only the live copy counts."""
    unit = line.unit()
    assert line.run(unit).code == 0
    desk(line, "reprint", unit, "--reason", "torn")
    old, new = line.type("label", "show", unit.mac).out["labels"]
    scan(f"{own_claim(line, unit)}\n{new['code']}-2\n")
    told = line.type("label", "scan", "--scanner", "tty")
    assert (told.code, told.out["unit"], told.out["label"]) == (0, unit.mac, f"{new['code']}-2")
    assert told.out["counts"] is True
    scan(f"{own_claim(line, unit)}\n{old['code']}\n")
    told = line.type("label", "scan", "--scanner", "tty")
    assert (told.code, told.error, told.out["counts"]) == (4, "label.scan_old_copy", False)
    told = line.type("label", "void", f"{new['code']}-2", "--reason", "lost")
    assert told.out["label"]["state"] == "void"
    scan(f"{new['code']}\n")
    assert line.type("label", "scan").error == "label.scan_old_copy"
    assert line.type("label", "void", "QQQQQQ", "--reason", "r").error == "ledger.unknown_label"


def test_a_unit_whose_last_label_was_voided_has_none(line: Line) -> None:
    """`verify`, `unit show` and the report say so, until another copy was printed."""
    unit = line.unit()
    assert line.run(unit).code == 0
    verify = ("verify", "--profile", PROFILE, "--port", unit.url)
    shown = ("unit", "show", unit.mac)
    (copy,) = line.type("label", "show", unit.mac).out["labels"]
    assert line.type("label", "void", copy["code"], "--reason", "torn").code == 0
    told = line.type(*verify)
    assert (told.code, told.error, told.out["label"]) == (4, "verify.label_void", "void")
    assert line.type(*shown).out["tokens"][0]["label"] == "void"
    assert line.type("report", "units", "--lot", LOT).out["units"][0]["label"] == "void"
    assert desk(line, "print", unit).code == 0
    assert line.type(*verify).out["label"] == "printed"
    assert line.type("ledger", "check").code == 0


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("sqr_" + "x" * 32 + "+1", "label.scan_unknown"),
        ("ZZZZZZ-1", "ledger.unknown_label"),
        ("4006381333931", "label.scan_no_claim"),
    ],
)
def test_a_strange_label_is_told_apart(line: Line, scan: Scanner, text: str, code: str) -> None:
    """Unknown codes, unknown ids, and what is no label at all."""
    scan(text + "\n")
    told = line.type("label", "scan")
    assert told.error == code
    assert text not in json.dumps(told.out)


def codes_of(path: Path) -> list[str]:
    """Every QR code of a PDF, page by page, in the order of the cells."""
    found = []
    document = pypdfium2.PdfDocument(path.read_bytes())
    for page in document:
        image = page.render(scale=300 / 72).to_pil().convert("L")
        codes = zxingcpp.read_barcodes(image)
        codes.sort(key=lambda c: (round(c.position.top_left.y / 200), c.position.top_left.x))
        found += [code.text for code in codes]
    document.close()
    return found


def sheet(line: Line, *options: str) -> Told:
    """All verified units of the lot on one sheet."""
    return line.type(
        "label", "sheet", "--profile", PROFILE, "--lot", LOT, "--template", "sheet-avery-l7160",
        "--out", str(line.folder / "sheet.pdf"), *options,
    )  # fmt: skip


def test_a_sheet_has_every_verified_unit_once_and_closes_by_scan(line: Line, scan: Scanner) -> None:
    """In the order of the tokens, from the first free cell; a labelled unit is not on it."""
    done = line.unit()
    assert line.run(done).code == 0
    units = later(line, count=3)
    told = sheet(line, "--start-at", "20")
    assert told.code == 0
    path = line.folder / "sheet.pdf"
    assert path.stat().st_mode & 0o777 == 0o600
    assert codes_of(path) == [own_claim(line, unit) for unit in units]
    assert [one["unit"] for one in told.out["labels"]] == [unit.mac for unit in units]
    assert {one["state"] for one in told.out["labels"]} == {"sent"}
    assert [state(line, unit) for unit in units] == ["verified"] * 3
    assert sheet(line).error == "report.output_exists"
    path.rename(path.with_name("first.pdf"))
    scan(f"{own_claim(line, units[1])}\n")
    told = line.type("label", "scan", "--close")
    (copy,) = told.out["copies"]
    assert (told.code, told.out["state"], copy["state"]) == (0, "closed", "applied")
    scan(f"{copy['code']}\n")
    assert line.type("label", "scan").out["state"] == "closed"
    assert [state(line, unit) for unit in units] == ["verified", "closed", "verified"]
    told = line.run(units[0])
    assert (told.code, told.error, told.unit["state"]) == (4, "label.unknown", "verified")
    assert len(line.labels()) == 1


def test_a_broken_off_sheet_is_the_same_sheet_again(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The labels were on record, the file was not there: no gap, nothing twice, the same ids."""
    units = later(line, count=3)
    write = label_desk._write

    def full(part: Path, path: Path, data: bytes) -> None:
        raise StationError("report.no_folder", path=str(path), why="no space left")

    monkeypatch.setattr(label_desk, "_write", full)
    assert sheet(line).error == "report.no_folder"
    begun = [line.type("label", "show", unit.mac).out["labels"] for unit in units]
    assert [[one["state"] for one in copies] for copies in begun] == [["intent"]] * 3
    monkeypatch.setattr(label_desk, "_write", write)
    told = sheet(line)
    assert (told.code, told.out["resumed"]) == (0, True)
    assert [one["code"] for one in told.out["labels"]] == [copies[0]["code"] for copies in begun]
    assert codes_of(line.folder / "sheet.pdf") == [own_claim(line, unit) for unit in units]
    assert sheet(line).error == "report.output_exists"


def test_a_lot_without_verified_units_makes_no_sheet(line: Line) -> None:
    """Nothing is written."""
    assert sheet(line).error == "label.no_units"
    assert not (line.folder / "sheet.pdf").exists()


def test_check_draws_a_units_record_and_prints_nothing(line: Line) -> None:
    """Template, product, record and printer, one after the other."""
    (unit,) = later(line)
    folder = line.folder / "nothing"
    told = line.type(
        "label", "check", "claim-25x25-203", "--profile", PROFILE, "--unit", unit.mac,
        "--printer", str(folder),
    )  # fmt: skip
    assert (told.code, told.out["unit"]) == (0, unit.mac)
    assert list(folder.glob("*")) == []
    assert line.type("label", "show", unit.mac).out["labels"] == []
    assert line.type("label", "check", "no-such-template").error == "label.no_template"
    told = line.type("label", "check", "claim-50x25-203", "--printer", "zpl://127.0.0.1:1")
    assert told.error == "label.printer_not_ready"


def test_verify_compares_the_label_that_sticks_on_the_unit(line: Line, scan: Scanner) -> None:
    """Its own passes; a neighbour's does not, though both units are good."""
    unit, other = line.unit(), line.unit()
    assert line.run(unit).code == line.run(other).code == 0
    verify = ("verify", "--profile", PROFILE, "--port", unit.url, "--scan")
    scan(own_claim(line, unit) + "\n")
    assert line.type(*verify).code == 0
    scan(own_claim(line, other) + "\n")
    told = line.type(*verify)
    assert (told.code, told.error) == (4, "label.scan_used")
    assert other.mac in told.out["error"]["text"]
    scan("")
    assert line.type(*verify).error == "label.nothing_scanned"
    desk(line, "reprint", unit, "--reason", "torn")
    old, new = line.type("label", "show", unit.mac).out["labels"]
    for reading, error in (
        ("", "label.which_copy"), (old["code"], "label.scan_old_copy"), (new["code"], ""),
    ):  # fmt: skip
        scan(f"{own_claim(line, unit)}\n{reading}\n")
        assert line.type(*verify).error == error


def test_the_simulated_printer_is_there_for_everybody(tmp_path: Path) -> None:
    """`sim printer`: on the loopback address, every label a PNG, Ctrl-C ends it well."""
    with subprocess.Popen(
        [sys.executable, "-m", "eol_inject", "sim", "printer", "--listen-port", "0",
         "--out", str(tmp_path / "out"), "--json"],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as child:  # fmt: skip
        assert child.stderr is not None
        url = child.stderr.readline().split()[0]
        assert url.startswith("zpl://127.0.0.1:")
        open_printer(url).preflight()
        child.send_signal(signal.SIGINT)
        out, _ = child.communicate(timeout=20)
    assert child.returncode == 0
    assert json.loads(out)["labels"] == []
