"""The NVS reader against Espressif's own generator, and against what power cuts leave."""

import struct
import zlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eol_inject.verify import nvs as reader
from eol_inject.verify.flash import Flash
from tests.unit.verify.building import TOKEN, Wire, config, flash, nvs

_TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=200)
_KEY = st.text("abcdefghijklmnopqrstuvwxyz0123456789_", min_size=1, max_size=15)

INTEGERS = {
    "u8": 200, "u16": 60_000, "u32": 4_000_000_000, "u64": 2**64 - 2,
    "i8": -100, "i16": -30_000, "i32": -2_000_000_000, "i64": -(2**63) + 1,
}  # fmt: skip
"""One of each width, beyond what a narrower one holds."""

ENTRY = 32


def entry(
    namespace: int, kind: int, key: str, data: bytes, *, chunk: int = 0xFF, inline: bool = True
) -> bytes:
    """One written entry with its data, by the sheet."""
    if inline:
        field, body = data.ljust(8, b"\xff"), b""
    else:
        field = struct.pack("<HHI", len(data), 0xFFFF, zlib.crc32(data, 0xFFFFFFFF))
        body = data.ljust(-(-len(data) // ENTRY) * ENTRY, b"\xff")
    head = struct.pack("<BBBB", namespace, kind, 1 + len(body) // ENTRY, chunk)
    name = key.encode().ljust(16, b"\0")
    crc = struct.pack("<I", zlib.crc32(head + name + field, 0xFFFFFFFF))
    return head + crc + name + field + body


def page(
    entries: list[bytes],
    *,
    sequence: int = 0,
    state: int = 0xFFFFFFFE,
    erased: tuple[int, ...] = (),
) -> bytes:
    """A page with these entries; ``erased`` are indexes into ``entries`` that were erased."""
    bits = (1 << 256) - 1
    at = 0
    for number, raw in enumerate(entries):
        for slot in range(at, at + len(raw) // ENTRY):
            bits &= ~((0b11 if number in erased else 0b01) << (2 * slot))
        at += len(raw) // ENTRY
    middle = struct.pack("<IB", sequence, 0xFE) + b"\xff" * 19
    head = struct.pack("<I", state) + middle + struct.pack("<I", zlib.crc32(middle, 0xFFFFFFFF))
    return (head + bits.to_bytes(32, "little") + b"".join(entries)).ljust(4096, b"\xff")


NAMESPACE = entry(0, 0x01, "blynk", b"\x01")


def string(text: str, key: str = "auth") -> bytes:
    """A string entry of namespace 1."""
    return entry(1, 0x21, key, text.encode() + b"\0", inline=False)


@pytest.mark.parametrize("version", [1, 2])
def test_strings_integers_and_blobs_of_both_versions_are_read(version: int) -> None:
    """What the generator wrote, value for value."""
    data = nvs(
        {
            "blynk": [("auth", "string", TOKEN), ("config", "blob", config())],
            "phy": [("cal", "u32", "4242"), ("low", "i8", "-7"), ("big", "u64", str(2**63))],
            "more": [(kind, kind, str(value)) for kind, value in INTEGERS.items()],
        },
        version=version,
    )
    found = reader.parse(data)
    assert found.namespaces == ("blynk", "more", "phy")
    assert {kind: found.integer("more", kind) for kind in INTEGERS} == INTEGERS
    assert found.keys("blynk") == ("auth", "config")
    assert found.string("blynk", "auth") == TOKEN.encode()
    assert found.blob("blynk", "config") == config()
    assert [found.integer("phy", key) for key in ("cal", "low", "big")] == [4242, -7, 2**63]
    assert found.string("blynk", "nothing") is None
    assert found.blob("nowhere", "config") is None
    assert TOKEN not in repr(found)


def test_a_blob_over_several_pages_is_put_together() -> None:
    """Version 2 cuts it into chunks."""
    blob = bytes(range(256)) * 36
    found = reader.parse(nvs({"blynk": [("config", "blob", blob)]}, size=0x6000))
    assert found.blob("blynk", "config") == blob
    assert found.pages > 1


@given(
    st.dictionaries(
        _KEY,
        st.lists(st.tuples(_KEY, _TEXT), min_size=1, max_size=6, unique_by=lambda pair: pair[0]),
        min_size=1,
        max_size=4,
    ),
    st.sampled_from([1, 2]),
)
@settings(max_examples=40)
def test_whatever_the_generator_writes_is_read_back(
    namespaces: dict[str, list[tuple[str, str]]], version: int
) -> None:
    """Strings in any namespace under any key."""
    wanted = {ns: [(k, "string", v) for k, v in pairs] for ns, pairs in namespaces.items()}
    found = reader.parse(nvs(wanted, version=version))
    assert found.namespaces == tuple(sorted(namespaces))
    for namespace, pairs in namespaces.items():
        for key, text in pairs:
            assert found.string(namespace, key) == text.encode()


def test_the_newest_entry_wins() -> None:
    """A power cut between writing the new one and erasing the old one leaves both."""
    found = reader.parse(page([NAMESPACE, string("old"), string("new")]))
    assert found.string("blynk", "auth") == b"new"
    later = page([NAMESPACE, string("newer")], sequence=7)
    assert reader.parse(later + page([string("old")], sequence=6)).string("blynk", "auth") == (
        b"newer"
    )


def test_an_erased_entry_does_not_count() -> None:
    """Its bytes still stand there; the bitmap says that they are gone."""
    found = reader.parse(page([NAMESPACE, string("old"), string("gone")], erased=(2,)))
    assert found.string("blynk", "auth") == b"old"


def test_a_half_written_entry_does_not_count() -> None:
    """Header written, data not all marked: the loader erases it, so the old one stands."""
    whole = page([NAMESPACE, string("old"), string("half-written-half-written-half-written")])
    data = bytearray(whole)
    data[32:64] = page([NAMESPACE, string("old"), string("x")[:32]])[32:64]
    assert reader.parse(bytes(data)).string("blynk", "auth") == b"old"


def test_written_marks_behind_the_first_empty_entry_do_not_count() -> None:
    """On the active page they are the rest of a write that lost its power; a full one has none."""
    items = [NAMESPACE, string("old"), entry(1, 0x01, "x", b"\x05"), string("lost")]
    for state, wanted in ((0xFFFFFFFE, b"old"), (0xFFFFFFFC, b"lost")):
        data = bytearray(page(items, state=state))
        data[32] |= 0b11 << 6  # the third item looks empty
        assert reader.parse(bytes(data)).string("blynk", "auth") == wanted


@pytest.mark.parametrize("span", [0, 2, 126, 255])
def test_an_entry_of_impossible_span_is_left_out(span: int) -> None:
    """Its own CRC holds, but its data would lie elsewhere or nowhere; the next one stands."""
    raw = bytearray(string("bad-bad-bad-bad-bad-bad-bad-bad-bad-bad", "host"))
    raw[2] = span
    raw[4:8] = struct.pack("<I", zlib.crc32(bytes(raw[:4] + raw[8:32]), 0xFFFFFFFF))
    found = reader.parse(page([NAMESPACE, bytes(raw), string("good")], state=0xFFFFFFFC))
    assert found.string("blynk", "host") is None
    assert found.string("blynk", "auth") == b"good"


def test_a_page_may_be_full_to_its_last_entry() -> None:
    """126 of them; a longest key has 15 characters."""
    numbers = [entry(1, 0x01, f"key-number-{i:04}", bytes([i])) for i in range(125)]
    found = reader.parse(page([NAMESPACE, *numbers], state=0xFFFFFFFC))
    assert [found.integer("blynk", f"key-number-{i:04}") for i in range(125)] == list(range(125))


def test_a_damaged_entry_is_left_out_and_the_others_stand() -> None:
    """CRCs of header and of data are both checked."""
    data = bytearray(page([NAMESPACE, string("good"), string("bad", "host")]))
    data[64 + 4 * 32] ^= 1
    found = reader.parse(bytes(data))
    assert (found.string("blynk", "auth"), found.string("blynk", "host")) == (b"good", None)
    assert not found.encrypted


@pytest.mark.parametrize("state", [0xFFFFFFFE, 0xFFFFFFFC, 0xFFFFFFF8])
def test_active_full_and_freeing_pages_count(state: int) -> None:
    """A freeing page was not copied to its end."""
    found = reader.parse(page([NAMESPACE, string("here")], state=state))
    assert found.string("blynk", "auth") == b"here"


@pytest.mark.parametrize("state", [0, 0xFFFFFFFF, 0xFFFFFFFA])
def test_other_pages_do_not(state: int) -> None:
    """Corrupt, empty, and states nobody defined: the loader erases such a page."""
    assert reader.parse(page([NAMESPACE, string("there")], state=state)).namespaces == ()


def test_a_page_whose_header_is_damaged_does_not_count() -> None:
    """The header has its own CRC."""
    data = bytearray(page([NAMESPACE, string("there")]))
    data[5] ^= 1
    assert reader.parse(bytes(data)).pages == 0


def test_an_unknown_version_is_told() -> None:
    """The firmware refuses such a partition."""
    data = bytearray(page([NAMESPACE, string("there")]))
    data[8] = 0xFD
    data[28:32] = struct.pack("<I", zlib.crc32(bytes(data[4:28]), 0xFFFFFFFF))
    found = reader.parse(bytes(data))
    assert (found.torn, found.namespaces) == (True, ())


def index(size: int, count: int, first: int) -> bytes:
    """A blob's index entry."""
    return entry(1, 0x48, "config", struct.pack("<IBB", size, count, first))


def chunk(data: bytes, number: int) -> bytes:
    """A blob's data entry."""
    return entry(1, 0x42, "config", data, chunk=number, inline=False)


def test_the_newest_version_of_a_blob_wins() -> None:
    """A second version begins at chunk 0x80; after a power cut both may be there."""
    old = [chunk(b"old" * 20, 0), index(60, 1, 0)]
    new = [chunk(b"new" * 20, 0x80), index(60, 1, 0x80)]
    assert reader.parse(page([NAMESPACE, *old, *new])).blob("blynk", "config") == b"new" * 20
    assert reader.parse(page([NAMESPACE, *old, new[0]])).blob("blynk", "config") == b"old" * 20


def test_a_blob_with_a_chunk_missing_is_no_blob() -> None:
    """The firmware drops it."""
    found = reader.parse(page([NAMESPACE, chunk(b"one" * 20, 0), index(120, 2, 0)]))
    assert found.blob("blynk", "config") is None
    wrong = reader.parse(page([NAMESPACE, chunk(b"one" * 20, 0), index(61, 1, 0)]))
    assert wrong.blob("blynk", "config") is None


def test_encrypted_pages_are_recognised() -> None:
    """Header and bitmap are plain, no entry's CRC holds."""
    import random

    data = bytearray(page([NAMESPACE, string("there")]))
    data[64 : 64 + 96] = random.Random(1).randbytes(96)
    found = reader.parse(bytes(data))
    assert (found.encrypted, found.namespaces) == (True, ())
    assert not reader.parse(page([])).encrypted


def test_only_what_is_in_use_is_read() -> None:
    """A serial line is slow: 64 bytes of an empty page, entries of the others."""
    data = nvs({"blynk": [("auth", "string", TOKEN)]})
    wire = Wire(flash({0x9000: data}, 0x10000))
    found = reader.read_partition(Flash(wire, 0x10000), 0x9000, len(data))
    assert found.string("blynk", "auth") == TOKEN.encode()
    assert wire.bytes <= 5 * 64 + 4 * 32


@given(
    st.integers(0, 4095),
    st.binary(min_size=1, max_size=64),
    st.sampled_from([1, 2]),
)
@settings(max_examples=500, suppress_health_check=[HealthCheck.too_slow])
def test_mutated_pages_end_in_a_result(at: int, garbage: bytes, version: int) -> None:
    """A value is right or not there; damage never turns it into another one."""
    data = bytearray(_sample(version))
    data[at : at + len(garbage)] = garbage
    found = reader.parse(bytes(data[: len(_sample(version))]))
    assert found.string("blynk", "auth") in {TOKEN.encode(), None}
    assert found.blob("blynk", "config") in {config(), None}
    found.integer("phy", "cal")


@given(st.binary(max_size=9000))
@settings(max_examples=100)
def test_any_bytes_end_in_a_result(data: bytes) -> None:
    """Any length too; what is not a whole page is left out."""
    found = reader.parse(data)
    assert found.pages <= len(data) // 4096


_SAMPLES: dict[int, bytes] = {}


def _sample(version: int) -> bytes:
    if version not in _SAMPLES:
        entries = [("auth", "string", TOKEN), ("config", "blob", config())]
        _SAMPLES[version] = nvs({"blynk": entries, "phy": [("cal", "u32", "1")]}, version=version)
    return _SAMPLES[version]
