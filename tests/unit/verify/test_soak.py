"""The long campaigns: damaged bytes by the hundred thousand, each ends in a result."""

import random

import pytest

from eol_inject.errors import UnitError
from eol_inject.verify import PlaceState, Where, decode_region, inspect, nvs, partitions
from tests.unit.verify.building import (
    AUTH,
    ROWS,
    STOCK,
    TOKEN,
    Wire,
    config,
    esp32_app,
    filled,
    flash,
    ota_record,
    table,
)
from tests.unit.verify.building import nvs as make_nvs

pytestmark = pytest.mark.soak

ROUNDS = 100_000
MD5 = table(ROWS)[128:160]
FLASH = 0x40000


def damaged(chance: random.Random, data: bytes) -> bytes:
    """``data`` with one to four places cut, flipped, erased or cleared."""
    body = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        at, size = chance.randrange(len(body)), chance.choice((1, 1, 2, 8, 40, 500))
        filler = chance.choice((b"\xff" * size, b"\0" * size, chance.randbytes(size)))
        body[at : at + size] = filler[: len(body) - at]
    return bytes(body)


def test_damaged_nvs() -> None:
    """A value is right or not there."""
    chance = random.Random(1)
    good = [
        make_nvs({"blynk": [("auth", "string", TOKEN), ("config", "blob", config())]}, version=v)
        for v in (1, 2)
    ]
    for _ in range(ROUNDS):
        found = nvs.parse(damaged(chance, chance.choice(good)[:0x2000]))
        assert found.string("blynk", "auth") in {TOKEN.encode(), None}
        assert found.blob("blynk", "config") in {config(), None}


def test_damaged_partition_tables() -> None:
    """A whole table with its MD5 is the right one.

    One that ends early, before its MD5, the bootloader takes as it finds it, and so do we.
    """
    chance = random.Random(2)
    good = partitions.parse_table(table(ROWS), address=0x8000, flash_size=1 << 22)
    for _ in range(ROUNDS):
        data = damaged(chance, table(ROWS))
        try:
            rows = partitions.parse_table(data, address=0x8000, flash_size=1 << 22)
        except UnitError:
            continue
        assert rows is None or len(rows) < len(ROWS) or rows == good or MD5 not in data


def test_damaged_regions() -> None:
    """No token but the right one where the damage is not within the token itself."""
    chance = random.Random(3)
    at = filled().index(TOKEN.encode())
    for _ in range(ROUNDS):
        data = damaged(chance, filled())
        content = decode_region(data, "blnkopt")
        if content.state is PlaceState.TOKEN and data[at : at + 32] == TOKEN.encode():
            assert content.auth == AUTH


def test_damaged_flash() -> None:
    """Every place at once, over a hundredth of the rounds: each reads a whole unit."""
    chance = random.Random(4)
    app, hint = esp32_app(filled())
    rows = [ROWS[0], ROWS[1], (0, 0x10, 0x10000, 0x20000, "ota_0")]
    good = flash(
        {
            0x8000: table(rows),
            0x9000: make_nvs({"blynk": [("config", "blob", config())]}),
            0xE000: ota_record(1),
            0x10000: app,
        },
        FLASH,
    )
    where = Where("esp32", 0x10000, 0x8000, "blnkopt", hint, len(STOCK), 5)
    for _ in range(ROUNDS // 100):
        memory = bytearray(good)
        memory[0x8000:0x13000] = damaged(chance, bytes(good[0x8000:0x13000]))
        findings = inspect(Wire(memory), where, flash_size=FLASH)
        assert findings.effective is None or isinstance(findings.effective, type(AUTH))
