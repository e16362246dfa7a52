"""What an operator sees while a cycle runs: plain lines, or one JSON line an event."""

import json
from dataclasses import asdict
from typing import Final

from eol_inject.cli.answer import tell
from eol_inject.events import (
    CycleEnded,
    Event,
    Notice,
    Observer,
    Progress,
    Question,
    StepDone,
    StepStarted,
    UnitKnown,
    Waiting,
)

_WAITS: Final = {
    Question.HOLD_BOOT: "Hold BOOT, press EN",
    Question.SCAN_SERIAL: "Scan the serial number on the unit",
    Question.SCAN_BOARD: "Scan the mark on the board",
    Question.SCAN_LABEL: "Stick label {what} on this unit, then scan it",
    Question.SCAN_LABEL_ID: "Another copy exists: scan or type the id on this label",
    Question.LABEL_PRINTED: "Look at the printer: did label {what} come out?",
    Question.DELETE_SOURCE: "Delete the source?",
}


def observer(*, events: bool, quiet: bool) -> Observer:
    """``--events`` wins; ``quiet`` (for ``--json``) shows nothing."""
    if events:
        return _json_line
    return _nothing if quiet else _line


def _nothing(event: Event) -> None:
    return


def _json_line(event: Event) -> None:
    tell(json.dumps({"event": type(event).__name__} | asdict(event)))


def _line(event: Event) -> None:
    """One line a step; the verdict is the command's own result and comes on stdout."""
    match event:
        case StepStarted() | Progress() | CycleEnded():
            return
        case StepDone(slot=slot, step=step, seconds=seconds, note=note):
            tell(f"[{slot}] {step.value.replace('_', ' '):<14} {seconds:6.2f} s  {note}".rstrip())
        case UnitKnown(slot=slot, unit=unit, chip=chip):
            tell(f"[{slot}] unit {unit} ({chip})")
        case Notice(slot=slot, text=text):
            tell(f"[{slot}] note: {text}")
        case Waiting(slot=slot, question=question, what=what):
            tell(f"[{slot}] >>> {words_of(question, what)}")


def words_of(question: Question, what: str) -> str:
    """What somebody is asked to do."""
    return _WAITS[question].format(what=what)
