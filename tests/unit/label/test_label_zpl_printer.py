"""``zpl://`` against a printer that plays along: three outcomes, and never a stale label."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from PIL import Image, ImageChops

from eol_inject.errors import StationError, UsageError
from eol_inject.label import Label, Printed, PrintOutcome, Template, open_printer, render
from eol_inject.label import zpl_printer as module
from eol_inject.sim.printer import PrinterFaults, SimPrinter
from eol_inject.unit import Proven


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same decisions in less time: nothing here waits for a real motor."""
    monkeypatch.setattr(module, "ANSWER_S", 0.5)
    monkeypatch.setattr(module, "FINISH_S", 1.5)
    monkeypatch.setattr(module, "SETTLED_S", 0.1)
    monkeypatch.setattr(module, "POLL_S", 0.005)


@pytest.fixture
def sim(tmp_path: Path) -> Iterator[SimPrinter]:
    with SimPrinter(tmp_path / "printed") as printer:
        yield printer


@pytest.fixture
def label(proven: Proven, template: Template, extra: dict[str, str]) -> Label:
    return render(proven, template, extra=extra)


def _print(sim: SimPrinter, label: Label) -> Printed:
    return open_printer(sim.url).print(label, name="u-1")


def _print_breaking(sim: SimPrinter, label: Label, fault: PrinterFaults) -> Printed:
    """Print while the fault comes up as soon as the job is in the printer's buffer."""
    sim.set_faults(PrinterFaults(slow_s=0.3))

    def break_it() -> None:
        while not sim.waiting:
            time.sleep(0.001)
        sim.set_faults(fault)

    breaker = threading.Thread(target=break_it, daemon=True)
    breaker.start()
    printed = _print(sim, label)
    breaker.join()
    return printed


def test_a_printed_label_is_confirmed_and_is_the_bitmap(sim: SimPrinter, label: Label) -> None:
    """The counter went up by one, and every dot arrived."""
    open_printer(sim.url).preflight()
    assert _print(sim, label) == Printed(PrintOutcome.CONFIRMED)
    (png,) = sim.labels
    with Image.open(png) as image:
        wrong = ImageChops.difference(image.convert("L"), label.bitmap.convert("L"))
    assert wrong.getbbox() is None
    assert sim.rejected == ()


def test_ten_labels_in_a_row_are_ten_labels(sim: SimPrinter, label: Label) -> None:
    """Each is confirmed before the next is sent: the line cannot fall out of step."""
    for number in range(1, 11):
        assert _print(sim, label).outcome is PrintOutcome.CONFIRMED
        assert len(sim.labels) == number


@pytest.mark.parametrize(
    ("faults", "why"),
    [
        (PrinterFaults(media_out_at=1), "media out"),
        (PrinterFaults(head_open=True), "head open"),
        (PrinterFaults(ribbon_out=True), "ribbon out"),
        (PrinterFaults(paused=True), "paused"),
        (PrinterFaults(silent=True), "silent"),
        (PrinterFaults(media_out_at=1, head_open=True), "media out, head open"),
    ],
)
def test_a_printer_that_is_not_ready_gets_nothing(
    sim: SimPrinter, label: Label, faults: PrinterFaults, why: str
) -> None:
    """It is found before a token is reserved, and again before a label is sent."""
    sim.set_faults(faults)
    with pytest.raises(StationError) as caught:
        open_printer(sim.url).preflight()
    assert caught.value.code == "label.printer_not_ready"
    assert why in str(caught.value)
    assert _print(sim, label) == Printed(PrintOutcome.NOT_SENT, why=why)
    assert sim.waiting == 0


def test_nobody_there_is_offline(label: Label) -> None:
    """A refused connection is not sent, and says so."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"zpl://127.0.0.1:{server.getsockname()[1]}"
    with pytest.raises(StationError, match="offline"):
        open_printer(url).preflight()
    printed = open_printer(url).print(label, name="u")
    assert printed.outcome is PrintOutcome.NOT_SENT
    assert printed.why.startswith("offline")


def test_media_that_ends_between_labels_stops_the_next_one(sim: SimPrinter, label: Label) -> None:
    """Two labels are on the roll: the third is not sent, and none comes out after the refill."""
    sim.set_faults(PrinterFaults(media_out_at=3))
    outcomes = [_print(sim, label).outcome for _ in range(3)]
    assert outcomes[0] is PrintOutcome.CONFIRMED
    assert outcomes[1] is not PrintOutcome.NOT_SENT  # the last of a roll: out, but with an error
    assert outcomes[2] is PrintOutcome.NOT_SENT
    sim.set_faults(PrinterFaults())
    assert _print(sim, label).outcome is PrintOutcome.CONFIRMED
    assert len(sim.labels) == 3


@pytest.mark.parametrize(
    "fault",
    [PrinterFaults(head_open=True), PrinterFaults(paused=True), PrinterFaults(ribbon_out=True)],
)
def test_a_fault_after_sending_is_unknown_and_leaves_no_stale_job(
    sim: SimPrinter, label: Label, fault: PrinterFaults
) -> None:
    """The job is cleared, so opening the head and closing it prints nothing onto the next unit."""
    printed = _print_breaking(sim, label, fault)
    assert printed.outcome is PrintOutcome.UNKNOWN
    assert printed.why
    sim.set_faults(PrinterFaults())
    assert _print(sim, label).outcome is PrintOutcome.CONFIRMED
    assert len(sim.labels) == 1


def test_silence_after_sending_is_unknown(sim: SimPrinter, label: Label) -> None:
    """The label did come out here; the station cannot know, and does not print another."""
    printed = _print_breaking(sim, label, PrinterFaults(silent=True))
    assert printed == Printed(PrintOutcome.UNKNOWN, why="silent")


def test_a_printer_that_never_finishes_is_unknown(sim: SimPrinter, label: Label) -> None:
    """Ready, but nothing comes out: no success is reported because a socket took the bytes."""
    sim.set_faults(PrinterFaults(slow_s=5))
    printed = _print(sim, label)
    assert printed == Printed(PrintOutcome.UNKNOWN, why="not printed within 2 s")
    assert sim.waiting == 0
    assert sim.labels == ()


def test_an_earlier_job_in_the_buffer_stops_the_print(sim: SimPrinter, label: Label) -> None:
    """Whatever still waits there belongs to another unit."""
    sim.set_faults(PrinterFaults(slow_s=0.5))
    port = int(sim.url.rsplit(":", 1)[1])
    with socket.create_connection(("127.0.0.1", port)) as other:
        other.sendall(b"^XA^GFA,1,1,1,FF^FS^XZ~HI")
        other.recv(100)
        printed = _print(sim, label)
    assert printed == Printed(PrintOutcome.NOT_SENT, why="busy with an earlier job")


def test_a_printer_of_another_resolution_gets_nothing(tmp_path: Path, label: Label) -> None:
    """A 203 dpi bitmap on a 300 dpi head would be two thirds of its size."""
    with SimPrinter(tmp_path, dots_per_mm=12) as sim:
        printed = _print(sim, label)
    assert printed.outcome is PrintOutcome.NOT_SENT
    assert "12 dots per mm" in printed.why


def test_an_older_printer_confirms_by_settling(sim: SimPrinter, label: Label) -> None:
    """Without a label counter it has to stay idle and without error for a while."""
    sim.set_faults(PrinterFaults(no_counter=True))
    assert _print(sim, label).outcome is PrintOutcome.CONFIRMED
    sim.set_faults(PrinterFaults(no_counter=True, slow_s=5))
    assert _print(sim, label).outcome is PrintOutcome.UNKNOWN
    assert len(sim.labels) == 1


def test_a_job_that_was_thrown_away_is_unknown(
    sim: SimPrinter, label: Label, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Damaged on its way, it vanishes without an error: idle, but the counter never moved."""
    good = module.encode(label)
    monkeypatch.setattr(module, "encode", lambda _: good.replace(b":Z64:e", b":Z64:f"))
    printed = _print(sim, label)
    assert sim.rejected == ("the graphic's CRC is wrong",)
    assert printed == Printed(PrintOutcome.UNKNOWN, why="not printed within 2 s")


READY = {
    b"~HQES": b"\x02ERRORS: 0 00000000 00000000\x03",
    b"~HS": b"\x02030,0,0,0200,000,0,0,0,000,0,0,0\x03"
    b"\x02000,0,0,0,0,2,4,0,00000000,1,000\x03\x021234,0\x03",
    b"~HI": b"\x02X,V1,8,8176KB\x03",
}


@contextmanager
def _scripted(counts: list[int], *, hang_up: bool = False) -> Iterator[str]:
    """A printer that is always ready and gives these counts; may hang up on the job."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection, suppress(ConnectionError):
                while asked := connection.recv(65536):
                    if asked.startswith(b"^XA"):
                        if hang_up:
                            return
                        continue
                    count = counts.pop(0) if asked.startswith(b"!") else 0
                    connection.sendall(READY.get(asked.strip(), f'"{count}"'.encode()))

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"zpl://127.0.0.1:{server.getsockname()[1]}"
        thread.join()


def test_a_connection_lost_after_sending_is_unknown(label: Label) -> None:
    """The bytes are gone and so is the printer: nobody can know."""
    with _scripted([7], hang_up=True) as url:
        printed = open_printer(url).print(label, name="u")
    assert printed.outcome is PrintOutcome.UNKNOWN
    assert printed.why.startswith("lost after sending")


def test_two_labels_instead_of_one_are_unknown(label: Label) -> None:
    """Somebody else prints there too: which label is whose has to be looked at."""
    with _scripted([7, 9]) as url:
        printed = open_printer(url).print(label, name="u")
    assert printed == Printed(PrintOutcome.UNKNOWN, why="2 labels came out instead of one")


@pytest.mark.parametrize(
    "url",
    ["zpl://", "zpl:///x", "zpl://host/path", "zpl://host:x", "zpl://host:99999",
     "zpl://host?x=1", "zpl+usb://host/dev/usb/lp0", "zpl+usb:"],
)  # fmt: skip
def test_a_bad_printer_url_is_a_usage_error(url: str) -> None:
    """Nothing is connected to what was misread."""
    with pytest.raises(UsageError) as caught:
        open_printer(url)
    assert caught.value.code == "label.bad_printer_url"


def test_the_port_is_9100_by_custom(monkeypatch: pytest.MonkeyPatch) -> None:
    """``zpl://host`` is enough."""
    asked: list[tuple[str, int]] = []

    def refuse(address: tuple[str, int], **_: object) -> socket.socket:
        asked.append(address)
        raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr(socket, "create_connection", refuse)
    with pytest.raises(StationError, match="Connection refused"):
        open_printer("zpl://labels.example").preflight()
    assert asked == [("labels.example", 9100)]


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs a pseudo-terminal")
def test_a_device_file_is_a_printer_too(tmp_path: Path, label: Label) -> None:
    """``zpl+usb:`` speaks the same over a character device, here a pseudo-terminal."""
    import tty

    from eol_inject.sim.printer import PrinterState

    master, slave = os.openpty()
    tty.setraw(master)
    tty.setraw(slave)
    state = PrinterState()
    stop = threading.Event()

    def serve() -> None:
        while not stop.is_set():
            answers = state.receive(os.read(master, 65536))
            while state.next_job() is not None:
                state.print_one()
            os.write(master, answers)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    printed = open_printer(f"zpl+usb://{os.ttyname(slave)}").print(label, name="u")
    stop.set()
    os.write(slave, b"~HI")
    thread.join()
    os.close(master)
    os.close(slave)
    assert printed == Printed(PrintOutcome.CONFIRMED)
    assert state.printed == 1
    assert state.rejected == []
