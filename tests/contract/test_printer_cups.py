"""CUPS itself, a scheduler of the tests' own: what "completed" is worth, queue by queue."""

import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image, ImageChops

from eol_inject.errors import StationError
from eol_inject.label import (
    Label,
    Printed,
    PrintOutcome,
    load_template,
    open_printer,
    render,
    shipped,
)
from eol_inject.sim.printer import PrinterFaults, SimPrinter
from eol_inject.unit import ClaimCode, Identifier, Proof, Proven, Unit
from tests.support import cups as support
from tests.support.cups import Cups
from tests.support.ipp_device import ABORTED, CANCELED, Device, serving
from tests.support.zebra_graphics import picture

pytestmark = pytest.mark.needs_debian("cupsd", "lpadmin")

ZEBRA = "drv:///sample.drv/zebra.ppd"
HANDED_OVER = "CUPS handed it over to {}, and cannot know whether it was printed"


@pytest.fixture(scope="module")
def cups() -> Iterator[Cups]:
    with support.running() as server:
        yield server


@pytest.fixture
def sim(tmp_path: Path) -> Iterator[SimPrinter]:
    with SimPrinter(tmp_path / "printed") as printer:
        yield printer


@contextmanager
def _switched_off() -> Iterator[str]:
    """A device URI that takes no connection and refuses none: a printer without power."""
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for filler in (first, second):
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        yield f"socket://127.0.0.1:{full.getsockname()[1]}/"


def _label(template: str = "claim-50x25-203") -> Label:
    proven = Proven(
        unit=Unit(Identifier("serial", "A-1")),
        role="self",
        assignment=1,
        claim=ClaimCode("sqr_" + "A-1".ljust(32, "x"), 1),
        product="TMPL",
        lot="L1",
        proof=Proof.READ_BACK,
        fields={},
    )
    return render(proven, load_template(template), extra={"product_name": "Sensor"})


def _behind(sim: SimPrinter) -> str:
    return sim.url.replace("zpl://", "socket://") + "/?contimeout=3"


def _print(url: str, query: str = "?format=zpl") -> Printed:
    return open_printer(url + query).print(_label(), name="A-1")


def _refusal(url: str, query: str = "?format=zpl") -> str:
    with pytest.raises(StationError) as caught:
        open_printer(url + query).preflight()
    printed = _print(url, query)
    assert printed == Printed(PrintOutcome.NOT_SENT, why=str(caught.value.params["why"]))
    return printed.why


@pytest.mark.parametrize("template", [name for name in shipped() if name.startswith("claim-")])
def test_cups_own_zebra_driver_gets_every_dot(cups: Cups, template: str) -> None:
    """The PDF, through CUPS' filters at the label's own size, is the bitmap: 0 wrong dots.

    The queue's own defaults would scale it, add a banner page and hold it. Filters round a page to
    whole points: at 300 dpi the whole picture may move by one row, its margin being white.
    """
    label = _label(template)
    out = cups.folder / f"{template}.out"
    url = cups.add(
        f"driver-{template}",
        out.as_uri(),
        *("-o", f"Resolution={label.dpi}dpi"),
        *("-o", "fit-to-page-default=true"),
        *("-o", "job-sheets-default=standard,none"),
        *("-o", "job-hold-until-default=indefinite"),
        model=ZEBRA,
    )
    printer = open_printer(url)
    printer.preflight()
    printed = printer.print(label, name="A-1")
    assert printed == Printed(PrintOutcome.UNKNOWN, why=HANDED_OVER.format("file"))
    drawn = picture(out.read_bytes())
    assert drawn.size == (-(-label.width // 8) * 8, label.height)
    rows = (0,) if label.dpi == 203 else (-1, 0, 1)
    assert any(_wrong_dots(label, drawn, down) == 0 for down in rows)


def _wrong_dots(label: Label, drawn: Image.Image, down: int) -> int:
    """Dots that differ where ``drawn`` is moved down by some rows."""
    moved = Image.new("1", (label.width, label.height), 1)
    moved.paste(drawn, (0, down))
    wrong = ImageChops.difference(moved.convert("L"), label.bitmap.convert("L"))
    return sum(wrong.histogram()[1:])


def test_a_raw_queue_onto_a_socket_prints_and_proves_nothing(cups: Cups, sim: SimPrinter) -> None:
    """The label did come out, dot for dot; CUPS knows only that the socket took the bytes."""
    url = cups.add("raw", _behind(sim))
    open_printer(url + "?format=zpl").preflight()
    assert _print(url) == Printed(PrintOutcome.UNKNOWN, why=HANDED_OVER.format("socket"))
    assert cups.jobs() == []
    deadline = time.monotonic() + 5
    while not sim.labels and time.monotonic() < deadline:
        time.sleep(0.01)
    (png,) = sim.labels
    with Image.open(png) as image:
        assert image.tobytes() == _label().rows
    assert _refusal(url, "").startswith("its queue is raw")


def test_media_out_behind_a_socket_is_completed_for_cups(cups: Cups, sim: SimPrinter) -> None:
    """Nothing came out, the label waits in the printer, and CUPS says completed: so, unknown."""
    url = cups.add("empty", _behind(sim))
    sim.set_faults(PrinterFaults(media_out_at=1))
    assert _print(url).outcome is PrintOutcome.UNKNOWN
    assert any(job.startswith("empty-") for job in cups.jobs("completed"))
    assert sim.labels == ()


def test_a_printer_that_refuses_leaves_no_job(cups: Cups) -> None:
    """``contimeout`` ends it one way or another; none of Debian's policies prints it later."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        device = f"socket://127.0.0.1:{server.getsockname()[1]}/?contimeout=1"
    urls = [
        cups.add(f"off-{policy}", device, "-o", f"printer-error-policy={policy}")
        for policy in ("abort-job", "retry-job", "stop-printer")
    ]
    # the backend sleeps 5 s before it looks at the time: all three at once
    with ThreadPoolExecutor() as pool:
        aborted, retried, stopped = pool.map(_print, urls)
    assert aborted == Printed(PrintOutcome.UNKNOWN, why="aborted: The printer is not responding")
    assert retried.outcome is stopped.outcome is PrintOutcome.UNKNOWN
    assert retried.why == "held in the queue: The printer is not responding"
    assert stopped.why == "paused"
    assert cups.jobs() == []


def test_a_printer_without_power_and_no_contimeout_is_cancelled(cups: Cups) -> None:
    """CUPS would try for ever."""
    with _switched_off() as device:
        url = cups.add("off-for-ever", device)
        printed = _print(url, "?format=zpl&timeout=0.5")
    assert printed.outcome is PrintOutcome.UNKNOWN
    assert printed.why.startswith("not printed within 0.5 s")
    assert cups.jobs() == []


def test_a_job_that_somebody_cancels_is_unknown(cups: Cups) -> None:
    """It had begun: nobody knows how much of it came out."""
    with _switched_off() as device:
        url = cups.add("fought-over", device)
        answers: list[Printed] = []
        thread = threading.Thread(target=lambda: answers.append(_print(url)))
        thread.start()
        deadline = time.monotonic() + 10
        while not cups.jobs() and time.monotonic() < deadline:
            time.sleep(0.05)
        cups.command("cancel", "-a", "fought-over")
        thread.join()
    assert answers[0].outcome is PrintOutcome.UNKNOWN
    assert answers[0].why.startswith("cancelled")
    assert cups.jobs() == []


def test_a_queue_that_holds_new_jobs_gets_none(cups: Cups, sim: SimPrinter) -> None:
    """``cupsdisable --hold``: the job is cancelled, and it never began."""
    url = cups.add("holding", _behind(sim))
    cups.command("cupsdisable", "--hold", "holding")
    printed = _print(url)
    assert printed.outcome is PrintOutcome.NOT_SENT
    assert printed.why.startswith("held in the queue")
    assert cups.jobs() == []
    assert sim.labels == ()


def test_a_queue_that_is_not_ready_gets_nothing(cups: Cups, sim: SimPrinter) -> None:
    """Paused, rejecting, or with an earlier job in it that would come out first."""
    url = cups.add("busy", _behind(sim))
    cups.command("cupsdisable", "busy")
    assert _refusal(url) == "paused"
    cups.command("cupsenable", "busy")
    cups.command("cupsreject", "busy")
    assert _refusal(url) == "it takes no jobs"
    cups.command("cupsaccept", "busy")
    subprocess.run(
        ["lp", "-h", cups.server, "-d", "busy", "-H", "indefinite", "-o", "raw", "-"],
        check=True, capture_output=True, input=b"^XA^FO0,0^GFA,1,1,1,FF^FS^XZ",
    )  # fmt: skip
    assert _refusal(url) == "1 earlier job(s) wait in its queue"
    cups.command("cancel", "-a", "busy")
    open_printer(url + "?format=zpl").preflight()
    assert sim.labels == ()


def test_there_is_no_such_queue(cups: Cups) -> None:
    """A misspelt queue is found before the first unit."""
    assert _refusal(f"cups://{cups.server}/nobody") == "there is no such queue"


def test_a_queue_onto_an_ipp_printer_is_followed_into_it(cups: Cups) -> None:
    """CUPS' ipp backend waits for the printer's own end: that confirms."""
    with serving(Device()) as device:
        url = cups.add("followed", device.url)
        assert _print(url) == Printed(PrintOutcome.CONFIRMED)
        device.ends = ABORTED
        assert _print(url).outcome is PrintOutcome.UNKNOWN
    assert cups.jobs() == []


def test_trouble_that_cups_remembers_is_asked_of_the_printer(cups: Cups) -> None:
    """CUPS keeps an empty roll on record until the next job, refilled or not."""
    with serving(Device(ends=None, reasons_later=["media-empty-warning"])) as device:
        url = cups.add("remembering", device.url)
        assert _print(url) == Printed(PrintOutcome.UNKNOWN, why="media out")
        assert [job.state for job in device.jobs] == [CANCELED]
        assert _refusal(url) == "media out"
        device.reasons, device.reasons_later, device.ends = ["none"], None, 9
        assert "media-empty-warning" in cups.command("lpstat", "-l", "-p", "remembering")
        assert _print(url) == Printed(PrintOutcome.CONFIRMED)
    assert cups.jobs() == []
