"""The simulated printer itself: bytes in any portions, and noise, as a real one takes them."""

import random
import socket
import threading
import time
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from eol_inject.label import Label
from eol_inject.label.zpl import encode
from eol_inject.sim.printer import PrinterFaults, PrinterState, SimPrinter

NOISE = random.Random(1).randbytes(4 * 20)
LABEL = Label("t", "", 30, 20, 203, "tail00", None, rows=NOISE)
COUNTER = b'! U1 getvar "odometer.total_label_count"\r\n'


@given(st.lists(st.integers(1, 400), max_size=12))
def test_bytes_may_come_in_any_portions(cuts: list[int]) -> None:
    """A socket keeps no boundaries: queries and jobs are found wherever they are cut."""
    stream = b"~HI" + encode(LABEL) + b"\r\n~HQES" + COUNTER + b"~HS" + encode(LABEL) + COUNTER
    state, answers, start = PrinterState(), b"", 0
    for end in sorted({*(cut for cut in cuts if cut < len(stream)), len(stream)}):
        answers += state.receive(stream[start:end])
        start = end
    assert len(state.waiting) == 2
    assert state.rejected == []
    assert answers.count(b"\x02") == 5  # ~HI, ~HQES and the three strings of ~HS
    assert answers.count(b'"0"') == 2


@given(st.binary(max_size=600))
def test_noise_breaks_nothing(noise: bytes) -> None:
    """After any garbage the next whole format still prints."""
    state = PrinterState()
    state.receive(noise + b"^XZ\n")
    state.waiting.clear()
    state.receive(encode(LABEL))
    assert len(state.waiting) == 1


def test_a_damaged_graphic_is_thrown_away() -> None:
    """One changed character fails the CRC: nothing prints, and nobody is told, as in life."""
    state = PrinterState()
    job = bytearray(encode(LABEL))
    at = job.index(b":Z64:") + 20
    job[at] = ord("A") if job[at] != ord("A") else ord("B")
    assert state.receive(bytes(job)) == b""
    assert state.next_job() is None
    assert state.rejected == ["the graphic's CRC is wrong"]


def test_clearing_takes_waiting_jobs_out() -> None:
    """``~JA`` empties the buffer, so nothing comes out after the head is closed."""
    state = PrinterState(PrinterFaults(head_open=True))
    state.receive(encode(LABEL) * 2)
    assert len(state.waiting) == 2
    assert state.next_job() is None
    state.receive(b"~JA")
    state.faults = PrinterFaults()
    assert state.next_job() is None


def test_a_printer_is_served_until_it_is_closed(tmp_path: Path) -> None:
    """For use by hand: the command line waits in it, and many stations may connect before."""
    with SimPrinter(tmp_path / "out") as printer:
        waiting = threading.Thread(target=printer.serve_until_interrupted, daemon=True)
        waiting.start()
        port = int(printer.url.rsplit(":", 1)[1])
        for number in range(1, 21):
            with socket.create_connection(("127.0.0.1", port)) as station:
                station.sendall(encode(LABEL) + b"~HI")
                assert station.recv(100)
                while len(printer.labels) < number:
                    time.sleep(0.001)
        assert waiting.is_alive()
    waiting.join(5)
    assert not waiting.is_alive()


def test_labels_of_an_earlier_run_stay(tmp_path: Path) -> None:
    """Started again on the same folder, it goes on counting its files."""
    for number in (1, 2):
        with SimPrinter(tmp_path) as printer:
            port = int(printer.url.rsplit(":", 1)[1])
            with socket.create_connection(("127.0.0.1", port)) as station:
                station.sendall(encode(LABEL))
                while len(printer.labels) < number:
                    time.sleep(0.001)
    assert [path.name for path in printer.labels] == ["label-000001.png", "label-000002.png"]


def test_host_status_is_not_answered_while_it_cannot_print() -> None:
    """Only ``~HQES`` tells media out and head open; ``~HS`` stays silent."""
    for faults in (PrinterFaults(head_open=True), PrinterFaults(media_out_at=1)):
        state = PrinterState(faults)
        assert state.receive(b"~HS") == b""
        assert b"ERRORS:         1" in state.receive(b"~HQES")
