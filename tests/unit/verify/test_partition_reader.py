"""Partition table and otadata, read as the second-stage bootloader reads them."""

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eol_inject.errors import UnitError
from eol_inject.verify import otadata, partitions
from eol_inject.verify.flash import Flash
from tests.unit.verify.building import FLASH, ROWS, Wire, flash, ota_record, table

FACTORY = (0, 0, 0x290000, 0x100000, "factory")
TEST_APP = (0, 0x20, 0x390000, 0x10000, "test")


def parse(data: bytes) -> tuple[partitions.Partition, ...] | None:
    """At the usual address, on 4 MB."""
    return partitions.parse_table(data, address=0x8000, flash_size=FLASH)


def test_the_shipped_rows_are_read() -> None:
    """Label, type, subtype, address, size."""
    rows = parse(table(ROWS))
    assert rows is not None
    assert [(r.type, r.subtype, r.address, r.size, r.label) for r in rows] == ROWS


def test_a_table_without_md5_is_read_too() -> None:
    """Old bootloaders wrote none."""
    assert parse(table(ROWS, md5=False)) == parse(table(ROWS))


def test_a_partition_may_end_with_the_flash() -> None:
    """And begin where another ends."""
    rows = [(0, 0, 0x10000, 0x3F0000 - 0x10000, "app"), (1, 2, 0x3F0000, 0x10000, "nvs")]
    found = parse(table(rows))
    assert found is not None
    assert found[1].end == FLASH


def test_erased_flash_is_no_table() -> None:
    """A blank module."""
    assert parse(b"\xff" * 0xC00) is None


def test_only_the_beginning_is_read_where_the_table_is_short() -> None:
    """512 bytes hold 14 rows and the MD5."""
    wire = Wire(flash({0x8000: table(ROWS)}))
    assert partitions.read_table(Flash(wire, FLASH), 0x8000) == parse(table(ROWS))
    assert wire.bytes == 512


def test_a_long_table_is_read_to_its_end() -> None:
    """Twenty rows do not fit into the first read."""
    rows = [(1, 6, 0x10000 + 0x1000 * i, 0x1000, f"data{i}") for i in range(20)]
    wire = Wire(flash({0x8000: table(rows)}))
    found = partitions.read_table(Flash(wire, FLASH), 0x8000)
    assert found is not None
    assert len(found) == 20
    assert wire.bytes == 0xC00


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (table(ROWS)[:4] + b"\x01" + table(ROWS)[5:], "its MD5 does not match"),
        (b"\x55" + table(ROWS)[1:], "entry 0 has no magic number"),
        (table(ROWS)[:160] * 24, "it has two MD5 entries"),
        (table([(1, 6, 0x10000, 0x1000, "x")] * 96, md5=False)[:0xC00], "it has no end"),
        (table([(0, 0, 0x3F0000, 0x20000, "app")]), "'app' ends at 0x410000, behind the flash"),
        (table([(0, 0, 0x10010, 0x20000, "app")]), "'app' does not begin on a sector"),
        (
            table([(0, 0, 0x10000, 0x20000, "app"), (1, 2, 0x20000, 0x5000, "nvs")]),
            "'app' and 'nvs' overlap",
        ),
    ],
)
def test_a_damaged_table_has_its_own_code(data: bytes, why: str) -> None:
    """What the bootloader refuses, and overlaps."""
    with pytest.raises(UnitError) as caught:
        parse(data)
    assert (caught.value.code, caught.value.params["why"]) == ("verify.table_corrupt", why)


def test_an_encrypted_table_is_recognised() -> None:
    """Even spread of byte values."""
    import random

    with pytest.raises(UnitError, match="encrypted"):
        parse(random.Random(3).randbytes(0xC00))


@given(st.integers(0, 0xBFF), st.binary(min_size=1, max_size=40))
@settings(max_examples=500)
def test_mutated_tables_end_in_a_result_or_a_clear_error(at: int, garbage: bytes) -> None:
    """A whole table with its MD5 is the right one; the bootloader too takes one cut short."""
    data = bytearray(table(ROWS))
    data[at : at + len(garbage)] = garbage
    with contextlib.suppress(UnitError):
        rows = parse(bytes(data))
        whole = rows is not None and len(rows) == len(ROWS) and table(ROWS)[128:160] in data
        assert not whole or rows == parse(table(ROWS))


def order(
    rows: list[tuple[int, int, int, int, str]], first: bytes = b"", second: bytes = b""
) -> list[str]:
    """Labels in the order the bootloader tries them."""
    parts = {0x8000: table(rows), 0xE000: first, 0xF000: second}
    memory = Flash(Wire(flash(parts)), FLASH)
    found = partitions.read_table(memory, 0x8000) or ()
    return [row.label for row in otadata.boot_order(found, otadata.read_records(memory, found))]


def test_without_otadata_the_factory_application_starts() -> None:
    """And the slots are tried behind it."""
    rows = [row for row in [*ROWS, FACTORY] if row[4] != "otadata"]
    assert order(rows) == ["factory", "ota_0", "ota_1"]


def test_erased_otadata_starts_factory_or_else_the_first_slot() -> None:
    """As a freshly flashed unit does."""
    assert order([*ROWS, FACTORY]) == ["factory", "ota_0", "ota_1"]
    assert order(ROWS) == ["ota_0", "ota_1"]


def test_the_greater_valid_sequence_wins() -> None:
    """(sequence - 1) modulo the number of slots."""
    assert order(ROWS, ota_record(1), ota_record(2)) == ["ota_1", "ota_0"]
    assert order(ROWS, ota_record(3), ota_record(2)) == ["ota_0", "ota_1"]
    assert order([*ROWS, FACTORY, TEST_APP], ota_record(5), ota_record(6)) == [
        "ota_1", "ota_0", "factory", "test",
    ]  # fmt: skip


def test_of_three_slots_the_sequence_takes_the_right_one() -> None:
    """Sequence 5 is the second one, and its fallbacks go down before they go up."""
    rows = [*ROWS, (0, 0x12, 0x290000, 0x10000, "ota_2")]
    assert order(rows, ota_record(5)) == ["ota_1", "ota_0", "ota_2"]
    assert order(rows, ota_record(6)) == ["ota_2", "ota_1", "ota_0"]


def test_sixteen_slots_are_counted() -> None:
    """The most there can be."""
    rows = [(0, 0x10 + i, 0x10000 * (i + 1), 0x10000, f"ota_{i}") for i in range(16)]
    rows.append((1, 0, 0x200000, 0x2000, "otadata"))
    memory = flash({0x8000: table(rows), 0x200000: ota_record(16)})
    found = partitions.read_table(Flash(Wire(memory), FLASH), 0x8000) or ()
    records = otadata.read_records(Flash(Wire(memory), FLASH), found)
    assert otadata.boot_order(found, records)[0].label == "ota_15"


def test_otadata_without_slots_or_too_small_starts_the_factory_application() -> None:
    """The bootloader does not divide by no slots, and wants two sectors."""
    assert order([ROWS[1], FACTORY], ota_record(2), ota_record(3)) == ["factory"]
    small = [(1, 0, 0xE000, 0x1000, "otadata"), ROWS[2], ROWS[3], FACTORY]
    assert order(small, ota_record(2)) == ["factory", "ota_0", "ota_1"]


@pytest.mark.parametrize("state", [3, 4])
def test_a_record_given_up_does_not_count(state: int) -> None:
    """INVALID and ABORTED."""
    assert order(ROWS, ota_record(1), ota_record(2, state)) == ["ota_0", "ota_1"]


def test_a_record_with_a_wrong_crc_does_not_count() -> None:
    """The CRC is over the sequence alone."""
    wrong = ota_record(2)[:28] + b"\0\0\0\0"
    assert order(ROWS, ota_record(1), wrong) == ["ota_0", "ota_1"]
    assert order([*ROWS, FACTORY], wrong, wrong) == ["factory", "ota_0", "ota_1"]


def test_a_gap_between_slots_counts_as_the_bootloader_counts() -> None:
    """It counts slots, then takes them by number: one behind the gap is never tried."""
    rows = [(0, 0x10, 0x10000, 0x10000, "ota_0"), (0, 0x12, 0x20000, 0x10000, "ota_2"), ROWS[1]]
    assert order(rows, ota_record(1)) == ["ota_0"]
