"""Facts that a second pair of eyes asked for."""

import random
import string

import pytest

from eol_inject import profiles
from eol_inject.cli import answer
from eol_inject.errors import UsageError
from eol_inject.image.firmware import load
from eol_inject.label import open_printer
from eol_inject.ledger import Kind
from eol_inject.sim import manage
from eol_inject.station.preflight import same_world
from eol_inject.unit import AuthToken
from tests.line.conftest import Line
from tests.line.test_regions import NVS, golden_unit, profile
from tests.unit.verify.building import nvs


@pytest.mark.parametrize("port", ["sim://esp32c3", "SIM://esp32c3", "Sim:esp32"])
def test_a_simulated_port_is_one_in_any_spelling(port: str) -> None:
    """Capital letters do not bring a simulated unit onto a production ledger."""
    with pytest.raises(UsageError) as refused:
        same_world(Kind.PRODUCTION, port)
    assert refused.value.code == "ledger.simulated_on_production"
    same_world(Kind.TRAINING, port)


@pytest.mark.parametrize("chip", ["esp32c3", "esp32", "esp8266"])
def test_the_sectors_to_write_do_not_depend_on_the_token(chip: str) -> None:
    """Every sector that any token changes is among those that are written and read back."""
    product = profiles.load(f"{chip}-blnkopt")
    files = load(
        product.spec.firmware,
        product.spec.regions,
        application=product.firmware_file,
        parts=product.part_files,
        chip=chip,
    )
    rng = random.Random(3)
    letters = string.ascii_letters + string.digits + "-_"
    for _ in range(200):
        auth = AuthToken("".join(rng.choices(letters, k=32)))
        patched = files.golden.patch(auth, {})
        planned = files.golden.plan(patched, files.address).addresses
        assert set(planned) <= set(files.changed)
        (group,) = files.groups(patched, whole=False)
        assert tuple(address for address, _ in group) == files.changed


def test_other_data_in_nvs_outlives_a_cycle_that_broke_off(line: Line) -> None:
    """`keep` also holds for a unit that is resumed in `writing`."""
    keeping = profile(line, "edgent", "inject", more='existing = "keep"\n')
    unit = golden_unit(line)
    manage.start(unit.url)
    manage.poke(unit.url, NVS, nvs({"phy": [("cal", "u32", "7")]}))
    told = line.run(unit, profile=keeping, port=f"{unit.url}&fault=brownout@erase")
    assert (told.code, told.unit["state"]) == (3, "writing")
    manage.set_faults(unit.url)
    assert line.run(unit, profile=keeping).code == 0
    assert b"cal\0" in unit.flash(NVS, 0x5000)


def test_a_token_without_a_label_is_not_written(line: Line) -> None:
    """A devices export has no QR tokens: the unit stays blank, the token goes back to the pool."""
    source = line.folder / "devices.csv"
    token = "n0QR" + "x7" * 14
    source.write_text(f"Device Name,Device Token\nLamp,{token}\n")
    told = line.type(
        "tokens", "import", str(source), "--product", "TMPLsample01", "--lot", "NOQR", "--org", "1"
    )
    assert told.code == 0, told
    unit = line.unit()
    manage.start(unit.url)
    before = unit.digest()
    told = line.run(unit, lot="NOQR")
    assert (told.code, told.error) == (3, "ledger.unlabelled_token")
    assert unit.digest() == before
    assert line.run(unit).code == 0


def test_a_port_lost_before_the_last_identity_judges_no_unit(line: Line) -> None:
    """Exit 3, not 4: nobody knows yet whether the unit is good."""
    product = profile(
        line, "record", "inject", more='[boot]\nexpect = "never said"\ntimeout_s = 2\n'
    )
    unit = golden_unit(line)
    told = line.run(unit, profile=product, port=f"{unit.url}&fault=unplug@boot")
    assert told.code in {1, 3}
    assert not line.labels()


def test_a_pasted_token_is_never_repeated(line: Line, capfd: pytest.CaptureFixture[str]) -> None:
    """Neither bare nor as somebody's serial number."""
    (token, *_) = line.pool
    for text in (token, f"serial:{token}"):
        ledger = f"sqlite:///{line.folder / 'ledger.db'}"
        code = answer.run(
            ["unit", "show", "--ledger", ledger, "--key-file", str(line.folder / "ledger.key"),
             "--training", "--", text]
        )  # fmt: skip
        said = capfd.readouterr()
        assert code == 2
        assert token not in said.out + said.err


def test_qa_is_told_what_the_ledger_has_against_a_unit(line: Line) -> None:
    """A unit that holds its own token, but was stopped by a person, is no good unit: exit 1."""
    unit = line.unit()
    assert line.run(unit).code == 0
    check = ("verify", "--profile", "esp32c3-blnkopt", "--port", unit.url)
    assert line.type(*check).code == 0
    told = line.type("unit", "quarantine", unit.mac, "--reason", "smells burnt")
    assert told.code == 0, told
    told = line.type(*check)
    assert told.code == 1
    assert told.error in {"ledger.unit_quarantined", "ledger.unit_blocked"}


def test_a_finished_unit_that_was_erased_is_not_called_done(line: Line) -> None:
    """The flash is looked at before a unit counts as done: erased, or a clone with its MAC."""
    unit = line.unit()
    assert line.run(unit).code == 0
    assert line.run(unit).error == "ledger.unit_closed"
    manage.wipe(unit.url)
    told = line.run(unit)
    assert (told.code, told.error) == (1, "ledger.unit_erased")
    assert unit.tokens(line.pool) == set()


def test_a_finished_unit_with_a_foreign_token_is_not_called_done(line: Line) -> None:
    """What it holds is told, not what the ledger remembers."""
    unit = line.unit()
    assert line.run(unit).code == 0
    (token,) = unit.tokens(line.pool)
    flash = unit.flash(0, 1 << 20)
    manage.poke(unit.url, 0, flash.replace(token.encode(), b"Z" * 32))
    told = line.run(unit)
    assert (told.code, told.error) == (1, "verify.holds_unknown_token")


def test_a_lot_says_why_it_gives_nothing(line: Line) -> None:
    """A lot that is not there, and one whose tokens belong to other units."""
    unit = line.unit()
    assert line.run(unit, lot="nolot").error == "ledger.no_such_lot"
    source = line.folder / "bound.csv"
    source.write_text(f"MAC address,Token,QR\n60:55:f9:aa:aa:aa,{'b' * 31}9,sqr_{'c' * 31}9+1\n")
    told = line.type("tokens", "import", str(source), "--product", "TMPLsample01", "--lot", "B")
    assert told.code == 0, told
    assert line.run(unit, lot="B").error == "ledger.only_bound_left"


def test_a_record_may_not_lie_on_another_part(line: Line) -> None:
    """A region on the product's own partition table is refused before any unit is written."""
    path = profile(line, "record", "flash")
    text = line.folder.joinpath("record-flash.toml").read_text().replace("0x3F0000", "0x8000")
    line.folder.joinpath("record-flash.toml").write_text(text)
    told = line.run(line.unit(), profile=path)
    assert (told.code, told.error) == (2, "image.parts_overlap")


def test_an_application_outside_the_tables_slots_is_refused(line: Line) -> None:
    """Written to 0x20000 while the table has app0 at 0x10000, it would never start."""
    path = profile(line, "record", "flash")
    file = line.folder / "record-flash.toml"
    file.write_text(file.read_text().replace("address = 0x10000", "address = 0x20000"))
    told = line.run(line.unit(), profile=path)
    assert (told.code, told.error) == (2, "image.no_slot")


def test_a_misspelt_printer_is_no_folder() -> None:
    """An unknown scheme is refused, not made a folder of."""
    with pytest.raises(UsageError) as refused:
        open_printer("zpl_usb:///dev/usb/lp0")
    assert refused.value.code == "label.unknown_printer"


def test_a_token_pasted_as_a_name_is_not_repeated(
    line: Line, capfd: pytest.CaptureFixture[str]
) -> None:
    """Profile, port, file: whatever it was taken for, the error does not say it again."""
    (token, *_) = line.pool
    for words in (
        ["run", "--once", "--profile", token, "--port", "sim://esp32c3", "--lot", "L1"],
        ["run", "--once", "--profile", "esp32c3-blnkopt", "--port", token, "--lot", "L1"],
        ["firmware", "inspect", f"/nowhere/{token}.bin"],
        ["profile", "check", token],
    ):
        assert answer.run([*words, *([] if words[0] != "run" else ["--training"])]) != 0
        said = capfd.readouterr()
        assert token not in said.out + said.err


@pytest.mark.parametrize("name", ["", " ", "a\nb", "A" * 31 + "9", "x" * 81, "sqr_oops"])
def test_a_lots_name_is_fit_for_records(line: Line, name: str) -> None:
    """Empty, unprintable, endless, or a token: refused with exit 2 before anything is read."""
    told = line.type("tokens", "import", "nothing.csv", "--product", "P", "--lot", name)
    assert (told.code, told.error) == (2, "report.usage")
    assert "A" * 31 + "9" not in str(told.out)


def test_a_misspelt_required_key_names_the_right_one(line: Line) -> None:
    """`adress` is unknown and `address` is missing: the first is what to correct."""
    path = profile(line, "record", "flash")
    file = line.folder / "record-flash.toml"
    file.write_text(file.read_text().replace("address = 0x10000", "adress = 0x10000"))
    with pytest.raises(UsageError) as refused:
        profiles.load(path)
    assert refused.value.code == "profile.unknown_key"
    assert "'address'" in refused.value.hint


def test_a_profile_with_a_byte_order_mark_is_read(line: Line) -> None:
    """Older editors on Windows write one."""
    path = profile(line, "record", "flash")
    file = line.folder / "record-flash.toml"
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert profiles.load(path).spec.product.id == "TMPLsample01"
