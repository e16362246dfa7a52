"""``eol-inject run``: the station's own command."""

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final, TextIO

import click

from eol_inject.cli.answer import Answer, show, tell
from eol_inject.cli.common import (
    Workplace,
    events_option,
    json_option,
    printer_option,
    record_name,
    station_file_option,
    with_workplace,
)
from eol_inject.cli.scanners import TTY, TypedLines, scanner_of, scanner_option, types
from eol_inject.errors import RecordError, StationError
from eol_inject.events import Outcome
from eol_inject.scan import unwrap

if TYPE_CHECKING:
    from eol_inject.cli.live_board import LiveBoard
    from eol_inject.report import CycleRecord
    from eol_inject.station.bench import Bench
    from eol_inject.station.presence import Slot
    from eol_inject.station.slots import Slots
    from eol_inject.station.stop import Stop

_WORST_FIRST = (
    Outcome.INTERRUPTED,
    Outcome.USAGE,
    Outcome.STATION_BAD,
    Outcome.RECORD_MISSING,
    Outcome.UNIT_BAD,
)
"""Whose exit code a run of several units takes: first what stops the line, then what is missing."""


@click.command()
@click.option("--profile", metavar="NAME|FILE", help="Product profile: shipped name, or file.")
@click.option(
    "--port",
    "ports",
    metavar="URL",
    multiple=True,
    help="Serial port of the unit: /dev/ttyUSB0, COM7, socket://, rfc2217://, sim://; several "
    "times for several slots.",
)
@station_file_option
@click.option(
    "--lot",
    callback=lambda ctx, param, value: value and record_name(ctx, param, value),
    metavar="NAME",
    help="Draw tokens from this lot only.",
)
@printer_option
@scanner_option
@click.option(
    "--label-later",
    is_flag=True,
    help="Print no labels: units stay verified for `eol-inject label sheet`.",
)
@click.option("--once", is_flag=True, help="One unit in each slot, then end with its exit code.")
@click.option(
    "--slot",
    "names",
    multiple=True,
    callback=lambda ctx, param, value: tuple(record_name(ctx, param, one) for one in value),
    metavar="NAME",
    help="Name of the port's fixture position, once for each --port; default: 1, 2, …",
)
@click.option("--plain", is_flag=True, help="One line an event, no board of slots.")
@json_option
@events_option
@with_workplace
def run(
    workplace: Workplace,
    profile: str | None,
    ports: tuple[str, ...],
    station_file: Path | None,
    lot: str | None,
    printer: str | None,
    scanner: str | None,
    label_later: bool,
    once: bool,
    names: tuple[str, ...],
    plain: bool,
    as_json: bool,
    events: bool,
) -> Answer:
    """Run the line: inject, verify and label units, in one slot or in many at once.

    Without --printer the labels become PDF and PNG files in ./labels. With a real one a unit is
    closed when its own label was scanned, unless its profile says otherwise. Unless the profile's
    [presence] watches the slots, every Enter (or line on standard input) starts the next unit. The
    first Ctrl-C lets the units under work finish, the second lets go of them at once.
    """
    from eol_inject import profiles
    from eol_inject.cli import board
    from eol_inject.cli.asking import Terminal
    from eol_inject.station.bench import open_bench

    told = Wanted(profile, lot, printer, scanner).or_of(station_file)
    product = profiles.load(_needed(told.profile, "--profile"))
    slots = _slots(station_file, ports, names)
    drawn = _needed(told.lot, "--lot")
    # a thread that waits for a line hears no Ctrl-C, so there lines are read ahead
    threads = len(slots) > 1 or product.spec.presence.kind != "enter"
    ahead = TypedLines(sys.stdin) if threads and types(told.scanner) else None
    reader = scanner_of(told.scanner, lines=ahead)
    shown = None
    with ExitStack() as ends:
        ledger = ends.enter_context(closing(workplace.open_ledger()))
        if reader is not None:
            ends.enter_context(closing(reader))
        if len(slots) > 1 and sys.stderr.isatty() and not (plain or events or as_json):
            shown = ends.enter_context(_board(slots, f"{product.name} · {drawn}"))
        bench = open_bench(
            product,
            ledger,
            station=workplace.station,
            operator=workplace.operator,
            lot=drawn,
            printer=told.printer or str(Path.cwd() / "labels"),
            observe=shown.observe if shown else board.observer(events=events, quiet=as_json),
            scanner=reader,
            person=Terminal(ahead, piped=told.scanner == TTY),
            label_later=label_later,
        )
        sayer = Sayer(quiet=as_json or shown is not None, several=len(slots) > 1)
        records = _run(bench, slots, once=once, say=sayer, stdin=ahead or sys.stdin)
    answer = _answer(bench, records, once=once, as_json=as_json, profile=_needed(told.profile, ""))
    if not sayer.lost:
        return answer
    lost = StationError("report.output_lost")
    if answer.outcome is Outcome.PASS:
        return Answer.of(lost)
    tell(f"{lost} {lost.hint}")
    return answer


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a run makes: from the command line, else from the station file."""

    profile: str | None
    lot: str | None
    printer: str | None
    scanner: str | None

    def or_of(self, station_file: Path | None) -> "Wanted":
        """What the command line leaves open, as the file says."""
        if station_file is None:
            return self
        from eol_inject.station import station_file as file

        said = file.load(station_file)
        return replace(
            self,
            profile=self.profile or said.profile,
            lot=self.lot or said.lot,
            printer=self.printer or said.printer,
            scanner=self.scanner or said.scanner,
        )


def _needed(value: str | None, option: str) -> str:
    if not value:
        raise click.UsageError(f"Missing option '{option}': no station file says it either.")
    return value


def _slots(
    station_file: Path | None, ports: tuple[str, ...], names: tuple[str, ...]
) -> "tuple[Slot, ...]":
    """The file's slots, or those of the command line, which override them."""
    from eol_inject.device.inventory import Where
    from eol_inject.station import station_file as file
    from eol_inject.station.presence import Slot

    if not ports and station_file is not None:
        if names:
            raise click.UsageError("--slot goes with --port; a station file names its slots.")
        return tuple(one.slot for one in file.load(station_file).slots)
    if not ports:
        raise click.UsageError("Missing option '--port' or '--station-file'.")
    if not all(port.strip() for port in ports):
        raise click.UsageError("A --port is empty: is the variable that should hold it set?")
    twice = next((port for port in ports if ports.count(port) > 1), None)
    if twice is not None:
        raise click.UsageError(f"Two slots have one port: {twice}.")
    names = names or tuple(str(number) for number in range(1, len(ports) + 1))
    if len(names) != len(ports) or len(set(names)) < len(names):
        raise click.UsageError("Give every --port a --slot name of its own, or none at all.")
    return tuple(Slot(name, Where(url=port)) for name, port in zip(names, ports, strict=True))


def _board(slots: "tuple[Slot, ...]", title: str) -> "LiveBoard":
    from eol_inject.cli.live_board import LiveBoard

    return LiveBoard(tuple(slot.name for slot in slots), title=title)


class Sayer:
    """Each record as one line on standard output, where nothing else shows it (``quiet``)."""

    def __init__(self, *, quiet: bool, several: bool) -> None:
        self._quiet = quiet
        self._several = several
        self.lost = False
        """A line could not be written."""

    def __call__(self, record: "CycleRecord") -> None:
        from eol_inject import report

        if self._quiet:
            return
        if not show(report.one_line(record, with_slot=self._several)):
            self.lost = True


def _run(
    bench: "Bench",
    slots: "tuple[Slot, ...]",
    *,
    once: bool,
    say: "Callable[[CycleRecord], None]",
    stdin: TextIO | TypedLines,
) -> "list[CycleRecord]":
    from eol_inject.device.inventory import snapshot
    from eol_inject.station.slots import Slots

    presence = bench.profile.spec.presence
    station = Slots(bench, slots, ports=snapshot, told=say)
    if presence.kind == "enter":
        return _turns(bench, station, slots, units(once=once, stdin=stdin, several=len(slots) > 1))
    with _in_two_steps(bench.stop):
        return station.attend(presence, bench.way.watch, once=once)


def _turns(
    bench: "Bench", station: "Slots", slots: "tuple[Slot, ...]", lines: Iterator[str]
) -> "list[CycleRecord]":
    records: list[CycleRecord] = []
    for line in lines:
        if line and len(slots) == 1:
            bench.early[slots[0].name] = unwrap(line)
        with _in_two_steps(bench.stop):
            records += station.turn()
        if bench.stop.wanted():
            break
    return records


_ENDINGS: Final = (signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM))
"""Windows has no hang-up; one that is ignored (``nohup``) stays so."""


@contextmanager
def _in_two_steps(stop: "Stop") -> Iterator[None]:
    """Within this, the first Ctrl-C lets the units under work finish, the second interrupts.

    Whoever ends the program, or closes its terminal, counts as the first and never as the second: a
    computer that shuts down does both at once.
    """

    def pressed(signum: int, frame: object) -> None:
        if signum != signal.SIGINT and stop.wanted():
            return
        if stop.press():
            say("Letting go at once. Each unit goes on with its own token next time.")
            raise KeyboardInterrupt
        say("Finishing what is under work; Ctrl-C again lets go at once.")

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with ExitStack() as ends:
        say = ends.enter_context(_said_apart())
        for number in _ENDINGS:
            if number == signal.SIGINT or signal.getsignal(number) is signal.SIG_DFL:
                ends.callback(signal.signal, number, signal.signal(number, pressed))
        yield


@contextmanager
def _said_apart() -> Iterator[Callable[[str], None]]:
    """Takes lines to tell within a signal's handler, and has them told by a thread.

    A handler runs in the middle of anything, also of the write of another line, and a stream that
    is written to within its own write raises ``RuntimeError``.
    """
    lines: SimpleQueue[str | None] = SimpleQueue()

    def speak() -> None:
        while (line := lines.get()) is not None:
            tell(line)

    speaker = threading.Thread(target=speak)
    speaker.start()
    try:
        yield lines.put
    finally:
        lines.put(None)
        speaker.join()


def _answer(
    bench: "Bench", records: "list[CycleRecord]", *, once: bool, as_json: bool, profile: str
) -> Answer:
    from eol_inject import report

    worst = worst_of(records)
    outcome = worst.outcome if worst else Outcome.PASS
    if bench.stop.wanted():
        outcome = Outcome.INTERRUPTED
    return Answer(
        data={
            "lot": bench.lot,
            "profile": profile,
            "station": bench.station,
            "units": [report.as_json(record) for record in records],
        },
        lines=[] if once else [report.summary(records)],
        outcome=outcome,
        failure=worst.failure if worst and (once or as_json) else None,
    )


def worst_of(records: "list[CycleRecord]") -> "CycleRecord | None":
    """The record whose outcome the exit code tells; None where all passed."""
    bad = [record for record in records if record.outcome is not Outcome.PASS]
    return min(bad, key=lambda record: _WORST_FIRST.index(record.outcome), default=None)


def units(*, once: bool, stdin: TextIO | TypedLines, several: bool = False) -> Iterator[str]:
    """One turn a unit: the first at once, the next ones when somebody says so; and what they said,
    or scanned.

    What is typed before the verdict was seen says nothing: it is thrown away (line-failures 17).
    """
    where = "Next units in the slots?" if several else "Next unit in the slot?"
    yield ""
    while not once:
        if stdin.isatty():
            forget_typed(stdin)
            tell(f"{where} Press Enter (Ctrl-C ends the run).")
        try:
            line = stdin.readline()
        except KeyboardInterrupt:
            return
        if not line:
            return
        if unwrap(line).claim is not None:
            stray = RecordError("label.scan_between")
            tell(f"{stray} {stray.hint}")
            continue
        yield line.strip()


def forget_typed(keyboard: TextIO | TypedLines) -> None:
    """Throw away what was typed at a terminal and not read yet."""
    if isinstance(keyboard, TypedLines):
        keyboard.forget()
    elif sys.platform == "win32":
        import msvcrt

        while msvcrt.kbhit():
            msvcrt.getwch()
    else:
        import termios

        termios.tcflush(keyboard, termios.TCIFLUSH)
