"""One unit's pass through a slot: the order of work, from identify to close.

Each step ends well or raises. What was committed before stays, and the next cycle of the same unit
carries on from there (``resume``). The verdict and everything traceable about the attempt go into
the ledger, also for an attempt that never learnt which unit it was.
"""

import traceback
from collections.abc import Callable
from functools import partial

from eol_inject import verify
from eol_inject.device import Rates
from eol_inject.errors import EolError, StationError, StoppedError, UnitError
from eol_inject.events import Step
from eol_inject.ledger import Cycle, Hold, Reserved, Standing, State
from eol_inject.report import CycleRecord
from eol_inject.station import labelling, limits, preflight, rework, scanning
from eol_inject.station.attempt import Attempt
from eol_inject.station.bench import Bench
from eol_inject.station.resume import Next, decide
from eol_inject.station.teller import Teller
from eol_inject.station.way import AtHand
from eol_inject.verify import Holding


def run_cycle(
    bench: Bench, *, slot: str, port: str, let_go: Callable[[], None] = lambda: None
) -> CycleRecord:
    """Take the unit behind ``port`` the whole way, and tell how it went.

    ``let_go`` is called once the unit is done with: what is left is its label.
    Never raises for a unit, a station or a bug: each becomes an outcome, told and recorded.
    """
    attempt = Attempt(bench, Teller(slot, bench.observe, bench.clock), port)
    error: EolError | None = None
    try:
        _cycle(bench, attempt, let_go)
    except EolError as stopped:
        error = stopped
    except KeyboardInterrupt:
        error = StoppedError("station.interrupted")
    except Exception as bug:  # noqa: BLE001  # one of the two places that turn errors into outcomes
        error = StationError("station.internal", kind=type(bug).__name__, where=_where(bug))
    if error is not None:
        _limit(bench, attempt, error)
    if attempt.identity is not None and attempt.identity.rates is not None:
        bench.pace.learn(slot, attempt.identity.rates, passed=error is None)
    return attempt.finish(error)


def refuse_cycle(bench: Bench, *, slot: str, error: EolError) -> CycleRecord:
    """An attempt that ended before there was a port; on record like every other."""
    return Attempt(bench, Teller(slot, bench.observe, bench.clock), "").finish(error)


def _limit(bench: Bench, attempt: Attempt, error: EolError) -> None:
    """A unit that fails too often in a row is blocked."""
    if attempt.cycle is None:
        return
    try:
        why = limits.block_unit(bench, attempt.cycle, error)
    except EolError as unrecorded:
        attempt.teller.note(unrecorded.code, f"Not blocked: {unrecorded}")
        return
    if why:
        blocked = UnitError("station.unit_limit", why=why)
        attempt.teller.note(blocked.code, f"{blocked} {blocked.hint}")


def _cycle(bench: Bench, attempt: Attempt, let_go: Callable[[], None]) -> None:
    step = attempt.teller.step
    preflight.ready(bench, attempt.port, attempt.teller.slot)
    for code, text in preflight.notices(bench):
        attempt.teller.note(code, text)
    blocked = limits.blocked_slot(bench, attempt.teller.slot)
    rates = _paced(bench, attempt.teller)
    ask = partial(scanning.ask_serial, bench, attempt.teller)
    with bench.way.open(attempt.port, rates, ask, attempt.keep) as hand:
        with step(Step.IDENTIFY):
            identity = hand.identify()
            attempt.identified(identity)
            hand.admit()
        preflight.unit_fits(bench, identity.unit)
        labelling.one_at_a_time(bench, identity.unit)
        cycle = attempt.take(identity.unit)
        standing = cycle.standing()
        if blocked is not None and standing.state is not State.CLOSED:
            raise blocked
        with step(Step.INSPECT):
            going_on = _inspect(bench, attempt, hand, cycle, standing)
        with step(Step.RESERVE):
            reserved = _reserve(bench, attempt, cycle)
        with step(Step.PATCH):
            hand.patch(reserved)
        if going_on is Next.WRITE:
            _write(attempt, hand, cycle)
        else:
            hand.settle(cycle, attempt.teller)

        with step(Step.READ_BACK):
            auth, proof = hand.read_back()
            attempt.proven = cycle.prove(auth, proof)
            attempt.state = State.VERIFIED
        if bench.profile.spec.boot is not None:
            with step(Step.BOOT_CHECK):
                hand.boot_check(attempt.heard)
        with step(Step.IDENTIFY_AGAIN):
            # device.unit_changed unless it is still the same (line-failures 10)
            attempt.identified_again(hand.identify())
    let_go()
    if not bench.label_later:
        with labelling.in_turn(bench, attempt, cycle):
            _finish(bench, attempt, cycle, labelled=standing.state is State.LABELLED)


def _paced(bench: Bench, teller: Teller) -> Rates:
    """The rates that this slot is known to bear, and a word where they are lower than they should
    be."""
    rates, wanted = bench.pace.of(teller.slot), bench.profile.spec.device.rates
    if rates.transfer < wanted.transfer:
        teller.note("station.slower", f"This slot begins at {rates.transfer} baud: it had trouble.")
    if rates.sync < min(wanted.sync, rates.transfer):
        teller.note("station.slower", f"This slot syncs at {rates.sync} baud: it had trouble.")
    return rates


def _inspect(
    bench: Bench, attempt: Attempt, hand: AtHand, cycle: Cycle, standing: Standing
) -> Next:
    """Read what the unit holds and ask the ledger about it; raises where the unit must not go on.

    A finished unit is looked at as well: erased, or a clone of one, it is not done.
    """
    assert attempt.identity is not None  # noqa: S101  # the caller has identified the unit
    ledger, role, unit = bench.ledger, bench.profile.spec.product.role, attempt.identity.unit
    attempt.state = standing.state or ""
    may_clear = rework.may_clear_itself(ledger, cycle, standing)
    finished = standing.state is State.CLOSED and standing.hold is Hold.NONE
    if not may_clear and not finished:
        cycle.expect(blank=False)
    findings = hand.inspect(standing)
    holding = verify.classify(findings, own=unit, look_up=ledger.look_up)
    if may_clear and holding is Holding.BLANK:
        cycle.clear_blank(rework.BLANK_AGAIN)
        attempt.state = State.WRITING
    if not finished or holding in {Holding.BLANK, Holding.OWN}:
        cycle.expect(blank=holding is Holding.BLANK)
    replaced = rework.was_replaced(
        ledger, role, attempt.state, holding=holding, findings=findings, unit=unit
    )
    going_on = decide(attempt.state, holding, findings, unit=str(unit), replaced=replaced)
    hand.ready(attempt.state, going_on)
    return going_on


def _finish(bench: Bench, attempt: Attempt, cycle: Cycle, *, labelled: bool) -> None:
    """Label and close. A label that is missing leaves the unit verified."""
    if attempt.proven is not None and not labelled:
        labelling.label_unit(bench, attempt, cycle, attempt.proven)
        attempt.state = State.LABELLED
    with attempt.teller.step(Step.CLOSE):
        cycle.close()
        attempt.state = State.CLOSED


def _reserve(bench: Bench, attempt: Attempt, cycle: Cycle) -> Reserved:
    """The unit's own token, or the next of the lot; committed, and the same when asked again."""
    product = bench.profile.spec.product
    reserved = cycle.reserve(product.id, product.organization, bench.lot)
    attempt.resumed = reserved.resumed
    attempt.secrets = reserved.secrets
    attempt.state = reserved.state
    if not reserved.has_claim_code:
        # nothing is written that could not be labelled (line-failures 27)
        cycle.release()
        raise StationError("ledger.unlabelled_token", lot=bench.lot)
    return reserved


def _write(attempt: Attempt, hand: AtHand, cycle: Cycle) -> None:
    """From ``begin_writing`` on, nobody else ever gets this token."""
    with attempt.teller.step(Step.WRITE):
        cycle.begin_writing()
        attempt.state = State.WRITING
        try:
            hand.write(cycle, attempt.teller, attempt.progress)
        except UnitError as bad:
            if bad.code in _FLASH_IS_BAD:
                cycle.quarantine(str(bad))
                attempt.state = State.QUARANTINED
            raise
        cycle.written()
    attempt.state = State.WRITTEN


_FLASH_IS_BAD = {"device.md5_mismatch", "device.verify_failed"}


def _where(bug: Exception) -> str:
    """The innermost place in the code, without the values a message or a traceback may hold."""
    frames = traceback.extract_tb(bug.__traceback__)
    return f"{frames[-1].filename.rsplit('/', 1)[-1]}:{frames[-1].lineno}" if frames else "?"
