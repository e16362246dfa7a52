"""What every sink of labels does, whatever its URL."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pypdfium2
import pytest
from PIL import Image, ImageChops

from eol_inject.errors import StationError, UsageError
from eol_inject.label import Label, Printer, PrintOutcome, load_template, open_printer, render
from eol_inject.sim.printer import PrinterFaults, SimPrinter
from eol_inject.unit import ClaimCode, Identifier, Proof, Proven, Unit
from tests.support.ipp_device import Device, serving


class Sink(Protocol):
    """A printer and what stands behind it."""

    @property
    def url(self) -> str: ...

    def break_it(self) -> None: ...

    def printed(self) -> list[Path]: ...


@dataclass
class Folder:
    """``file:``; broken by a file in the folder's place."""

    path: Path

    @property
    def url(self) -> str:
        return self.path.as_uri()

    def break_it(self) -> None:
        self.path.write_text("")

    def printed(self) -> list[Path]:
        return sorted(self.path.glob("*.png"), key=lambda path: path.stat().st_mtime_ns)


@dataclass
class Zpl:
    """``zpl:``; broken by an open head."""

    sim: SimPrinter

    @property
    def url(self) -> str:
        return self.sim.url

    def break_it(self) -> None:
        self.sim.set_faults(PrinterFaults(head_open=True))

    def printed(self) -> list[Path]:
        return list(self.sim.labels)


@dataclass
class Ipp:
    """``ipp:``; broken by an empty roll. Draws the PDFs of its jobs by pdfium."""

    device: Device
    folder: Path

    @property
    def url(self) -> str:
        return self.device.url

    def break_it(self) -> None:
        self.device.reasons = ["media-empty-error"]

    def printed(self) -> list[Path]:
        paths = []
        for job in self.device.jobs:
            path = self.folder / f"job-{job.id}.png"
            document = pypdfium2.PdfDocument(job.data)
            grey = document[0].render(scale=self.device.dpi / 72, grayscale=True).to_pil()
            document.close()
            grey.point(lambda level: 255 if level > 127 else 0).convert("1").save(path)
            paths.append(path)
        return paths


@pytest.fixture(params=["file", "zpl", "ipp"])
def sink(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Sink]:
    if request.param == "file":
        yield Folder(tmp_path / "labels")
    elif request.param == "zpl":
        with SimPrinter(tmp_path / "printed") as sim:
            yield Zpl(sim)
    else:
        with serving(Device()) as device:
            yield Ipp(device, tmp_path)


@pytest.fixture
def printer(sink: Sink) -> Printer:
    return open_printer(sink.url)


def _label(serial: str) -> Label:
    proven = Proven(
        unit=Unit(Identifier("serial", serial)),
        role="self",
        assignment=1,
        claim=ClaimCode("sqr_" + serial.ljust(32, "x"), 1),
        product="TMPL",
        lot="L1",
        proof=Proof.READ_BACK,
        fields={},
    )
    return render(proven, load_template("claim-50x25-203"), extra={"product_name": "Sensor"})


def test_a_confirmed_label_came_out_dot_for_dot(sink: Sink, printer: Printer) -> None:
    """Confirmed means that exactly this label is there, once."""
    label = _label("A-1")
    assert printer.print(label, name="A-1").outcome is PrintOutcome.CONFIRMED
    (picture,) = sink.printed()
    with Image.open(picture) as image:
        wrong = ImageChops.difference(image.convert("L"), label.bitmap.convert("L"))
    assert wrong.getbbox() is None


def test_two_units_are_two_labels(sink: Sink, printer: Printer) -> None:
    """A second label neither replaces the first nor comes before it."""
    labels = [_label("A-1"), _label("A-2")]
    for label in labels:
        assert printer.print(label, name="same").outcome is PrintOutcome.CONFIRMED
    pictures = sink.printed()
    assert len(pictures) == 2
    for label, picture in zip(labels, pictures, strict=True):
        with Image.open(picture) as image:
            assert image.tobytes() == label.rows


def test_preflight_prints_nothing(sink: Sink, printer: Printer) -> None:
    """A ready printer is found ready without a label."""
    printer.preflight()
    assert sink.printed() == []


def test_a_broken_printer_is_found_before_and_answers_not_sent(
    sink: Sink, printer: Printer
) -> None:
    """Preflight stops the station; a print in mid-cycle says that nothing was sent, and why."""
    sink.break_it()
    with pytest.raises(StationError) as caught:
        printer.preflight()
    assert caught.value.code == "label.printer_not_ready"
    printed = printer.print(_label("A-1"), name="A-1")
    assert printed.outcome is PrintOutcome.NOT_SENT
    assert printed.why
    assert printed.files == ()


def test_a_job_is_never_named_after_a_token(sink: Sink, printer: Printer) -> None:
    """Names stand in folders, queues and logs."""
    with pytest.raises(UsageError) as caught:
        printer.print(_label("A-1"), name="Zq3-9xW_bT7mK2cR8vLpN4sD6fHjY0aE")
    assert caught.value.code == "label.bad_name"
    assert sink.printed() == []


def test_a_printer_knows_its_url(sink: Sink, printer: Printer) -> None:
    """Records say where a label went."""
    assert printer.url == sink.url
