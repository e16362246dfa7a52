"""Which attempts in a row say that a slot, or a unit, is bad."""

import pytest

from eol_inject.ledger import Tried
from eol_inject.station.limits import GOOD, slot_failure, unit_failures

SYNC, MD5 = "device.no_sync", "device.md5_mismatch"


def tried(*attempts: tuple[int | None, str]) -> list[Tried]:
    """Newest first; an empty code is a pass."""
    return [Tried(unit, "unit_bad" if code else "pass", code) for unit, code in attempts]


@pytest.mark.parametrize(
    ("attempts", "found"),
    [
        ([(1, MD5), (2, MD5), (3, MD5)], MD5),
        ([(None, SYNC), (None, SYNC), (None, SYNC)], SYNC),
        ([(1, MD5), (2, MD5)], ""),
        ([(1, MD5), (2, SYNC), (3, MD5)], ""),
        ([(1, MD5), (1, MD5), (1, MD5)], ""),
        ([(1, MD5), (2, ""), (3, MD5), (4, MD5)], ""),
        ([(1, MD5), (2, MD5), (9, GOOD), (3, MD5)], ""),
        ([(1, MD5), (2, "ledger.pool_empty"), (3, MD5), (4, MD5)], MD5),
        ([(1, MD5), (2, "verify.holds_other_unit"), (3, MD5), (4, MD5)], MD5),
        ([], ""),
    ],
)
def test_units_in_a_row_that_fail_alike_tell_of_the_slot(attempts, found):
    """Three different units, one code, no pass and no known good unit in between."""
    assert slot_failure(tried(*attempts), 3) == found


def test_a_units_failures_count_until_it_passed():
    """What the station lacked, or what the unit held, is no failure of the unit."""
    assert (
        unit_failures(tried((1, MD5), (1, "ledger.pool_empty"), (1, SYNC), (1, ""), (1, MD5))) == 2
    )
