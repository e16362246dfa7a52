"""Units with burned protections, as far as the profile allows them."""

import hashlib
import re
from pathlib import Path

import pytest

from eol_inject import profiles
from eol_inject.acts.check_profile import check_profile
from eol_inject.errors import UsageError
from eol_inject.sim import manage
from tests.line.conftest import BOOT, FIRMWARE, Line, Unit
from tests.line.test_regions import profile as region_profile

READY = "token-id"
"""What the fixture's firmware says once it has a token, with eight digits of its SHA-256."""


def encrypted(line: Line, chip: str = "esp32c3", *, more: str = "", ready: str = READY) -> str:
    """A product for chips with flash encryption, its boot loader included."""
    path = Path(line.profile(chip, name="encrypted"))
    text = path.read_text(encoding="utf-8")
    text = text.replace('mode = "flash"', 'mode = "flash"\nsecurity = "encrypted"')
    text += f'\n[[firmware.parts]]\nfile = "{FIRMWARE / f"{chip}_boot.bin"}"\n'
    text += f"address = {BOOT[chip]:#x}\n{more}"
    text += f"\n[boot]\nexpect = '{ready}'\ntimeout_s = 3\n"
    path.write_text(text, encoding="utf-8")
    return str(path)


def said_token(line: Line, unit: Unit) -> str:
    """The token of the pool that the unit's own firmware named in its last boot log."""
    attempts = line.type("unit", "show", unit.mac, "--log").out["attempts"]
    logs = "".join(attempt["log"] for attempt in attempts)
    digits = re.findall(rf"{READY}: ([0-9a-f]{{8}})", logs)[-1]
    (token,) = [t for t in line.pool if hashlib.sha256(t.encode()).hexdigest()[:8] == digits]
    return token


@pytest.mark.parametrize("chip", ["esp32c3", "esp32"])
def test_an_encrypted_unit_passes_by_what_its_firmware_says(line: Line, chip: str) -> None:
    """The proof is a reply; nothing of the token or the image stands in its flash in the clear."""
    unit = line.unit(chip, "flash_encryption=1")
    told = line.run(unit, profile=encrypted(line, chip))
    assert told.code == 0, told
    assert (told.unit["proof"], told.unit["state"]) == ("reply", "closed")
    assert unit.tokens(line.pool) == set()
    golden = (FIRMWARE / f"{chip}_app.bin").read_bytes()
    assert golden[256:512] not in unit.flash(0, 4 << 20)
    (label,) = line.labels().values()
    assert label == line.pool[said_token(line, unit)]
    assert line.type("ledger", "check").code == 0
    before = unit.digest()
    again = line.run(unit, profile=encrypted(line, chip))
    assert again.unit["state"] == "closed"
    assert (unit.digest(), len(line.labels())) == (before, 1)


def test_a_chip_in_release_mode_takes_no_token(line: Line) -> None:
    """Its loader would write in the clear what the chip then decrypts: tokens go in before that."""
    unit = line.unit("esp32c3", "flash_encryption=1", "release=1")
    manage.start(unit.url)
    before = unit.digest()
    told = line.run(unit, profile=encrypted(line))
    assert (told.code, told.error) == (1, "device.encryption_locked")
    assert unit.digest() == before
    assert line.labels() == {}


def test_an_encrypted_unit_that_holds_something_is_not_begun(line: Line) -> None:
    """Nobody can see whose token that is: untouched, and no token is drawn."""
    unit = line.unit("esp32c3", "flash_encryption=1")
    manage.start(unit.url)
    manage.poke(unit.url, 0x3FF000, b"\0")
    before = unit.digest()
    told = line.run(unit, profile=encrypted(line))
    assert (told.code, told.error) == (1, "verify.not_erased")
    assert unit.digest() == before
    assert told.unit["state"] is None
    assert told.unit["proof"] is None


@pytest.mark.parametrize("fault", ["silent_boot", "brownout@write", "unplug@write:70000"])
def test_an_interrupted_encrypted_unit_is_written_again_with_its_own_token(
    line: Line, fault: str
) -> None:
    """No label before the firmware has spoken; then the label of the token that it speaks of."""
    unit, product = line.unit("esp32c3", "flash_encryption=1"), encrypted(line)
    told = line.run(unit, profile=product, port=f"{unit.url}&fault={fault}")
    assert told.code in {1, 3}
    assert told.unit["state"] in {"writing", "written"}
    assert line.labels() == {}
    manage.set_faults(unit.url)
    manage.replug(unit.url)
    told = line.run(unit, profile=product)
    assert told.code == 0, told
    assert told.unit["resumed"]
    assert list(line.labels().values()) == [line.pool[said_token(line, unit)]]


def test_what_happened_to_an_encrypted_unit_between_two_cycles_does_not_count(line: Line) -> None:
    """Nobody could see it: the unit is written again before its start is a proof."""
    unit, product = line.unit("esp32c3", "flash_encryption=1"), encrypted(line)
    told = line.run(unit, profile=product, port=f"{unit.url}&fault=silent_boot")
    assert told.unit["state"] == "written"
    ours = unit.flash(0x10000, 0x1000)
    manage.set_faults(unit.url)
    manage.poke(unit.url, 0x10000, bytes(0x1000))
    told = line.run(unit, profile=product)
    assert told.code == 0, told
    assert any("Written again" in note for note in told.unit["notes"])
    assert unit.flash(0x10000, 0x1000) == ours


def test_an_encrypted_unit_that_was_erased_after_its_write_stops(line: Line) -> None:
    """Erased, or a clone of one that still holds the token: only a named person goes on."""
    unit, product = line.unit("esp32c3", "flash_encryption=1"), encrypted(line)
    assert line.run(unit, profile=product, port=f"{unit.url}&fault=silent_boot").code == 1
    manage.set_faults(unit.url)
    manage.poke(unit.url, 0, b"\xff" * (4 << 20))
    told = line.run(unit, profile=product)
    assert told.code == 1
    assert told.error.startswith("ledger.")
    assert unit.digest() == hashlib.sha256(b"\xff" * (4 << 20)).hexdigest()


@pytest.mark.parametrize(
    ("option", "code"),
    [("secure_boot=0", "device.not_encrypted"), ("secure_boot=1", "device.secure_boot")],
)
def test_an_open_or_signed_chip_is_not_taken_for_an_encrypted_one(
    line: Line, option: str, code: str
) -> None:
    """Its token would lie there in the clear, or its changed image would not start."""
    unit = line.unit("esp32c3", option)
    told = line.run(unit, profile=encrypted(line))
    assert (told.code, told.error) == (1, code)
    assert unit.digest() == hashlib.sha256(b"\xff" * (4 << 20)).hexdigest()


def test_qa_cannot_read_an_encrypted_unit(line: Line) -> None:
    """`verify` says why, instead of taking what it reads for an empty unit."""
    unit, product = line.unit("esp32c3", "flash_encryption=1"), encrypted(line)
    assert line.run(unit, profile=product).code == 0
    told = line.type("verify", "--profile", product, "--port", unit.url)
    assert (told.code, told.error) == (1, "device.flash_encrypted")


def test_a_file_that_the_firmware_reads_as_it_is_is_not_encrypted(line: Line) -> None:
    """NVS is not decrypted by flash encryption: such a file would arrive as noise."""
    nvs = line.folder / "nvs.bin"
    nvs.write_bytes(b"\xff" * 0x3000)
    more = f'[[firmware.parts]]\nfile = "{nvs}"\naddress = 0x9000\n'
    unit = line.unit("esp32c3", "flash_encryption=1")
    told = line.run(unit, profile=encrypted(line, more=more))
    assert (told.code, told.error) == (2, "image.read_as_plain")
    with pytest.raises(UsageError) as caught:
        check_profile(profiles.load(encrypted(line, more=more)))
    assert caught.value.code == "image.read_as_plain"


def test_a_signed_unit_takes_a_token_beside_its_signed_image(line: Line) -> None:
    """Only where the profile allows it; what is signed stays byte for byte as it was."""
    path = Path(region_profile(line, "record", "inject"))
    text = path.read_text(encoding="utf-8")
    unit = line.unit(
        "esp32c3",
        "secure_boot=1",
        f"image={FIRMWARE / 'esp32c3_partitions.bin'}@0x8000",
        f"image={line.folder / 'app.bin'}@0x10000",
    )
    manage.start(unit.url)
    before = unit.flash(0, 0x3F0000)
    told = line.run(unit, profile=str(path))
    assert (told.code, told.error) == (1, "device.secure_boot")
    allowed = 'mode = "inject"\nsecurity = "allow_secure_boot"'
    path.write_text(text.replace('mode = "inject"', allowed), encoding="utf-8")
    told = line.run(unit, profile=str(path))
    assert told.code == 0, told
    assert told.unit["proof"] == "read_back"
    assert "this chip takes no stub, used the ROM loader" in told.unit["notes"]
    assert unit.flash(0, 0x3F0000) == before
    line.judge()
    assert len(unit.tokens(line.pool)) == 1


def test_on_a_signed_unit_nothing_is_to_be_erased(line: Line) -> None:
    """esptool would have to be forced: known before the first unit is begun."""
    path = Path(region_profile(line, "record", "inject", more='[inspect]\nstale_nvs = "erase"\n'))
    text = path.read_text(encoding="utf-8")
    profiles.load(str(path))
    allowed = 'mode = "inject"\nsecurity = "allow_secure_boot"'
    path.write_text(text.replace('mode = "inject"', allowed), encoding="utf-8")
    with pytest.raises(UsageError, match="stale_nvs"):
        profiles.load(str(path))


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("[boot]\nexpect = 'token-id'\ntimeout_s = 3\n", "", "[boot]"),
        ('mode = "flash"', 'mode = "inject"', "mode = 'flash'"),
        ('security = "encrypted"', 'security = "allow_secure_boot"', "mode = 'inject'"),
        ('security = "encrypted"', 'security = "force"', "encrypted"),
    ],
)
def test_a_profile_that_could_not_be_proved_is_refused(
    line: Line, old: str, new: str, why: str
) -> None:
    """When it is loaded, not at the first unit."""
    path = Path(encrypted(line))
    text = path.read_text(encoding="utf-8").replace(old, new)
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        profiles.load(str(path))
    assert caught.value.code == "profile.invalid"
    assert why in str(caught.value)
