"""Damaged files end in a result or a clear error: never a traceback, a hang or a wrong patch."""

import io
import random
import zlib
from collections.abc import Callable

import pytest
from intelhex import IntelHex

from eol_inject.errors import UsageError, texts
from eol_inject.image import check_seal, describe, nvs, open_image, patch, plan
from eol_inject.image.containers import partitions, plain
from eol_inject.image.spec import BlnkoptSpec, PlaceholderSpec
from eol_inject.unit import AuthToken
from tests.support import firmware

SPEC = BlnkoptSpec(kind="blnkopt")
MARK = "@@@TOKEN-GOES-HERE-32-CHARS-@@@@"
MARKED = PlaceholderSpec(kind="placeholder", text=MARK)
AUTH = AuthToken("M" * 32)


def mutated(source: bytes, dice: random.Random) -> bytes:
    """A few flips, a cut, a repeated or a moved piece; more often near the start."""
    data = bytearray(source)
    for _ in range(dice.randint(1, 6)):
        end = dice.choice([64, 512, len(data)])
        at = dice.randrange(min(end, len(data)) or 1)
        match dice.randrange(5):
            case 0:
                data[at : at + 1] = bytes([dice.randrange(256)])
            case 1:
                data[at : at + 4] = dice.choice([b"\0\0\0\0", b"\xff\xff\xff\xff", b"\xff\xff\0\0"])
            case 2:
                del data[dice.randrange(len(data) + 1) :]
            case 3:
                data[at:at] = data[at : at + dice.randrange(64)]
            case _:
                del data[at : at + dice.randrange(16)]
    return bytes(data)


def image_survives(data: bytes) -> None:
    """``data`` is described or refused; and patched right, or refused."""
    try:
        describe(data).to_json()
    except UsageError as error:
        known(error)
    try:
        patched = patch(data, [SPEC], AUTH, {})
    except UsageError as error:
        known(error)
        return
    (region,) = patched.regions
    assert check_seal(open_image(patched.data)).valid
    assert AUTH.reveal().encode() in patched.data[region.offset : region.offset + region.size]
    assert plan(data, patched.data, 0).sectors


def hex_survives(data: bytes) -> None:
    """An Intel HEX file is told and patched, or refused."""
    try:
        describe(data).to_json()
        patched = patch(data, [MARKED], AUTH, {}).data
    except UsageError as error:
        known(error)
        return
    assert AUTH.reveal().encode() in plain.from_hex(patched).data


def table_survives(data: bytes) -> None:
    """A partition table is whole, or none; its partitions have words."""
    for row in partitions.parse(data, 0) or ():
        assert row.words


def store_survives(data: bytes) -> None:
    """An NVS is read whole, or refused; what was read can be written and read again."""
    try:
        items = nvs.read(resealed(data))
    except UsageError as error:
        known(error)
        return
    try:
        again = nvs.read(nvs.write(items, 0x10000))
    except UsageError as error:  # a mutated name or text that no store takes
        known(error)
        return
    assert {(i.namespace, i.key): i.value for i in again} == {
        (i.namespace, i.key): i.value for i in items
    }


def resealed(data: bytes) -> bytes:
    """Whole pages with right CRCs, so that the damage gets past the first check; most times."""
    store = bytearray(data.ljust(-(-len(data) // 4096) * 4096, b"\xff"))
    for page in range(0, len(store), 4096):
        store[page + 28 : page + 32] = crc(store[page + 4 : page + 28])
        for at in range(page + 64, page + 4096, 32):
            if store[at + 4] & 7:
                store[at + 4 : at + 8] = crc(store[at : at + 4] + store[at + 8 : at + 32])
    return bytes(store)


def crc(data: bytes) -> bytes:
    return zlib.crc32(data, 0xFFFFFFFF).to_bytes(4, "little")


def known(error: UsageError) -> None:
    stage, _, name = error.code.partition(".")
    assert name in texts()[stage]
    assert "{" not in str(error)


def hex_source() -> bytes:
    out, source = io.StringIO(), IntelHex()
    source.frombytes(b"firmware" * 12 + MARK.encode(), offset=0x100)
    source.frombytes(b"elsewhere", offset=0x10000)
    source.write_hex_file(out)
    return out.getvalue().encode()


def store_source() -> bytes:
    return nvs.write(
        [
            nvs.Item("blynk", "auth", "string", b"k" * 32),
            nvs.Item("blynk", "config", "blob", bytes(range(212))),
            nvs.Item("app", "count", "i32", -7),
        ],
        0x3000,
    )


CAMPAIGNS: dict[str, tuple[bytes, Callable[[bytes], None]]] = {
    "esp32": (firmware.app("esp32"), image_survives),
    "esp8266": (firmware.app("esp8266"), image_survives),
    "merged": (
        firmware.merged()[:0x8C00] + b"\xff" * 0x7400 + firmware.app("esp32"),
        image_survives,
    ),
    "sketch": (firmware.sketch(firmware.blnkopt()), image_survives),
    "hex": (hex_source(), hex_survives),
    "partition table": (firmware.script().partition_table(), table_survives),
    "nvs": (store_source(), store_survives),
}


def campaign(name: str, rounds: int) -> None:
    source, survives = CAMPAIGNS[name]
    dice = random.Random(name)
    for _ in range(rounds):
        survives(mutated(source, dice))


@pytest.mark.parametrize("name", CAMPAIGNS)
def test_damaged_files_never_surprise(name: str) -> None:
    """2,000 of each, the same ones every time."""
    campaign(name, 2_000)


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize("name", CAMPAIGNS)
def test_damaged_files_never_surprise_for_long(name: str) -> None:
    """100,000 of each."""
    campaign(name, 100_000)
