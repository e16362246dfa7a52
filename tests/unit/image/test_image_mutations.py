"""Damaged files end in a result or a clear error: never a traceback, a hang or a wrong patch."""

import random

import pytest

from eol_inject.errors import UsageError, texts
from eol_inject.image import check_seal, describe, open_image, patch, plan
from eol_inject.image.spec import BlnkoptSpec
from eol_inject.unit import AuthToken
from tests.support import firmware

SPEC = BlnkoptSpec(kind="blnkopt")
AUTH = AuthToken("M" * 32)
SOURCES = {
    "esp32": firmware.app("esp32"),
    "esp8266": firmware.app("esp8266"),
    "small merged": firmware.merged()[:0x8C00] + b"\xff" * 0x7400 + firmware.app("esp32"),
}


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


def survives(data: bytes) -> None:
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


def known(error: UsageError) -> None:
    stage, _, name = error.code.partition(".")
    assert name in texts()[stage]
    assert "{" not in str(error)


def campaign(name: str, rounds: int) -> None:
    dice = random.Random(name)
    for _ in range(rounds):
        survives(mutated(SOURCES[name], dice))


@pytest.mark.parametrize("name", SOURCES)
def test_damaged_images_never_surprise(name: str) -> None:
    """2,000 files, the same ones every time."""
    campaign(name, 700)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", SOURCES)
def test_damaged_images_never_surprise_for_long(name: str) -> None:
    """100,000 files."""
    campaign(name, 34_000)
