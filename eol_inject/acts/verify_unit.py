"""QA's question to one connected unit: which token would it really use, and whose is it?

Reads only: nothing is reserved, written or labelled, and the token itself is never told.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain

from eol_inject import verify
from eol_inject.acts.label_desk import look_at
from eol_inject.device import Device, Identity
from eol_inject.errors import EolError, RecordError, UnitError, UsageError
from eol_inject.image.firmware import Firmware
from eol_inject.ledger import Hold, Holder, LabelState, Ledger, State
from eol_inject.report import Failure
from eol_inject.scan import Reading
from eol_inject.station.console_way import ConsoleAtHand
from eol_inject.station.programmer_way import ProgrammerAtHand
from eol_inject.station.scanning import judge_stuck
from eol_inject.unit import Unit
from eol_inject.verify import Findings, Holding, Where


@dataclass(frozen=True, slots=True)
class PlaceFact:
    """One place that was looked at, in words."""

    name: str
    address: int
    state: str
    used: bool
    why: str


@dataclass(frozen=True, slots=True)
class UnitVerdict:
    """What QA may know. ``failure`` is None where the unit is what the ledger says."""

    unit: str
    chip: str
    holding: Holding
    places: tuple[PlaceFact, ...]
    boots: str
    seal_ok: bool | None
    """None where no application is there to judge."""
    state: str
    """Of the token's assignment; empty where the ledger does not know the token."""
    product: str
    lot: str
    claim_tail: str
    label: str
    holder: str
    """Primary identifier of the unit the token was given to; empty where there is none."""
    failure: EolError | None

    @property
    def told(self) -> Failure | None:
        """The failure in words."""
        return Failure.of(self.failure) if self.failure else None


def verify_unit(
    device: Device, ledger: Ledger, where: Where, golden: Firmware, *, product: str
) -> UnitVerdict:
    """Read the unit and compare it with the ledger; ``product`` is the profile's.

    Where the chip's own MD5 says that the golden image stands, its bytes need not come over the
    wire; everything else does, the region always.

    Raises what the device and the ledger raise; what is wrong with the unit is in the verdict.
    """
    identity = device.identify()
    identity.security.refuse_if_secured("allow_secure_boot")  # it forbids no reading
    findings = verify.inspect(device.read, where, flash_size=identity.flash_size)
    holding = verify.classify(findings, own=identity.unit, look_up=ledger.look_up)
    seal = None
    if findings.boots_at is not None:
        reader = verify.ComposedReader(device.read, _golden_spans(device, golden), changed=())
        seal = verify.check_seal(reader, findings.boots_at, where)
    ill = None
    if seal is None or not seal.ok:
        why = seal.why if seal else "no application"
        ill = UnitError("verify.seal_broken", unit=str(identity.unit), why=why)
    return _verdict(identity, findings, holding, ledger, _Firmware(product, seal, ill))


def verify_console_unit(hand: ConsoleAtHand, ledger: Ledger, *, product: str) -> UnitVerdict:
    """The same of a unit whose firmware tells its token over its console.

    There is no application to look at: that it runs is all there is to know. Raises
    ``UnitError("verify.told_oddly")``.
    """
    identity = hand.identify()
    findings = hand.tell()
    holding = verify.classify(findings, own=identity.unit, look_up=ledger.look_up)
    return _verdict(identity, findings, holding, ledger, _Firmware(product, None, None))


def verify_programmed_unit(hand: ProgrammerAtHand, ledger: Ledger, *, product: str) -> UnitVerdict:
    """The same of a unit that an external programmer reads: its token, and its whole firmware."""
    identity = hand.identify()
    findings = hand.tell()
    holding = verify.classify(findings, own=identity.unit, look_up=ledger.look_up)
    ill = hand.not_golden() if holding is Holding.OWN else None
    return _verdict(identity, findings, holding, ledger, _Firmware(product, None, ill))


@dataclass(frozen=True, slots=True)
class _Firmware:
    """What is around the token."""

    product: str
    """The one that the unit has to be of."""
    seal: verify.Seal | None
    ill: EolError | None
    """Why the firmware would not start, or is not the golden one; None where it is well, or where
    that it runs is all there is to know."""


def _verdict(
    identity: Identity, findings: Findings, holding: Holding, ledger: Ledger, around: _Firmware
) -> UnitVerdict:
    holder = ledger.look_up(findings.effective) if findings.effective else None
    return UnitVerdict(
        unit=str(identity.unit),
        chip=identity.chip,
        holding=holding,
        places=tuple(
            PlaceFact(p.name, p.address, p.state.value, p.used, p.why) for p in findings.places
        ),
        boots=findings.boots,
        seal_ok=around.seal.ok if around.seal else None,
        state=holder.state.value if holder else "",
        product=holder.product if holder else "",
        lot=holder.lot if holder else "",
        claim_tail=holder.claim_tail if holder else "",
        label=holder.label.value if holder else "",
        holder=str(holder.unit) if holder and holder.unit else "",
        failure=_judge(identity.unit, findings, holding, holder, around)
        or _stands_badly(ledger, identity.unit, holder, around.product),
    )


def _golden_spans(device: Device, golden: Firmware) -> list[verify.Proved]:
    """Spans of the golden image that this unit's chip vouches for; none for another firmware."""
    spans = []
    for span in golden.rest:
        try:
            spans.append(verify.prove(device.md5, span.address, golden.golden_bytes(span)))
        except UnitError:
            return []
    return spans


def compare_label(found: UnitVerdict, ledger: Ledger, readings: Iterator[Reading]) -> UnitVerdict:
    """The same verdict, where the label on the unit is its own, and the copy that counts.

    A second reading, the label's id, is taken only where several copies are in the world. Raises
    ``UsageError("label.nothing_scanned")``.
    """
    first = next(readings, None)
    if first is None:
        raise UsageError("label.nothing_scanned")
    (unit,) = ledger.named(found.unit)
    wrong = judge_stuck(ledger, first, Unit(unit))
    if wrong is None:
        seen = look_at(ledger, chain([first], readings))
        wrong = seen.wrong
        if wrong is None and seen.copy is None and seen.copies:
            wrong = RecordError("label.which_copy")
    return replace(found, failure=wrong)


def _judge(
    unit: Unit,
    findings: Findings,
    holding: Holding,
    holder: Holder | None,
    around: _Firmware,
) -> EolError | None:
    """The first thing that is wrong: what it holds, whether it starts, then its label."""
    name = str(unit)
    if holding is Holding.BLANK:
        return UnitError("verify.no_token", unit=name)
    if holding is Holding.TORN:
        return verify.torn_error(findings, unit=name, state="unknown")
    if holding is Holding.DISAGREEING:
        places = verify.disagreement(findings)
        return UnitError("verify.places_disagree", unit=name, places=places)
    if holding is not Holding.OWN or holder is None:
        return UnitError(_WRONG.get(holding, "verify.not_used"), unit=name, state="unknown")
    if around.ill is not None:
        return around.ill
    if holder.revoked:
        return UnitError("verify.token_revoked", unit=name)
    if not holder.live:
        return UnitError("verify.token_not_live", unit=name, state=holder.state.value)
    return None


def _stands_badly(
    ledger: Ledger, unit: Unit, holder: Holder | None, product: str
) -> EolError | None:
    """What the ledger has against a unit that holds its own token: a hold, quarantine, another
    product; and last, a label or record that is missing."""
    if holder is None:
        return None
    if holder.product != product:
        return UnitError("ledger.other_product", known=holder.product, wanted=product)
    known = ledger.show(unit.primary)
    if known.hold is not Hold.NONE:
        return UnitError(_HELD[known.hold], why=known.reason)
    if holder.state is State.QUARANTINED:
        return UnitError("ledger.unit_quarantined")
    if holder.state is State.CLOSED and holder.label is LabelState.VOID:
        return RecordError("verify.label_void", unit=str(unit))
    if holder.state is not State.CLOSED or holder.label is not LabelState.PRINTED:
        return RecordError("verify.not_closed", unit=str(unit), state=holder.state.value)
    return None


_HELD = {
    Hold.BLOCKED: "ledger.unit_blocked",
    Hold.RECALL: "ledger.unit_recall",
    Hold.SCRAPPED: "ledger.unit_scrapped",
}


_WRONG = {
    Holding.OTHER_UNIT: "verify.holds_other_unit",
    Holding.POOL: "verify.holds_pool_token",
    Holding.UNKNOWN: "verify.holds_unknown_token",
}
