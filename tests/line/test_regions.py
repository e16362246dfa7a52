"""Every way a product keeps its token, through the whole cycle."""

import pytest

from eol_inject import profiles
from eol_inject.errors import UsageError
from eol_inject.sim import manage
from tests.line.conftest import FIRMWARE, PRODUCT, Line, Unit
from tests.support.firmware import make_app
from tests.unit.verify.building import nvs

NVS = 0x9000
RUN = "@@TOKEN-OF-THIS-UNIT-GOES-HERE-AND-NOWHERE-ELSE@@"
HEAD = """\
schema = 1
[product]
id = "{product}"
name = "Sample Sensor"
organization = 1
[device]
chip = "esp32c3"
mode = "{mode}"
[firmware]
file = "{firmware}"
address = 0x10000
[[firmware.parts]]
file = "{partitions}"
address = 0x8000
[label]
template = "claim-50x25-203"
[[regions]]
"""
REGIONS = {
    "placeholder": f'kind = "placeholder"\ntext = "{RUN}"\n',
    "record": """\
kind = "record"
address = 0x3F0000
layout = [
  {{ name = "magic", type = "u32", value = "0x4B4E4C42" }},
  {{ name = "version", type = "u16", value = "1" }},
  {{ name = "length", type = "u16", value = "{{length}}" }},
  {{ name = "auth", type = "text", size = 33, value = "{{auth}}" }},
  {{ name = "crc", type = "u32", value = "{{crc32}}" }},
]
""".replace("{{", "{").replace("}}", "}"),
    "edgent": 'kind = "nvs"\npartition = "nvs"\npreset = "edgent"\n',
    "classic": 'kind = "nvs"\npartition = "nvs"\npreset = "classic-edgent"\n',
}


def profile(line: Line, region: str, mode: str, *, more: str = "") -> str:
    """A product of that kind, as a file."""
    app = line.folder / "app.bin"
    if not app.exists():
        app.write_bytes(make_app("esp32c3", rodata=RUN.encode() + b"\0"))
    path = line.folder / f"{region}-{mode}.toml"
    head = HEAD.format(
        product=PRODUCT,
        mode=mode,
        firmware=app,
        partitions=FIRMWARE / "esp32c3_partitions.bin",
    )
    path.write_text(head + REGIONS[region] + more, encoding="utf-8")
    return str(path)


def golden_unit(line: Line) -> Unit:
    """A unit that has this product's firmware and no token."""
    return line.unit(
        "esp32c3",
        f"image={FIRMWARE / 'esp32c3_partitions.bin'}@0x8000",
        f"image={line.folder / 'app.bin'}@0x10000",
    )


@pytest.mark.parametrize("mode", ["flash", "inject"])
@pytest.mark.parametrize("region", REGIONS)
def test_a_unit_gets_its_token_there(line: Line, region: str, mode: str) -> None:
    """One token in the flash, read back, on the label; a second pass finds the unit done."""
    product = profile(line, region, mode)
    unit = line.unit() if mode == "flash" else golden_unit(line)
    told = line.run(unit, profile=product)
    assert told.code == 0, told
    (token,) = unit.tokens(line.pool)
    assert line.labels() == {unit.mac.replace(":", ""): line.pool[token]}
    assert line.run(unit, profile=product).error == "ledger.unit_closed"
    seen = line.type("verify", "--profile", product, "--port", unit.url)
    assert (seen.code, seen.out["holding"]) == (0, "own"), seen


@pytest.mark.parametrize("region", REGIONS)
def test_a_cycle_that_broke_off_is_carried_on(line: Line, region: str) -> None:
    """Unplugged in the middle of the write, the unit goes on with the same token."""
    product = profile(line, region, "inject")
    unit = golden_unit(line)
    told = line.run(unit, profile=product, port=f"{unit.url}&fault=unplug@write:4096")
    assert told.code in {0, 3}
    manage.set_faults(unit.url)
    again = line.run(unit, profile=product)
    assert again.code == 0 or again.error == "ledger.unit_closed"
    assert len(unit.tokens(line.pool)) == 1
    line.judge()


@pytest.mark.parametrize("region", REGIONS)
def test_a_clone_is_stopped_whatever_keeps_the_token(line: Line, region: str) -> None:
    """A copied flash is another unit's, in every kind of region."""
    product = profile(line, region, "inject")
    first, clone = golden_unit(line), golden_unit(line)
    assert line.run(first, profile=product).code == 0
    manage.start(clone.url)
    manage.poke(clone.url, 0, first.flash(0, 4 << 20))
    before = clone.digest()
    told = line.run(clone, profile=product)
    assert (told.code, told.error) == (1, "verify.holds_other_unit")
    assert clone.digest() == before


def test_other_data_in_nvs_is_kept_or_refused(line: Line) -> None:
    """`refuse` stops before a token is used; `keep` leaves every other entry as it was."""
    others = nvs({"phy": [("cal", "u32", "7")]})
    unit = golden_unit(line)
    product = profile(line, "edgent", "inject")
    manage.start(unit.url)
    manage.poke(unit.url, NVS, others)
    before = unit.digest()
    told = line.run(unit, profile=product)
    assert (told.code, told.error) == (1, "image.nvs_occupied")
    assert unit.digest() == before
    keeping = profile(line, "edgent", "inject", more='existing = "keep"\n')
    assert line.run(unit, profile=keeping).code == 0
    assert b"cal\0" in unit.flash(NVS, 0x5000)
    assert len(unit.tokens(line.pool)) == 1


def test_a_profile_has_exactly_one_place_for_the_token(line: Line) -> None:
    """None, or two, are refused with the regions' names."""
    two = profile(line, "edgent", "flash", more="[[regions]]\n" + REGIONS["placeholder"])
    with pytest.raises(UsageError, match="placeholder") as refused:
        profiles.load(two)
    assert refused.value.code == "profile.invalid"
