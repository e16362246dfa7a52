"""What labels cost, and whether every dot and every code of them arrives.

``label_ms``, ``label_peak_mb``, ``sheet1000_s``, ``sheet1000_mb``, ``sheet1000_peak_mb``,
``sheet1000_decoded``, ``wrong_dots``, ``print_confirmed_ms``.

Times are medians of one run. The sheet is decoded from the finished PDF through poppler
(``pdftoppm``) by ZBar (``zbarimg``), dots are compared through poppler and Ghostscript (``gs``); a
figure whose program is missing is null. Printing goes to the simulated printer, which prints at
once, so the time is our own.
"""

import argparse
import itertools
import json
import random
import shutil
import statistics
import string
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image, ImageChops

from eol_inject.label import Label, load_template, open_printer, render, sheet_pdf, shipped
from eol_inject.label.zpl import encode
from eol_inject.sim.printer import SimPrinter
from eol_inject.unit import ClaimCode, Identifier, Proof, Proven, Unit

EXTRA = {"product_name": "Room Climate Sensor", "date": "2026-11-22"}
LIMITS = {
    "label_ms": 25.0,
    "sheet1000_s": 15.0,
    "sheet1000_mb": 6.0,
    "sheet1000_peak_mb": 200.0,
    "wrong_dots": 0,
    "print_confirmed_ms": 60.0,
}


def units(seed: int) -> Iterator[Proven]:
    """Made-up units, each with a claim code and a MAC of its own."""
    rng = random.Random(seed)
    for number in itertools.count(1):
        token = "".join(rng.choices(string.ascii_letters + string.digits + "_-", k=32))
        yield Proven(
            unit=Unit(Identifier("mac", f"348518{number:06x}")),
            role="self",
            assignment=number,
            claim=ClaimCode(f"sqr_{token}", 1),
            product="TMPL4mK2xQb7c",
            lot="2026-W47-A",
            proof=Proof.READ_BACK,
            fields={},
        )


def median_ms(rounds: int, act: Callable[[], object]) -> float:
    """Milliseconds of one act, after one that warms caches."""
    act()
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        act()
        times.append((time.perf_counter() - start) * 1000)
    return round(statistics.median(times), 2)


def peak_mb() -> float | None:
    """The most memory this process had so far; None on Windows."""
    try:
        import resource
    except ImportError:
        return None
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(used / (1024 * 1024 if sys.platform == "darwin" else 1024), 1)


def measure_label(rounds: int) -> dict[str, float | None]:
    """One label rendered, decoded and encoded as ZPL, PNG and PDF; 50 x 25 mm at 203 dpi."""
    template, unit = load_template("claim-50x25-203"), units(1)

    def act() -> None:
        label = render(next(unit), template, extra=EXTRA)
        encode(label)
        label.png()
        label.pdf()

    return {"label_ms": median_ms(rounds, act), "label_peak_mb": peak_mb()}


def measure_sheet(count: int, folder: Path) -> dict[str, float | int | str | None]:
    """``count`` labels rendered onto A4 sheets, and read again from the finished PDF."""
    template = load_template("sheet-avery-l7160")
    made = list(itertools.islice(units(2), count))
    start = time.perf_counter()
    pdf = sheet_pdf((render(unit, template, extra=EXTRA) for unit in made), template)
    seconds = time.perf_counter() - start
    figures = {
        "sheet1000_s": round(seconds, 2),
        "sheet1000_mb": round(len(pdf) / 1e6, 2),
        "sheet1000_peak_mb": peak_mb(),
        "sheet1000_decoded": None,
    }
    if shutil.which("pdftoppm") and shutil.which("zbarimg"):
        (folder / "sheet.pdf").write_bytes(pdf)
        subprocess.run(
            ["pdftoppm", "-gray", "-r", "300", folder / "sheet.pdf", folder / "sheet"], check=True
        )
        said = subprocess.run(
            ["zbarimg", "-q", "--raw", "-Sdisable", "-Sqrcode.enable",
             *sorted(folder.glob("sheet*.pgm"))],
            check=True, capture_output=True, text=True,
        )  # fmt: skip
        read = set(said.stdout.split())
        found = sum(unit.claim.reveal() in read for unit in made)
        figures["sheet1000_decoded"] = f"{found} of {count}"
    return figures


def wrong_dots(folder: Path) -> int | None:
    """Dots that differ from the bitmap, all templates, through poppler and Ghostscript."""
    if not (shutil.which("pdftoppm") and shutil.which("gs")):
        return None
    wrong, unit = 0, units(3)
    for name in shipped():
        label = render(next(unit), load_template(name), extra=EXTRA)
        (folder / "label.pdf").write_bytes(label.pdf())
        poppler, ghostscript = folder / "poppler.pbm", folder / "gs.png"
        subprocess.run(
            ["pdftoppm", "-mono", "-singlefile", "-r", str(label.dpi), folder / "label.pdf",
             poppler.with_suffix("")],
            check=True,
        )  # fmt: skip
        subprocess.run(
            ["gs", "-q", "-dNOPAUSE", "-dBATCH", "-dSAFER", "-sDEVICE=pngmono", f"-r{label.dpi}",
             f"-sOutputFile={ghostscript}", folder / "label.pdf"],
            check=True,
        )  # fmt: skip
        wrong += sum(differing(label, page) for page in (poppler, ghostscript))
    return wrong


def differing(label: Label, page: Path) -> int:
    """All dots where the sizes differ."""
    with Image.open(page) as rendered:
        if rendered.size != (label.width, label.height):
            return label.width * label.height
        difference = ImageChops.difference(rendered.convert("L"), label.bitmap.convert("L"))
    return sum(difference.histogram()[1:])


def measure_printing(rounds: int, folder: Path) -> float:
    """Status, job and confirmation on the simulated printer, milliseconds a label."""
    label = render(next(units(4)), load_template("claim-50x25-203"), extra=EXTRA)
    with SimPrinter(folder / "printed") as sim:
        printer = open_printer(sim.url)
        figure = median_ms(rounds, lambda: printer.print(label, name="u"))
        assert len(sim.labels) == rounds + 1, "every print was confirmed and came out"
    return figure


def main() -> int:
    """Exit code 1 where a limit is passed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, a sheet of 100")
    options = parser.parse_args()
    rounds, count = (10, 100) if options.quick else (100, 1000)
    with TemporaryDirectory(prefix="eol-inject-bench-") as name:
        folder = Path(name)
        figures: dict[str, float | int | str | None] = {
            **measure_label(rounds),
            **measure_sheet(count, folder),
            "wrong_dots": wrong_dots(folder),
            "print_confirmed_ms": measure_printing(rounds, folder),
        }
    if options.json:
        print(json.dumps(figures))
    else:
        for key, value in figures.items():
            print(f"{key:<20} {value}")
    over = [key for key, most in LIMITS.items() if (figures[key] or 0) > most]
    return int(bool(over) or figures["sheet1000_decoded"] not in {None, f"{count} of {count}"})


if __name__ == "__main__":
    sys.exit(main())
