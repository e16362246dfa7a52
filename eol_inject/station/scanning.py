"""The label in the operator's hand: is it this unit's, and the copy that counts?

A QR code is the same on every copy. Where another copy is, or may be, in the world, the label's
own id has to be scanned or typed as well. Every reading gets an answer, and none but the right
ones closes anything (line-failures 23 and 24).
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from eol_inject.errors import EolError, RecordError, StationError, StoppedError
from eol_inject.events import Question
from eol_inject.ledger import CopyRecord, CopyState, Cycle, Ledger, State
from eol_inject.scan import Misread, Reading, diagnose
from eol_inject.station.bench import Bench, Confirm
from eol_inject.station.teller import Teller
from eol_inject.unit import AuthToken, ClaimCode, Identifier, Proven, Unit

ID: Final = re.compile(r"([A-Z2-9]{6})(?:-([0-9]{1,4}))?")
"""A label's id as it stands on it, the copy behind it."""

_MISREAD: Final = {
    Misread.CAPS_LOCK: "label.scan_caps_lock",
    Misread.LAYOUT: "label.scan_layout",
    Misread.CUT_SHORT: "label.scan_cut_short",
    Misread.AUTH_TOKEN: "label.scan_secret",
    Misread.NO_CLAIM_CODE: "label.scan_no_claim",
}
_LOOK_S: Final = 1.0
"""Between two looks whether somebody wants to stop."""
_KEEP_S: Final = 20.0
"""A sign of life to the ledger while a person takes their time."""

Judge = Callable[[Reading], EolError | None]


def forget_earlier(bench: Bench) -> None:
    """What was scanned before a label was printed cannot be that label.

    Where another slot's question is open, what is scanned answers that.
    """
    if bench.scanner is None or not bench.desk.acquire(blocking=False):
        return
    try:
        while bench.scanner.read(0.0) is not None:
            continue
    finally:
        bench.desk.release()


@contextmanager
def at_desk(bench: Bench, keep: Callable[[], None] = lambda: None) -> Iterator[None]:
    """One scanner, and one person, serve all slots: they answer one question at a time.

    ``keep`` is called while another slot's question comes first.
    Raises ``StoppedError("station.interrupted")``, and what ``keep`` raises.
    """
    while not bench.desk.acquire(timeout=_LOOK_S):
        if bench.stop.at_once():
            raise StoppedError("station.interrupted")
        keep()
    try:
        yield
    finally:
        bench.desk.release()


def ask_serial(bench: Bench, teller: Teller, looks_like: re.Pattern[str]) -> str:
    """The serial number on the unit in this slot: scanned already with its start, or now.

    Anything else that is scanned is told and left alone, and never shown: it may be a secret.
    Raises ``StationError("station.no_serial")``.
    """
    early = bench.early.pop(teller.slot, None)
    if early is not None and is_serial(early, looks_like):
        return early.text.strip()
    with at_desk(bench):
        deadline = bench.clock() + bench.scan_timeout_s
        teller.waiting(Question.SCAN_SERIAL, teller.slot)
        while (left := deadline - bench.clock()) > 0 and bench.scanner is not None:
            reading = bench.scanner.read(min(left, _LOOK_S))
            if bench.stop.at_once():
                raise StoppedError("station.interrupted")
            if reading is None:
                if bench.scanner.ended:
                    break
                continue
            if is_serial(reading, looks_like):
                return reading.text.strip()
            wrong = StationError("station.not_a_serial", slot=teller.slot)
            teller.note(wrong.code, f"{wrong} {wrong.hint}")
            teller.waiting(Question.SCAN_SERIAL, teller.slot)
    raise StationError("station.no_serial", slot=teller.slot)


def is_serial(reading: Reading, looks_like: re.Pattern[str]) -> bool:
    """Whether the reading is a serial number, and neither a token nor a claim code."""
    text = reading.text.strip()
    secret = AuthToken.looks_like(text) or reading.claim is not None
    return not secret and looks_like.fullmatch(text) is not None


def wait_for_label(
    bench: Bench, teller: Teller, cycle: Cycle, copy: CopyRecord, proven: Proven
) -> CopyRecord:
    """Hold the slot until the unit's own live label was scanned, and record it as applied.

    Raises ``RecordError("label.not_scanned")``: nobody scanned it, the unit stays verified.
    """
    hold = _Hold(bench, teller, cycle, copy)
    if bench.confirm is Confirm.PAIR:
        hold.until(Question.SCAN_BOARD, lambda reading: judge_board(reading, proven.unit))
    ledger = bench.ledger
    hold.until(Question.SCAN_LABEL, lambda reading: judge_claim(ledger, reading, proven))
    others = [one for one in cycle.labels.all() if one.came_out and one.code != copy.code]
    if others:
        hold.until(Question.SCAN_LABEL_ID, lambda reading: judge_id(ledger, reading, copy, proven))
    return cycle.labels.move(copy.code, CopyState.APPLIED)


class _Hold:
    """The slot waits for a person."""

    def __init__(self, bench: Bench, teller: Teller, cycle: Cycle, copy: CopyRecord) -> None:
        self._bench = bench
        self._teller = teller
        self._cycle = cycle
        self._copy = copy
        self._kept = bench.clock()

    def until(self, question: Question, judge: Judge) -> None:
        """Until a reading is right; every other one is told and recorded."""
        with at_desk(self._bench, self._keep):
            self._wait(question, judge)

    def _keep(self) -> None:
        if self._bench.clock() - self._kept > _KEEP_S:
            self._cycle.keep()
            self._kept = self._bench.clock()

    def _wait(self, question: Question, judge: Judge) -> None:
        bench, copy = self._bench, self._copy
        deadline = bench.clock() + bench.scan_timeout_s
        self._teller.waiting(question, copy.name)
        while (left := deadline - bench.clock()) > 0:
            reading = bench.scanner.read(min(left, _LOOK_S)) if bench.scanner else None
            if bench.stop.at_once():
                raise StoppedError("station.interrupted")
            if reading is None:
                if bench.scanner is None or bench.scanner.ended:
                    break
                self._keep()
                continue
            wrong = judge(reading)
            if wrong is None:
                return
            self._teller.note(wrong.code, f"{wrong} {wrong.hint}".strip())
            self._cycle.note("label_scan", label=copy.code, answer=wrong.code)
            self._teller.waiting(question, copy.name)
        raise RecordError("label.not_scanned", unit=copy.unit, label=copy.name)


def judge_board(reading: Reading, unit: Unit) -> EolError | None:
    """Whether the mark on the board names this unit: any of its identifiers, with kind or bare."""
    kind, colon, value = reading.text.strip().partition(":")
    known = {(one.kind, one.value) for one in unit.identifiers}
    for one in unit.identifiers:
        for text in (reading.text.strip(), value if colon and kind == one.kind else ""):
            try:
                said = Identifier(one.kind, text)
            except EolError:
                continue
            if (said.kind, said.value) in known:
                return None
    return RecordError("label.scan_other_board", unit=str(unit))


def judge_claim(ledger: Ledger, reading: Reading, proven: Proven) -> EolError | None:
    """Whether the code is this unit's own; else what it is."""
    unit = str(proven.unit)
    claim = reading.claim
    if claim is None:
        if ID.fullmatch(reading.text):
            return RecordError("label.scan_id_first", unit=unit)
        return misread(reading, proven.claim)
    if claim == proven.claim:
        return None
    return _whose(ledger, claim, proven.unit)


def misread(reading: Reading, expected: ClaimCode | None = None) -> EolError:
    """Why the reading is no claim code, in words; the reading itself is never repeated."""
    found = diagnose(reading, expected)
    kind = Misread.NO_CLAIM_CODE if found is None else found.misread
    layouts = ", ".join(found.layouts) if found else ""
    return RecordError(_MISREAD[kind], layouts=layouts)


def judge_stuck(ledger: Ledger, reading: Reading, unit: Unit) -> EolError | None:
    """Whether the code on the label that sticks on ``unit`` is that of its live token."""
    if reading.claim is None:
        return misread(reading)
    holder = ledger.look_up_claim(reading.claim)
    live = holder.unit if holder is not None and holder.live else None
    if live is not None and live.primary in unit.identifiers:
        return None
    return _whose(ledger, reading.claim, unit)


def _whose(ledger: Ledger, claim: ClaimCode, unit: Unit) -> EolError:
    holder = ledger.look_up_claim(claim)
    if holder is None:
        return RecordError("label.scan_unknown", unit=str(unit))
    if holder.unit is None:
        return RecordError("label.scan_pool", unit=str(unit), tail=holder.claim_tail)
    if holder.unit.primary == unit.primary:
        code = "label.scan_damaged" if holder.live else "label.scan_old_copy"
        return RecordError(code, unit=str(unit), label="of its former token")
    other = str(holder.unit)
    if holder.state is State.CLOSED:
        return RecordError("label.scan_used", unit=str(unit), other=other)
    return RecordError("label.scan_other_unit", unit=str(unit), other=other)


def judge_id(ledger: Ledger, reading: Reading, copy: CopyRecord, proven: Proven) -> EolError | None:
    """Whether the label's own id is that of the live copy; else what it is."""
    unit = str(proven.unit)
    if reading.claim == proven.claim:
        return RecordError("label.scan_twice", unit=unit)
    found = ID.fullmatch(reading.text.strip().upper())
    if found is None:
        return (
            misread(reading)
            if reading.claim is None
            else _whose(ledger, reading.claim, proven.unit)
        )
    said = ledger.label(found[1])
    if said is None or (found[2] and int(found[2]) != said.copy):
        return RecordError("label.scan_unknown", unit=unit)
    if said.code == copy.code:
        return None
    if said.assignment == copy.assignment and said.state is CopyState.VOID:
        return RecordError("label.scan_old_copy", unit=unit, label=said.name)
    if said.assignment == copy.assignment:
        return RecordError("label.scan_other_kind", label=said.name, kind=said.kind)
    return RecordError("label.scan_other_unit", unit=unit, other=said.unit)
