"""Rework on every engine: who may do what to which unit, and what becomes of its token."""

import pytest

from eol_inject.errors import EolError
from eol_inject.events import Outcome
from eol_inject.ledger import Hold, LabelState, State
from eol_inject.ledger.people import MAX_FAILURES, Person, Role
from eol_inject.ledger.transitions import TRANSITIONS, Act
from eol_inject.unit import AuthToken, ClaimCode, Identifier, Proof, Secret, Unit
from tests.support.ledger import (
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

PIN = Secret("4711")


@pytest.fixture
def lead(ledger):
    """A lead of a ledger with people in it."""
    admin = ledger.add_person("root", Role.ADMIN, PIN)
    ledger.add_person("lea", Role.LEAD, PIN, by=admin)
    return ledger.authenticate("lea", PIN)


@pytest.fixture
def desk(ledger):
    """What somebody does in a training ledger without people: hashing PINs takes its time."""
    return ledger.desk(ledger.authenticate("lea"))


def bring(ledger, state, number=1):
    """A unit in ``state``, its cycle over; what ``reserve`` said."""
    cycle = begin(ledger, number)
    reserved = run_to(cycle, state)
    cycle.end(Outcome.INTERRUPTED)
    return reserved


def code_of(call, *values, **names):
    """The code of the error that the call raises."""
    with pytest.raises(EolError) as refused:
        call(*values, **names)
    assert refused.value.hint
    return refused.value.code


def state_of(ledger, number=1):
    """State of the unit's newest assignment."""
    return ledger.show(mac(number)).assignments[-1].state


VERBS = {
    Act.RELEASE: lambda desk, which: desk.release(which, reason="r"),
    Act.QUARANTINE: lambda desk, which: desk.quarantine(which, reason="r"),
    Act.CLEAR: lambda desk, which: desk.clear(which, reason="r"),
    Act.REINJECT: lambda desk, which: desk.reinject(which, reason="r"),
    Act.REPLACE: lambda desk, which: desk.replace(which, reason="r"),
    Act.SCRAP: lambda desk, which: desk.scrap(which, reason="r"),
}
STATES = ("reserved", "writing", "written", "verified", "labelled", "closed", "quarantined")


@pytest.mark.parametrize("state", STATES)
def test_each_verb_does_what_the_table_says(empty, state):
    """In every state: the table's target where it has a row, refused and unchanged where not."""
    fill(empty, len(VERBS))
    desk = empty.desk(empty.authenticate("lea"))
    table = {(t.source, t.act): t.target for t in TRANSITIONS}
    for number, (act, verb) in enumerate(VERBS.items()):
        bring(empty, "labelled" if state == "quarantined" else state, number)
        if state == "quarantined":
            desk.quarantine(mac(number), reason="before")
        target = table.get((State(state), act))
        if target is not None:
            verb(desk, mac(number))
            assert state_of(empty, number) is target
        elif (state, act) == ("reserved", Act.QUARANTINE):
            verb(desk, mac(number))
            assert empty.show(mac(number)).hold is Hold.BLOCKED
            assert state_of(empty, number) == state
        else:
            assert code_of(verb, desk, mac(number)) == "ledger.illegal_act"
            assert state_of(empty, number) == state


def test_release_gives_the_token_to_the_next(ledger, desk):
    """It never was in a unit."""
    first = bring(ledger, "reserved")
    desk.release(mac(1))
    assert reserve(begin(ledger, 2)).auth == first.auth


def test_an_erased_unit_gets_the_same_token_again(ledger, desk):
    """Reinject: named, with a reason, its label void; then the ordinary way, to a new label."""
    first = bring(ledger, "closed")
    assert code_of(begin(ledger).expect, blank=True) == "ledger.unit_erased"
    begin(ledger).end(Outcome.UNIT_BAD, "ledger.unit_erased")
    assert code_of(desk.reinject, mac(1), reason="") == "ledger.reason_missing"
    desk.reinject(mac(1), reason="erased in the lab")
    assert ledger.look_up(first.auth).label is LabelState.VOID
    cycle = begin(ledger)
    cycle.expect(blank=True)
    assert run_to(cycle, "closed").auth == first.auth
    assert ledger.look_up(first.auth).label is LabelState.PRINTED
    event = next(e for e in ledger.show(mac(1)).events if e.act == "reinject")
    assert (event.operator, event.reason) == ("lea", "erased in the lab")


def test_a_replaced_token_is_never_used_again(ledger, desk):
    """The unit gets another one; the cloud has to delete and unclaim the old one."""
    first = bring(ledger, "closed")
    desk.replace(mac(1), reason="its antenna was changed")
    assert {(t.act, t.claim_tail) for t in ledger.todos()} == {
        ("delete", auth_text(0, kind="qr")[-6:]),
        ("unclaim", auth_text(0, kind="qr")[-6:]),
    }
    cycle = begin(ledger)
    cycle.expect(blank=False)
    assert cycle.standing().own is None
    second = reserve(cycle)
    assert second.auth != first.auth
    holder = ledger.look_up(first.auth)
    assert (holder.unit, holder.state, holder.live) == (unit(1), State.REPLACED, False)
    others = {reserve(begin(ledger, n)).auth.reveal() for n in range(2, 5)}
    assert first.auth.reveal() not in others


def test_a_replaced_unit_that_still_holds_the_old_token_proves_nothing(ledger, desk):
    """The old claim code must not come out again."""
    first = bring(ledger, "closed")
    desk.replace(mac(1), reason="r")
    cycle = begin(ledger)
    run_to(cycle, "written")
    assert code_of(cycle.prove, first.auth, Proof.READ_BACK) == "ledger.not_proven"


def test_a_scrapped_unit_is_never_used_again(ledger, desk):
    """Neither the unit nor its token, in whatever state it was."""
    bring(ledger, "writing")
    desk.scrap(mac(1), reason="burnt")
    cycle = begin(ledger)
    assert code_of(cycle.expect, blank=True) == "ledger.unit_scrapped"
    assert code_of(reserve, cycle) == "ledger.unit_scrapped"
    cycle.end(Outcome.UNIT_BAD)
    assert code_of(desk.clear, mac(1), reason="r") in {
        "ledger.nothing_reserved", "ledger.unit_scrapped",
    }  # fmt: skip
    assert [t.act for t in ledger.todos()] == ["delete"]


def test_a_unit_without_a_token_can_be_blocked_and_cleared(ledger, desk):
    """As after too many attempts."""
    begin(ledger).end(Outcome.UNIT_BAD, "device.no_sync")
    desk.quarantine(mac(1), reason="five attempts")
    cycle = begin(ledger)
    assert code_of(cycle.expect, blank=True) == "ledger.unit_blocked"
    assert code_of(reserve, cycle) == "ledger.unit_blocked"
    cycle.end(Outcome.UNIT_BAD, "ledger.unit_blocked")
    desk.clear(mac(1), reason="new cable")
    reserve(begin(ledger))


def test_a_revoked_pool_token_is_never_drawn(ledger, desk):
    """By the code on a label, or by the list of a lost roll."""
    desk.revoke(ClaimCode.parse("sqr_" + auth_text(0, kind="qr")), reason="roll was lost")
    assert reserve(begin(ledger)).auth == AuthToken(auth_text(1))
    assert ledger.look_up(AuthToken(auth_text(0))).revoked
    assert [(t.act, t.opened_by) for t in ledger.todos()] == [("delete", "lea")]


def test_a_revoked_token_recalls_its_unit(ledger, desk):
    """The unit stops; replace gives it a new one."""
    first = bring(ledger, "closed")
    desk.revoke(mac(1), reason="deleted in the console")
    cycle = begin(ledger)
    assert code_of(reserve, cycle) == "ledger.unit_recall"
    cycle.end(Outcome.UNIT_BAD)
    desk.replace(mac(1), reason="recall")
    assert reserve(begin(ledger)).auth != first.auth


def test_a_token_revoked_half_way_has_a_way_out(ledger, desk):
    """Written but not verified: quarantine, replace."""
    bring(ledger, "written")
    desk.revoke(mac(1), reason="r")
    desk.quarantine(mac(1), reason="r")
    desk.replace(mac(1), reason="r")
    assert not reserve(begin(ledger)).resumed


def test_a_token_revoked_while_reserved_is_taken_back(ledger, desk):
    """Nothing was written: its unit just gets another."""
    bring(ledger, "reserved")
    desk.revoke(mac(1), reason="r")
    assert ledger.show(mac(1)).hold is Hold.NONE
    assert reserve(begin(ledger)).auth == AuthToken(auth_text(1))


def test_nobody_works_on_a_unit_in_a_slot(ledger, desk):
    """Only quarantine stops a running cycle; it is refused at its next step."""
    cycle = begin(ledger)
    run_to(cycle, "writing")
    for act, verb in VERBS.items():
        if act is not Act.QUARANTINE:
            assert code_of(verb, desk, mac(1)) == "ledger.unit_busy"
    desk.quarantine(mac(1), reason="smoke")
    assert code_of(cycle.written) == "ledger.illegal_act"


def test_rebinding_moves_a_pool_token_to_the_new_module(ledger, desk):
    """The module was changed before injection: its token follows."""
    take_in(ledger, [static_token(70, bound=(mac(7),))], lot="lot-b")
    desk.rebind(mac(7), mac(8), reason="module changed")
    assert begin(ledger, 8).reserve("TMPL1", 7, "lot-b").auth == AuthToken(auth_text(70))
    assert code_of(desk.rebind, mac(8), mac(9), reason="r") == "ledger.bound_taken"
    assert code_of(desk.rebind, mac(50), mac(9), reason="r") == "ledger.nothing_bound"


def test_rebinding_moves_a_serial_number_to_another_unit(ledger, desk):
    """The board's number stays with the board, the module's MAC does not."""
    serial = Identifier("serial", "SN-1")
    begin(ledger, one=Unit(mac(1), (serial,))).end(Outcome.UNIT_BAD)
    assert code_of(begin, ledger, one=Unit(mac(2), (serial,))) == "ledger.identity_contradicts"
    desk.rebind(serial, mac(2), reason="module changed")
    assert begin(ledger, one=Unit(mac(2), (serial,))).unit == Unit(mac(2), (serial,))
    assert code_of(desk.rebind, mac(1), serial, reason="r") == "ledger.primary_stays"


def test_a_todo_is_closed_by_a_person_or_by_a_later_export(ledger, desk):
    """The export closes only deletions, and only of lots it still covers."""
    fill(ledger, 1, start=30, lot="lot-x")
    bring(ledger, "closed")
    desk.replace(mac(1), reason="r")
    desk.revoke(ClaimCode.parse("sqr_" + auth_text(30, kind="qr")), reason="r")
    later = [static_token(number) for number in range(1, 5)]
    assert desk.settle_by_export(later, product="TMPL1", source_sha256="c" * 64) == 1
    left = ledger.todos()
    assert [(t.act, t.lot) for t in left] == [("unclaim", "lot-1"), ("delete", "lot-x")]
    desk.done(left[0].number, how="unclaimed by hand")
    assert code_of(desk.done, left[0].number, how="again") == "ledger.no_todo"
    closed = {t.act: (t.closed_by, t.closed_how) for t in ledger.todos(closed=True) if t.closed_at}
    assert closed["unclaim"] == ("lea", "unclaimed by hand")
    assert closed["delete"] == ("lea", "absent from export cccccccccccc")


def test_lots_tell_what_is_left(ledger, desk):
    """Total, free, revoked."""
    bring(ledger, "closed")
    desk.revoke(ClaimCode.parse("sqr_" + auth_text(4, kind="qr")), reason="r")
    (lot,) = ledger.lots()
    assert (lot.total, lot.available, lot.revoked) == (5, 3, 1)


def test_guards_need_the_role(ledger, lead):
    """Operators release and quarantine; leads do the rest; QA does not rework."""
    admin = ledger.authenticate("root", PIN)
    people = {
        role: ledger.desk(ledger.add_person(role.value, role, PIN, by=admin))
        for role in (Role.OPERATOR, Role.QA, Role.ENGINEER)
    }
    bring(ledger, "verified")
    for desk in (people[Role.OPERATOR], people[Role.QA]):
        for act in (Act.REINJECT, Act.REPLACE, Act.SCRAP):
            assert code_of(VERBS[act], desk, mac(1)) == "ledger.not_allowed"
        assert code_of(desk.revoke, mac(1), reason="r") == "ledger.not_allowed"
        assert code_of(desk.rebind, mac(1), mac(2), reason="r") == "ledger.not_allowed"
    people[Role.OPERATOR].quarantine(mac(1), reason="r")
    people[Role.ENGINEER].clear(mac(1), reason="r")
    assert code_of(ledger.add_person, "x", Role.LEAD, PIN, by=lead) == "ledger.not_allowed"


def test_a_pin_is_asked_for_and_locks(ledger, lead):
    """Wrong, missing, too often; an admin's new PIN opens it again. The right one resets."""
    assert code_of(ledger.authenticate, "lea", None) == "ledger.wrong_pin"
    ledger.authenticate("lea", PIN)
    for _ in range(MAX_FAILURES):
        assert code_of(ledger.authenticate, "lea", Secret("0000")) == "ledger.wrong_pin"
    assert code_of(ledger.authenticate, "lea", PIN) == "ledger.pin_locked"
    admin = ledger.authenticate("root", PIN)
    ledger.add_person("lea", Role.LEAD, Secret("0815"), by=admin)
    ledger.authenticate("lea", Secret("0815"))
    assert code_of(ledger.authenticate, "nobody", PIN) == "ledger.unknown_person"


def test_somebody_who_left_may_nothing(ledger, lead):
    """Also with a login from before."""
    admin = ledger.authenticate("root", PIN)
    desk = ledger.desk(lead)
    bring(ledger, "closed")
    ledger.remove_person("lea", by=admin)
    assert code_of(desk.scrap, mac(1), reason="r") == "ledger.not_allowed"
    assert code_of(ledger.authenticate, "lea", PIN) == "ledger.unknown_person"
    assert code_of(ledger.remove_person, "root", by=admin) == "ledger.last_admin"
    assert ledger.people() == (Person("root", Role.ADMIN),)


def test_a_training_ledger_without_people_takes_a_name(ledger):
    """So that rework can be practised with at once; with people, not any more."""
    bring(ledger, "closed")
    anna = ledger.authenticate("anna")
    ledger.desk(anna).reinject(mac(1), reason="practice")
    assert code_of(ledger.authenticate, " ") == "ledger.unknown_person"
    assert code_of(ledger.add_person, "x", Role.LEAD, PIN) == "ledger.first_is_admin"
    ledger.add_person("root", Role.ADMIN, PIN)
    assert code_of(ledger.desk(anna).scrap, mac(1), reason="r") == "ledger.no_people"
    assert code_of(ledger.add_person, "y", Role.ADMIN, PIN) == "ledger.not_allowed"


def test_a_pin_is_never_shown(ledger, lead):
    """Nor kept: only its argon2 hash is."""
    assert "4711" not in repr(lead)
    assert code_of(ledger.add_person, "z", Role.LEAD, Secret("12")) == "ledger.bad_pin"


def test_a_token_made_for_a_number_that_no_station_reads_is_bound_by_hand(empty):
    """Only the token knows the serial number: `rebind` says which unit it stands on."""
    serial = Identifier("serial", "SN1")
    take_in(empty, [static_token(1, bound=(serial,))])
    desk = empty.desk(empty.authenticate("eng"))
    desk.rebind(serial, mac(1), reason="read from the housing")
    assert serial in empty.show(mac(1)).unit.identifiers
    assert reserve(begin(empty, 1)).auth.reveal() == auth_text(1)
    with pytest.raises(EolError) as refused:
        desk.rebind(Identifier("serial", "SN9"), mac(2), reason="r")
    assert refused.value.code == "ledger.nothing_bound"
