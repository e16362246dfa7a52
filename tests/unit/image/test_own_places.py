"""Regions with a memory of their own: records, NVS partitions, EEPROM."""

import contextlib
import io
import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from intelhex import IntelHex
from pydantic import ValidationError

from eol_inject.chips import SECTOR
from eol_inject.errors import UsageError
from eol_inject.image import Golden, nvs
from eol_inject.image.nvs import Item
from eol_inject.image.spec import (
    AnyRegionSpec,
    BlnkoptSpec,
    EepromSpec,
    LayoutField,
    NvsEntry,
    NvsSpec,
    RecordSpec,
)
from eol_inject.unit import AuthToken, Secret
from tests.support import firmware

AUTH = AuthToken("o" * 32)
BLANK = b"\xff" * 0x5000
PARTS = [(0x8000, (firmware.FOLDER / "esp32c3_partitions.bin").read_bytes())]
APP = firmware.app("esp32c3")

RECORD = RecordSpec(
    kind="record",
    address=0x3F0000,
    layout=(
        LayoutField(name="magic", type="u32", value="0x424C594E"),
        LayoutField(name="version", type="u16", value="1"),
        LayoutField(name="length", type="u16", value="{length}"),
        LayoutField(name="auth", type="text", size=33, value="{auth}"),
        LayoutField(name="serial", type="text", size=8, value="{sn}", terminated=False),
        LayoutField(name="key", type="bytes", size=4, value="{key}"),
        LayoutField(name="crc", type="u32", value="{crc32}"),
    ),
)
FIELDS = {"sn": "SN000001", "key": Secret("deadbeef")}


def golden(*specs: AnyRegionSpec) -> Golden:
    return Golden(APP, specs, parts=PARTS)


def code(action: object) -> str:
    assert callable(action)
    with pytest.raises(UsageError) as caught:
        action()
    return caught.value.code


# record


@pytest.mark.parametrize("order", ["little", "big"])
def test_a_record_has_its_fields_length_and_crc(order: str) -> None:
    """Magic, version, length of what follows, payload, CRC-32; the sector's rest erased."""
    spec = RECORD.model_copy(update={"byte_order": order})
    patched = golden(spec).patch(AUTH, FIELDS)
    (block,) = patched.blocks
    form = struct.Struct(("<" if order == "little" else ">") + "IHH33s8s4sI")
    magic, version, length, auth, serial, key, crc = form.unpack(block.data[: form.size])
    assert (magic, version, length) == (0x424C594E, 1, 33 + 8 + 4)
    assert auth == AUTH.reveal().encode() + b"\0"
    assert (serial, key) == (b"SN000001", bytes.fromhex("deadbeef"))
    assert crc == zlib.crc32(block.data[: form.size - 4])
    assert (block.address, len(block.data)) == (0x3F0000, SECTOR)
    assert set(block.data[form.size :]) == {0xFF}
    assert patched.data == APP


def test_a_record_is_part_of_the_plan() -> None:
    """The application needs no write at all, and its MD5 still has to be right."""
    judged = golden(RECORD)
    made = judged.plan(judged.patch(AUTH, FIELDS), 0x10000)
    assert made.addresses == (0x3F0000,)
    assert [(span.address, span.size) for span in made.rest] == [(0x10000, len(APP))]


def test_a_record_over_the_application_is_refused() -> None:
    """Where the application is, only the plan knows."""
    judged = golden(RECORD.model_copy(update={"address": 0x10000}))
    assert code(lambda: judged.plan(judged.patch(AUTH, FIELDS), 0x10000)) == "image.places_overlap"


@pytest.mark.parametrize(
    ("field", "value"),
    [("sn", "SN0000012"), ("sn", "a\0b"), ("key", "dead"), ("key", "not hex!")],
)
def test_values_that_do_not_fit_a_record_are_refused(field: str, value: str) -> None:
    """By the field's name; never with the value."""
    with pytest.raises(UsageError) as caught:
        golden(RECORD).patch(AUTH, {**FIELDS, field: Secret(value)})
    assert caught.value.code == "image.bad_value"
    assert value not in f"{caught.value} {caught.value.params}"


@pytest.mark.parametrize("value", ["256", "-1", "x", ""])
def test_numbers_out_of_range_are_refused(value: str) -> None:
    """A u8 takes 0 to 255."""
    layout = (
        LayoutField(name="auth", type="text", size=33, value="{auth}"),
        LayoutField(name="n", type="u8", value="{n}"),
    )
    judged = golden(RecordSpec(kind="record", address=0, layout=layout))
    assert code(lambda: judged.patch(AUTH, {"n": value})) == "image.bad_value"


def test_a_signed_image_takes_a_region_outside() -> None:
    """That is what image.signed's hint promises: the signature does not cover the record."""
    assert golden(RECORD).patch(AUTH, FIELDS).data == APP
    signature = bytes(4) + bytes(range(1, 65))
    signed = APP + signature
    assert code(lambda: Golden(signed, [BlnkoptSpec(kind="blnkopt")])) == "image.signed"
    assert Golden(signed, [RECORD]).patch(AUTH, FIELDS).data == signed


@pytest.mark.parametrize(
    "change",
    [
        {"address": 100},
        {"partition": "nvs"},
        {"address": None},
        {"layout": ()},
        {"layout": ({"name": "a", "type": "u8", "value": "1"},) * 2},
        {"layout": ({"name": "a", "type": "text", "value": "1"},)},
        {"layout": ({"name": "a", "type": "u8", "size": 4, "value": "1"},)},
        {"layout": ({"name": "a", "type": "u16", "value": "{crc32}"},)},
        {
            "layout": (
                {"name": "a", "type": "u32", "value": "{crc32}"},
                {"name": "b", "type": "u8", "value": "1"},
            )
        },
    ],
)
def test_a_record_that_makes_no_sense_is_refused(change: dict[str, object]) -> None:
    """By the profile's own check, before any unit."""
    with pytest.raises(ValidationError):
        RecordSpec.model_validate({**RECORD.model_dump(), **change})


# partitions


def test_partitions_are_found_by_label() -> None:
    """In the partition table among the product's parts, or in a merged image itself."""
    spec = NvsSpec(kind="nvs", partition="nvs", preset="edgent")
    (place,) = golden(spec).places
    assert (place.address, place.size) == (0x9000, 0x5000)
    assert Golden(firmware.merged(), [spec]).places == (place,)


@pytest.mark.parametrize(
    ("label", "wanted"), [("nope", "image.no_partition"), ("otadata", "image.partition_small")]
)
def test_a_missing_or_small_partition_is_refused(label: str, wanted: str) -> None:
    """NVS needs three pages; the error names what there is."""
    spec = NvsSpec(kind="nvs", partition=label, preset="edgent")
    assert code(lambda: golden(spec)) == wanted


def test_a_partition_inside_a_merged_image_becomes_part_of_it() -> None:
    """It is the flash from address 0, so nothing is written twice."""
    spec = NvsSpec(kind="nvs", partition="nvs", preset="edgent")
    judged = Golden(firmware.merged(), [spec])
    patched = judged.patch(AUTH, {}, existing={"nvs": BLANK})
    assert patched.blocks == ()
    assert nvs.read(patched.data[0x9000:0xE000])[0].value == AUTH.reveal().encode()
    assert patched.data[0xE000:] == firmware.merged()[0xE000:]
    assert judged.plan(patched, 0).addresses == (0x9000,)  # the other pages stay erased
    alone = golden(spec).patch(AUTH, {}, existing={"nvs": BLANK}).blocks[0]
    assert patched.data[0x9000:0xE000] == alone.data


# nvs


def by_reference(rows: list[tuple[str, str, str, str]], size: int, version: str) -> bytes:
    """A partition by the generator's own entry points."""
    from esp_idf_nvs_partition_gen import nvs_partition_gen as gen

    out = io.BytesIO()
    store = gen.nvs_open(out, size - SECTOR, getattr(gen.Page, version))
    for namespace, key, encoding, value in rows:
        store.write_namespace(namespace)
        store.write_entry(key, value, encoding, store.get_namespace_idx())
    gen.nvs_close(store)
    return out.getvalue()


def test_new_edgents_strings() -> None:
    """Namespace ``blynk``, strings ``auth`` and ``host``, byte for byte the generator's."""
    spec = NvsSpec(kind="nvs", partition="nvs", preset="edgent")
    (block,) = golden(spec).patch(AUTH, {}, existing={"nvs": BLANK}).blocks
    rows = [("blynk", "auth", "string", AUTH.reveal()), ("blynk", "host", "string", "blynk.cloud")]
    assert block.data == by_reference(rows, 0x5000, "VERSION2")
    assert (block.address, len(block.data)) == (0x9000, 0x5000)


def test_classic_edgents_blob() -> None:
    """212 bytes, magic, valid, the fields at the offsets of blynk.md."""
    spec = NvsSpec(
        kind="nvs", partition="nvs", preset="classic-edgent", values={"ssid": "{net}", "port": "80"}
    )
    (block,) = golden(spec).patch(AUTH, {"net": "Home"}, existing={"nvs": BLANK}).blocks
    (item,) = nvs.read(block.data)
    assert (item.namespace, item.key, item.type) == ("blynk", "config", "blob")
    blob = item.value
    assert isinstance(blob, bytes)
    assert len(blob) == 212
    assert blob[:4] == bytes.fromhex("6b6e6c62")
    assert blob[19] == 1
    assert blob[20:54] == b"Home".ljust(34, b"\0")
    assert blob[118:152] == AUTH.reveal().encode().ljust(34, b"\0")
    assert blob[152:186] == b"blynk.cloud".ljust(34, b"\0")
    assert blob[186:188] == (80).to_bytes(2, "little")
    assert not any(blob[188:])


def test_own_entries_of_every_type() -> None:
    """Numbers, strings and blobs beside the token."""
    spec = NvsSpec(
        kind="nvs",
        address=0x9000,
        size=0x3000,
        namespace="factory",
        entries=(
            NvsEntry(key="token", value="{auth}"),
            NvsEntry(key="hw", type="u16", value="0x0102"),
            NvsEntry(key="cal", type="blob", value="00ff10"),
        ),
    )
    (block,) = golden(spec).patch(AUTH, {}, existing={"nvs": b"\xff" * 0x3000}).blocks
    values = {item.key: item.value for item in nvs.read(block.data)}
    assert values == {"token": AUTH.reveal().encode(), "hw": 0x102, "cal": b"\x00\xff\x10"}


OTHERS = [
    ("phy", "cal_data", "hex2bin", "ab" * 1900),
    ("phy", "cal_mac", "hex2bin", "0102030405060708"),
    ("app", "name", "string", "Kitchen"),
    ("app", "count", "i32", "-5"),
    ("app", "big", "u64", str(2**63 + 1)),
    ("blynk", "auth", "string", "an older token of this very unit"),
    ("blynk", "cfgskip", "u8", "1"),
]


@pytest.mark.parametrize("version", ["VERSION1", "VERSION2"])
def test_an_nvs_with_other_data_is_kept_or_refused_never_wiped(version: str) -> None:
    """Every other entry survives with its type; ours replace their own; the version stays."""
    existing = {"nvs": by_reference(OTHERS, 0x5000, version)}
    refusing = NvsSpec(kind="nvs", partition="nvs", preset="edgent")
    assert code(lambda: golden(refusing).patch(AUTH, {}, existing=existing)) == "image.nvs_occupied"
    keeping = NvsSpec(kind="nvs", partition="nvs", preset="edgent", existing="keep")
    (block,) = golden(keeping).patch(AUTH, {}, existing=existing).blocks
    held = {(i.namespace, i.key): (i.type, i.value) for i in nvs.read(block.data)}
    assert held == {
        ("phy", "cal_data"): ("blob", b"\xab" * 1900),
        ("phy", "cal_mac"): ("blob", bytes(range(1, 9))),
        ("app", "name"): ("string", b"Kitchen"),
        ("app", "count"): ("i32", -5),
        ("app", "big"): ("u64", 2**63 + 1),
        ("blynk", "auth"): ("string", AUTH.reveal().encode()),
        ("blynk", "cfgskip"): ("u8", 1),
        ("blynk", "host"): ("string", b"blynk.cloud"),
    }
    assert nvs.version_of(block.data) == (1 if version == "VERSION1" else 2)


def test_without_having_read_the_unit_nothing_is_written() -> None:
    """An NVS that nobody looked at could hold anything."""
    spec = NvsSpec(kind="nvs", partition="nvs", preset="edgent")
    assert code(lambda: golden(spec).patch(AUTH, {})) == "image.nvs_unread"


def test_damaged_and_encrypted_stores_are_refused() -> None:
    """What cannot be read cannot be kept, so it is not replaced."""
    store = by_reference(OTHERS, 0x5000, "VERSION2")
    torn = bytearray(store)
    torn[64 + 10] ^= 1  # a key of the first entry
    encrypted = bytearray(store)
    for at in range(64, 4096):
        encrypted[at] ^= (at * 7 + 3) & 0xFF
    header = bytearray(store)
    header[6] ^= 1
    for data in (bytes(torn), bytes(encrypted), bytes(header), store[:-5]):
        with pytest.raises(UsageError) as caught:
            nvs.read(data)
        assert caught.value.code == "image.nvs_unreadable"


def changed(store: bytes, old: bytes, new: bytes) -> bytes:
    """``new`` for ``old`` in one entry or its content, every CRC right again."""
    data = bytearray(store)
    at = bytes(data).index(old)
    data[at : at + len(new)] = new
    for entry in range(64, 4096, 32):
        if data[entry] == 0xFF:
            break
        if data[entry + 1] == 0x21:
            size = int.from_bytes(data[entry + 24 : entry + 26], "little")
            content = bytes(data[entry + 32 : entry + 32 + size])
            data[entry + 28 : entry + 32] = zlib.crc32(content, 0xFFFFFFFF).to_bytes(4, "little")
    for entry in range(64, 4096, 32):
        if data[entry] != 0xFF and data[entry + 1] in {0x01, 0x21, 0x14}:
            body = bytes(data[entry : entry + 4] + data[entry + 8 : entry + 32])
            data[entry + 4 : entry + 8] = zlib.crc32(body, 0xFFFFFFFF).to_bytes(4, "little")
    return bytes(data)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"count", b"c\xe9\xe9nt"),
        (b"count", b"\0\0\0\0\0"),
        (b"count", b"c\0unt"),
        (b"Kitchen", b"K\xfftchen"),
        (b"Kitchen", b"Kit\0hen"),
        (b"Kitchen\0", b"Kitchen!"),
    ],
)
def test_names_and_texts_that_could_not_be_kept_byte_for_byte_are_refused(
    old: bytes, new: bytes
) -> None:
    """A soak run found keys that grew when they were written again."""
    rows = [("app", "name", "string", "Kitchen"), ("app", "count", "i32", "-5")]
    store = by_reference(rows, 0x4000, "VERSION2")
    assert len(nvs.read(changed(store, b"Kitchen", b"Kitchen"))) == 2
    with pytest.raises(UsageError) as caught:
        nvs.read(changed(store, old, new))
    assert caught.value.code == "image.nvs_unreadable"


def test_erased_and_older_entries_do_not_count() -> None:
    """The newest written entry of a key wins; an erased one is gone."""
    rows = [("a", "k", "u8", "1"), ("a", "k", "u8", "2"), ("a", "gone", "u8", "3")]
    store = bytearray(by_reference(rows, 0x4000, "VERSION2"))
    assert store[32] == 0b10101010  # namespace and three entries, two bits each
    store[32] = 0b00101010
    assert nvs.read(bytes(store)) == [Item("a", "k", "u8", 2)]


def test_too_much_for_the_partition_is_refused() -> None:
    """With the numbers; one page stays free."""
    items = [Item("a", f"k{n}", "blob", bytes(900)) for n in range(20)]
    assert code(lambda: nvs.write(items, 0x3000)) == "image.nvs_full"


VALUES = st.one_of(
    st.tuples(st.sampled_from(["u8", "u16", "u32", "u64"]), st.integers(0, 255)),
    st.tuples(st.sampled_from(["i8", "i16", "i32", "i64"]), st.integers(-128, 127)),
    st.tuples(
        st.just("string"),
        st.text(st.characters(codec="ascii", exclude_characters="\0"), max_size=90).map(str.encode),
    ),
    st.tuples(st.just("blob"), st.binary(max_size=5000)),
)
KEYS = st.text("abcdefghijklmnop_.", min_size=1, max_size=15)


@settings(max_examples=60)
@given(entries=st.dictionaries(st.tuples(KEYS, KEYS), VALUES, max_size=8))
def test_what_is_written_is_read(entries: dict[tuple[str, str], tuple[str, int | bytes]]) -> None:
    """Any types, any names, blobs over several pages; WiFi keys without extra entries too."""
    items = [Item(*names, *value) for names, value in entries.items()]
    data = nvs.write(items, 0x10000)
    assert len(data) == 0x10000
    assert sorted(map(repr, nvs.read(data))) == sorted(map(repr, items))
    assert {(i.namespace, i.key): i.value for i in nvs.read(data)} == {
        (i.namespace, i.key): i.value for i in items
    }
    assert data == nvs.write(reversed(items), 0x10000)


def test_wifi_keys_bring_no_entries_of_their_own() -> None:
    """The generator's module-level function adds three entries beside ``sta.ssid``."""
    items = [Item("nvs.net80211", "sta.ssid", "blob", b"x" * 36)]
    assert nvs.read(nvs.write(items, 0x4000)) == items


@settings(max_examples=300)
@given(data=st.data())
def test_mutated_stores_end_in_a_result_or_a_clear_error(data: st.DataObject) -> None:
    """Never a traceback."""
    store = bytearray(by_reference(OTHERS, 0x5000, "VERSION2"))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, 700) | st.integers(0, len(store) - 1))
        store[at] = data.draw(st.integers(0, 255))
    with contextlib.suppress(UsageError):
        nvs.read(bytes(store))


@pytest.mark.parametrize(
    "table",
    [
        {"partition": "nvs"},
        {"partition": "nvs", "preset": "edgent", "entries": [{"key": "a", "value": "b"}]},
        {"partition": "nvs", "preset": "edgent", "values": {"nope": "x"}},
        {"partition": "nvs", "values": {"auth": "x"}, "entries": [{"key": "a", "value": "b"}]},
        {"partition": "nvs", "entries": [{"key": "sixteencharacter", "value": "b"}]},
        {"address": 0x9000, "preset": "edgent"},
        {"address": 0x9000, "size": 0x3100, "preset": "edgent"},
        {"partition": "nvs", "size": 0x3000, "preset": "edgent"},
    ],
)
def test_an_nvs_that_makes_no_sense_is_refused(table: dict[str, object]) -> None:
    """Preset or entries, partition or address with size, keys of at most 15 characters."""
    with pytest.raises(ValidationError):
        NvsSpec.model_validate({"kind": "nvs", **table})


# eeprom


def test_eeprom_areas_become_one_hex_file() -> None:
    """Two areas, one file, each at its offset."""
    areas = [
        EepromSpec(
            kind="eeprom",
            name=name,
            offset=offset,
            layout=(LayoutField(name="v", type="text", size=33, value=value),),
        )
        for name, offset, value in [("token", 16, "{auth}"), ("serial", 100, "{sn}")]
    ]
    text = golden(*areas).patch(AUTH, {"sn": "7"}).eeprom
    assert text is not None
    loaded = IntelHex()
    loaded.loadhex(io.StringIO(text.decode()))
    assert loaded.segments() == [(16, 49), (100, 133)]
    assert loaded.tobinstr(start=16, size=33) == AUTH.reveal().encode() + b"\0"
    assert loaded.tobinstr(start=100, size=2) == b"7\0"
    overlapping = [areas[0], areas[1].model_copy(update={"offset": 48})]
    assert code(lambda: golden(*overlapping).patch(AUTH, {"sn": "7"})) == "image.places_overlap"


def test_neither_blocks_nor_eeprom_are_shown() -> None:
    """Their repr goes into logs and tracebacks."""
    area = EepromSpec(
        kind="eeprom", layout=(LayoutField(name="sn", type="text", size=33, value="{sn}"),)
    )
    shown = repr(golden(RECORD, area).patch(AUTH, {**FIELDS, "sn": "secret77"}))
    assert AUTH.reveal() not in shown
    assert "secret77" not in shown
