"""``inspect`` for products whose token is not in ``blnkopt``."""

import struct
import zlib

import pytest

from eol_inject.verify import Findings, Where, inspect, stale_nvs
from eol_inject.verify.spec import (
    Layout,
    LayoutField,
    NvsEntries,
    NvsEntry,
    Placeholder,
    RegionAt,
)
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
    table,
)

RUN = b"@@THE-TOKEN-GOES-HERE-AND-IT-IS-LONG@@"
GOLDEN, HINT = esp32_app(RUN)
OWN, _ = esp32_app(TOKEN.encode().ljust(len(RUN), b"\0"))
PLAIN, _ = esp32_app(b"no region here..")
ROWS_WITH_OWN = [*ROWS, (1, 0x40, 0x290000, 0x1000, "factory_data")]
TABLE = table(ROWS_WITH_OWN)

PLACEHOLDER = RegionAt(
    Placeholder(text=RUN.decode()),
    offset=HINT,
    size=len(RUN),
    before=GOLDEN[HINT - 16 : HINT],
    behind=GOLDEN[HINT + len(RUN) :][:4],
)
FORM = Layout(
    (
        LayoutField("magic", "number", 4, "0x424C4E4B"),
        LayoutField("auth", "text", 36, "{auth}"),
        LayoutField("crc", "number", 4, "{crc32}"),
    )
)
RECORD = RegionAt(FORM, partition="factory_data")
STRINGS = (NvsEntry("auth", "string", "{auth}"), NvsEntry("host", "string", "blynk.cloud"))
EDGENT = RegionAt(NvsEntries("blynk", STRINGS), partition="nvs")
CLASSIC = RegionAt(NvsEntries("blynk", classic=True), partition="nvs")


def record(token: str = TOKEN) -> bytes:
    """A record of ``FORM``."""
    body = struct.pack("<I36s", 0x424C4E4B, token.encode())
    return body + struct.pack("<I", zlib.crc32(body))


def look(parts: dict[int, bytes], token: RegionAt, hint: int | None = None) -> Findings:
    """Inspect a unit of a product whose token is in ``token``."""
    where = Where("esp32", 0x10000, 0x8000, "blnkopt", hint, len(STOCK), 5, token)
    return inspect(Wire(flash({0x8000: TABLE, **parts})), where, flash_size=FLASH)


def states(findings: Findings) -> dict[str, str]:
    """Place → state."""
    return {place.name: place.state.value for place in findings.places}


@pytest.mark.parametrize(
    ("image", "state", "token"),
    [(GOLDEN, "blank", None), (OWN, "token", AUTH), (PLAIN, "absent", None), (b"", "absent", None)],
)
def test_a_placeholder_is_read_where_the_golden_image_has_it(
    image: bytes, state: str, token: object
) -> None:
    """In another firmware nothing can be told; that firmware does not read it either."""
    found = look({0x10000: image}, PLACEHOLDER)
    assert states(found) == {"application ota_0": state, "application ota_1": "absent"}
    assert found.effective == token


def test_an_erased_run_is_blank_and_a_half_written_firmware_torn() -> None:
    """The bytes around it may be gone with its sector."""
    erased = bytearray(GOLDEN)
    erased[HINT - 4 : HINT + len(RUN) + 8] = b"\xff" * (len(RUN) + 12)
    assert states(look({0x10000: bytes(erased)}, PLACEHOLDER))["application ota_0"] == "blank"
    found = look({0x10000: GOLDEN[: HINT + 10]}, PLACEHOLDER)
    assert states(found)["application ota_0"] == "torn"


def test_another_products_saved_configuration_is_not_looked_at() -> None:
    """Its firmware reads its own region and nothing else."""
    saved = nvs({"blynk": [("config", "blob", config(OTHER))]})
    found = look({0x10000: OWN, 0x9000: saved}, PLACEHOLDER)
    assert found.effective == AUTH
    assert stale_nvs(found) == ()


def test_a_record_is_read_from_its_partition() -> None:
    """Found by its label; it counts only where an application starts."""
    found = look({0x10000: PLAIN, 0x290000: record()}, RECORD)
    assert states(found)["partition factory_data"] == "token"
    assert found.effective == AUTH
    assert [p.name for p in found.places if p.used] == ["partition factory_data"]
    assert look({0x290000: record()}, RECORD).effective is None
    assert states(look({0x10000: PLAIN}, RECORD))["partition factory_data"] == "blank"
    torn = look({0x10000: PLAIN, 0x290000: record()[:-1] + b"\0"}, RECORD)
    assert (states(torn)["partition factory_data"], torn.effective) == ("torn", None)


def test_a_record_may_have_an_address_and_a_partition_may_be_missing() -> None:
    """Without the partition there is no place."""
    at = RegionAt(FORM, address=0x3F0000)
    found = look({0x10000: PLAIN, 0x3F0000: record()}, at)
    assert (states(found)["region at 0x3F0000"], found.effective) == ("token", AUTH)
    nowhere = look({0x10000: PLAIN}, RegionAt(FORM, partition="elsewhere"))
    assert all(name.startswith("application") for name in states(nowhere))


def test_a_planned_table_shows_where_the_record_will_be() -> None:
    """A record left there is a finding before the table is written."""
    where = Where("esp32", 0x10000, 0x8000, "blnkopt", token=RECORD)
    memory = flash({0x290000: record(OTHER)})
    found = inspect(Wire(memory), where, flash_size=FLASH, planned_table=TABLE)
    assert [p.auth for p in found.places if p.auth] == [OTHER_AUTH]
    assert found.effective is None


def test_new_edgents_token_is_its_string_unless_a_configuration_is_taken_over() -> None:
    """The old struct beats it, and is what has to go."""
    strings = [("auth", "string", TOKEN), ("host", "string", "blynk.cloud")]
    found = look({0x10000: PLAIN, 0x9000: nvs({"blynk": strings})}, EDGENT)
    assert (found.effective, stale_nvs(found)) == (AUTH, ())
    both = nvs({"blynk": [*strings, ("config", "blob", config(OTHER))]})
    found = look({0x10000: PLAIN, 0x9000: both}, EDGENT)
    assert (found.effective, stale_nvs(found)) == (OTHER_AUTH, ((0x9000, 0x5000),))


def test_classic_edgents_token_is_in_its_struct_and_blnkopt_counts_without_it() -> None:
    """Nothing beats the struct, so nothing is stale."""
    image, hint = esp32_app(filled(OTHER))
    saved = nvs({"blynk": [("config", "blob", config())]})
    found = look({0x10000: image, 0x9000: saved}, CLASSIC, hint)
    assert (found.effective, stale_nvs(found)) == (AUTH, ())
    assert look({0x10000: image}, CLASSIC, hint).effective == OTHER_AUTH
    assert look({0x10000: image}, CLASSIC).effective is None


def test_entries_of_a_namespace_of_its_own() -> None:
    """A product's own partition and key."""
    form = NvsEntries("product", (NvsEntry("token", "string", "{auth}"),))
    data = nvs({"product": [("token", "string", TOKEN)]}, size=0x3000)
    found = look({0x10000: PLAIN, 0x3E0000: data}, RegionAt(form, address=0x3E0000, size=0x3000))
    assert (states(found)["region at 0x3E0000"], found.effective) == ("token", AUTH)
