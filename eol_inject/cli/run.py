"""``eol-inject run``: the station's own command."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from eol_inject.cli.answer import Answer, tell
from eol_inject.cli.common import (
    Workplace,
    events_option,
    json_option,
    lot_option,
    port_option,
    printer_option,
    profile_option,
    record_name,
    with_workplace,
)
from eol_inject.cli.scanners import TTY, scanner_of, scanner_option
from eol_inject.errors import RecordError
from eol_inject.events import Outcome
from eol_inject.scan import unwrap

if TYPE_CHECKING:
    from eol_inject.report import CycleRecord

_WORST_FIRST = (
    Outcome.INTERRUPTED,
    Outcome.USAGE,
    Outcome.STATION_BAD,
    Outcome.RECORD_MISSING,
    Outcome.UNIT_BAD,
)
"""Whose exit code a run of several units takes: first what stops the line, then what is missing."""


@click.command()
@profile_option
@port_option
@lot_option
@printer_option
@scanner_option
@click.option(
    "--label-later",
    is_flag=True,
    help="Print no labels: units stay verified for `eol-inject label sheet`.",
)
@click.option("--once", is_flag=True, help="One unit, then end with its exit code.")
@click.option(
    "--slot",
    default="1",
    show_default=True,
    callback=record_name,
    metavar="NAME",
    help="Name of this fixture position.",
)
@json_option
@events_option
@with_workplace
def run(
    workplace: Workplace,
    profile: str,
    port: str,
    lot: str,
    printer: str | None,
    scanner: str | None,
    label_later: bool,
    once: bool,
    slot: str,
    as_json: bool,
    events: bool,
) -> Answer:
    """Run the line: inject, verify and label units.

    Without --printer the labels become PDF and PNG files in ./labels. With a real one a unit is
    closed when its own label was scanned, unless its profile says otherwise. Without --once every
    Enter (or line on standard input) starts the next unit; Ctrl-C or the end of input ends the run.
    """
    from eol_inject import profiles, report
    from eol_inject.cli import board
    from eol_inject.cli.asking import Terminal
    from eol_inject.station.bench import open_bench
    from eol_inject.station.cycle import run_cycle

    records: list[CycleRecord] = []
    product = profiles.load(profile)
    reader = scanner_of(scanner)
    with ExitStack() as ends:
        ledger = ends.enter_context(closing(workplace.open_ledger()))
        if reader is not None:
            ends.enter_context(closing(reader))
        bench = open_bench(
            product,
            ledger,
            station=workplace.station,
            operator=workplace.operator,
            lot=lot,
            printer=printer or str(Path.cwd() / "labels"),
            observe=board.observer(events=events, quiet=as_json),
            scanner=reader,
            person=Terminal(piped=scanner == TTY),
            label_later=label_later,
        )
        for _ in units(once=once):
            record = run_cycle(bench, slot=slot, port=port)
            records.append(record)
            if not as_json:
                click.echo(report.one_line(record))
            if record.outcome is Outcome.INTERRUPTED:
                break
    worst = worst_of(records)
    return Answer(
        data={
            "lot": lot,
            "profile": profile,
            "station": workplace.station,
            "units": [report.as_json(record) for record in records],
        },
        lines=[] if once else [report.summary(records)],
        outcome=worst.outcome if worst else Outcome.PASS,
        failure=worst.failure if worst and (once or as_json) else None,
    )


def worst_of(records: "list[CycleRecord]") -> "CycleRecord | None":
    """The record whose outcome the exit code tells; None where all passed."""
    bad = [record for record in records if record.outcome is not Outcome.PASS]
    return min(bad, key=lambda record: _WORST_FIRST.index(record.outcome), default=None)


def units(*, once: bool) -> Iterator[None]:
    """One turn a unit: the first at once, the next ones when somebody says so."""
    yield
    while not once:
        if sys.stdin.isatty():
            tell("Next unit in the slot? Press Enter (Ctrl-C ends the run).")
        try:
            line = sys.stdin.readline()
        except KeyboardInterrupt:
            return
        if not line:
            return
        if unwrap(line).claim is not None:
            stray = RecordError("label.scan_between")
            tell(f"{stray} {stray.hint}")
            continue
        yield
