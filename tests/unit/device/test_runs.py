"""Blocks become runs of whole sectors, or nothing is written."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eol_inject.chips import SECTOR
from eol_inject.device.runs import Run, coalesce, fits
from eol_inject.errors import UnitError, UsageError


@given(st.sets(st.integers(0, 40)), st.randoms(use_true_random=False))
def test_runs_hold_every_sector_once_and_are_never_neighbours(sectors: set[int], chance) -> None:  # type: ignore[no-untyped-def]
    """Sectors in any order come out as few runs, in order, with their own bytes."""
    blocks = [(number * SECTOR, bytes([number]) * SECTOR) for number in sectors]
    chance.shuffle(blocks)
    runs = coalesce(blocks)
    written = {
        run.address + at: run.data[at : at + SECTOR]
        for run in runs
        for at in range(0, len(run.data), SECTOR)
    }
    assert written == dict(blocks)
    assert all(one.end < other.address for one, other in pairwise(runs))


@pytest.mark.parametrize(
    ("address", "size"), [(1, SECTOR), (0, 1), (0, 0), (SECTOR, SECTOR + 4), (-SECTOR, SECTOR)]
)
def test_anything_but_whole_sectors_is_refused(address: int, size: int) -> None:
    """An unaligned write would erase the rest of its sector without a word."""
    with pytest.raises(UsageError) as caught:
        coalesce([(address, bytes(size))])
    assert caught.value.code == "device.not_whole_sectors"


def test_overlapping_blocks_are_refused() -> None:
    """Which of two contents a sector gets is nobody's guess."""
    with pytest.raises(UsageError) as caught:
        coalesce([(0, bytes(2 * SECTOR)), (SECTOR, bytes(SECTOR))])
    assert caught.value.code == "device.overlap"


def test_what_ends_behind_the_flash_is_refused() -> None:
    """The unit has another module than the product."""
    fits(4 << 20, 4 << 20)
    with pytest.raises(UnitError) as caught:
        fits((4 << 20) + 1, 4 << 20)
    assert caught.value.code == "device.flash_too_small"


def test_a_run_does_not_show_its_data() -> None:
    """Its repr would land in tracebacks, and its data may hold a token."""
    assert b"secret".hex() not in repr(Run(0, b"secret"))
    assert "secret" not in repr(Run(0, b"secret"))
