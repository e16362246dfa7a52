"""Two that believe they hold one unit, and a unit that somebody stops in mid-cycle."""

from dataclasses import replace

import pytest
import sqlalchemy as sa

from eol_inject.errors import EolError
from eol_inject.events import Outcome
from eol_inject.ledger import CycleFacts, Hold, State
from eol_inject.unit import Proof
from tests.support.ledger import LOT, ORGANIZATION, PRODUCT, begin, mac, reserve, run_to, unit


def code_of(call, *values, **names):
    """The code of the error that the call raises."""
    with pytest.raises(EolError) as refused:
        call(*values, **names)
    assert refused.value.hint
    return refused.value.code


def at(ledger, port, *, slot="1", role="self"):
    """A cycle of unit 1 behind ``port``; slots are called alike by default, as ``run`` does."""
    facts = CycleFacts(port=port)
    return ledger.begin_cycle(unit(1), slot=slot, operator="ann", traceability=facts, role=role)


def late(ledger):
    """Every lease is over: 100 s went by without a sign of life."""
    with ledger._setup.db.engine.begin() as conn:  # time cannot be waited for in a test
        conn.exec_driver_sql("UPDATE lease SET taken = taken - 100, expires = expires - 100")


def test_another_port_is_another_slot(opener, ledger):
    """Two programs on one computer call both their slots 1: the second must wait."""
    with opener() as other:
        reserve(at(ledger, "/dev/ttyUSB0"))
        assert code_of(at, other, "/dev/ttyUSB1") == "ledger.unit_busy"


def test_the_same_port_takes_over_at_once(opener, ledger):
    """What a URL asks of a simulated unit after the question mark is no other port."""
    first = at(ledger, "sim://a?fault=none")
    given = reserve(first).auth
    with opener() as other:
        assert reserve(at(other, "sim://a")).auth == given
    assert code_of(first.begin_writing) == "ledger.lease_lost"


def test_copies_of_a_simulated_unit_are_at_two_ports(opener, ledger):
    """They differ in what follows the question mark."""
    reserve(at(ledger, "sim://esp32c3?mac=60:55:f9:00:00:01&id=a"))
    with opener() as other:
        copy = "sim://esp32c3?mac=60:55:f9:00:00:01&id=b"
        assert code_of(at, other, copy) == "ledger.unit_busy"
        reserve(at(other, "sim://esp32c3?id=a&mac=60:55:f9:00:00:01&fault=none"))


def test_a_unit_that_ended_is_free_for_any_port(ledger):
    """The lease is over with the cycle."""
    at(ledger, "a").end(Outcome.STATION_BAD, "x")
    reserve(at(ledger, "b"))


def test_writing_begins_with_a_whole_lease(opener, ledger):
    """However much of it was used up by then."""
    cycle = at(ledger, "a")
    reserve(cycle)
    with ledger._setup.db.engine.begin() as conn:
        conn.exec_driver_sql("UPDATE lease SET taken = taken - 25, expires = expires - 25")
    cycle.begin_writing()
    with opener() as other, pytest.raises(EolError) as busy:
        at(other, "b")
    assert busy.value.params["seconds"] > 85


def test_a_cycle_that_loses_its_lease_while_writing_blocks_the_unit(opener, ledger):
    """Two units may hold the token: neither is finished before somebody looked."""
    first = at(ledger, "a")
    reserve(first)
    first.begin_writing()
    late(ledger)
    with opener("st2") as other:
        second = at(other, "b")
        reserve(second)
        second.begin_writing()
        assert code_of(first.written) == "ledger.lease_lost"
        first.end(Outcome.STATION_BAD, "ledger.lease_lost")
        record = other.show(mac(1))
        assert record.hold is Hold.BLOCKED
        assert "two units" in record.reason
        assert [one.act for one in record.events].count("lease_lost") == 1
        assert code_of(second.written) == "ledger.unit_blocked"
        second.end(Outcome.UNIT_BAD, "ledger.unit_blocked")
        assert code_of(reserve, at(other, "b")) == "ledger.unit_blocked"


def test_a_cycle_that_wrote_nothing_blocks_nobody(opener, ledger):
    """It came late, and left the unit as it was; so does one that proved what it wrote."""
    first = at(ledger, "a")
    given = reserve(first)
    late(ledger)
    second = at(ledger, "b")
    first.end(Outcome.STATION_BAD, "ledger.lease_lost")
    reserve(second)
    second.begin_writing()
    second.written()
    second.prove(given.auth, Proof.READ_BACK)
    late(ledger)
    third = at(ledger, "c")
    second.end(Outcome.STATION_BAD, "ledger.lease_lost")
    third.labelled()
    assert ledger.show(mac(1)).hold is Hold.NONE


@pytest.mark.parametrize("reached", ["reserved", "writing", "written", "verified", "labelled"])
def test_a_unit_recalled_in_mid_cycle_goes_no_further(ledger, reached):
    """Its token was revoked while it was in the slot: no label, not closed."""
    cycle = begin(ledger)
    given = run_to(cycle, reached)
    desk = ledger.desk(ledger.authenticate("eng"))
    desk.quarantine(mac(1), reason="burnt") if reached == "reserved" else desk.revoke(
        mac(1), reason="leaked"
    )
    code = "ledger.unit_blocked" if reached == "reserved" else "ledger.unit_recall"
    for verb in (
        cycle.begin_writing, cycle.written, lambda: cycle.prove(given.auth, Proof.READ_BACK),
        cycle.labelled, cycle.close,
    ):  # fmt: skip
        assert code_of(verb) == code
    (found,) = ledger.show(mac(1)).assignments
    assert found.state == reached
    cycle.end(Outcome.UNIT_BAD, code)


def test_a_stopped_unit_can_still_be_quarantined_by_its_cycle(ledger):
    """A fault that the station found is on record whatever else is wrong with the unit."""
    cycle = begin(ledger)
    run_to(cycle, "writing")
    ledger.desk(ledger.authenticate("eng")).revoke(mac(1), reason="leaked")
    cycle.quarantine("md5")
    (found,) = ledger.show(mac(1)).assignments
    assert found.state is State.QUARANTINED


def test_a_role_is_said_once(ledger):
    """Every verb of the cycle is about the token of that role."""
    cycle = at(ledger, "a", role="main")
    run_to(cycle, "closed")
    cycle.end(Outcome.PASS)
    (found,) = ledger.show(mac(1)).assignments
    assert found.role == "main"
    again = at(ledger, "a", role="main")
    assert again.standing().state is State.CLOSED
    assert code_of(again.expect, blank=False) == "ledger.unit_closed"
    again.quarantine("odd")
    again.clear_blank("blank again")
    assert again.standing().state is State.WRITING


def test_an_attempt_without_a_cycle_still_names_its_unit(ledger):
    """A unit that is busy elsewhere was identified: its attempt must say which one it was."""
    facts = CycleFacts(port="b", unit=str(mac(1)))
    attempt = ledger.record_attempt_without_unit(
        slot="2", operator="ann", traceability=facts, outcome=Outcome.STATION_BAD,
        code="ledger.unit_busy",
    )  # fmt: skip
    with ledger._setup.db.engine.connect() as conn:
        text = conn.execute(
            sa.text("SELECT facts FROM attempt WHERE id = :a"), {"a": attempt}
        ).scalar()
    assert str(mac(1)) in text
    cycle = ledger.begin_cycle(
        unit(1), slot="2", operator="ann", traceability=replace(facts, port="c")
    )
    cycle.reserve(PRODUCT, ORGANIZATION, LOT)
    assert ledger.show(mac(1)).attempts[-1].facts.unit == str(mac(1))
