"""Down at once, up slowly, each slot for itself, and each rate for itself."""

from hypothesis import given
from hypothesis import strategies as st

from eol_inject.device import Rates
from eol_inject.station.pace import GOOD, Pace

RATES = st.sampled_from([115200, 230400, 460800, 921600])
FAST = Rates(921600, 921600)


def pass_units(pace: Pace, count: int = GOOD) -> None:
    """So many good units, at what the slot begins with."""
    for _ in range(count):
        pace.learn("1", pace.of("1"), passed=True)


def test_a_slot_that_stepped_down_begins_lower_and_climbs_back() -> None:
    """Ten good units a step; another slot is not touched."""
    pace = Pace(FAST)
    pace.learn("1", Rates(921600, 230400), passed=True)
    assert (pace.of("1"), pace.of("2")) == (Rates(921600, 230400), FAST)
    for wanted in (460800, 921600):
        pass_units(pace)
        assert pace.of("1") == Rates(921600, wanted)


def test_a_first_sync_that_failed_is_not_tried_with_every_unit() -> None:
    """Its rate is learnt as the other one is, and apart from it: transfers stay fast."""
    pace = Pace(FAST)
    pace.learn("1", Rates(115200, 921600), passed=False)
    assert (pace.of("1"), pace.of("2")) == (Rates(115200, 921600), FAST)
    pass_units(pace)
    assert pace.of("1") == Rates(230400, 921600)
    pace.learn("1", Rates(115200, 921600), passed=True)
    assert pace.of("1") == Rates(115200, 921600)
    for wanted in (230400, 460800, 921600):
        pass_units(pace)
        assert pace.of("1") == Rates(wanted, 921600)


def test_a_sync_held_back_by_slow_transfers_has_not_failed() -> None:
    """No sync is faster than what the wire is trusted with: that says nothing of the sync."""
    pace = Pace(FAST)
    pace.learn("1", Rates(921600, 460800), passed=True)
    pace.learn("1", Rates(460800, 460800), passed=True)
    assert pace.of("1") == Rates(921600, 460800)


def test_a_failed_unit_proves_nothing_about_a_rate() -> None:
    """It neither slows the slot down nor lets it climb."""
    pace = Pace(FAST)
    pace.learn("1", Rates(115200, 460800), passed=False)
    for _ in range(3 * GOOD):
        pace.learn("1", Rates(115200, 460800), passed=False)
    assert pace.of("1") == Rates(115200, 460800)


@given(st.lists(st.tuples(RATES, RATES, st.booleans()), max_size=60))
def test_it_never_begins_above_the_profile_or_where_it_just_failed(
    cycles: list[tuple[int, int, bool]],
) -> None:
    """Whatever happens."""
    pace = Pace(Rates(460800, 460800))
    for sync, transfer, passed in cycles:
        begun = pace.of("1")
        assert max(begun.sync, begun.transfer) <= 460800
        reached = Rates(
            min(sync, begun.sync, begun.transfer),
            min(transfer, begun.transfer),
        )
        pace.learn("1", reached, passed=passed)
        after = pace.of("1")
        if reached.transfer < begun.transfer:
            assert after.transfer == reached.transfer
        if reached.sync < min(begun.sync, begun.transfer):
            assert after.sync == reached.sync
