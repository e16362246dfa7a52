"""One reader of wire and proved bytes: honest about what was changed."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eol_inject.errors import UnitError
from eol_inject.verify import ComposedReader, Where, check_seal, prove
from tests.unit.verify.building import STOCK, Wire, esp32_app, filled, flash


def md5_of(memory: bytes | bytearray, address: int, size: int) -> str:
    """As the chip would say it."""
    return hashlib.md5(memory[address : address + size], usedforsecurity=False).hexdigest()


def test_a_span_is_served_only_after_the_chip_proved_it() -> None:
    """Wrong bytes are refused with the address."""
    memory = flash({0x1000: b"abc" * 100}, 0x3000)
    span = prove(lambda a, n: md5_of(memory, a, n).upper(), 0x1000, b"abc" * 100)
    assert (span.address, span.data) == (0x1000, b"abc" * 100)
    assert "abc" not in repr(span)
    with pytest.raises(UnitError) as caught:
        prove(lambda a, n: md5_of(memory, a, n), 0x1000, b"abd" * 100)
    assert caught.value.code == "verify.md5_mismatch"
    assert caught.value.params["address"] == "0x1000"


def test_a_changed_sector_comes_from_the_wire() -> None:
    """A proved span over it would hide what was written."""
    memory = flash({}, 0x4000)
    span = prove(lambda a, n: md5_of(memory, a, n), 0x1000, b"\xff" * 0x2000)
    with pytest.raises(ValueError, match="0x2000 was changed"):
        ComposedReader(Wire(memory), [span], changed=[(0x2000, 0x1000)])
    with pytest.raises(ValueError, match="overlap"):
        ComposedReader(Wire(memory), [span, span], changed=[])


@given(
    st.lists(st.tuples(st.integers(0, 900), st.integers(1, 100)), max_size=4),
    st.integers(0, 999),
    st.integers(0, 200),
)
def test_it_reads_what_the_flash_holds(
    spans: list[tuple[int, int]], address: int, size: int
) -> None:
    """Whatever is proved, wherever the read begins."""
    memory = bytes(i * 7 % 256 for i in range(1200))
    free, kept = 0, []
    for start, length in sorted(spans):
        if start >= free:
            kept.append(prove(lambda a, n: md5_of(memory, a, n), start, memory[start:][:length]))
            free = start + length
    wire = Wire(memory)
    reader = ComposedReader(wire, kept, changed=[])
    assert reader(address, size) == memory[address : address + size]
    covered = sum(max(0, min(s.end, address + size) - max(s.address, address)) for s in kept)
    assert reader.wire_bytes == wire.bytes == size - covered


def test_a_seal_is_checked_with_the_changed_sectors_only_on_the_wire() -> None:
    """Region and tail sector; everything between them stands by the chip's word."""
    golden, _ = esp32_app(STOCK, before=0x120)
    patched, hint = esp32_app(filled(), before=0x120)
    memory = flash({0x10000: patched}, 0x20000)
    size = len(golden)
    changed = [
        (0x10000 + at, 0x1000)
        for at in range(0, size, 0x1000)
        if golden[at : at + 0x1000] != patched[at : at + 0x1000]
    ]
    kept = [
        prove(lambda a, n: md5_of(memory, a, n), 0x10000 + at, golden[at : at + 0x1000])
        for at in range(0, size, 0x1000)
        if golden[at : at + 0x1000] == patched[at : at + 0x1000]
    ]
    where = Where("esp32", 0x10000, 0x8000, "blnkopt", hint, len(STOCK), 5)
    reader = ComposedReader(Wire(memory), kept, changed=changed)
    assert check_seal(reader, 0x10000, where, end=len(memory)).ok
    memory[0x10000 + hint + 40] ^= 1
    assert not check_seal(reader, 0x10000, where, end=len(memory)).ok
