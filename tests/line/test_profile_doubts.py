"""`profile check`: what is allowed but will hardly be meant is told before a line depends on it."""

import json
from pathlib import Path

import pytest

from eol_inject.cli import answer
from tests.line.conftest import FIRMWARE, Line

RECORD = """
[[regions]]
kind = "record"
address = {address}
layout = [
  {{ name = "magic", type = "u32", value = "0x626c6e6b" }},
  {{ name = "token", type = "text", size = 34, value = "{{auth}}" }},
  {{ name = "crc", type = "u32", value = "{{crc32}}" }},
]
"""


def record_at(folder: Path, address: str, device: str = "") -> str:
    """A product whose token is a record of its own at ``address``."""
    path = folder / "record.toml"
    path.write_text(
        "schema = 1\n[product]\nid = 'TMPLsample01'\nname = 'Sensor'\norganization = 1\n"
        f"[device]\nchip = 'esp32c3'\n{device}\n"
        f"[firmware]\nfile = '{FIRMWARE / 'esp32c3_app.bin'}'\naddress = 0x10000\n"
        f"[[firmware.parts]]\nfile = '{FIRMWARE / 'esp32c3_partitions.bin'}'\naddress = 0x8000\n"
        + RECORD.format(address=address)
        + "[label]\ntemplate = 'claim-50x25-203'\n"
    )
    return str(path)


@pytest.mark.parametrize(
    ("address", "device", "said"),
    [
        ("0xe000", "", "otadata"),
        ("0x150000", "", "an over-the-air update"),
        ("0x3ff000", "flash_size = 0x200000", "behind a flash of 0x200000 bytes"),
        ("0x400000", "", "behind a flash of 0x400000 bytes"),
    ],
)
def test_a_place_that_will_not_last_is_told(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, address: str, device: str, said: str
) -> None:
    """A record in otadata, in another application's slot, or behind the flash."""
    assert answer.run(["profile", "check", record_at(tmp_path, address, device), "--json"]) == 0
    assert any(said in warning for warning in json.loads(capsys.readouterr().out)["warnings"])


def test_a_place_of_its_own_raises_no_doubt(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A record behind the last partition, inside the flash."""
    assert answer.run(["profile", "check", record_at(tmp_path, "0x3ff000"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["warnings"] == []


def test_an_import_with_the_profile_refuses_what_its_region_cannot_take(line: Line) -> None:
    """One row too long for the region: told by its row, and nothing of the file is imported."""
    profile = Path(line.profile())
    text = profile.read_text("utf-8").replace('ssid = ""', 'ssid = "{place}"')
    profile.write_text(f'{text}\n[fields.place]\ncolumn = "Place"\n', "utf-8")
    source = line.folder / "places.csv"
    good, bad = (
        f"{letter * 32},sqr_{letter * 32}+1,{place}\n"
        for letter, place in (("Y", "hall"), ("X", "h" * 190))
    )
    source.write_text(f"Device Token,QR Token,Place\n{good}{bad}")
    args = (
        "tokens",
        "import",
        str(source),
        "--lot",
        "P",
        "--profile",
        str(profile),
        "--keep-source",
    )
    before = line.type("tokens", "status").out["counts"]
    told = line.type(*args)
    assert (told.code, told.error) == (2, "tokens.field_unwritable")
    assert told.out["error"]["text"].startswith("Row 3: ")
    assert "hhhh" not in str(told.out)
    assert line.type("tokens", "status").out["counts"] == before
    source.write_text(f"Device Token,QR Token,Place\n{good}")
    assert line.type(*args).code == 0
