"""IPP printers: what is asked before, what is sent, what each end of a job proves."""

import asyncio
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from eol_inject.errors import StationError, UsageError
from eol_inject.label import Label, Printed, PrintOutcome, Template, open_printer, render
from eol_inject.label import ipp_client as client
from eol_inject.label import ipp_printer as module
from eol_inject.label.ipp_reasons import FAULTS, fault_of
from eol_inject.unit import Proven
from tests.support.ipp_device import ABORTED, CANCELED, COMPLETED, KEYWORD, Device, serving


@pytest.fixture
def label(proven: Proven, template: Template, extra: dict[str, str]) -> Label:
    return render(proven, template, extra=extra)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "POLL_S", 0.01)
    monkeypatch.setattr(module, "CANCEL_S", 0.3)
    monkeypatch.setattr(client, "ANSWER_S", 2.0)


def _print(device: Device, label: Label, query: str = "?timeout=0.3") -> Printed:
    return open_printer(device.url + query).print(label, name="u-1")


def _refusal(device: Device, query: str = "") -> str:
    with pytest.raises(StationError) as caught:
        open_printer(device.url + query).preflight()
    assert caught.value.code == "label.printer_not_ready"
    return str(caught.value.params["why"])


def test_a_device_that_printed_it_confirms(label: Label) -> None:
    """The job was followed to its end, and the device says that a sheet came out."""
    with serving(Device()) as device:
        open_printer(device.url).preflight()
        assert _print(device, label, "") == Printed(PrintOutcome.CONFIRMED)
    (job,) = device.jobs
    assert job.state == COMPLETED
    assert job.data == label.pdf()


def test_the_job_says_its_size_and_forbids_scaling(label: Label) -> None:
    """A label that is shrunk to a margin has codes that do not read."""
    with serving(Device()) as device:
        _print(device, label)
    said = device.jobs[0].attributes
    assert said["media"] == [(KEYWORD, "custom_label_50.05x25.02mm")]
    assert said["print-scaling"] == [(KEYWORD, "none")]
    assert said["ipp-attribute-fidelity"][0][1] is True
    assert said["copies"][0][1] == 1
    assert said["job-name"][0][1] == "u-1"


def test_zpl_is_sent_as_it_is(label: Label) -> None:
    """``?format=zpl`` for a Zebra printer that speaks IPP; no settings that it would not know."""
    with serving(Device()) as device:
        assert _print(device, label, "?format=zpl").outcome is PrintOutcome.CONFIRMED
    assert device.jobs[0].data.startswith(b"^XA")
    assert device.jobs[0].attributes["document-format"][0][1] == "application/octet-stream"
    assert "media" not in device.jobs[0].attributes


@pytest.mark.parametrize("suffix", ["", "-report", "-warning", "-error"])
@pytest.mark.parametrize("reason", sorted(FAULTS))
def test_a_fault_is_a_fault_whatever_its_suffix(reason: str, suffix: str) -> None:
    """Printers differ in how badly they take an empty roll; no label comes out of any."""
    assert fault_of([reason + suffix]) == FAULTS[reason]


@pytest.mark.parametrize(
    ("reasons", "fault"),
    [
        (["none"], ""),
        ([], ""),
        (["media-low-warning", "toner-low-report"], ""),
        (["com.acme-polished-report"], ""),
        (["com.acme-on-fire-error"], "com.acme-on-fire"),
        (["com.acme-on-fire"], "com.acme-on-fire"),
        (["cover-open-error", "door-open-report", "media-empty-error"], "cover open, media out"),
        (["\x1b[31m-error"], "31m"),
    ],
)
def test_low_is_not_empty_and_a_stranger_is_a_fault(reasons: list[str], fault: str) -> None:
    """What the printer itself calls a report or a warning does not stop the line."""
    assert fault_of(reasons) == fault


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"reasons": ["media-empty-warning"]}, "media out"),
        ({"reasons": ["cover-open-report"]}, "cover open"),
        ({"reasons": ["offline-report"]}, "offline"),
        ({"stopped": True}, "stopped"),
        ({"accepting": False}, "it takes no jobs"),
        ({"queued": 2}, "2 earlier job(s) wait in its queue"),
        ({"formats": ("image/urf",)}, "it takes no PDF; a ZPL printer may take ?format=zpl"),
        ({"silent_about": frozenset({"printer-state"})}, "offline: it does not tell its state"),
    ],
)
def test_a_printer_that_is_not_ready_gets_nothing(
    label: Label, facts: dict[str, Any], why: str
) -> None:
    """It is found before a token is reserved, and again before a label is sent."""
    with serving(Device(**facts)) as device:
        assert _refusal(device) == why
        assert _print(device, label) == Printed(PrintOutcome.NOT_SENT, why=why)
    assert device.jobs == []


def test_a_printer_without_zpl_gets_none(label: Label) -> None:
    """A page of ``^XA…`` as text is no label."""
    with serving(Device(formats=("application/pdf",))) as device:
        assert _refusal(device, "?format=zpl") == "it takes no ZPL"


def test_a_printer_of_another_resolution_gets_nothing(label: Label) -> None:
    """203 dots an inch do not fall onto 300."""
    with serving(Device(dpi=300)) as device:
        printed = _print(device, label)
    assert printed.outcome is PrintOutcome.NOT_SENT
    assert printed.why == "it prints 300 dpi, and the template has 203"
    with serving(Device(dpi=406)) as device:
        assert _print(device, label).outcome is PrintOutcome.CONFIRMED


def test_nobody_there_is_offline(label: Label) -> None:
    """A refused connection is not sent, and says so."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"ipp://127.0.0.1:{server.getsockname()[1]}/ipp/print"
    with pytest.raises(StationError, match="offline: Connection refused"):
        open_printer(url).preflight()
    printed = open_printer(url).print(label, name="u")
    assert printed == Printed(PrintOutcome.NOT_SENT, why="offline: Connection refused")


def test_a_silent_printer_is_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes the connection and never answers."""
    monkeypatch.setattr(client, "ANSWER_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"ipp://127.0.0.1:{server.getsockname()[1]}/ipp/print"
        with pytest.raises(StationError, match="offline: silent"):
            open_printer(url).preflight()


def test_what_is_no_ipp_is_offline() -> None:
    """Some other server on that port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        with pytest.raises(StationError, match="its answer is not understood"):
            open_printer(f"ipp://127.0.0.1:{server.getsockname()[1]}/").preflight()
        thread.join()


@pytest.mark.parametrize(
    ("trouble", "why"),
    [
        ({"ends": None, "reasons_later": ["media-empty-warning"]}, "media out"),
        ({"ends": None, "reasons_later": ["cover-open-error"]}, "cover open"),
        ({"ends": ABORTED, "reasons_later": ["cover-open-report"]}, "cover open"),
        ({"ends": ABORTED}, "aborted"),
        ({"ends": CANCELED}, "cancelled"),
        ({"ends": None}, "not printed within 0.3 s"),
        ({"reasons_later": ["media-empty-report"]}, "media out"),
    ],
)
def test_a_job_that_did_not_confirm_is_unknown_and_gone(
    label: Label, trouble: dict[str, Any], why: str
) -> None:
    """It was sent, so something may have come out; after the refill nothing more does."""
    with serving(Device(**trouble)) as device:
        assert _print(device, label) == Printed(PrintOutcome.UNKNOWN, why=why)
        assert device.unfinished == 0


@pytest.mark.parametrize(
    ("first", "why"), [(4, "held in the queue"), (3, "not printed within 0.3 s")]
)
def test_a_job_that_never_began_is_not_sent(label: Label, first: int, why: str) -> None:
    """Held or pending until it was cancelled: no dot of it was printed, and the device says so."""
    with serving(Device(first=first)) as device:
        assert _print(device, label) == Printed(PrintOutcome.NOT_SENT, why=why)
        assert device.unfinished == 0


def test_a_job_that_cannot_be_cancelled_is_said_to_be_there(label: Label) -> None:
    """Somebody has to remove it, or it comes out later."""
    with serving(Device(ends=None, deaf_to_cancel=True)) as device:
        printed = _print(device, label)
    assert printed.outcome is PrintOutcome.UNKNOWN
    assert printed.why.endswith("its job 1 could not be cancelled: remove it by hand")


def test_a_refused_job_is_not_sent(label: Label) -> None:
    """The printer does not take labels of that size: better none than a scaled one."""
    with serving(Device(refuses=0x040B)) as device:
        printed = _print(device, label)
    why = "it does not take this label's size or settings"
    assert printed == Printed(PrintOutcome.NOT_SENT, why=why)


def test_a_lost_answer_is_unknown_and_its_job_is_found_and_cancelled(label: Label) -> None:
    """The printer took the job and hung up: the number never came, so it is looked for by name."""
    with serving(Device(ends=None, loses_answers=True)) as device:
        printed = _print(device, label)
        assert printed.outcome is PrintOutcome.UNKNOWN
        assert printed.why.startswith("lost after sending")
        assert "may still be" not in printed.why
        assert [job.state for job in device.jobs] == [CANCELED]


def test_a_device_that_counts_no_state_confirms_nothing(label: Label) -> None:
    """Without ``printer-state-reasons`` its "completed" says as little as a socket's."""
    with serving(Device(silent_about=frozenset({"printer-state-reasons"}))) as device:
        printed = _print(device, label)
    assert printed == Printed(PrintOutcome.UNKNOWN, why="it does not report its state")


def test_ctrl_c_leaves_no_job(label: Label) -> None:
    """The operator stops the run while the label is on its way."""
    with serving(Device(ends=None)) as device:
        printer = open_printer(device.url)
        assert isinstance(printer, module.IppPrinter)

        async def stopped() -> None:
            task = asyncio.create_task(
                printer._with(lambda queue: printer._print(queue, label, "u-1"))
            )
            while not device.jobs:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.05)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(stopped())
        assert [job.state for job in device.jobs] == [CANCELED]


def test_the_label_stage_does_not_load_the_library_for_other_sinks(tmp_path: Path) -> None:
    """A folder needs no aiohttp."""
    import subprocess
    import sys

    code = (
        "import sys; from eol_inject.label import open_printer; "
        f"open_printer({str(tmp_path)!r}).preflight(); "
        "print(sorted({'pyipp', 'aiohttp'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_no_attribute_is_dropped_without_a_word() -> None:
    """pyipp leaves out what it does not know; here that is a fault of ours, not a wrong label."""

    async def ask() -> None:
        async with client.connected(client.Address("127.0.0.1", 1, "/")) as queue:
            await queue.send(b"", name="u", kind="x/y", settings={"no-such-attribute": 1})

    with pytest.raises(AssertionError, match="no-such-attribute"):
        asyncio.run(ask())


@pytest.mark.parametrize(
    "url",
    ["ipp://", "ipp:///x", "ipp://host:x/", "ipp://host/p?x=1", "ipp://host/?format=pcl",
     "ipp://host/?timeout=0", "ipp://host/?timeout=nan", "ipp://host/?timeout=1e9",
     "ipp://me:secret@host/", "cups://", "cups://host/a/b", "cups://a%20b", "cups://host:x/q",
     "cups://me:secret@q", "cups://q?format=png"],
)  # fmt: skip
def test_a_bad_printer_url_is_a_usage_error(url: str) -> None:
    """Nothing is connected to what was misread, and no password is repeated."""
    with pytest.raises(UsageError) as caught:
        open_printer(url)
    assert caught.value.code == "label.bad_printer_url"
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("ipp://Printer.local", client.Address("printer.local", 631, "/ipp/print")),
        ("ipp://10.0.0.7:8631/printers/x", client.Address("10.0.0.7", 8631, "/printers/x")),
        ("cups://Label_50x25", client.Address("localhost", 631, "/printers/Label_50x25")),
        ("cups://host/Labels", client.Address("host", 631, "/printers/Labels")),
        ("cups://127.0.0.1:8631/q", client.Address("127.0.0.1", 8631, "/printers/q")),
    ],
)
def test_where_a_url_leads(url: str, address: client.Address) -> None:
    """A queue of this computer is its name alone; names keep their case."""
    printer = open_printer(url)
    assert isinstance(printer, module.IppPrinter)
    assert printer._address == address
    assert printer.url == url


def test_waiting_ends_at_the_time_limit(label: Label) -> None:
    """A slot is not blocked by a printer that warms up for ever."""
    with serving(Device(ends=None)) as device:
        start = time.monotonic()
        _print(device, label, "?timeout=0.2")
        assert time.monotonic() - start < 5
