"""What every engine of the ledger does the same: a cycle's verbs and the pool's rules."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from eol_inject.errors import EolError, Exit
from eol_inject.events import Outcome
from eol_inject.ledger import CycleFacts, Hold, LabelState, State
from eol_inject.unit import AuthToken, ClaimCode, Identifier, Proof, Secret, Unit
from tests.support.ledger import (
    LOT,
    ORGANIZATION,
    PRODUCT,
    auth_text,
    begin,
    fill,
    mac,
    reserve,
    run_to,
    static_token,
    take_in,
    unit,
)

WAY = ("reserved", "writing", "written", "verified", "labelled", "closed")


def refused(code):
    """Expect an error with this code."""
    return _Refused(code)


class _Refused:
    def __init__(self, code):
        self.code = code

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        assert isinstance(error, EolError), f"{self.code} expected, got {error!r}"
        assert error.code == self.code
        self.error = error
        return True


def test_a_unit_goes_the_whole_way(ledger):
    """From the pool to closed, each step once, and the records tell it."""
    cycle = begin(ledger)
    reserved = reserve(cycle)
    assert reserved.state is State.RESERVED
    assert not reserved.resumed
    cycle.begin_writing()
    cycle.written()
    proven = cycle.prove(reserved.auth, Proof.READ_BACK)
    assert (proven.unit, proven.lot, proven.product) == (unit(1), LOT, PRODUCT)
    assert proven.claim == ClaimCode("sqr_" + auth_text(0, kind="qr"), ORGANIZATION)
    cycle.labelled(files=("a.pdf",), template="t")
    cycle.close()
    cycle.end(Outcome.PASS, proof=Proof.READ_BACK, times={"write": 1.5})
    record = ledger.show(mac(1))
    assert [e.target for e in record.events if e.target] == list(WAY)
    assert record.assignments[0].state is State.CLOSED
    assert record.assignments[0].label is LabelState.PRINTED
    assert record.assignments[0].proof == "read_back"
    assert record.attempts[0].outcome is Outcome.PASS
    assert record.attempts[0].times == {"write": 1.5}
    assert ledger.show(proven.claim).unit == unit(1)


@pytest.mark.parametrize("state", WAY[:-1])
def test_a_cut_off_unit_resumes_with_its_own_token(ledger, state):
    """Wherever a cycle was cut off, the same unit's next one gets the same token and state."""
    first = run_to(begin(ledger), state)
    second = reserve(begin(ledger))
    assert second.resumed
    assert second.state == state
    assert second.auth == first.auth
    assert reserve(begin(ledger, 2, slot="B")).auth != first.auth


def test_reserve_asked_twice_answers_the_same(ledger):
    """A lost answer costs no token."""
    cycle = begin(ledger)
    one, two = reserve(cycle), reserve(cycle)
    assert one.auth == two.auth
    assert one.assignment == two.assignment
    assert _count(ledger, State.RESERVED) == 1


def test_every_step_asked_twice_happens_once(ledger):
    """A step whose answer was lost can be asked again; the log has it once."""
    cycle = begin(ledger)
    reserved = reserve(cycle)
    for step in (
        cycle.begin_writing,
        cycle.written,
        lambda: cycle.prove(reserved.auth, Proof.READ_BACK),
        cycle.labelled,
        cycle.close,
        lambda: cycle.end(Outcome.PASS),
    ):
        step()
        step()
    acts = [e.act for e in ledger.show(mac(1)).events]
    assert acts == [
        "identified", "attempt_begun",
        "reserve", "begin", "written", "prove", "label", "close", "attempt",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("state", "verb"),
    [
        ("reserved", "written"),
        ("reserved", "labelled"),
        ("writing", "labelled"),
        ("written", "labelled"),
        ("written", "begin_writing"),
        ("verified", "begin_writing"),
        ("verified", "close"),
        ("writing", "close"),
        ("writing", "release"),
        ("verified", "release"),
    ],
)
def test_no_step_is_skipped_or_taken_back(ledger, state, verb):
    """The verbs follow the table; a token that was `writing` is never released."""
    cycle = begin(ledger)
    run_to(cycle, state)
    with refused("ledger.illegal_act"):
        getattr(cycle, verb)()
    assert cycle.standing().state == state


def test_a_released_token_is_the_next_to_go(ledger):
    """Nothing was written: it goes back to the pool, and its unit may get it again."""
    cycle = begin(ledger)
    first = reserve(cycle)
    cycle.release()
    cycle.release()
    assert cycle.standing().state is None
    assert ledger.look_up(first.auth).state is State.AVAILABLE
    assert reserve(begin(ledger, 2, slot="B")).auth == first.auth


def test_a_cycle_that_gave_its_token_back_may_ask_again(ledger):
    """Each question is a request of its own (a long campaign found it)."""
    cycle = begin(ledger)
    first = reserve(cycle)
    cycle.release()
    again = reserve(cycle)
    assert (again.auth, again.resumed) == (first.auth, False)
    assert reserve(cycle).resumed
    assert reserve(begin(ledger, 2, slot="B")).auth != first.auth


def test_a_closed_unit_gets_nothing(ledger):
    """It is told so, before and at reserve."""
    cycle = begin(ledger)
    run_to(cycle, "closed")
    with refused("ledger.unit_closed"):
        cycle.expect(blank=False)
    with refused("ledger.unit_closed") as stop:
        reserve(cycle)
    assert stop.error.exit is Exit.UNIT_BAD
    assert stop.error.params["tail"] == auth_text(0, kind="qr")[-6:]


@pytest.mark.parametrize(
    ("state", "erased"),
    [("reserved", False), ("writing", False), ("written", True), ("verified", True),
     ("labelled", True), ("closed", True)],
)  # fmt: skip
def test_a_written_unit_that_reads_blank_stops(ledger, state, erased):
    """Erased, or a clone of the same identity: only before `written` may a unit be blank."""
    run_to(begin(ledger), state)
    cycle = begin(ledger)
    if erased:
        with refused("ledger.unit_erased"):
            cycle.expect(blank=True)
    else:
        cycle.expect(blank=True)
    if state != "closed":
        cycle.expect(blank=False)


def test_quarantine_stops_the_unit_and_keeps_the_token(ledger):
    """Nobody gets the token, the unit neither, its label is void; a blank read-back clears it."""
    cycle = begin(ledger)
    first = run_to(cycle, "labelled")
    with refused("ledger.reason_missing"):
        cycle.quarantine(" ")
    cycle.quarantine("wrong MD5 at 0x10000")
    again = begin(ledger)
    with refused("ledger.unit_quarantined"):
        reserve(again)
    assert ledger.look_up(first.auth).label is LabelState.VOID
    assert again.standing().own == first.auth
    again.clear_blank("the whole region reads blank")
    resumed = reserve(again)
    assert resumed.auth == first.auth
    assert resumed.state is State.WRITING


def test_only_what_was_read_back_proves(ledger):
    """Another unit's token, one of the pool, an unknown one: no claim code comes out."""
    other = run_to(begin(ledger, 2, slot="B"), "written")
    cycle = begin(ledger)
    own = run_to(cycle, "written")
    pool = AuthToken(auth_text(4))
    for wrong in (other.auth, pool, AuthToken(auth_text(999))):
        with refused("ledger.not_proven"):
            cycle.prove(wrong, Proof.READ_BACK)
    assert cycle.standing().state is State.WRITTEN
    assert cycle.prove(own.auth, Proof.REPLY).proof is Proof.REPLY


def test_proving_before_it_was_written_is_refused(ledger):
    """The right token alone is not enough: the device must have said that it took it."""
    cycle = begin(ledger)
    own = run_to(cycle, "writing")
    with refused("ledger.illegal_act"):
        cycle.prove(own.auth, Proof.READ_BACK)


def test_reserve_hands_out_no_claim_code(ledger):
    """What reserve returns has no claim code in any field."""
    reserved = reserve(begin(ledger))
    for name in reserved.__dataclass_fields__:
        value = getattr(reserved, name)
        assert not isinstance(value, ClaimCode)
        assert "sqr_" not in repr(value)


def test_a_token_without_a_qr_code_is_verified_but_has_no_label(empty):
    """A devices export: the unit works, exit 4 says that its label is missing."""
    take_in(empty, [static_token(1, claim=False)], organization=ORGANIZATION)
    cycle = begin(empty)
    reserved = run_to(cycle, "written")
    assert not reserved.has_claim_code
    with refused("ledger.no_claim_code") as stop:
        cycle.prove(reserved.auth, Proof.READ_BACK)
    assert stop.error.exit is Exit.RECORD_MISSING
    assert cycle.standing().state is State.VERIFIED


def test_the_second_slot_is_told_who_works_on_the_unit(ledger):
    """One unit, one cycle; the same slot takes over at once, for it crashed."""
    late = begin(ledger, slot="A")
    with refused("ledger.unit_busy") as stop:
        begin(ledger, slot="B")
    assert stop.error.exit is Exit.STATION_BAD
    assert (stop.error.params["station"], stop.error.params["slot"]) == ("st1", "A")
    reserve(late)
    fresh = begin(ledger, slot="A")
    for verb in (
        lambda: reserve(late), late.begin_writing, late.written, late.release, late.keep,
        late.close, late.standing, lambda: late.expect(blank=True), lambda: late.note("x"),
    ):  # fmt: skip
        with refused("ledger.lease_lost"):
            verb()
    reserve(fresh)
    fresh.begin_writing()
    late.end(Outcome.STATION_BAD, "ledger.lease_lost")
    fresh.written()
    with refused("ledger.unit_busy"):
        begin(ledger, slot="B")


def test_an_ended_cycle_frees_the_unit(ledger):
    """Another slot may go on at once."""
    cycle = begin(ledger, slot="A")
    reserve(cycle)
    cycle.end(Outcome.UNIT_BAD, "device.no_sync")
    assert reserve(begin(ledger, slot="B")).resumed


def test_each_unit_gets_its_own_token(ledger):
    """Two cycles at the same time never share one."""
    one, two = begin(ledger, 1, slot="A"), begin(ledger, 2, slot="B")
    assert reserve(one).auth != reserve(two).auth


def test_an_empty_pool_says_so(ledger):
    """And harms nothing."""
    cycles = [begin(ledger, number, slot=str(number)) for number in range(6)]
    for cycle in cycles[:5]:
        reserve(cycle)
    with refused("ledger.pool_empty") as stop:
        reserve(cycles[5])
    assert stop.error.exit is Exit.STATION_BAD
    assert reserve(cycles[4]).resumed


@pytest.mark.parametrize(
    ("product", "organization", "lot", "code"),
    [
        ("OTHER", 7, "lot-1", "ledger.no_such_lot"),
        ("TMPL1", 8, "lot-1", "ledger.pool_empty"),
        ("TMPL1", 7, "lot-2", "ledger.no_such_lot"),
    ],
)
def test_tokens_come_from_this_run_only(ledger, product, organization, lot, code):
    """Product, organization and lot of the run, or none at all."""
    with refused(code):
        begin(ledger).reserve(product, organization, lot)


@pytest.mark.parametrize(
    ("product", "organization", "lot", "code"),
    [
        ("OTHER", 7, "lot-1", "ledger.other_product"),
        ("TMPL1", 8, "lot-1", "ledger.other_organization"),
        ("TMPL1", 7, "lot-2", "ledger.other_lot"),
    ],
)
def test_a_unit_with_a_token_of_another_run_stops(ledger, product, organization, lot, code):
    """Each with its own code; the unit keeps what it has."""
    first = run_to(begin(ledger), "writing")
    cycle = begin(ledger)
    with refused(code):
        cycle.reserve(product, organization, lot)
    assert reserve(cycle).auth == first.auth


def test_an_open_organization_takes_any(ledger):
    """A profile without organization draws from the whole lot."""
    assert begin(ledger).reserve(PRODUCT, None, LOT).state is State.RESERVED


def test_a_bound_token_goes_to_its_unit_only(empty):
    """Its unit gets exactly it; others draw around it, though it comes first."""
    bound = static_token(0, bound=(mac(5), Identifier("serial", "SN-5")))
    take_in(empty, [bound, static_token(1)])
    assert reserve(begin(empty, 1, slot="B")).auth == AuthToken(auth_text(1))
    assert reserve(begin(empty, 5)).auth == bound.auth
    assert empty.show(Identifier("serial", "SN-5")).unit.primary == mac(5)
    with refused("ledger.pool_empty"):
        reserve(begin(empty, 2, slot="C"))


def test_a_bound_token_of_another_lot_stops_its_unit(empty):
    """It must not be given one of the pool instead."""
    take_in(empty, [static_token(0, bound=(mac(5),))], lot="lot-9")
    fill(empty, 2, start=1)
    with refused("ledger.other_lot"):
        reserve(begin(empty, 5))


def test_a_bound_token_made_for_another_serial_stops(empty):
    """The MAC fits and the serial does not: a module was moved, or two units share a MAC."""
    take_in(empty, [static_token(0, bound=(mac(5), Identifier("serial", "SN-5")))])
    both = Unit(mac(5), (Identifier("serial", "SN-6"),))
    with refused("ledger.identity_contradicts"):
        reserve(begin(empty, one=both))


def test_identifiers_that_contradict_each_other_stop(ledger):
    """Two units' numbers on one, or another value of a kind that is known."""
    serial = Identifier("serial", "SN-1")
    begin(ledger, one=Unit(mac(1), (serial,))).end(Outcome.UNIT_BAD, "x")
    begin(ledger, 2).end(Outcome.UNIT_BAD, "x")
    for wrong in (
        Unit(mac(2), (serial,)),
        Unit(mac(1), (Identifier("serial", "SN-9"),)),
        Unit(mac(3), (serial,)),
        Unit(mac(4), (mac(6),)),
    ):
        with refused("ledger.identity_contradicts"):
            begin(ledger, one=wrong)
    known = begin(ledger, 1)
    assert known.unit == Unit(mac(1), (serial,))


def test_what_inspect_asks_is_answered(ledger):
    """Whose token: a unit's, one of the pool, or unknown."""
    held = run_to(begin(ledger), "verified")
    holder = ledger.look_up(held.auth)
    assert (holder.unit, holder.state, holder.live) == (unit(1), State.VERIFIED, True)
    pool = ledger.look_up(AuthToken(auth_text(3)))
    assert (pool.unit, pool.state, pool.live) == (None, State.AVAILABLE, False)
    assert ledger.look_up(AuthToken(auth_text(99))) is None
    claim = ClaimCode.parse("sqr_" + auth_text(0, kind="qr"))
    assert ledger.look_up_claim(claim).unit == unit(1)


def test_standing_tells_before_anything_is_reserved(ledger):
    """Own token, state, hold, and how often it was tried."""
    for code in ("a", "b"):
        begin(ledger).end(Outcome.UNIT_BAD, code)
    cycle = begin(ledger)
    fresh = cycle.standing()
    assert (fresh.state, fresh.own, fresh.hold) == (None, None, Hold.NONE)
    assert (fresh.attempts, fresh.failed_in_a_row) == (3, 2)
    own = run_to(cycle, "written").auth
    later = cycle.standing()
    assert (later.state, later.own, later.lot) == (State.WRITTEN, own, LOT)


def test_an_attempt_without_a_unit_is_kept(ledger):
    """Failures before the identity was known leave a trace."""
    facts = CycleFacts(port="/dev/ttyUSB0", versions={"esptool": "5.6"})
    number = ledger.record_attempt_without_unit(
        slot="A", operator="ann", traceability=facts, outcome=Outcome.STATION_BAD,
        code="device.no_sync", times={"identify": 2.0},
    )  # fmt: skip
    assert number


def test_an_attempt_remembers_what_it_was_made_with(ledger):
    """Every fact of DESIGN's list comes back, also what became known on the way."""
    cycle = ledger.begin_cycle(
        unit(1), slot="A", operator="ann", traceability=CycleFacts(profile="p", baud=115200)
    )
    cycle.end(
        Outcome.UNIT_BAD, "verify.mismatch", detail="0x1000",
        facts=CycleFacts(profile="p", baud=921600, chip="esp32c3", versions={"esptool": "5.6"}),
    )  # fmt: skip
    (attempt,) = ledger.show(mac(1)).attempts
    assert attempt.facts.baud == 921600
    assert attempt.facts.versions == {"esptool": "5.6"}
    assert (attempt.code, attempt.operator, attempt.slot) == ("verify.mismatch", "ann", "A")


def test_status_counts_by_state_and_lot(ledger):
    """Every token once."""
    fill(ledger, 2, start=50, lot="lot-2")
    run_to(begin(ledger), "closed")
    reserve(begin(ledger, 2, slot="B"))
    counts = {(c.lot, c.state): c.count for c in ledger.status()}
    assert counts == {
        (LOT, State.AVAILABLE): 3, (LOT, State.RESERVED): 1, (LOT, State.CLOSED): 1,
        ("lot-2", State.AVAILABLE): 2,
    }  # fmt: skip


def test_secret_fields_go_to_the_region_not_to_the_label(empty):
    """Reserve gives them wrapped; what a label is made from has the public ones only."""
    take_in(empty, [static_token(1, fields={"name": "Lamp", "wifi": Secret("hush hush")})])
    cycle = begin(empty)
    reserved = run_to(cycle, "written")
    assert reserved.fields["name"] == "Lamp"
    assert reserved.fields["wifi"] == Secret("hush hush")
    assert cycle.prove(reserved.auth, Proof.READ_BACK).fields == {"name": "Lamp"}


def test_many_slots_draw_without_doubles(empty):
    """Sixteen threads of one station, sixty units: sixty tokens."""
    fill(empty, 60)

    def work(number):
        cycle = begin(empty, number, slot=str(number))
        token = reserve(cycle).auth.reveal()
        cycle.begin_writing()
        return token

    with ThreadPoolExecutor(16) as pool:
        got = list(pool.map(work, range(60)))
    assert len(set(got)) == 60


def test_an_unknown_unit_is_a_usage_error(ledger):
    """Not a crash, not an empty answer."""
    with refused("ledger.unknown_unit"):
        ledger.show(mac(77))


def _count(ledger, state):
    return sum(c.count for c in ledger.status() if c.state is state)
