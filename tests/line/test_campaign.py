"""Thousands of cycles in eight slots, a random fault in every third: nothing doubled, nothing lost.

Judged from the units' flash, read behind the serial port's back, and from the printed labels; the
ledger's own rules are checked as well. The seed and the count of every fault in every phase are
printed (``-s``), and none of them may be zero in the long one.
"""

import random
import sqlite3
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread

import pytest

from eol_inject import profiles
from eol_inject.events import Event, Outcome
from eol_inject.ledger import Keys, open_ledger
from eol_inject.report import CycleRecord
from eol_inject.sim import manage
from eol_inject.station.bench import Bench, open_bench
from eol_inject.station.cycle import run_cycle
from tests.line.conftest import LOT, Line, Unit

SLOTS = 8
FAULTS = (
    *(f"{kind}@{phase}{after}" for kind, phase, after in (
        ("unplug", "sync", ""), ("unplug", "stub", ""), ("unplug", "identify", ""),
        ("unplug", "read", ""), ("unplug", "erase", ""), ("unplug", "write", ":4096"),
        ("unplug", "write", ":40000"), ("unplug", "md5", ""),
        ("hang", "sync", ""), ("hang", "stub", ""), ("hang", "identify", ""), ("hang", "read", ""),
        ("hang", "erase", ""), ("hang", "write", ":4096"), ("hang", "md5", ""),
        ("mute", "identify", ""), ("mute", "read", ":2000"), ("mute", "write", ":13"),
        ("swap", "identify", ""), ("swap", "write", ":8192"), ("swap", "md5", ""),
        ("swap_unplug", "write", ":8192"), ("brownout", "erase", ""),
        ("brownout", "write", ":4096"), ("power_cut", "write", ":4096"), ("power_cut", "read", ""),
    )),
    "no_sync", "flaky_reset=2", "stub_fail=1", "stub_fail=9", "wrong_md5", "bad_sector@0x12000",
    "drop@read=1", "drop@write=1", "flip=0.00002", "flip@write=0.0001", "busy",
)  # fmt: skip
"""One of these in every third cycle."""

QUICK = tuple(one for one in FAULTS if one.partition("@")[0] in {
    "unplug", "swap", "swap_unplug", "stub_fail=1", "wrong_md5", "bad_sector", "busy", "flip",
})  # fmt: skip
"""Those that are over at once: a hang is waited for."""

LIMITS = "\n[limits]\nattempts_per_unit = 0\nequal_failures = 0\n"
"""Off: a campaign of faults is nothing but bad luck, and every unit has to get through."""


@dataclass
class Campaign:
    """What is done, and what came of it."""

    line: Line
    bench: Bench
    seed: int
    mended: Callable[[Unit], None]
    faults: tuple[str, ...] = FAULTS
    units: SimpleQueue[Unit] = field(default_factory=SimpleQueue)
    records: list[tuple[Unit, str, CycleRecord]] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)
    held: dict[str, set[str]] = field(default_factory=dict)
    """MAC of a board → the tokens that its flash held when its unit was done with."""

    def slot(self, number: int) -> None:
        """Work until no unit is left: each gets a fault by chance, then quiet cycles until done."""
        dice = random.Random(f"{self.seed}-{number}")
        while True:
            try:
                unit = self.units.get_nowait()
            except Empty:
                return
            self.one(unit, str(number), dice)
            self.look(unit)

    def look(self, unit: Unit) -> None:
        """What its boards hold, then let it go: a thousand units do not fit into memory."""
        manage.start(unit.url)
        for board, mac in zip(("first", "other"), manage.status(unit.url).macs, strict=False):
            flash = manage.peek(unit.url, 0, 1 << 20, board=board)
            held = {token for token in self.line.pool if token.encode() in flash}
            self.held[mac.replace(":", "")] = held
        manage.stop(unit.url)

    def one(self, unit: Unit, slot: str, dice: random.Random) -> None:
        """A unit's way through: at most one fault, and then it has to pass."""
        fault = dice.choice(self.faults) if dice.random() < 0.5 else ""
        port = f"{unit.url}&fault={fault}" if fault else unit.url
        record = run_cycle(self.bench, slot=slot, port=port)
        self.records.append((unit, fault, record))
        if record.outcome is Outcome.PASS:
            return
        self.mended(unit)
        for _ in range(3):
            record = run_cycle(self.bench, slot=slot, port=unit.url)
            self.records.append((unit, "", record))
            done = record.failure is not None and record.failure.code == "ledger.unit_closed"
            if record.outcome is Outcome.PASS or done:
                return
        why = record.failure.code if record.failure else "?"
        if why not in {"ledger.unit_quarantined", "ledger.unit_erased"}:
            self.stuck.append(f"{unit.mac} after {fault}: {why}")


def silent(event: Event) -> None:
    """Nobody looks."""


def campaign(
    line: Line, tmp_path: Path, *, units: int, seed: int, faults: tuple[str, ...] = FAULTS
) -> Campaign:
    """Run it; the rules are judged here, the counts by the caller."""
    line.import_tokens(units + 50, seed=seed)
    path = Path(line.profile())
    text = path.read_text().replace("[device]\n", "[device]\ndeadline_s = 30\nattempts = 2\n")
    path.write_text(text + LIMITS)
    keys = Keys.load(tmp_path / "ledger.key")
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    with open_ledger(url, keys=keys, station="S1") as ledger:
        bench = open_bench(
            profiles.load(str(path)), ledger, station="S1", operator="Ada", lot=LOT,
            printer=str(tmp_path / "labels"), observe=silent,
        )  # fmt: skip
        run = Campaign(line, replace(bench), seed, lambda unit: back_to_normal(unit.url), faults)
        made = [line.unit() for _ in range(units)]
        for unit in made:
            run.units.put(unit)
        threads = [Thread(target=run.slot, args=(number,)) for number in range(1, SLOTS + 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        report = ledger.check()
    assert report.findings == ()
    assert run.stuck == []
    judge(run, tmp_path)
    return run


def back_to_normal(url: str) -> None:
    """The fault is over, and the unit that was there first is back."""
    manage.start(url)
    seen = manage.status(url)
    if seen.mac != seen.macs[0]:
        manage.swap(url)
    manage.set_faults(url)


def judge(run: Campaign, tmp_path: Path) -> None:
    """Every token in at most one unit's flash, every passed unit with exactly its own."""
    where: dict[str, str] = {}
    for board, held in run.held.items():
        assert len(held) <= 1, f"{board} holds {len(held)} tokens"
        for token in held:
            assert token not in where, f"{board} and {where[token]} hold one token"
            where[token] = board
    labels = run.line.labels()
    by_code = {run.line.pool[token]: place for token, place in where.items()}
    passed = {record.unit for _, _, record in run.records if record.outcome is Outcome.PASS}
    assert {stem.split("-")[0] for stem in labels} == {mac.replace(":", "") for mac in passed}
    for stem, code in labels.items():
        assert by_code.get(code) == stem.split("-")[0], f"the label {stem} is not its unit's"
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as file:
        (twice,) = file.execute(
            "SELECT count(*) FROM (SELECT token FROM assignment WHERE state <> 'available'"
            " GROUP BY token HAVING count(*) > 1)"
        ).fetchone()
    assert twice == 0


def told(run: Campaign) -> Counter[str]:
    """How often each fault was sent, and what came of it."""
    counts: Counter[str] = Counter(fault for _, fault, _ in run.records if fault)
    sys.stdout.write(f"seed {run.seed}, {len(run.records)} cycles\n")
    for fault, count in sorted(counts.items()):
        codes = Counter(
            record.failure.code if record.failure else "pass"
            for _, sent, record in run.records
            if sent == fault
        )
        sys.stdout.write(f"{fault:24} {count:4}  {dict(codes)}\n")
    return counts


def test_a_short_campaign(line: Line, tmp_path: Path) -> None:
    """Some dozen units in eight slots."""
    run = campaign(line, tmp_path, units=24, seed=5, faults=QUICK)
    assert sum(told(run).values()) >= 8
    assert len(run.records) > 24


@pytest.mark.soak
def test_the_long_campaign(line: Line, tmp_path: Path) -> None:
    """2,000 cycles and more; every fault in every phase was met."""
    run = campaign(line, tmp_path, units=1450, seed=20261126)
    counts = told(run)
    assert len(run.records) >= 2000
    assert set(counts) == set(FAULTS)
