"""``firmware inspect``: what a file is, in plain types, without anything secret."""

import hashlib
import json

import pytest

from eol_inject.image import describe, patch
from eol_inject.image.spec import BlnkoptSpec
from eol_inject.unit import AuthToken, Secret
from tests.support import firmware


@pytest.mark.parametrize("chip", firmware.APPS)
def test_it_tells_chip_seal_identity_and_region(chip: str) -> None:
    """Everything somebody needs before choosing this file for a profile."""
    data = firmware.app(chip)
    told = describe(data)
    (image,) = told.images
    (region,) = image.regions
    assert told.sha256 == hashlib.sha256(data).hexdigest()
    assert told.size == len(data)
    assert image.seal.valid
    assert image.seal.signed is None
    assert image.identity["fw-type"] == "TMPLsample01"
    assert image.identity["mcu"] == "1.0.0"
    assert (region.kind, region.size, region.state) == ("blnkopt", 306, "placeholder")
    assert region.values == {"host": "blynk.cloud", "port": "443"}
    assert told.notes == ()


def test_a_filled_image_is_told_as_such_and_its_values_are_not() -> None:
    """Keys and public values only: no token, no password, no network name."""
    spec = BlnkoptSpec(
        kind="blnkopt",
        values={"ssid": "{s}", "pass": "{p}", "auth": "{auth}", "host": "h.example", "port": "80"},
    )
    auth, fields = (
        AuthToken("topsecrettopsecrettopsecrettop12"),
        {
            "s": Secret("HomeNetwork"),
            "p": Secret("hunter2hunter2"),
        },
    )
    told = describe(patch(firmware.app("esp32"), [spec], auth, fields).data)
    (region,) = told.images[0].regions
    assert region.state == "filled"
    assert region.keys == ("ssid", "pass", "auth", "host", "port")
    assert region.values == {"host": "h.example", "port": "80"}
    assert "not a golden one" in told.notes[0]
    shown = json.dumps(told.to_json()) + repr(told)
    for secret in (auth.reveal(), "HomeNetwork", "hunter2"):
        assert secret not in shown


@pytest.mark.parametrize(
    "data",
    [firmware.app("esp32c3"), firmware.app("esp8266"), firmware.merged()],
    ids=["esp32c3", "esp8266", "merged"],
)
def test_it_goes_into_json(data: bytes) -> None:
    """Plain types throughout."""
    told = json.loads(json.dumps(describe(data).to_json()))
    assert told["images"][-1]["regions"][0]["kind"] == "blnkopt"


def test_a_broken_seal_is_told_not_refused() -> None:
    """Inspect is for looking, at damaged files above all."""
    data = bytearray(firmware.app("esp32"))
    data[400] ^= 1
    told = describe(bytes(data))
    assert not told.images[0].seal.valid
    assert "broken seal" in told.notes[0]


def test_several_and_torn_regions_are_told() -> None:
    """What patch would refuse, inspect shows."""
    told = describe(firmware.make_app("esp32", firmware.blnkopt() * 2 + b"blnkopt\0\x01"))
    assert [r.state for r in told.images[0].regions] == ["placeholder", "placeholder", "torn"]
    assert "3 regions" in told.notes[0]
