"""The label in step with its unit: a real printer's moods, a scanner's, and a person's.

Labels are judged from the pictures that the simulated printer made, decoded by another library's
reader; units from their flash.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import zxingcpp
from PIL import Image

from eol_inject import resources
from eol_inject.sim import manage
from eol_inject.sim.printer import PrinterFaults, SimPrinter
from tests.line.conftest import FIRMWARE, LOT, Line, Scanner, Told, Unit
from tests.support.killed_at import killed_at

ELSE = "sqr_" + "Some_Other_Code-" * 2 + "+1"


@pytest.fixture
def printer(tmp_path: Path) -> Iterator[SimPrinter]:
    """A ready printer."""
    with SimPrinter(tmp_path / "printed") as sim:
        yield sim


def run(line: Line, unit: Unit, printer: SimPrinter, *options: str, profile: str = "") -> Told:
    """One cycle with that printer and a scanner that types."""
    return line.type(
        "run", "--once", "--profile", profile or f"{unit.chip}-blnkopt", "--port", unit.url,
        "--lot", LOT, "--printer", printer.url, "--scanner", "tty", *options,
    )  # fmt: skip


def claims(line: Line) -> list[str]:
    """The claim codes in the order in which the tokens are drawn."""
    return list(line.pool.values())


def printed(printer: SimPrinter) -> list[str]:
    """The claim code on every label that came out."""
    found = []
    for path in printer.labels:
        with Image.open(path) as image:
            (code,) = zxingcpp.read_barcodes(image.convert("L"))
        found.append(code.text)
    return found


def labels(line: Line, unit: Unit) -> list[dict[str, str]]:
    """What the ledger says of the unit's labels."""
    return list(line.type("label", "show", unit.mac).out["labels"])


def state(line: Line, unit: Unit) -> str:
    """Of the unit's token."""
    return str(line.type("unit", "show", unit.mac).out["tokens"][-1]["state"])


def confirm(line: Line, how: str, *, also: str = "") -> str:
    """A profile whose labels are confirmed that way."""
    text = (resources.folder("profiles") / "esp32c3-blnkopt.toml").read_text("utf-8")
    text = text.replace("../fixtures/firmware", str(FIRMWARE))
    path = line.folder / f"confirm-{how}.toml"
    path.write_text(text + f'confirm = "{how}"\n{also}', encoding="utf-8")
    return str(path)


def test_the_scan_of_its_own_label_closes_a_unit(
    line: Line, printer: SimPrinter, scan: Scanner
) -> None:
    """One label comes out, its code is the unit's token's, and the scan is what closes."""
    unit = line.unit()
    scan(f"]Q1{claims(line)[0]}\r\n")
    told = run(line, unit, printer)
    assert (told.code, told.unit["state"], told.unit["label"]) == (0, "closed", "applied")
    assert printed(printer) == [line.pool[next(iter(unit.tokens(line.pool)))]]
    (label,) = labels(line, unit)
    assert (label["state"], label["copy"], label["printer"]) == ("applied", 1, printer.url)
    assert "scan" in told.unit["steps"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo terminals")
def test_a_scanner_on_a_port(line: Line, printer: SimPrinter) -> None:
    """Through pyserial, with AIM identifier, without a suffix; what came before is dropped."""
    import pty
    import tty

    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    unit, codes = line.unit(), claims(line)

    def person() -> None:
        deadline = time.monotonic() + 60
        while not printer.labels and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.3)
        os.write(ours, f"]Q1{codes[0]}".encode())

    os.write(ours, f"{codes[1]}\r".encode())
    scanning = threading.Thread(target=person)
    scanning.start()
    told = line.type(
        "run", "--once", "--profile", "esp32c3-blnkopt", "--port", unit.url, "--lot", LOT,
        "--printer", printer.url, "--scanner", os.ttyname(theirs),
    )  # fmt: skip
    scanning.join()
    os.close(ours)
    os.close(theirs)
    assert (told.code, told.unit["state"], told.unit["notes"]) == (0, "closed", [])


def test_without_a_scan_the_unit_stays_verified_and_is_only_asked_again(
    line: Line, printer: SimPrinter, scan: Scanner
) -> None:
    """Exit 4; the next run prints nothing, and closes with the scan."""
    unit = line.unit()
    scan("")
    told = run(line, unit, printer)
    assert (told.code, told.error, told.unit["state"]) == (4, "label.not_scanned", "verified")
    scan(f"{claims(line)[0]}\n")
    told = run(line, unit, printer)
    assert (told.code, told.unit["state"]) == (0, "closed")
    assert len(printer.labels) == 1


def test_no_scanner_is_told_before_a_unit_is_touched(line: Line, printer: SimPrinter) -> None:
    """Exit 2: with a real printer the scan is the default."""
    unit = line.unit()
    told = line.type(
        "run", "--once", "--profile", "esp32c3-blnkopt", "--port", unit.url, "--lot", LOT,
        "--printer", printer.url,
    )  # fmt: skip
    assert (told.code, told.error) == (2, "label.no_scanner")


@pytest.mark.parametrize(
    ("reading", "answer"),
    [
        ("{second}", "label.scan_pool"),
        (ELSE, "label.scan_unknown"),
        ("{first_layout}", "label.scan_layout"),
        ("{first_caps}", "label.scan_caps_lock"),
        ("{first_cut}", "label.scan_cut_short"),
        ("{secret}", "label.scan_secret"),
        ("4006381333931", "label.scan_no_claim"),
        ("K7QXAB-1", "label.scan_id_first"),
    ],
)
def test_every_wrong_scan_has_its_own_answer(
    line: Line, printer: SimPrinter, scan: Scanner, reading: str, answer: str
) -> None:
    """None closes anything; the slot waits on, and the right one closes."""
    first, second = claims(line)[:2]
    german = str.maketrans("yzYZ_+-", "zyZY?`ß")
    text = reading.format(
        second=second, first_layout=first.translate(german), first_caps=first.swapcase(),
        first_cut=first[:20], secret=next(iter(line.pool)),
    )  # fmt: skip
    unit = line.unit()
    scan(f"{text}\n")
    told = run(line, unit, printer)
    assert (told.code, told.error, told.unit["state"]) == (4, "label.not_scanned", "verified")
    acts = [
        e for e in line.type("unit", "show", unit.mac).out["events"] if e["act"] == "label_scan"
    ]
    assert [event["facts"]["answer"] for event in acts] == [answer]
    assert text not in str(told.out)
    scan(f"{text}\n{first}\n")
    assert run(line, unit, printer).code == 0
    assert len(printer.labels) == 1


def test_another_units_label_and_that_of_a_finished_one(
    line: Line, printer: SimPrinter, scan: Scanner
) -> None:
    """Each is told whose it is, and closes nothing."""
    done, waiting, here = line.unit(), line.unit(), line.unit()
    codes = claims(line)
    scan(f"{codes[0]}\n")
    assert run(line, done, printer).code == 0
    scan("")
    assert run(line, waiting, printer).error == "label.not_scanned"
    # its label is on the way: the printer takes no other before
    scan("")
    told = run(line, here, printer)
    assert (told.code, told.error) == (3, "ledger.label_waits")
    assert not here.tokens(line.pool)
    # a run that prints nothing has nothing to wait for
    assert run(line, line.unit(), printer, "--label-later").code == 0
    scan(f"{codes[0]}\n{codes[1]}\n{codes[1]}\n")
    told = run(line, waiting, printer)
    assert told.code == 0
    scan(f"{codes[1]}\n{codes[3]}\n")
    told = run(line, here, printer)
    assert told.code == 0
    assert any(waiting.mac in note for note in told.unit["notes"])
    line.judge()


def test_the_marks_of_the_board_and_the_label_make_a_pair(
    line: Line, printer: SimPrinter, scan: Scanner
) -> None:
    """`confirm = "pair"`: first the board in the slot, then its label."""
    unit, profile = line.unit(), confirm(line, "pair")
    scan(f"{claims(line)[0]}\n60:55:f9:99:99:99\n")
    told = run(line, unit, printer, profile=profile)
    assert told.error == "label.not_scanned"
    assert len(told.unit["notes"]) == 2
    scan(f"{unit.mac.replace(':', '').upper()}\n{claims(line)[0]}\n")
    assert run(line, unit, printer, profile=profile).code == 0


def test_a_confirmed_print_is_enough_where_the_profile_says_so(
    line: Line, printer: SimPrinter, scan: Scanner
) -> None:
    """`confirm = "printer"`: two units, nothing scanned."""
    profile = confirm(line, "printer")
    for unit in (line.unit(), line.unit()):
        scan("")
        told = run(line, unit, printer, profile=profile)
        assert (told.code, told.unit["label"], told.unit["state"]) == (0, "confirmed", "closed")
    assert printed(printer) == claims(line)[:2]


def test_every_kind_the_profile_requires_is_labelled(
    line: Line, printer: SimPrinter, scan: Scanner
) -> None:
    """A box label besides: both come out, and the second is told from the first by its id."""
    profile = confirm(line, "scan", also='also = { box = "claim-50x25-203" }\n')
    unit = line.unit()
    scan(f"{claims(line)[0]}\n")
    told = run(line, unit, printer, profile=profile)
    assert (told.error, told.unit["state"]) == ("label.not_scanned", "verified")
    box = next(label for label in labels(line, unit) if label["kind"] == "box")
    scan(f"{claims(line)[0]}\n{box['code']}-{box['copy']}\n")
    told = run(line, unit, printer, profile=profile)
    assert (told.code, told.unit["state"]) == (0, "closed")
    assert len(printer.labels) == 2


@pytest.mark.parametrize(
    ("faults", "why"),
    [
        (PrinterFaults(head_open=True), "head open"),
        (PrinterFaults(media_out_at=1), "media out"),
        (PrinterFaults(ribbon_out=True), "ribbon out"),
        (PrinterFaults(paused=True), "paused"),
        (PrinterFaults(silent=True), "silent"),
    ],
)
def test_a_printer_that_cannot_print_stops_the_station_before_a_token_is_drawn(
    line: Line, printer: SimPrinter, scan: Scanner, faults: PrinterFaults, why: str
) -> None:
    """Exit 3 with the reason; the unit is untouched, and nothing comes out later."""
    unit = line.unit()
    manage.start(unit.url)
    printer.set_faults(faults)
    scan("")
    told = run(line, unit, printer)
    assert (told.code, told.error) == (3, "label.printer_not_ready")
    assert why in told.out["error"]["text"]
    assert not unit.tokens(line.pool)
    printer.set_faults(PrinterFaults())
    assert printer.waiting == 0
    assert printer.labels == ()


def test_media_out_while_a_run_goes_on(line: Line, printer: SimPrinter, scan: Scanner) -> None:
    """At label 3 of four units: nobody's label is anybody else's, and nothing comes out late."""
    printer.set_faults(PrinterFaults(media_out_at=3))
    profile = confirm(line, "printer")
    units = [line.unit() for _ in range(4)]
    scan("")
    codes = [run(line, unit, printer, profile=profile).code for unit in units]
    assert codes == [0, 0, 3, 3]
    printer.set_faults(PrinterFaults())
    assert [run(line, unit, printer, profile=profile).code for unit in units[2:]] == [0, 0]
    assert printed(printer) == claims(line)[:4]
    line.judge()


def break_while_it_prints(printer: SimPrinter, faults: PrinterFaults) -> threading.Thread:
    """Break the printer as soon as it has the job."""

    def breaking() -> None:
        deadline = time.monotonic() + 30
        while not printer.waiting and time.monotonic() < deadline:
            time.sleep(0.002)
        printer.set_faults(faults)

    thread = threading.Thread(target=breaking)
    thread.start()
    return thread


@pytest.mark.parametrize("answer", ["y", "n", ""])
def test_a_label_of_unknown_fate_is_a_question(
    line: Line, printer: SimPrinter, scan: Scanner, answer: str
) -> None:
    """The head opens on the job: nobody reprints by himself; a person looks, then it goes on."""
    unit, slow = line.unit(), PrinterFaults(slow_s=0.5)
    printer.set_faults(slow)
    breaking = break_while_it_prints(printer, replace(slow, head_open=True))
    scan("")
    told = run(line, unit, printer)
    breaking.join()
    assert (told.code, told.error, told.unit["state"]) == (4, "label.unknown", "verified")
    assert printer.waiting == 0
    printer.set_faults(PrinterFaults())
    scan(f"{answer}\n{claims(line)[0]}\n" if answer else "")
    told = run(line, unit, printer)
    if not answer:
        assert (told.code, told.error) == (4, "label.unknown")
        return
    assert len(printer.labels) == (0 if answer == "y" else 1)
    assert [label["state"] for label in labels(line, unit)][-1] == "applied"
    assert told.code == 0


def test_a_slow_printer_is_waited_for(line: Line, printer: SimPrinter, scan: Scanner) -> None:
    """Half a second a label is no fault."""
    printer.set_faults(PrinterFaults(slow_s=0.5))
    scan(f"{claims(line)[0]}\n")
    assert run(line, line.unit(), printer).code == 0


@pytest.mark.parametrize(
    ("point", "out"), [(("StepStarted", "scan"), 1), (("StepDone", "print"), 1)]
)
def test_killed_between_print_and_scan_nothing_is_printed_again(
    line: Line, printer: SimPrinter, scan: Scanner, point: tuple[str, str], out: int
) -> None:
    """The next run asks for the scan of the label that is there."""
    unit = line.unit()
    manage.start(unit.url)
    kill(line, unit, printer, point)
    assert len(printer.labels) == out
    scan(f"{claims(line)[0]}\n")
    told = run(line, unit, printer)
    assert told.code == 0
    assert len(printer.labels) == 1
    line.judge()


def test_killed_while_it_printed_a_person_is_asked(
    line: Line, printer: SimPrinter, scan: Scanner
) -> None:
    """On record as an intent: nobody knows; `n` voids it and prints the next copy."""
    unit = line.unit()
    manage.start(unit.url)
    printer.set_faults(PrinterFaults(slow_s=4))
    child = start(line, unit, printer)
    deadline = time.monotonic() + 40
    while not printer.waiting and time.monotonic() < deadline:
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    child.wait()
    (label,) = labels(line, unit)
    assert label["state"] == "intent"
    with printer._changed:  # switched off and on: the job in its buffer is gone
        printer._state.waiting.clear()
    printer.set_faults(PrinterFaults())
    scan("")
    assert run(line, unit, printer).error == "label.unknown"
    scan(f"n\n{claims(line)[0]}\n")
    assert run(line, unit, printer).code == 0
    assert [(one["copy"], one["state"]) for one in labels(line, unit)] == [
        (1, "void"), (2, "applied")
    ]  # fmt: skip


def command(line: Line, unit: Unit, printer: SimPrinter) -> list[str]:
    """`run --once` as another process would get it."""
    return [
        "run", "--once", "--profile", "esp32c3-blnkopt", "--port", unit.url, "--lot", LOT,
        "--printer", printer.url, "--scanner", "tty",
        "--ledger", f"sqlite:///{line.folder / 'ledger.db'}",
        "--key-file", str(line.folder / "ledger.key"),
        "--training", "--station", "S1", "--operator", "Ada", "--json",
    ]  # fmt: skip


def kill(line: Line, unit: Unit, printer: SimPrinter, point: tuple[str, str]) -> None:
    """A run in a process of its own, which dies at ``point``."""
    killed_at(*point, command(line, unit, printer))


def start(line: Line, unit: Unit, printer: SimPrinter) -> subprocess.Popen[bytes]:
    """A run in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "eol_inject", *command(line, unit, printer)],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def test_a_slot_whose_name_does_not_fit_onto_the_label_is_told_first(
    line: Line, printer: SimPrinter, scan: Scanner
) -> None:
    """Before a unit is touched; a usual name stands on the label."""
    unit = line.unit()
    scan("")
    told = run(line, unit, printer, "--slot", "the third one from the left")
    assert (told.code, told.error) == (2, "label.text_too_long")
    assert "(slot)" in told.out["units"][0]["error"]["text"]
    scan(f"{claims(line)[0]}\n")
    assert run(line, unit, printer, "--slot", "12").code == 0
    facts = json.loads(labels(line, unit)[0]["facts"])
    assert facts["slot"] == "12"
