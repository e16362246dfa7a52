"""Down at once, up slowly, and each slot for itself."""

from hypothesis import given
from hypothesis import strategies as st

from eol_inject.station.pace import GOOD, Pace

RATES = st.sampled_from([115200, 230400, 460800, 921600])


def test_a_slot_that_stepped_down_begins_lower_and_climbs_back():
    """Ten good units a step; another slot is not touched."""
    pace = Pace(921600)
    pace.learn("1", 230400, passed=True)
    assert (pace.of("1"), pace.of("2")) == (230400, 921600)
    for wanted in (460800, 921600):
        for _ in range(GOOD):
            pace.learn("1", pace.of("1"), passed=True)
        assert pace.of("1") == wanted


def test_a_failed_unit_proves_nothing_about_a_rate():
    """It neither slows the slot down nor lets it climb."""
    pace = Pace(921600)
    pace.learn("1", 460800, passed=False)
    for _ in range(3 * GOOD):
        pace.learn("1", 460800, passed=False)
    assert pace.of("1") == 460800


@given(st.lists(st.tuples(RATES, st.booleans()), max_size=60))
def test_it_never_begins_above_the_profile_or_where_it_just_failed(cycles):
    """Whatever happens."""
    pace = Pace(460800)
    for reached, passed in cycles:
        begun = pace.of("1")
        assert begun <= 460800
        pace.learn("1", min(reached, begun), passed=passed)
        if reached < begun:
            assert pace.of("1") == reached
