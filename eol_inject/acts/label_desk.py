"""The label desk: a copy by hand, whole sheets, and what a label in the hand is.

A claim code comes from the ledger's stored proof of the unit alone. Each label is on record before
it is printed, and a sheet is on record as a whole before its file is there: whoever starts it
again gets the same labels in the same cells.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final, assert_never

from eol_inject.errors import EolError, RecordError, StationError, UnitError, UsageError
from eol_inject.label import Label, Printer, PrintOutcome, Template, render, sheet_pdf
from eol_inject.ledger import CopyRecord, CopyState, Holder, Ledger
from eol_inject.ledger.label_desk import LabelDesk, Sheeted
from eol_inject.ledger.label_states import UNIT, Draft
from eol_inject.ledger.labels import Made
from eol_inject.ledger.people import Person
from eol_inject.ledger.transitions import Who
from eol_inject.profiles import Profile
from eol_inject.scan import Reading
from eol_inject.station import scanning
from eol_inject.station.bench import Confirm, watermark_of
from eol_inject.station.labelling import file_name
from eol_inject.unit import ClaimCode, Identifier, Proven

Which = Identifier | ClaimCode
SHEET: Final = "sheet"
"""What stands as the printer of a sheet's labels."""


@dataclass(frozen=True, slots=True)
class Desk:
    """Who makes labels of what product."""

    ledger: Ledger
    by: Person
    profile: Profile
    confirm: Confirm
    today: date

    @property
    def acts(self) -> LabelDesk:
        """What the person may do."""
        return self.ledger.label_desk(self.by)

    @property
    def kinds(self) -> tuple[str, ...]:
        """Every label that a unit of this product needs."""
        label = self.profile.spec.label
        return (UNIT, *(label.also if label else ()))

    def facts(self) -> dict[str, str]:
        """What the labels say besides the unit's own values."""
        return {"product_name": self.profile.spec.product.name, "date": self.today.isoformat()}

    def draw(
        self, proven: Proven, template: Template, draft: Draft, facts: dict[str, str]
    ) -> Label:
        """One label, decoded and compared. Raises ``RecordError``."""
        extra = {**facts, "label_id": draft.code, "copy": str(draft.copy)}
        mark = watermark_of(self.ledger.info.kind)
        return render(proven, template, extra=extra, watermark=mark)


def print_label(
    desk: Desk, which: Which, template: Template, printer: Printer, *, kind: str = UNIT
) -> tuple[CopyRecord, tuple[Path, ...]]:
    """The first label of a verified unit. Raises ``UnitError("ledger.label_live")`` for a second.

    And ``RecordError``: ``label.not_sent``, ``label.unknown``.
    """
    return _print(desk, which, template, printer, kind, reason="", who=Who.OPERATOR)


def reprint(
    desk: Desk,
    which: Which,
    template: Template,
    printer: Printer,
    *,
    reason: str,
    old: Reading | None = None,
    kind: str = UNIT,
) -> tuple[CopyRecord, tuple[Path, ...]]:
    """Another copy of a label, with the same claim code; the copy before it does not count.

    A lead gives a reason; where the old label itself is scanned (``old``), an operator may.
    """
    who = Who.LEAD
    if old is not None:
        proven = desk.acts.proven(which)
        wrong = scanning.judge_claim(desk.ledger, old, proven)
        if wrong is not None:
            raise wrong
        who, reason = Who.OPERATOR, reason or "the old label was scanned"
    if not reason.strip():
        raise UnitError("ledger.reason_missing", act="reprint")
    return _print(desk, which, template, printer, kind, reason=reason, who=who)


def _print(
    desk: Desk, which: Which, template: Template, printer: Printer, kind: str,
    *, reason: str, who: Who,
) -> tuple[CopyRecord, tuple[Path, ...]]:  # fmt: skip
    acts = desk.acts
    proven = acts.proven(which)
    labels = acts.labels(proven.unit.primary, who=who, act="label reprint" if reason else "label")
    draft = labels.draft(kind)
    facts = desk.facts()
    label = desk.draw(proven, template, draft, facts)
    printer.preflight()
    made = Made(
        draft, printer.url, label.template, label.template_digest, label.digest, _json(facts),
        exclusive=desk.confirm is not Confirm.NONE, reason=reason,
    )  # fmt: skip
    copy = labels.begin(made, instead=bool(reason))
    printed = printer.print(label, name=file_name(copy))
    match printed.outcome:
        case PrintOutcome.CONFIRMED:
            settled = not desk.confirm.by_scan
            copy = labels.move(copy.code, CopyState.CONFIRMED, settled=settled)
            if settled:
                acts.close_printed(copy.code, desk.kinds)
            return copy, printed.files
        case PrintOutcome.UNKNOWN:
            labels.move(copy.code, CopyState.UNKNOWN, why=printed.why)
            raise RecordError("label.unknown", unit=copy.unit, why=printed.why)
        case PrintOutcome.NOT_SENT:
            labels.move(copy.code, CopyState.VOID, why=printed.why)
            raise RecordError("label.not_sent", unit=copy.unit, why=printed.why)
        case other:
            assert_never(other)


def void(ledger: Ledger, by: Person, code: str, *, reason: str) -> CopyRecord:
    """A label does not count any more, wherever it sticks.

    Raises ``UnitError``: ``ledger.unknown_label``, ``reason_missing``.
    """
    if not reason.strip():
        raise UnitError("ledger.reason_missing", act="label void")
    one = ledger.label(code)
    if one is None:
        raise UnitError("ledger.unknown_label", label=code[:6])
    (unit,) = ledger.named(one.unit)
    labels = ledger.label_desk(by).labels(unit, who=Who.LEAD, act="label void", role=one.role)
    return labels.move(one.code, CopyState.VOID, why=reason)


@dataclass(frozen=True, slots=True)
class Sheet:
    """A sheet that was made: its labels in the order of the cells."""

    path: Path
    labels: tuple[CopyRecord, ...]
    resumed: bool


def sheet(
    desk: Desk,
    template: Template,
    path: Path,
    *,
    lot: str,
    start_at: int,
    order: str = "token",
    progress: Callable[[int, int], None] | None = None,
) -> Sheet:
    """Labels of all verified units of ``lot`` that have none, as one PDF.

    In the order of their tokens, or of their identifiers (``order`` = unit). Started again after
    anything, the same ``path`` gets the same labels: none is left out and none made twice.
    Raises ``UsageError``: ``report.output_exists``, ``label.no_units``.
    """
    batch = f"{path.name}@{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]}"
    begun = desk.ledger.sheet(batch)
    if path.exists() and not any(one.state is CopyState.INTENT for one in begun):
        raise UsageError("report.output_exists", path=str(path))
    part = path.with_name(f".{path.name}.part")
    if begun:
        facts = [(one, json.loads(one.facts)) for one in begun]
        total = len(facts)
        again = (
            desk.draw(
                desk.acts.proven(_named(desk.ledger, one.unit)), template,
                Draft(one.code, one.copy, one.kind), facts_of,
            )
            for one, facts_of in facts
        )  # fmt: skip
        data = sheet_pdf(again, template, start_at=start_at, progress=_told(progress, total))
    else:
        units = desk.acts.sheet_units(product=desk.profile.spec.product.id, lot=lot)
        if not units:
            raise UsageError("label.no_units", lot=lot)
        wanted: list[Sheeted] = []
        drawn = _drawn(desk, template, _ordered(units, order), batch, wanted)
        data = sheet_pdf(drawn, template, start_at=start_at, progress=_told(progress, len(units)))
        desk.acts.begin_sheet(wanted)
    _write(part, path, data)
    done = desk.acts.finish_sheet(batch, closing=not desk.confirm.by_scan, kinds=desk.kinds)
    return Sheet(path, done, resumed=bool(begun))


def _drawn(
    desk: Desk, template: Template, units: tuple[Identifier, ...], batch: str,
    wanted: list[Sheeted],
) -> Iterator[Label]:  # fmt: skip
    """One by one, so that a thousand labels need no more memory than their dots."""
    facts = desk.facts()
    for unit in units:
        draft = desk.acts.labels(unit).draft(UNIT)
        label = desk.draw(desk.acts.proven(unit), template, draft, facts)
        made = Made(
            draft, SHEET, label.template, label.template_digest, label.digest, _json(facts),
            batch=batch,
        )  # fmt: skip
        wanted.append(Sheeted(unit, made))
        yield label


def _ordered(units: tuple[Identifier, ...], order: str) -> tuple[Identifier, ...]:
    return units if order == "token" else tuple(sorted(units, key=lambda one: one.value))


def _told(progress: Callable[[int, int], None] | None, total: int) -> Callable[[int], None] | None:
    return None if progress is None else lambda done: progress(done, total)


def _write(part: Path, path: Path, data: bytes) -> None:
    """Whole or not at all, on disk, owner-only."""
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise StationError("report.no_folder", path=str(path), why=error.strerror or "") from error


@dataclass(frozen=True, slots=True)
class Seen:
    """What a label in the hand is. ``copy`` is None where its id has to be scanned as well."""

    holder: Holder | None
    copy: CopyRecord | None
    copies: tuple[CopyRecord, ...]
    wrong: EolError | None


def look_at(ledger: Ledger, readings: Iterator[Reading]) -> Seen:
    """Tell what the scanned label is; its id is asked for only where copies have to be told apart.

    ``readings``: the QR code, or the id on the label, and then the other of the two.
    """
    first = next(readings, Reading(""))
    found = scanning.ID.fullmatch(first.text.strip().upper())
    if found is not None:
        copy = ledger.label(found[1])
        if copy is None or (found[2] and int(found[2]) != copy.copy):
            return Seen(None, None, (), UnitError("ledger.unknown_label", label=found[1]))
        return Seen(None, copy, ledger.labels(_named(ledger, copy.unit)), _void(copy))
    if first.claim is None:
        return Seen(None, None, (), scanning.misread(first))
    holder = ledger.look_up_claim(first.claim)
    if holder is None:
        return Seen(None, None, (), RecordError("label.scan_unknown", unit="none"))
    if holder.unit is None:
        return Seen(holder, None, (), None)
    every = ledger.labels(holder.unit.primary)
    out = [one for one in every if one.came_out]
    if len(out) == 1 and holder.live:
        return Seen(holder, out[0], every, _void(out[0]))
    second = next(readings, None)
    said = None if second is None else scanning.ID.fullmatch(second.text.strip().upper())
    match = [one for one in every if said and one.code == said[1]]
    copy = match[0] if match else None
    return Seen(holder, copy, every, _void(copy) if copy else None)


def _void(copy: CopyRecord) -> EolError | None:
    if copy.state is not CopyState.VOID:
        return None
    return RecordError("label.scan_old_copy", unit=copy.unit, label=copy.name)


def _named(ledger: Ledger, value: str) -> Identifier:
    return ledger.named(value)[0]


def _json(facts: dict[str, str]) -> str:
    return json.dumps(facts, ensure_ascii=False, sort_keys=True)
