"""What a unit holds before the cycle decides whether it may go on."""

import random
import string

import pytest

from eol_inject.sim import manage
from tests.line.conftest import Line, Unit
from tests.unit.verify.building import config, nvs

NVS = 0x9000
"""Where the fixtures' partition table has it."""


def implant(source: Unit, target: Unit) -> None:
    """Copy one unit's whole flash into another: a clone."""
    manage.start(target.url)
    manage.poke(target.url, 0, source.flash(0, 1 << 20))


def foreign_token() -> bytes:
    """A token of the right shape that no ledger here knows."""
    letters = string.ascii_letters + string.digits
    return "".join(random.Random(5).choices(letters, k=32)).encode()


def overwrite_token(line: Line, unit: Unit, new: bytes) -> None:
    """Put another token where the unit holds its own, as somebody else's tool would."""
    (own,) = unit.tokens(line.pool)
    flash = unit.flash(0, 1 << 20)
    manage.poke(unit.url, 0, flash.replace(own.encode(), new))


def test_a_clone_of_another_unit_is_stopped(line: Line) -> None:
    """A unit whose flash was copied from another one gets nothing and keeps every byte."""
    first, clone = line.unit(), line.unit()
    assert line.run(first).code == 0
    implant(first, clone)
    before = clone.digest()
    told = line.run(clone)
    assert (told.code, told.error) == (1, "verify.holds_other_unit")
    assert clone.digest() == before


def test_a_token_from_elsewhere_is_stopped(line: Line) -> None:
    """A token that this ledger does not know is nobody's to overwrite."""
    first, unit = line.unit(), line.unit()
    assert line.run(first).code == 0
    implant(first, unit)
    overwrite_token(line, unit, foreign_token())
    assert line.run(unit).error == "verify.holds_unknown_token"


def test_a_pool_token_that_is_not_its_own_is_stopped(line: Line) -> None:
    """A token that the ledger never gave out, on a unit that should be blank."""
    first, unit = line.unit(), line.unit()
    assert line.run(first).code == 0
    implant(first, unit)
    (given,) = first.tokens(line.pool)
    unused = next(token for token in line.pool if token != given)
    overwrite_token(line, unit, unused.encode())
    assert line.run(unit).error == "verify.holds_pool_token"


def test_an_erased_unit_is_not_served_again(line: Line) -> None:
    """The ledger says written, the unit reads blank: erased, or a clone with its identity."""
    unit = line.unit()
    told = line.run(unit, port=f"{unit.url}&fault=unplug@read:11000")
    assert (told.code, told.unit["state"]) == (3, "written")
    manage.set_faults(unit.url)
    manage.wipe(unit.url)
    told = line.run(unit)
    assert (told.code, told.error) == (1, "ledger.unit_erased")
    assert unit.tokens(line.pool) == set()


def saved_configuration(token: bytes) -> bytes:
    """An NVS partition in which classic Edgent has saved ``token``, by Espressif's generator."""
    return nvs({"blynk": [("config", "blob", config(token.decode()))]})


@pytest.mark.parametrize(("policy", "code"), [("refuse", "verify.stale_nvs"), ("erase", "")])
def test_a_stale_configuration_is_refused_or_erased(line: Line, policy: str, code: str) -> None:
    """An old configuration in NVS would beat the new token: the profile says which it is."""
    unit = line.golden_unit()
    manage.start(unit.url)
    manage.poke(unit.url, NVS, saved_configuration(foreign_token()))
    before = unit.digest()
    told = line.run(unit, profile=line.profile(stale_nvs=policy, mode="inject"))
    assert told.error == code
    if code:
        assert (told.code, unit.digest()) == (1, before)
    else:
        assert told.code == 0
        assert foreign_token() not in unit.flash(0, 4 << 20)


@pytest.mark.parametrize("policy", ["refuse", "erase"])
def test_a_configuration_of_another_living_unit_is_never_erased(line: Line, policy: str) -> None:
    """A saved token that the ledger gave to another unit stops the cycle, whatever the profile."""
    other, unit = line.unit(), line.golden_unit()
    assert line.run(other).code == 0
    (token,) = other.tokens(line.pool)
    manage.start(unit.url)
    manage.poke(unit.url, NVS, saved_configuration(token.encode()))
    before = unit.digest()
    told = line.run(unit, profile=line.profile(stale_nvs=policy, mode="inject"))
    assert told.code == 1
    assert told.error in {"verify.stale_nvs", "verify.holds_other_unit"}
    assert unit.digest() == before


@pytest.mark.parametrize(
    ("option", "code"),
    [
        ("secure_boot=1", "device.secure_boot"),
        ("flash_encryption=1", "device.flash_encrypted"),
        ("secure_download=1", "device.secure_download"),
    ],
)
@pytest.mark.parametrize("chip", ["esp32c3", "esp32"])
def test_a_protected_chip_is_refused_before_a_byte(
    line: Line, chip: str, option: str, code: str
) -> None:
    """Flash encryption, secure boot and Secure Download Mode: exit 1 with the reason, no write."""
    if chip == "esp32" and "download" in option:
        pytest.skip("the ESP32 has no Secure Download Mode")
    unit = line.unit(chip, option)
    manage.start(unit.url)
    before = unit.digest()
    told = line.run(unit)
    assert (told.code, told.error) == (1, code)
    assert unit.digest() == before


def test_another_chip_is_refused(line: Line) -> None:
    """The profile's chip is not the one in the slot: exit 1, no write."""
    unit = line.unit("esp32c3")
    manage.start(unit.url)
    before = unit.digest()
    told = line.run(unit, profile="esp32-blnkopt")
    assert (told.code, told.error) == (1, "device.wrong_chip")
    assert unit.digest() == before


def test_verify_tells_the_state_without_the_token(
    line: Line, capfd: pytest.CaptureFixture[str]
) -> None:
    """QA's verify: 0 for a finished unit, 1 for a blank one, and never a token in what it says."""
    done, blank = line.unit(), line.golden_unit()
    assert line.run(done).code == 0
    (token,) = done.tokens(line.pool)
    told = line.type("verify", "--profile", "esp32c3-blnkopt", "--port", done.url)
    assert (told.code, told.out["holding"], told.out["seal_ok"]) == (0, "own", True)
    assert token not in str(told.out)
    assert line.pool[token] not in str(told.out)
    told = line.type("verify", "--profile", "esp32c3-blnkopt", "--port", blank.url)
    assert (told.code, told.error) == (1, "verify.no_token")
