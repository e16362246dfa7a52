"""What ``inspect`` finds on a unit, and what its firmware would really use."""

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eol_inject.errors import StationError, UnitError
from eol_inject.verify import Findings, PlaceState, TableState, Where, inspect, stale_nvs
from tests.support import firmware
from tests.unit.verify.building import (
    AUTH,
    FLASH,
    OTHER,
    OTHER_AUTH,
    ROWS,
    STOCK,
    TOKEN,
    Wire,
    config,
    esp32_app,
    filled,
    flash,
    nvs,
    ota_record,
    region,
    table,
)

TABLE = table(ROWS)
GOLDEN, HINT = esp32_app(STOCK)
OWN, _ = esp32_app(filled())
FOREIGN, _ = esp32_app(filled(OTHER))
WHERE = Where("esp32", 0x10000, 0x8000, "blnkopt", HINT, len(STOCK), 5)
WHERE_8266 = Where("esp8266", 0x1000, None, "blnkopt", None, len(STOCK))
EEPROM = FLASH - 5 * 4096


def look(parts: dict[int, bytes], where: Where = WHERE, **more: bytes) -> Findings:
    """Inspect a flash with these parts."""
    return inspect(Wire(flash(parts)), where, flash_size=FLASH, **more)


def states(findings: Findings) -> dict[str, str]:
    """Place → state."""
    return {place.name: place.state.value for place in findings.places}


def test_a_blank_module_is_blank_after_a_kilobyte() -> None:
    """No table, no application where ours will be: a few bytes tell."""
    wire = Wire(flash({}))
    found = inspect(wire, WHERE, flash_size=FLASH)
    assert found.table is TableState.ERASED
    assert states(found) == {"application at 0x10000": "absent"}
    assert (found.effective, found.boots, found.boots_at) == (None, "", None)
    assert wire.bytes < 4096


def test_a_unit_with_the_golden_firmware_costs_two_kilobytes() -> None:
    """Table, otadata, headers, the region at its hint, and the heads of empty NVS pages."""
    wire = Wire(flash({0x8000: TABLE, 0x10000: GOLDEN}))
    found = inspect(wire, WHERE, flash_size=FLASH)
    assert states(found) == {
        "application ota_0": "blank",
        "application ota_1": "absent",
        "nvs blynk/config": "absent",
        "nvs blynk/auth": "absent",
    }
    assert found.boots == "application ota_0"
    assert wire.bytes < 2400


def test_the_token_in_the_region_of_the_selected_slot_is_used() -> None:
    """otadata chooses; the other slot's token is a finding all the same."""
    parts = {0x8000: TABLE, 0x10000: OWN, 0x150000: FOREIGN, 0xE000: ota_record(2)}
    found = look(parts)
    assert (found.boots, found.effective) == ("application ota_1", OTHER_AUTH)
    assert found.boots_at == 0x150000
    assert {p.name: p.auth for p in found.places if p.auth} == {
        "application ota_1": OTHER_AUTH,
        "application ota_0": AUTH,
    }
    assert [p.name for p in found.places if p.used] == ["application ota_1"]


def test_where_the_selected_slot_is_empty_the_bootloader_falls_back() -> None:
    """The other slot's token is what the unit would use."""
    found = look({0x8000: TABLE, 0x150000: OWN})
    assert (found.boots, found.effective) == ("application ota_1", AUTH)


def test_an_application_for_another_chip_does_not_start() -> None:
    """But its token is found."""
    image, _ = esp32_app(filled(), chip_id=9)
    found = look({0x8000: TABLE, 0x10000: image})
    assert (found.boots, found.effective) == ("", None)
    assert [p.auth for p in found.places if p.auth] == [AUTH]


def test_a_saved_configuration_beats_the_region() -> None:
    """Line-failures 7: the firmware would use the old token."""
    saved = nvs({"blynk": [("config", "blob", config(OTHER))], "phy": [("cal", "u32", "1")]})
    found = look({0x8000: TABLE, 0x10000: OWN, 0x9000: saved})
    assert found.effective == OTHER_AUTH
    assert [p.name for p in found.places if p.used] == ["nvs blynk/config"]
    assert stale_nvs(found) == ((0x9000, 0x5000),)
    assert found.lost == ("phy",)
    assert found.without_saved().effective == AUTH
    assert stale_nvs(found.without_saved()) == ()


@pytest.mark.parametrize(
    ("blob", "state"),
    [
        (config(OTHER, flags=0), "blank"),
        (config(OTHER, flags=3), "token"),
        (config(OTHER, magic=0x12345678), "blank"),
        (config("invalid token"), "torn"),
        (config(""), "torn"),
        (config(OTHER) + b"more", "blank"),
        (config(OTHER)[:186], "token"),
        (b"\xff" * 212, "blank"),
    ],
)
def test_a_configuration_counts_as_the_firmware_counts_it(blob: bytes, state: str) -> None:
    """Magic, valid flag, size; marked valid without a token it still beats the region."""
    parts = {0x8000: TABLE, 0x10000: OWN, 0x9000: nvs({"blynk": [("config", "blob", blob)]})}
    found = look(parts)
    assert states(found)["nvs blynk/config"] == state
    wanted = {"blank": AUTH, "token": OTHER_AUTH, "torn": None}[state]
    assert found.effective == wanted
    assert bool(stale_nvs(found)) is (state != "blank")


def test_new_edgents_string_is_used_only_by_a_firmware_without_blnkopt() -> None:
    """And it is a finding in any case."""
    saved = nvs({"blynk": [("auth", "string", OTHER)]})
    plain, _ = esp32_app(b"no region here..")
    assert look({0x8000: TABLE, 0x10000: OWN, 0x9000: saved}).effective == AUTH
    found = look({0x8000: TABLE, 0x10000: plain, 0x9000: saved})
    assert found.effective == OTHER_AUTH
    assert states(found)["application ota_0"] == "absent"
    unset = nvs({"blynk": [("auth", "string", "invalid token")]})
    assert look({0x8000: TABLE, 0x10000: plain, 0x9000: unset}).effective is None


def test_another_firmware_is_searched_through() -> None:
    """The region stands elsewhere: found by walking the segments, also across two chunks."""
    for before in (0x400, 0x4000 - 3 - 0x20, 0x4000 - 0x21 + 8):
        image, at = esp32_app(filled(OTHER), before=before)
        found = look({0x8000: TABLE, 0x10000: image})
        assert found.effective == OTHER_AUTH
        assert found.places[0].address == 0x10000 + at


def test_two_regions_in_another_firmware_are_two_places() -> None:
    """Which one that firmware reads nobody can tell."""
    image, _ = esp32_app(b"x" * 400 + filled() + filled(OTHER))
    found = look({0x8000: TABLE, 0x10000: image})
    assert {"application ota_0", "application ota_0 (2)"} <= set(states(found))


def test_an_erased_region_sector_is_blank() -> None:
    """An injection that lost its power after the erase."""
    memory = flash({0x8000: TABLE, 0x10000: GOLDEN})
    memory[0x10000 + HINT : 0x10000 + HINT + len(STOCK)] = b"\xff" * len(STOCK)
    found = inspect(Wire(memory), WHERE, flash_size=FLASH)
    assert states(found)["application ota_0"] == "blank"


def test_a_half_written_region_is_torn() -> None:
    """An injection that lost its power within the sector."""
    memory = flash({0x8000: TABLE, 0x10000: OWN})
    memory[0x10000 + HINT + 30 : 0x11000] = b"\xff" * (0x1000 - HINT - 30)
    found = inspect(Wire(memory), WHERE, flash_size=FLASH)
    assert states(found)["application ota_0"] == "torn"


def test_a_half_written_application_is_torn() -> None:
    """Its segments lead into erased flash and no region is in the rest."""
    found = look({0x8000: TABLE, 0x10000: GOLDEN[:0x100]})
    assert states(found)["application ota_0"] == "torn"
    assert found.boots == ""


def test_a_damaged_table_is_a_finding_with_its_own_code() -> None:
    """The place where the application will be is looked at all the same."""
    found = look({0x8000: b"\x00" * 64 + TABLE[64:], 0x10000: OWN})
    assert found.table is TableState.CORRUPT
    assert found.trouble is not None
    assert found.trouble.code == "verify.table_corrupt"
    assert [p.auth for p in found.places if p.auth] == [AUTH]
    assert found.effective is None


def test_the_planned_table_brings_its_places_in() -> None:
    """A configuration left where the new table will have its NVS would beat the region later."""
    saved = nvs({"blynk": [("config", "blob", config(OTHER))]})
    assert [p.auth for p in look({0x9000: saved}).places if p.auth] == []
    found = look({0x9000: saved}, planned_table=TABLE)
    assert [p.auth for p in found.places if p.auth] == [OTHER_AUTH]
    assert stale_nvs(found) == ((0x9000, 0x5000),)
    assert found.effective is None


def test_encrypted_flash_and_encrypted_nvs_are_recognised() -> None:
    """By the spread of bytes, and by CRCs that fail in a page in use."""
    noise = random.Random(5).randbytes(0x1000)
    found = look({0x8000: TABLE, 0x10000: noise})
    assert states(found)["application ota_0"] == "encrypted"
    page = bytearray(nvs({"blynk": [("auth", "string", TOKEN)]}))
    page[64:192] = noise[:128]
    found = look({0x8000: TABLE, 0x10000: GOLDEN, 0x9000: bytes(page)})
    assert states(found)["nvs blynk/config"] == "encrypted"
    assert look({0x8000: noise[:0xC00]}).table is TableState.ENCRYPTED


@pytest.mark.parametrize("state", [0, 1])
def test_an_unconfirmed_update_is_noted(state: int) -> None:
    """With rollback the bootloader would go back to the other slot."""
    parts = {0x8000: TABLE, 0x10000: OWN, 0x150000: OWN, 0xE000: ota_record(2, state)}
    assert any("first start" in note for note in look(parts).notes)


def test_esp8266_has_one_application_and_an_eeprom_sector() -> None:
    """The same struct as in NVS, in the last-but-four sector; it beats the region too."""
    image = firmware.make_app("esp8266", b"constants " + filled())
    found = look({0x1000: image}, WHERE_8266)
    assert (found.table, found.effective) == (TableState.NONE, AUTH)
    assert states(found) == {"application": "token", "eeprom": "blank"}
    found = look({0x1000: image, EEPROM: config(OTHER)}, WHERE_8266)
    assert found.effective == OTHER_AUTH
    assert stale_nvs(found) == ((EEPROM, 4096),)


@pytest.mark.parametrize("chip", ["esp32", "esp32c3"])
def test_the_shipped_firmware_is_blank_and_found_without_a_hint(chip: str) -> None:
    """The fixtures as they leave the factory."""
    parts = {0x8000: TABLE, 0x10000: firmware.app(chip)}
    found = look(parts, Where("esp32", 0x10000, 0x8000, "blnkopt"))
    assert states(found)["application ota_0"] == "blank"


def test_no_token_is_shown() -> None:
    """Findings may be printed and logged."""
    saved = nvs({"blynk": [("config", "blob", config(OTHER))]})
    text = repr(look({0x8000: TABLE, 0x10000: OWN, 0x9000: saved}))
    assert TOKEN not in text
    assert OTHER not in text
    assert "wifi-password" not in text


def test_a_reader_that_gives_too_little_is_a_station_fault() -> None:
    """The unit was not judged."""
    with pytest.raises(StationError) as caught:
        inspect(lambda address, size: b"", WHERE, flash_size=FLASH)
    assert caught.value.code == "verify.short_read"


def test_a_smaller_flash_than_the_profile_says_is_refused() -> None:
    """Its application would lie outside."""
    with pytest.raises(UnitError) as caught:
        inspect(Wire(flash({}, 0x8800)), WHERE, flash_size=0x8800)
    assert caught.value.code == "verify.beyond_flash"


@given(
    st.lists(
        st.tuples(st.integers(0x8000, 0x12000), st.binary(min_size=1, max_size=200)), max_size=5
    )
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
def test_mutated_flash_ends_in_findings(changes: list[tuple[int, bytes]]) -> None:
    """Damage anywhere: table, NVS, otadata, application. No error, no hang."""
    memory = flash(_FULL, 0x200000)
    for at, garbage in changes:
        memory[at : at + len(garbage)] = garbage
    found = inspect(Wire(memory), WHERE, flash_size=0x200000)
    assert all(isinstance(place.state, PlaceState) for place in found.places)


_FULL = {
    0x8000: table([*ROWS[:3], (0, 0x11, 0x150000, 0x50000, "ota_1")]),
    0x9000: nvs({"blynk": [("config", "blob", config()), ("auth", "string", TOKEN)]}),
    0x10000: OWN,
    0xE000: ota_record(1) + region([("a", "b")], 64),
}
