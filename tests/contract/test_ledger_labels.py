"""Labels on every engine: on record before they are printed, one that counts, none lost."""

import sqlite3

import pytest
import sqlalchemy as sa

from eol_inject.errors import EolError
from eol_inject.events import Outcome
from eol_inject.ledger import CopyState, State, restore_ledger
from eol_inject.ledger.label_desk import Sheeted
from eol_inject.ledger.label_states import MOVES, UNIT, Draft
from eol_inject.ledger.labels import Made, others_out
from eol_inject.ledger.people import Role
from eol_inject.unit import Proof, Secret
from tests.support.ledger import KEYS, LOT, PRODUCT, begin, mac, reserve, run_to

PRINTER = "zpl://printer:9100"


def made(draft, *, printer=PRINTER, exclusive=False, **more):
    """What a station commits about a drawn label."""
    return Made(draft, printer, "claim", "aa", "bb", exclusive=exclusive, **more)


def verified(ledger, number=1, **how):
    """A cycle whose unit is verified."""
    cycle = begin(ledger, number, **how)
    run_to(cycle, "verified")
    return cycle


def code_of(call, *values, **names):
    """The code of the error that the call raises."""
    with pytest.raises(EolError) as refused:
        call(*values, **names)
    assert refused.value.hint
    return refused.value.code


def test_a_label_is_on_record_before_it_is_printed(ledger):
    """With unit, copy, printer and digests; another process sees it."""
    cycle = verified(ledger)
    one = cycle.labels.begin(made(cycle.labels.draft(UNIT)))
    (seen,) = ledger.labels(mac(1))
    assert seen == one == ledger.label(one.code)
    assert (one.state, one.copy, one.kind, one.unit) == ("intent", 1, "unit", str(mac(1).value))
    assert (one.printer, one.bitmap_digest, one.operator) == (PRINTER, "bb", "ann")
    assert one.attempt == cycle.attempt
    assert not one.came_out
    acts = [event.act for event in ledger.show(mac(1)).events]
    assert acts[-1] == "label_intent"


def test_asked_twice_it_is_one_label(ledger):
    """A lost answer makes no second label."""
    cycle = verified(ledger)
    wanted = made(cycle.labels.draft(UNIT))
    assert cycle.labels.begin(wanted) == cycle.labels.begin(wanted)
    again = cycle.labels.move(wanted.draft.code, CopyState.CONFIRMED)
    assert cycle.labels.move(wanted.draft.code, CopyState.CONFIRMED) == again
    assert len(ledger.labels(mac(1))) == 1


def test_one_copy_counts(ledger):
    """A second label of a kind is refused unless it comes instead; copies are counted."""
    cycle = verified(ledger)
    first = cycle.labels.begin(made(cycle.labels.draft(UNIT)))
    assert code_of(cycle.labels.begin, made(cycle.labels.draft(UNIT))) == "ledger.label_live"
    second = cycle.labels.begin(made(cycle.labels.draft(UNIT)), instead=True)
    assert (second.copy, cycle.labels.live(UNIT)) == (2, second)
    assert ledger.label(first.code).state is CopyState.VOID
    box = cycle.labels.begin(made(cycle.labels.draft("box")))
    assert box.copy == 1
    assert cycle.labels.live("box") == box


def test_a_copy_that_never_came_out_is_no_other_copy(ledger):
    """Only what may be in the world has to be told from the live one."""
    cycle = verified(ledger)
    first = cycle.labels.begin(made(cycle.labels.draft(UNIT)))
    cycle.labels.move(first.code, CopyState.VOID, why="not sent")
    second = cycle.labels.begin(made(cycle.labels.draft(UNIT)))
    cycle.labels.move(second.code, CopyState.CONFIRMED)
    assert not others_out(cycle.labels.all(), second)
    third = cycle.labels.begin(made(cycle.labels.draft(UNIT)), instead=True)
    assert others_out(cycle.labels.all(), third)


def test_one_label_at_a_time_a_printer(ledger):
    """The next unit's label waits until the last one was scanned, is void, or need not be."""
    first, second = verified(ledger), verified(ledger, 2, slot="B")
    one = first.labels.begin(made(first.labels.draft(UNIT), exclusive=True))
    wanted = made(second.labels.draft(UNIT), exclusive=True)
    assert code_of(second.labels.begin, wanted) == "ledger.label_waits"
    assert ledger.label_waiting(PRINTER).code == one.code
    second.labels.begin(made(second.labels.draft("box"), printer="other", exclusive=True))
    first.labels.move(one.code, CopyState.CONFIRMED)
    assert code_of(second.labels.begin, wanted) == "ledger.label_waits"
    first.labels.move(one.code, CopyState.APPLIED)
    assert ledger.label_waiting(PRINTER) is None
    two = second.labels.begin(wanted)
    second.labels.move(two.code, CopyState.CONFIRMED, settled=True)
    assert ledger.label_waiting(PRINTER) is None


WAYS = {
    "intent": (), "sent": ("sent",), "confirmed": ("confirmed",), "unknown": ("unknown",),
    "applied": ("confirmed", "applied"), "void": ("void",),
}  # fmt: skip


@pytest.mark.parametrize("source", CopyState)
def test_the_database_refuses_every_other_move(ledger, source):
    """Whoever writes past this program meets the same table."""
    cycle = verified(ledger)
    one = cycle.labels.begin(made(cycle.labels.draft(UNIT)))
    for step in WAYS[source]:
        cycle.labels.move(one.code, CopyState(step))
    move = sa.text("UPDATE label SET state=:target")
    with ledger._setup.db.engine.connect() as conn:
        for target in set(CopyState) - {source}:
            if (source, target) in MOVES:
                conn.execute(move, {"target": target.value})
            else:
                with pytest.raises(sa.exc.DBAPIError):
                    conn.execute(move, {"target": target.value})
            conn.rollback()
    for target in set(CopyState) - {source}:
        if (source, target) not in MOVES:
            assert code_of(cycle.labels.move, one.code, target) == "ledger.label_moves"


@pytest.mark.parametrize(
    "statement", ["UPDATE label SET code='X'", "UPDATE label SET copy=7", "DELETE FROM label"]
)
def test_what_a_label_is_never_changes(ledger, statement):
    """Nor does it go away."""
    cycle = verified(ledger)
    cycle.labels.begin(made(cycle.labels.draft(UNIT)))
    with ledger._setup.db.engine.connect() as conn, pytest.raises(sa.exc.DBAPIError):
        conn.execute(sa.text(statement))


def test_another_units_label_cannot_be_moved(ledger):
    """A cycle touches its own unit's labels only."""
    first, second = verified(ledger), verified(ledger, 2, slot="B")
    one = first.labels.begin(made(first.labels.draft(UNIT)))
    assert code_of(second.labels.move, one.code, CopyState.VOID) == "ledger.label_moves"
    assert code_of(second.labels.move, "QQQQQQ", CopyState.VOID) == "ledger.unknown_label"


def test_a_late_cycle_prints_no_label(ledger):
    """Its fencing number is old: nothing goes on record, so nothing goes to a printer."""
    late = verified(ledger)
    draft = late.labels.draft(UNIT)
    reserve(begin(ledger))
    assert code_of(late.labels.begin, made(draft)) == "ledger.lease_lost"
    assert ledger.labels(mac(1)) == ()


def test_rework_voids_every_copy(ledger):
    """What is stuck on a unit that is written again does not count."""
    cycle = verified(ledger)
    one = cycle.labels.begin(made(cycle.labels.draft(UNIT), exclusive=True))
    cycle.labels.move(one.code, CopyState.CONFIRMED)
    cycle.end(Outcome.RECORD_MISSING)
    ledger.desk(ledger.authenticate("lea")).reinject(mac(1), reason="erased")
    (void,) = ledger.labels(mac(1))
    assert (void.state, void.came_out) == (CopyState.VOID, True)
    assert ledger.label_waiting(PRINTER) is None


def desk_of(ledger, name="lea"):
    """Somebody at the desk of a training ledger without people."""
    return ledger.label_desk(ledger.authenticate(name))


@pytest.mark.parametrize("state", ["reserved", "writing", "written", "verified", "closed"])
def test_the_desk_gets_a_claim_code_only_of_what_was_proved(ledger, state):
    """From the stored proof; the same record that the read-back gave."""
    cycle = begin(ledger)
    reserved = run_to(cycle, state)
    if state == "verified":
        proven = cycle.prove(reserved.auth, Proof.READ_BACK)
    cycle.end(Outcome.INTERRUPTED)
    if state in {"verified", "closed"}:
        found = desk_of(ledger).proven(mac(1))
        assert found.proof is Proof.READ_BACK
        if state == "verified":
            assert found == proven
    else:
        assert code_of(desk_of(ledger).proven, mac(1)) == "ledger.not_proven"


def test_the_desk_gives_nothing_for_a_unit_that_was_stopped(ledger):
    """Quarantined, recalled or scrapped: each says why."""
    for number in (1, 2, 3):
        cycle = begin(ledger, number)
        run_to(cycle, "closed")
        cycle.end(Outcome.PASS)
    desk = ledger.desk(ledger.authenticate("lea"))
    desk.quarantine(mac(1), reason="r")
    desk.revoke(mac(2), reason="r")
    desk.scrap(mac(3), reason="r")
    codes = [code_of(desk_of(ledger).proven, mac(number)) for number in (1, 2, 3)]
    assert codes == ["ledger.not_proven", "ledger.unit_recall", "ledger.unit_scrapped"]


def test_the_desk_needs_somebody_with_the_role(ledger):
    """In a ledger with people."""
    pin = Secret("4711")
    admin = ledger.add_person("root", Role.ADMIN, pin)
    ledger.add_person("olga", Role.OPERATOR, pin, by=admin)
    cycle = verified(ledger)
    cycle.end(Outcome.RECORD_MISSING)
    olga = ledger.label_desk(ledger.authenticate("olga", pin))
    assert olga.proven(mac(1)).unit.primary == mac(1)
    from eol_inject.ledger.transitions import Who

    may_not = olga.labels(mac(1), who=Who.LEAD, act="reprint")
    assert code_of(may_not.all) == "ledger.not_allowed"


def sheet_of(ledger, desk, batch="b1"):
    """Every verified unit of the lot as one sheet."""
    units = desk.sheet_units(product=PRODUCT, lot=LOT)
    return [
        Sheeted(one, made(desk.labels(one).draft(UNIT), printer="sheet", batch=batch))
        for one in units
    ]


def test_a_sheet_is_all_or_nothing_in_the_order_of_the_tokens(ledger):
    """Verified units without a label; one that is not any more stops the whole sheet."""
    for number in (3, 1, 2):
        verified(ledger, number).end(Outcome.RECORD_MISSING)
    desk = desk_of(ledger)
    wanted = sheet_of(ledger, desk)
    assert [one.unit for one in wanted] == [mac(3), mac(1), mac(2)]
    ledger.desk(ledger.authenticate("lea")).quarantine(mac(2), reason="r")
    assert code_of(desk.begin_sheet, wanted) == "ledger.not_proven"
    assert ledger.sheet("b1") == ()
    desk.begin_sheet(wanted[:2])
    assert desk.sheet_units(product=PRODUCT, lot=LOT) == ()
    assert [one.unit for one in ledger.sheet("b1")] == [mac(3).value, mac(1).value]


@pytest.mark.parametrize("closing", [False, True])
def test_a_sheet_closes_by_scan_or_at_once(ledger, closing):
    """As the profile wants it; asked twice it changes nothing more."""
    verified(ledger).end(Outcome.RECORD_MISSING)
    desk = desk_of(ledger)
    desk.begin_sheet(sheet_of(ledger, desk))
    (one,) = desk.finish_sheet("b1", closing=closing)
    assert desk.finish_sheet("b1", closing=closing) == (one,)
    state = ledger.show(mac(1)).assignments[-1].state
    assert state is (State.CLOSED if closing else State.VERIFIED)
    if not closing:
        assert desk.close_by_scan(one.code).state is CopyState.APPLIED
        assert ledger.show(mac(1)).assignments[-1].state is State.CLOSED
    assert ledger.check(()).findings == ()


def test_a_void_copy_closes_nothing(ledger):
    """However it is scanned."""
    cycle = verified(ledger)
    one = cycle.labels.begin(made(cycle.labels.draft(UNIT)))
    cycle.labels.move(one.code, CopyState.CONFIRMED)
    cycle.labels.move(one.code, CopyState.VOID, why="torn")
    cycle.end(Outcome.RECORD_MISSING)
    assert code_of(desk_of(ledger).close_by_scan, one.code) == "ledger.label_moves"
    assert ledger.show(mac(1)).assignments[-1].state is State.VERIFIED


def test_labels_come_back_with_a_backup(opener, ledger, tmp_path, request):
    """And the next one gets a number of its own."""
    cycle = verified(ledger)
    one = cycle.labels.begin(made(cycle.labels.draft(UNIT)))
    ledger.backup(tmp_path / "backup.db")
    ledger.close()
    url = f"sqlite:///{tmp_path / 'again.db'}"
    if opener.url.startswith("postgresql"):
        url = request.getfixturevalue("server").create(f"labels{tmp_path.name[-6:]}".lower())
    restore_ledger(tmp_path / "backup.db", url, keys=KEYS, station="st1", operator="eng")
    from eol_inject.ledger import open_ledger

    with open_ledger(url, keys=KEYS, station="st1") as restored:
        assert restored.labels(mac(1)) == (one,)
        assert restored.check(()).findings == ()


def test_a_ledger_of_before_labels_is_brought_up(tmp_path):
    """An installation goes on with its ledger: tokens, units and states as they were."""
    from tests.support.ledger import again, make

    with make(tmp_path) as old:
        cycle = begin(old)
        run_to(cycle, "closed")
        cycle.end(Outcome.PASS)
    with sqlite3.connect(tmp_path / "ledger.db") as raw:
        raw.execute("DROP TABLE label")
        raw.execute("DROP INDEX person_badge")
        raw.execute("DROP INDEX attempt_slot")
        raw.execute("ALTER TABLE person DROP COLUMN badge")
        raw.execute("UPDATE schema_version SET version_num='0001'")
    raw.close()
    with again(tmp_path) as ledger:
        assert ledger.show(mac(1)).assignments[-1].state is State.CLOSED
        verified(ledger, 2).labels.begin(made(Draft("ABCDEF", 1, UNIT)))
        assert ledger.label("ABCDEF") is not None
        assert ledger.check(()).findings == ()


def test_a_check_names_a_label_that_was_tampered_with(ledger):
    """Also by a move that the guards let pass."""
    cycle = verified(ledger)
    one = cycle.labels.begin(made(cycle.labels.draft(UNIT)))
    cycle.labels.move(one.code, CopyState.CONFIRMED)
    assert ledger.check(()).findings == ()
    with ledger._setup.db.engine.connect() as conn:
        conn.execute(sa.text("UPDATE label SET state='applied'"))
        conn.commit()
    assert [found.where for found in ledger.check(()).findings] == [f"label {one.code}"]
