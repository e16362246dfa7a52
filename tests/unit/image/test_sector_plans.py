"""The plan: exactly the sectors that differ, and the MD5 of everything else."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eol_inject.chips import SECTOR
from eol_inject.errors import UsageError
from eol_inject.image import patch, plan
from eol_inject.image.spec import BlnkoptSpec
from eol_inject.unit import AuthToken
from tests.support import firmware


def applied(golden: bytes, made: object, address: int) -> bytes:
    """Flash that held ``golden``, after the plan's sectors were written to it."""
    flash = bytearray(b"\xff" * address + golden + b"\xff" * (-len(golden) % SECTOR))
    for at, content in made.sectors:  # type: ignore[attr-defined]
        assert at % SECTOR == 0
        assert len(content) == SECTOR
        flash[at : at + SECTOR] = content
    return bytes(flash)


@given(
    size=st.integers(1, 5 * SECTOR),
    edits=st.lists(st.integers(0, 5 * SECTOR), max_size=4),
    address=st.sampled_from([0, 0x10000]),
)
def test_writing_the_plan_gives_the_patched_image(
    size: int, edits: list[int], address: int
) -> None:
    """And leaves the rest of the last sector erased; nothing is missing, nothing is extra."""
    golden = hashlib.shake_128(b"golden").digest(size)
    patched = bytearray(golden)
    for at in edits:
        patched[at % size] ^= 0x55
    made = plan(golden, bytes(patched), address)
    flash = applied(golden, made, address)
    assert flash[address : address + size] == patched
    assert set(flash[address + size :]) <= {0xFF}
    for at in made.addresses:
        inside = slice(at - address, at - address + SECTOR)
        assert golden[inside] != bytes(patched)[inside]


@given(size=st.integers(1, 6 * SECTOR), edits=st.lists(st.integers(0, 6 * SECTOR), max_size=4))
def test_sectors_and_spans_cover_every_byte_once(size: int, edits: list[int]) -> None:
    """A device whose spans have these MD5s holds the golden image wherever the plan is silent."""
    golden = bytes(size)
    patched = bytearray(golden)
    for at in edits:
        patched[at % size] ^= 1
    made = plan(golden, bytes(patched), 0x8000)
    covered = sorted(
        [(at - 0x8000, min(SECTOR, size - at + 0x8000)) for at in made.addresses]
        + [(span.address - 0x8000, span.size) for span in made.rest]
    )
    position = 0
    for at, length in covered:
        assert at == position
        position += length
    assert position == size
    for span in made.rest:
        content = golden[span.address - 0x8000 :][: span.size]
        assert span.md5 == hashlib.md5(content, usedforsecurity=False).hexdigest()


@pytest.mark.parametrize("chip", firmware.APPS)
def test_a_patch_takes_the_region_and_the_tail_only(chip: str) -> None:
    """esp.md: the region's own sectors and those with checksum and digest, nothing else."""
    golden = firmware.app(chip)
    patched = patch(golden, [BlnkoptSpec(kind="blnkopt")], AuthToken("x" * 32), {})
    (region,) = patched.regions
    wanted = {
        *range(region.offset // SECTOR, (region.offset + region.size - 1) // SECTOR + 1),
        *range((len(golden) - 33) // SECTOR, (len(golden) - 1) // SECTOR + 1),
    }
    addresses = plan(golden, patched.data, 0x10000).addresses
    assert {(at - 0x10000) // SECTOR for at in addresses} <= wanted


@pytest.mark.parametrize(
    ("golden", "patched", "address"), [(b"aa", b"aaa", 0), (b"aa", b"ab", 0x10010)]
)
def test_what_cannot_be_planned_is_refused(golden: bytes, patched: bytes, address: int) -> None:
    """Different lengths, or an address inside a sector."""
    with pytest.raises(UsageError) as caught:
        plan(golden, patched, address)
    assert caught.value.code == "image.not_plannable"
