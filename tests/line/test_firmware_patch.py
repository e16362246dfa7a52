"""`firmware patch`: one unit's files, offline."""

import stat
from pathlib import Path

import pytest

from eol_inject.cli import answer
from tests.line.conftest import FIRMWARE, Line
from tests.line.test_regions import REGIONS, profile
from tests.support.firmware import esptool_calls_valid

TOKEN = "-patch_me_0ffline_" + "x7" * 7


def patch(line: Line, product: str, image: Path) -> Path:
    """The patched file."""
    secret = line.folder / "token"
    secret.write_text(TOKEN + "\n")
    out = line.folder / "patched.bin"
    code = answer.run(
        ["firmware", "patch", str(image), "--profile", product, "--token-file", str(secret),
         "--out", str(out)]
    )  # fmt: skip
    assert code == 0
    return out


@pytest.mark.parametrize("chip", ["esp32c3", "esp32", "esp8266"])
def test_a_patched_image_is_one_that_esptool_calls_valid(line: Line, chip: str) -> None:
    """The token inside, the seal repaired, the file its owner's alone."""
    out = patch(line, f"{chip}-blnkopt", FIRMWARE / f"{chip}_app.bin")
    assert TOKEN.encode() in out.read_bytes()
    assert esptool_calls_valid(chip, out.read_bytes())
    assert stat.S_IMODE(out.stat().st_mode) == 0o600


@pytest.mark.parametrize("region", [name for name in REGIONS if name != "placeholder"])
def test_what_stands_beside_the_application_is_a_file_of_its_own(line: Line, region: str) -> None:
    """A record or an NVS partition is written beside the image, its address in the name."""
    product = profile(line, region, "flash")
    golden = line.folder / "app.bin"
    out = patch(line, product, golden)
    assert out.read_bytes() == golden.read_bytes()
    (beside,) = line.folder.glob("patched.*@0x*.bin")
    assert TOKEN.encode() in beside.read_bytes()
    assert stat.S_IMODE(beside.stat().st_mode) == 0o600
