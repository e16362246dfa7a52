"""How near a cycle is to what the wire allows, and to esptool.

    python benchmarks/cycle.py [--quick] [--only inject,flash,slots] [--json]
    python benchmarks/cycle.py --port URL --chip NAME --destructive   (two sectors of a real unit)

``inject_*``: both sides do the same job, write the two sectors that a token changes and read them
back: ours through the device layer, with the identity read before and after; esptool's as
``write-flash`` and ``read-flash`` in two processes (``inject_vs_cli``), and through the library's
default path (``inject_vs_library``). ``cycle_*``, ``flash_*`` and ``cpu_*`` are the product's whole
cycle: ``run_cycle`` on a SQLite training ledger with labels as files, from the identity to the
closed unit, with everything that is inspected, proved twice by MD5, and printed.

Units are processes of their own with the time model of ``eol_inject/sim/timing.py``: wire, USB
latency, erase and program times.

The floor is what must happen whatever the program does: the reset pulses, the compressed bytes that
change, their erase and program time, and the bytes read back. Figures are medians of one run.
``spent_*`` says where one ``inject`` of ours goes, by what the chip was asked; ``round_trips`` how
often it was asked, ``round_trips_library`` how often esptool's default path asks it. ``attempts*``:
the most sync attempts that a job took; 1 for each session (the command line has two) where every
one of them found the chip at once.
"""

import argparse
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import serial  # noqa: E402  # after the path, so that a clone needs no installation

from eol_inject import profiles, resources  # noqa: E402
from eol_inject.events import Event, Outcome  # noqa: E402
from eol_inject.ledger import Keys, Kind, Ledger, open_ledger  # noqa: E402
from eol_inject.sim import manage  # noqa: E402
from eol_inject.sim.timing import TIMINGS, Timing  # noqa: E402
from eol_inject.station.bench import Bench, open_bench  # noqa: E402
from eol_inject.station.cycle import run_cycle  # noqa: E402
from eol_inject.unit import AuthToken, ClaimCode, StaticToken  # noqa: E402
from tests.support import firmware  # noqa: E402

CHIP, APP, SECTOR = "esp32c3", 0x10000, 4096
RESETS_S = 0.1 + 0.05 + 0.1
"""Into the loader and out of it: esptool's own pulses (esptool 5.6 ``reset.py``)."""
COMPARED = (
    "inject: the device layer against the same job; cycle, flash, cpu: run_cycle with SQLite "
    "ledger and file labels; cli: `esptool write-flash` of the two "
    "changed sectors, then `esptool read-flash` of both, two processes; library: detect_chip, "
    "run_stub, change_baud, attach_flash, write_flash, read_flash, hard_reset; floor: reset "
    "pulses, wire (10 bit times a byte), erase and program time of the bytes that must move"
)
_numbers = count(1)


def application(size: int) -> bytes:
    """An application that compresses as real ones do: to some two thirds."""
    dice = random.Random(1)
    words = [dice.randbytes(24) for _ in range(700)]
    constants = firmware.blnkinf() + firmware.blnkopt()
    half = (size - 4096) // 2

    def part() -> bytes:
        made = bytearray()
        while len(made) < half:
            made += dice.choice(words) if dice.random() < 0.4 else dice.randbytes(16)
        return bytes(made[:half])

    return firmware.make_app(CHIP, part() + constants + part())


def token(number: int) -> StaticToken:
    """One of many."""
    code = ClaimCode(f"sqr_{number:032}", 1)
    return StaticToken(AuthToken(f"{number:032}"), code, number + 2)


@dataclass(frozen=True)
class Line:
    """A ledger with tokens, a product in two modes, and simulated units."""

    folder: Path
    ledger: Ledger
    app: Path

    def profile(self, mode: str, baud: int = 921600) -> str:
        """The product, as a file."""
        path = self.folder / f"{mode}-{baud}.toml"
        parts = FIRMWARE / f"{CHIP}_partitions.bin"
        path.write_text(
            "schema = 1\n[product]\nid = 'TMPLsample01'\nname = 'Sensor'\norganization = 1\n"
            f"[device]\nchip = '{CHIP}'\nmode = '{mode}'\nbaud = {baud}\n"
            f"[firmware]\nfile = '{self.app}'\naddress = {APP:#x}\n"
            f"[[firmware.parts]]\nfile = '{parts}'\naddress = 0x8000\n"
            "[[regions]]\nkind = 'blnkopt'\n[label]\ntemplate = 'claim-50x25-203'\n"
        )
        return str(path)

    def bench(
        self, mode: str, baud: int = 921600, observe: Callable[[Event], None] = print
    ) -> Bench:
        """What a run holds open."""
        return open_bench(
            profiles.load(self.profile(mode, baud)), self.ledger, station="bench",
            operator="bench", lot="L", printer=str(self.folder / "labels"), observe=observe,
        )  # fmt: skip

    @contextmanager
    def unit(self, timing: str, *, golden: bool) -> Iterator[str]:
        """A unit of its own; ``golden``: the common firmware is on it."""
        number = next(_numbers)
        mac = bytes((0x60, 0x55, 0xF9, 0, number >> 8, number & 255)).hex(":")
        url = f"sim://{CHIP}?mac={mac}"
        url += f"&id=bench-{os.getpid()}-{number}&timing={timing}"
        if golden:
            url += f"&image={self.app}@{APP:#x}"
            url += f"&image={FIRMWARE / f'{CHIP}_partitions.bin'}@0x8000"
            url += f"&image={FIRMWARE / f'{CHIP}_boot.bin'}@0x0"
        manage.start(url)
        try:
            yield url
        finally:
            manage.stop(url)


FIRMWARE = resources.folder("fixtures") / "firmware"


@contextmanager
def line(size: int) -> Iterator[Line]:
    """Everything, in a folder that goes away."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        app = folder / "app.bin"
        app.write_bytes(application(size))
        keys = Keys(bytes(range(32)), bytes(range(32, 64)))
        url = f"sqlite:///{folder / 'ledger.db'}"
        with open_ledger(url, keys=keys, station="bench", create=Kind.TRAINING) as ledger:
            ledger.import_tokens(
                [token(number) for number in range(2000)], product="TMPLsample01", lot="L",
                organization=1, source_sha256="0" * 64, operator="bench",
            )  # fmt: skip
            yield Line(folder, ledger, app)


def silent(event: Event) -> None:
    """Nobody looks."""


@dataclass(frozen=True)
class Took:
    """One measured thing."""

    seconds: float
    cpu_s: float
    steps: dict[str, float]


def cpu() -> float:
    """Seconds of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def cycle(bench: Bench, port: str) -> Took:
    """One whole cycle."""
    begun, spent = time.perf_counter(), cpu()
    record = run_cycle(bench, slot="1", port=port)
    assert record.outcome is Outcome.PASS, record.failure
    steps = {step.value: seconds for step, seconds in record.steps}
    return Took(time.perf_counter() - begun, cpu() - spent, steps)


def sectors(bench: Bench) -> list[tuple[int, bytes]]:
    """What an injection changes."""
    product = bench.way._product
    patched = product.firmware.golden.patch(AuthToken("B" * 32), {})
    return list(product.firmware.expected(patched).items())


def by_cli(port: str, changed: list[tuple[int, bytes]], folder: Path, baud: int) -> float:
    """``esptool write-flash``, then ``esptool read-flash``, each a process."""
    files = []
    for address, data in changed:
        path = folder / f"{address:x}.bin"
        path.write_bytes(data)
        files += [hex(address), str(path)]
    first, last = changed[0][0], changed[-1][0]
    whole = ["--chip", CHIP, "--port", port, "--baud", str(baud)]
    calls = [["write-flash", *files]]
    calls += [
        ["read-flash", hex(at), hex(SECTOR), str(folder / "back.bin")] for at in {first, last}
    ]
    begun = time.perf_counter()
    for call in calls[:2]:  # the second sector is not even read back
        script = (
            "import serial; serial.protocol_handler_packages.append('eol_inject.sim');"
            "import esptool; esptool.main()"
        )
        subprocess.run(
            [sys.executable, "-c", script, *whole, *call], check=True, capture_output=True,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )  # fmt: skip
    return time.perf_counter() - begun


def by_library(port: str, changed: list[tuple[int, bytes]], baud: int) -> float:
    """The library's default path."""
    from esptool import cmds

    begun = time.perf_counter()
    opened = serial.serial_for_url(port, exclusive=True, timeout=1)
    esp = cmds.detect_chip(opened, 115200)
    esp = cmds.run_stub(esp)
    esp.change_baud(baud)
    cmds.attach_flash(esp)
    cmds.write_flash(esp, changed, flash_freq="keep", flash_mode="keep", flash_size="keep")
    for address, data in changed:
        assert esp.read_flash(address, SECTOR, None) == data
    esp.hard_reset()
    opened.close()
    return time.perf_counter() - begun


def floor(blocks: list[tuple[int, bytes]], back: int, baud: int, timing: Timing) -> float:
    """Seconds that the bytes need whatever the program does."""
    wire = sum(len(zlib.compress(data, 9)) for _, data in blocks) + back
    work = sum(timing.erase(at, len(data)) + timing.program(len(data)) for at, data in blocks)
    return RESETS_S + 10 * wire / baud + work


def middle(values: list[float]) -> float:
    """The median."""
    return statistics.median(values)


def by_us(port: str, changed: list[tuple[int, bytes]], baud: int) -> Took:
    """The same job through our device layer: who is it, write, read back, let it run."""
    from eol_inject.device import open_device
    from eol_inject.device.spec import DeviceSpec

    begun, spent = time.perf_counter(), cpu()
    with open_device(port, DeviceSpec(chip=CHIP, baud=baud)) as device:
        unit = device.identify().unit
        device.write(unit, changed)
        for address, data in changed:
            assert device.read(address, SECTOR) == data
    return Took(time.perf_counter() - begun, cpu() - spent, {})


@contextmanager
def heard() -> Iterator[list[tuple[str, float]]]:
    """What esptool's loader asks within, in order: the command, and the seconds to its answer."""
    from esptool import loader

    asked: list[tuple[str, float]] = []
    names = {code: name for name, code in loader.ESPLoader.ESP_CMDS.items()}
    command, read_flash = loader.ESPLoader.command, loader.ESPLoader.read_flash

    def asking(esp, op=None, *args, **kwargs):  # type: ignore[no-untyped-def]
        begun = time.perf_counter()
        try:
            return command(esp, op, *args, **kwargs)
        finally:
            asked.append((names.get(op, "SYNC"), time.perf_counter() - begun))

    def reading(esp, *args, **kwargs):  # type: ignore[no-untyped-def]
        begun, so_far = time.perf_counter(), len(asked)
        try:
            return read_flash(esp, *args, **kwargs)
        finally:
            del asked[so_far:]
            asked.append(("READ_FLASH", time.perf_counter() - begun))

    loader.ESPLoader.command, loader.ESPLoader.read_flash = asking, reading
    try:
        yield asked
    finally:
        loader.ESPLoader.command, loader.ESPLoader.read_flash = command, read_flash


def spent(made: Line, changed: list[tuple[int, bytes]]) -> dict[str, float]:
    """Where one job of ours goes, and how often each side asks the chip."""
    with made.unit("real", golden=True) as port, heard() as asked:
        whole = by_us(port, changed, 921600).seconds
    figures = {f"spent_{name}_s": 0.0 for name in ("sync", "ask", "stub", "write", "md5", "read")}
    kinds = {"SYNC": "sync", "MEM": "stub", "FLASH": "write", "SPI_FLASH_MD5": "md5",
             "READ_FLASH": "read"}  # fmt: skip
    for op, seconds in asked:
        kind = kinds.get(op) or kinds.get(op.partition("_")[0], "ask")
        figures[f"spent_{kind}_s"] += seconds
    figures["spent_reset_s"] = RESETS_S
    figures["spent_else_s"] = whole - sum(figures.values())
    figures["round_trips"] = len(_trips(asked))
    with made.unit("real", golden=True) as port, heard() as asked:
        by_library(port, changed, 921600)
    figures["round_trips_library"] = len(_trips(asked))
    return figures


def attempts(port: str, *, sessions: int = 1) -> int:
    """Resets into the loader, which is one for each sync attempt; each session ends with one out
    of it."""
    time.sleep(0.2)  # the unit hears of the last one after its port was closed
    return manage.status(port).resets - sessions


def _trips(asked: list[tuple[str, float]]) -> list[str]:
    """Commands that went out: the eight answers to a sync are one."""
    ops = [op for op, _ in asked]
    return [
        op for number, op in enumerate(ops) if op != "SYNC" or ops[number - 1 :][:1] != ["SYNC"]
    ]


def measure_inject(rounds: int) -> dict[str, float]:
    """One region of a 1.2 MB application."""
    real, figures = TIMINGS["real"], {}
    with line(1_200_000) as made:
        bench = replace(made.bench("inject"), observe=silent)
        changed = sectors(bench)
        tries: dict[str, list[int]] = {"attempts": [], "attempts_library": [], "attempts_cli": []}
        ours: dict[str, list[Took]] = {"real": [], "latency16": []}
        same: dict[str, list[Took]] = {"real": [], "latency16": []}
        theirs: dict[str, list[float]] = {"cli": [], "real": [], "latency16": []}
        for _ in range(rounds):
            for timing in ("real", "latency16"):
                with made.unit(timing, golden=True) as port:
                    ours[timing].append(cycle(bench, port))
                with made.unit(timing, golden=True) as port:
                    same[timing].append(by_us(port, changed, 921600))
                    tries["attempts"].append(attempts(port))
                with made.unit(timing, golden=True) as port:
                    theirs[timing].append(by_library(port, changed, 921600))
                    tries["attempts_library"].append(attempts(port))
            with made.unit("real", golden=True) as port:
                theirs["cli"].append(by_cli(port, changed, made.folder, 921600))
                tries["attempts_cli"].append(attempts(port, sessions=2))
        least = floor(changed, SECTOR * len(changed), 921600, real)
        took = middle([one.seconds for one in same["real"]])
        whole = middle([one.seconds for one in ours["real"]])
        figures |= {
            "inject_s": took,
            "inject_floor_s": least,
            "inject_vs_floor": took / least,
            "inject_cli_s": middle(theirs["cli"]),
            "inject_vs_cli": took / middle(theirs["cli"]),
            "inject_library_s": middle(theirs["real"]),
            "inject_vs_library": took / middle(theirs["real"]),
            "cpu_inject_s": middle([one.cpu_s for one in ours["real"]]),
            "latency16_s": middle([one.seconds for one in same["latency16"]]),
            "cycle_s": whole,
            "cycle_vs_cli": whole / middle(theirs["cli"]),
            "cycle_vs_library": whole / middle(theirs["real"]),
            "cycle_vs_floor": whole / least,
            "cycle_latency16_s": middle([one.seconds for one in ours["latency16"]]),
            "latency16_library_s": middle(theirs["latency16"]),
        }
        figures["latency16_vs_esptool"] = figures["latency16_s"] / figures["latency16_library_s"]
        figures |= {name: max(counts) for name, counts in tries.items()}
        figures |= spent(made, changed)
        for step in ours["real"][0].steps:
            figures[f"cycle_{step}_s"] = middle([one.steps[step] for one in ours["real"]])
    return figures


def measure_flash(rounds: int) -> dict[str, float]:
    """The whole 1.2 MB application, at two rates."""
    real, figures = TIMINGS["real"], {}
    with line(1_200_000) as made:
        for baud in (921600, 2_000_000):
            bench = replace(made.bench("flash", baud), observe=silent)
            product = bench.way._product
            patched = product.firmware.golden.patch(AuthToken("B" * 32), {})
            blocks = [
                block for group in product.firmware.groups(patched, whole=True) for block in group
            ]
            least = floor(blocks, SECTOR * len(product.firmware.changed), baud, real)
            took = []
            for _ in range(rounds):
                with made.unit("real", golden=False) as port:
                    took.append(cycle(bench, port))
            seconds = middle([one.seconds for one in took])
            figures |= {
                f"flash_{baud}_s": seconds,
                f"flash_floor_{baud}_s": least,
                f"flash_vs_floor_{baud}": seconds / least,
            }
            if baud == 921600:  # the rate most lines use
                figures["cpu_flash_s"] = middle([one.cpu_s for one in took])
    return figures


def measure_slots(units: int) -> dict[str, float]:
    """Eight slots flashing at once, against one."""
    with line(1_200_000) as made:
        bench = replace(made.bench("flash"), observe=silent)
        with made.unit("real", golden=False) as port:
            one = cycle(bench, port).seconds
        with contextlib_all([made.unit("real", golden=False) for _ in range(units)]) as ports:
            threads = [
                threading.Thread(
                    target=run_cycle, args=(bench,), kwargs={"slot": str(n), "port": port}
                )
                for n, port in enumerate(ports)
            ]
            begun = time.perf_counter()
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            together = time.perf_counter() - begun
    return {"slots1_s": one, "slots8_s": together, "slots8_speedup": units * one / together}


@contextmanager
def contextlib_all(managers: list) -> Iterator[list[str]]:  # type: ignore[type-arg]
    """All of them entered."""
    from contextlib import ExitStack

    with ExitStack() as stack:
        yield [stack.enter_context(one) for one in managers]


def measure_real(port: str, chip: str) -> dict[str, float]:
    """The device part alone on somebody's unit: two sectors at its end are lost."""
    from eol_inject.device import open_device
    from eol_inject.device.spec import DeviceSpec

    spec = DeviceSpec(chip=chip)
    with open_device(port, spec) as device:
        size = device.identify().flash_size
    changed = [(size - 4 * SECTOR, b"\x5a" * SECTOR), (size - 2 * SECTOR, b"\xa5" * SECTOR)]
    ours, theirs = [], []
    for _ in range(3):
        begun = time.perf_counter()
        with open_device(port, spec) as device:
            unit = device.identify().unit
            device.write(unit, changed)
            for address, data in changed:
                assert device.read(address, SECTOR) == data
        ours.append(time.perf_counter() - begun)
        theirs.append(by_library(port, changed, spec.baud))
    return {
        "inject_s": middle(ours), "inject_library_s": middle(theirs),
        "inject_vs_library": middle(ours) / middle(theirs),
    }  # fmt: skip


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="inject,flash,slots")
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--port", help="a real unit instead of simulated ones")
    parser.add_argument("--chip", default=CHIP)
    parser.add_argument("--destructive", action="store_true", help="two of its sectors may be lost")
    options = parser.parse_args()
    serial.protocol_handler_packages.append("eol_inject.sim")
    figures: dict[str, float] = {}
    if options.port:
        if not options.destructive:
            parser.error("--port writes to the unit: add --destructive")
        figures = measure_real(options.port, options.chip)
    else:
        wanted = set(options.only.split(","))
        if "inject" in wanted:
            figures |= measure_inject(3 if options.quick else 7)
        if "flash" in wanted:
            figures |= measure_flash(1 if options.quick else 3)
        if "slots" in wanted:
            figures |= measure_slots(8)
    if options.json:
        print(json.dumps(figures | {"compared": COMPARED}))
        return
    for figure, value in figures.items():
        print(f"{figure:28} {value:,.3f}")
    print(COMPARED)


if __name__ == "__main__":
    main()
