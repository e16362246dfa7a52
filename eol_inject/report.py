"""Records of finished attempts → one line, one JSON object, one table. Nothing secret gets here."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eol_inject.errors import EolError
from eol_inject.events import Outcome, Step
from eol_inject.unit import Proof

VERDICTS = {
    Outcome.PASS: "PASS",
    Outcome.UNIT_BAD: "FAIL",
    Outcome.STATION_BAD: "STOP",
    Outcome.RECORD_MISSING: "NO LABEL",
    Outcome.USAGE: "STOP",
    Outcome.INTERRUPTED: "BROKEN OFF",
}
"""What an operator reads: FAIL puts the unit aside, STOP says nothing about the unit.

A unit that was finished before reads DONE: nothing is wrong with it, and it does not count twice.
"""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an attempt did not pass, as a person and a script read it."""

    code: str
    text: str
    hint: str

    @classmethod
    def of(cls, error: EolError) -> "Failure":
        """The failure an error tells of."""
        return cls(error.code, masked(str(error)), masked(error.hint))


def masked(text: str) -> str:
    """``text`` without what has the shape of a token: people paste them where a name belongs."""
    return _TOKEN_SHAPED.sub("[hidden]", text)


_TOKEN_SHAPED = re.compile(
    r"sqr_[A-Za-z0-9_-]{32}(\+\d+)?|(?<![A-Za-z0-9_-])[A-Za-z0-9_-]{32}(?![A-Za-z0-9_-])"
)


@dataclass(frozen=True, slots=True)
class CycleRecord:
    """One attempt: what was found, done and proved. ``seconds`` are wall time.

    ``unit`` is empty where the attempt ended before an identity was known. ``claim_tail`` is the
    last six characters of the QR token, empty before the token was proved.
    """

    unit: str
    slot: str
    outcome: Outcome
    seconds: float
    chip: str = ""
    proof: Proof | None = None
    state: str = ""
    claim_tail: str = ""
    label: str = ""
    label_id: str = ""
    """Id and copy, as they stand on the label."""
    label_files: tuple[Path, ...] = ()
    steps: tuple[tuple[Step, float], ...] = ()
    notes: tuple[str, ...] = ()
    resumed: bool = False
    failure: Failure | None = field(default=None)


def as_json(record: CycleRecord) -> dict[str, Any]:
    """One unit's object of ``--json``; keys are stable, see the README."""
    return {
        "unit": record.unit or None,
        "hardware_id": record.unit or None,
        "slot": record.slot,
        "chip": record.chip or None,
        "verdict": record.outcome.value,
        "seconds": round(record.seconds, 3),
        "proof": record.proof.value if record.proof else None,
        "state": record.state or None,
        "claim_tail": record.claim_tail or None,
        "label": record.label or None,
        "label_id": record.label_id or None,
        "label_files": [str(path) for path in record.label_files],
        "steps": {step.value: round(seconds, 3) for step, seconds in record.steps},
        "notes": list(record.notes),
        "resumed": record.resumed,
        "error": None if record.failure is None else failure_json(record.failure),
    }


def failure_json(failure: Failure) -> dict[str, Any]:
    """The ``error`` object of ``--json``."""
    return {"code": failure.code, "text": failure.text, "hint": failure.hint}


def one_line(record: CycleRecord, *, with_slot: bool = False) -> str:
    """One unit for an eye that has two seconds; a second line says what to do where it failed.

    ``with_slot``: there are several, and hands have to find the right one.
    """
    slot = f"{record.slot:<8} " if with_slot else ""
    verdict = "DONE" if _was_done(record) else VERDICTS[record.outcome]
    head = (
        f"{slot}{verdict:<10} {record.unit or '(no identity)':<18} "
        f"{record.chip or '-':<9} {record.seconds:5.1f} s"
    )
    if record.failure is not None:
        under = " " * (len(slot) + 11)
        hint = f"\n{under}→ {record.failure.hint}" if record.failure.hint else ""
        return f"{head}  {record.failure.text} [{record.failure.code}]{hint}"
    label = str(record.label_files[0]) if record.label_files else record.label
    return f"{head}  label …{record.claim_tail}  {label}".rstrip()


def summary(records: Sequence[CycleRecord]) -> str:
    """Counts over a run."""
    passed = sum(record.outcome is Outcome.PASS for record in records)
    done = sum(map(_was_done, records))
    failed = sum(record.outcome is Outcome.UNIT_BAD for record in records) - done
    other = len(records) - passed - failed - done
    text = f"{len(records)} units: {passed} passed, {failed} failed"
    if done:
        text += f", {done} done before"
    return f"{text}, {other} not finished" if other else text


def _was_done(record: CycleRecord) -> bool:
    """Whether it was finished in an earlier cycle."""
    return record.failure is not None and record.failure.code == "ledger.unit_closed"


def table(headers: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Aligned columns, numbers to the right, no colours: readable in a log too."""
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [
        max(len(header), *(len(row[i]) for row in cells)) if cells else len(header)
        for i, header in enumerate(headers)
    ]
    right = [
        bool(rows) and all(isinstance(row[i], (int, float)) for row in rows)
        for i in range(len(headers))
    ]

    def line(values: Sequence[str]) -> str:
        parts = (
            value.rjust(width) if to_right else value.ljust(width)
            for value, width, to_right in zip(values, widths, right, strict=True)
        )
        return "  ".join(parts).rstrip()

    return "\n".join([line(headers), line(["-" * width for width in widths]), *map(line, cells)])


def pairs(facts: Mapping[str, object]) -> str:
    """A short list of facts, names aligned."""
    width = max(map(len, facts), default=0)
    return "\n".join(f"{name:<{width}}  {_cell(value)}" for name, value in facts.items())


def _cell(value: object) -> str:
    return "-" if value is None or value == "" else str(value)
