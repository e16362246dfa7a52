"""The lease runs on the database's time, and a clock that is set back locks nobody out."""

import pytest

from eol_inject.errors import EolError
from eol_inject.events import Outcome
from tests.support.ledger import again, begin, make, reserve


def _age(ledger, *, seconds):
    """Let the lease have been taken and renewed so many seconds earlier (negative: later)."""
    conn = ledger._setup.db.engine.connect()  # time cannot be waited for in a test
    conn.exec_driver_sql(
        "UPDATE lease SET taken = taken - ?, expires = expires - ?", (seconds, seconds)
    )
    conn.commit()
    conn.close()


def test_a_dead_station_s_unit_is_free_after_a_while(tmp_path):
    """And the dead one, should it come back, moves nothing."""
    with make(tmp_path) as ledger, again(tmp_path, station="st2") as other:
        late = begin(ledger)
        first = reserve(late)
        with pytest.raises(EolError) as busy:
            begin(other)
        assert busy.value.code == "ledger.unit_busy"
        assert 80 < busy.value.params["seconds"] <= 91
        _age(ledger, seconds=100)
        taken = begin(other)
        assert reserve(taken).auth == first.auth
        with pytest.raises(EolError) as refused:
            late.begin_writing()
        assert refused.value.code == "ledger.lease_lost"
        late.end(Outcome.STATION_BAD, "ledger.lease_lost")
        taken.begin_writing()


def test_a_slow_station_goes_on_where_nobody_took_over(tmp_path):
    """An expired lease that nobody wanted is still its own."""
    with make(tmp_path) as ledger:
        cycle = begin(ledger)
        _age(ledger, seconds=1000)
        reserve(cycle)
        with pytest.raises(EolError):
            begin(ledger, slot="B")


def test_a_sign_of_life_keeps_the_unit(tmp_path):
    """As a long write does."""
    with make(tmp_path) as ledger:
        cycle = begin(ledger)
        _age(ledger, seconds=80)
        cycle.keep()
        _age(ledger, seconds=80)
        with pytest.raises(EolError) as refused:
            begin(ledger, slot="B")
        assert refused.value.code == "ledger.unit_busy"


def test_a_clock_set_back_a_day_locks_no_unit(tmp_path):
    """A lease taken in the future says nothing."""
    with make(tmp_path) as ledger:
        reserve(begin(ledger))
        _age(ledger, seconds=-86400)
        assert reserve(begin(ledger, slot="B")).resumed
