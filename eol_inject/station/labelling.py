"""The labels in step with the unit: rendered from what was proved, printed once, then scanned.

Each copy is on record before its first byte goes to the printer. What an earlier cycle left is
never printed again by itself: where nobody knows whether it came out, a person says so.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, assert_never

from eol_inject.errors import RecordError, StationError, StoppedError
from eol_inject.events import Question, Step
from eol_inject.label import Label, Printed, PrintOutcome, Template, render
from eol_inject.ledger import CopyRecord, CopyState, Cycle
from eol_inject.ledger.label_states import UNIT, Draft
from eol_inject.ledger.labels import Made
from eol_inject.station import scanning
from eol_inject.station.attempt import Attempt
from eol_inject.station.bench import Bench, Confirm
from eol_inject.unit import Proven, Unit

_TURN_S: Final = 0.5
"""Between two looks whether the printer is free."""

_BROKEN_OFF = "an earlier cycle ended while it was printed"
_ON_SHEET = "it stands on a sheet that nobody has scanned"


def one_at_a_time(bench: Bench, unit: Unit) -> None:
    """Before anything is reserved: no other unit's label is on its way out of this printer.

    One of another slot of this run is on its way to be scanned: that is waited for when this unit's
    turn comes (``in_turn``). A run that prints nothing waits for none.
    Raises ``StationError("ledger.label_waits")`` (line-failures 5 and 23).
    """
    if bench.label_later or bench.lane.locked():
        return
    waiting = bench.ledger.label_waiting(bench.printer.url)
    if waiting is not None and waiting.unit != str(unit):
        raise StationError("ledger.label_waits", label=waiting.name, unit=waiting.unit)


@contextmanager
def in_turn(bench: Bench, attempt: Attempt, cycle: Cycle) -> Iterator[None]:
    """The printer is this slot's: the label of another slot is printed and scanned first.

    Raises ``StoppedError("station.interrupted")``, ``StationError("ledger.lease_lost")``.
    """
    told = False
    while not bench.lane.acquire(timeout=_TURN_S):
        if not told:
            attempt.teller.note("label.in_turn", "Another slot's label comes first.")
            told = True
        if bench.stop.at_once():
            raise StoppedError("station.interrupted")
        attempt.keep()
    try:
        yield
    finally:
        bench.lane.release()


def label_unit(bench: Bench, attempt: Attempt, cycle: Cycle, proven: Proven) -> None:
    """Every label that the profile requires: printed, and confirmed as it wants. One by one.

    Raises ``RecordError``: the unit is good and stays verified.
    """
    scanning.forget_earlier(bench)
    for kind in bench.templates:
        copy = _from_before(bench, attempt, cycle, kind)
        if copy is None or copy.state is CopyState.INTENT:
            copy = _print(bench, attempt, cycle, proven, kind, again=copy)
        attempt.label_id = copy.name
        if bench.confirm.by_scan and copy.state is not CopyState.APPLIED:
            with attempt.teller.step(Step.SCAN):
                copy = scanning.wait_for_label(bench, attempt.teller, cycle, copy, proven)
        attempt.label = copy.state.value
    files = [str(path) for path in attempt.label_files]
    cycle.labelled(template=bench.template.name, digest=attempt.label_digest, files=files)


def _from_before(bench: Bench, attempt: Attempt, cycle: Cycle, kind: str) -> CopyRecord | None:
    """The copy that an earlier cycle left; None where there is none, or it never came out.

    Into a file the same label can be written again, so there an intent stays one.
    """
    copy = cycle.labels.live(kind)
    if copy is None or copy.state in {CopyState.CONFIRMED, CopyState.APPLIED}:
        return copy
    if bench.confirm is Confirm.NONE and copy.state is CopyState.INTENT:
        return copy
    if copy.state is CopyState.SENT and bench.confirm.by_scan:
        return copy
    why = _ON_SHEET if copy.state is CopyState.SENT else copy.reason or _BROKEN_OFF
    return _ask(bench, attempt, cycle, copy, why)


def _ask(
    bench: Bench, attempt: Attempt, cycle: Cycle, copy: CopyRecord, why: str
) -> CopyRecord | None:
    """Was it printed? None where it was not: it does not count any more.

    Raises ``RecordError("label.unknown")`` where nobody can say.
    """
    with scanning.at_desk(bench, attempt.keep):
        attempt.teller.waiting(Question.LABEL_PRINTED, copy.name)
        answer = bench.person.ask(Question.LABEL_PRINTED, label=copy.name, unit=copy.unit)
    match (answer or "").strip().lower():
        case "y" | "yes":
            settled = not bench.confirm.by_scan
            return cycle.labels.move(copy.code, CopyState.CONFIRMED, why="seen", settled=settled)
        case "n" | "no":
            why = "not printed, as the operator saw"
            cycle.labels.move(copy.code, CopyState.VOID, why=why, nowhere=True)
            return None
        case _:
            raise RecordError("label.unknown", unit=copy.unit, why=why)


def _print(
    bench: Bench,
    attempt: Attempt,
    cycle: Cycle,
    proven: Proven,
    kind: str,
    *,
    again: CopyRecord | None,
) -> CopyRecord:
    with attempt.teller.step(Step.RENDER):
        copy, label = _drawn(bench, attempt, cycle, proven, kind, again=again)
    with attempt.teller.step(Step.PRINT):
        printed = bench.printer.print(label, name=file_name(copy))
        attempt.label = printed.outcome.value
        attempt.label_files += printed.files
        if kind == UNIT:
            attempt.label_digest = label.digest
        return _settle(bench, attempt, cycle, copy, printed)


def _drawn(
    bench: Bench,
    attempt: Attempt,
    cycle: Cycle,
    proven: Proven,
    kind: str,
    *,
    again: CopyRecord | None,
) -> tuple[CopyRecord, Label]:
    """The label and its record; the one of before, where the same label can be drawn again."""
    template = bench.templates[kind]
    if again is not None:
        facts: dict[str, str] = json.loads(again.facts)
        label = draw(bench, proven, template, Draft(again.code, again.copy, kind), facts)
        if label.digest == again.bitmap_digest:
            return again, label
        cycle.labels.move(again.code, CopyState.VOID, why=_BROKEN_OFF)
    draft = cycle.labels.draft(kind)
    facts = {
        "product_name": bench.profile.spec.product.name,
        "date": bench.today().isoformat(),
        "slot": attempt.teller.slot,
    }
    label = draw(bench, proven, template, draft, facts)
    made = Made(
        draft,
        printer=bench.printer.url,
        template=label.template,
        template_digest=label.template_digest,
        bitmap_digest=label.digest,
        facts=json.dumps(facts, ensure_ascii=False, sort_keys=True),
        exclusive=bench.confirm is not Confirm.NONE,
    )
    return cycle.labels.begin(made), label


def draw(
    bench: Bench, proven: Proven, template: Template, draft: Draft, facts: dict[str, str]
) -> Label:
    """The label, decoded and compared with its own record. Raises ``RecordError``."""
    extra = {**facts, "label_id": draft.code, "copy": str(draft.copy)}
    return render(proven, template, extra=extra, watermark=bench.watermark)


def _settle(
    bench: Bench, attempt: Attempt, cycle: Cycle, copy: CopyRecord, printed: Printed
) -> CopyRecord:
    """Record what became of it.

    Raises ``RecordError``: ``label.not_sent`` (nothing came out), ``label.unknown`` (something may
    have come out: look before anything is printed again).
    """
    match printed.outcome:
        case PrintOutcome.CONFIRMED:
            settled = not bench.confirm.by_scan
            return cycle.labels.move(copy.code, CopyState.CONFIRMED, settled=settled)
        case PrintOutcome.UNKNOWN:
            cycle.labels.move(copy.code, CopyState.UNKNOWN, why=printed.why)
            cycle.label_sent(
                why=printed.why, template=copy.template, files=[str(f) for f in printed.files]
            )
            seen = _ask(bench, attempt, cycle, copy, printed.why)
            if seen is None:
                raise RecordError("label.not_sent", unit=copy.unit, why=printed.why)
            return seen
        case PrintOutcome.NOT_SENT:
            cycle.labels.move(copy.code, CopyState.VOID, why=printed.why)
            raise RecordError("label.not_sent", unit=copy.unit, why=printed.why)
        case other:
            assert_never(other)


def file_name(copy: CopyRecord) -> str:
    """After the unit and the copy; the first label of a unit by the unit alone."""
    stem = copy.unit.replace(":", "")
    if copy.kind != UNIT:
        stem = f"{stem}-{copy.kind}"
    return stem if copy.copy == 1 else f"{stem}-{copy.copy}"
