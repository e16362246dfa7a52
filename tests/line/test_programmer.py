"""A product whose token goes in by an external programmer: the whole cycle, faults and all.

The programmer here is a toy whose units are folders, so that it can hang, lie and tear; judged by
those folders. A real one with real boot loaders: ``test_avr.py``.
"""

import io
import json
import re
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest
from intelhex import IntelHex

from eol_inject import profiles
from eol_inject.acts.check_profile import check_profile
from eol_inject.errors import StationError
from eol_inject.events import Step
from eol_inject.ledger import Cycle
from eol_inject.station.attempt import Attempt
from tests.line.conftest import PRODUCT, RealDesk, Told
from tests.support import toy_programmer as toy

TOY = Path(toy.__file__)
MARK = b"@@TOKEN@@TOKEN@@TOKEN@@TOKEN@@TOKEN@@"
REGION_AT = 0x100 + 40


def golden(folder: Path) -> bytes:
    """A firmware in two pieces, its placeholder in the first, as Intel HEX."""
    code = bytes(range(40)) + MARK + bytes(range(200, 240)) * 4
    made = IntelHex()
    made.frombytes(code, offset=0x100)
    made.frombytes(b"tail of it", offset=0x800)
    out = io.StringIO()
    made.write_hex_file(out)
    (folder / "golden.hex").write_text(out.getvalue())
    return code


PLACEHOLDER = f'kind = "placeholder"\ntext = "{MARK.decode()}"'
EEPROM = """kind = "eeprom"
offset = 16
layout = [
  { name = "magic", type = "u16", value = "0xB10C" },
  { name = "auth", type = "text", size = 33, value = "{auth}" },
  { name = "crc", type = "u32", value = "{crc32}" },
]"""
PEEK = 'peek = { run = [PY, TOY, "{port}", "read", "flash", "{address}", "{size}"], format="dump" }'

TYPED = """peek = { run = [PY, TOY, "{port}", "terminal"], format = "dump",
  typed = ["dump flash {address} {size}"] }"""


def profile(
    folder: Path,
    *,
    mode: str = "flash",
    region: str = PLACEHOLDER,
    serial: str | None = "SN[0-9]{6}",
    more: str = "",
    flash: str = "",
    read: str = 'read = { run = [PY, TOY, "{port}", "read", "flash"], format = "dump" }',
    write: str = 'write = { run = [PY, TOY, "{port}", "write", "flash"], timeout_s = 5 }',
    table: str = "",
    uid: str = "[0-9A-F]+",
    label: str = "claim-50x25-203",
) -> str:
    """A product with the toy as its programmer."""
    golden(folder)
    who = f"serial = '{serial}'" if serial else ""
    told = "" if serial else f", 'uid (?P<uid>{uid})'"
    text = f"""
schema = 1
[product]
id = "{PRODUCT}"
name = "Toy"
organization = 1
[device]
mode = "{mode}"
deadline_s = 30
{table}
[firmware]
file = "golden.hex"
[[regions]]
{region}
[programmer]
chip = "toy4k"
{who}
identify = {{ run = [PY, TOY, "{{port}}", "identify"], timeout_s = 2,
  expect = ['signature 0x600D'{told}] }}
says = [
  {{ match = "not responding", means = "no_sync" }},
  {{ match = "0xBAD", means = "wrong_chip" }},
  {{ match = "verification error", means = "verify_failed" }},
]
{more}
[programmer.flash]
size = 4096
page = 64
{write}
{read}
{flash}
[programmer.eeprom]
size = 512
write = {{ run = [PY, TOY, "{{port}}", "write", "eeprom"] }}
read = {{ run = [PY, TOY, "{{port}}", "read_bin", "eeprom", "{{address}}", "{{size}}"],
  format = "bin" }}
[label]
template = "{label}"
"""
    text = re.sub(r"\n  (expect|format|typed)", r" \1", text)
    text = text.replace("PY", json.dumps(sys.executable)).replace("TOY", json.dumps(str(TOY)))
    path = folder / "toy.toml"
    path.write_text(text, "utf-8")
    return str(path)


def unit_of(desk: RealDesk, name: str, *, uid: str = "") -> Path:
    """A unit's folder, which is its port's name too."""
    path = desk.folder / name
    path.mkdir()
    if uid:
        (path / "uid").write_text(uid)
    return path


def tokens_of(desk: RealDesk, unit: Path) -> set[str]:
    """Tokens of the pool anywhere in the unit."""
    return desk.tokens_in(toy.content(unit, "flash") + toy.content(unit, "eeprom"))


@pytest.mark.parametrize("mode", ["flash", "inject"])
@pytest.mark.parametrize(
    "how",
    ["whole", "peek", "typed", "file"],
    ids=["read whole", "read in part", "by a terminal", "through a file"],
)
def test_a_unit_gets_its_token_by_a_programmer(desk: RealDesk, mode: str, how: str) -> None:
    """Written, read back, labelled; the rest of the firmware is golden."""
    changes = {
        "whole": {},
        "peek": {"flash": PEEK},
        "typed": {"flash": TYPED},
        "file": {
            "read": 'read = { run = [PY, TOY, "{port}", "read", "flash", "{file}"], '
            'format = "dump" }',
            "write": 'write = { run = [PY, TOY, "{port}", "write", "flash", "{file}"] }',
        },
    }[how]
    product = profile(desk.folder, mode=mode, **changes)
    unit = unit_of(desk, "u1")
    code = golden(desk.folder)
    if mode == "inject":
        told = desk.run(unit, "SN000001", product)
        assert (told.code, told.error) == (1, "verify.not_golden")
        pieces = toy.parsed((desk.folder / "golden.hex").read_bytes())
        toy.store(unit, "flash", pieces, torn=False)
    told = desk.run(unit, "SN000001", product)
    assert told.code == 0, told
    assert (told.unit["unit"], told.unit["proof"]) == ("SN000001", "read_back")
    (token,) = tokens_of(desk, unit)
    flash = toy.content(unit, "flash")
    assert flash[REGION_AT : REGION_AT + len(MARK)] == token.encode().ljust(len(MARK), b"\0")
    assert flash[0x100 : 0x100 + 40] == code[:40]
    assert flash[0x800:0x80A] == b"tail of it"
    told = desk.run(unit, "SN000001", product)
    assert (told.code, told.error) == (1, "ledger.unit_closed")
    assert len(list((desk.folder / "labels").glob("*.png"))) == 1


def test_gaps_are_filled_where_the_boot_loader_needs_it(desk: RealDesk) -> None:
    """One piece from address 0 to the firmware's end: nothing old is left in between."""
    product = profile(desk.folder, flash='gaps = "fill"')
    unit = unit_of(desk, "u1")
    (unit / "flash").write_bytes(b"\x11" * 4096)
    told = desk.run(unit, "SN000001", product)
    assert told.code == 0, told
    flash = toy.content(unit, "flash")
    assert flash[:0x100] == b"\xff" * 0x100
    assert flash[0x200:0x800] == b"\xff" * 0x600
    assert flash[0x80A:] == b"\x11" * (4096 - 0x80A)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"serial": None, "more": "serial = 'SN.*'"}, "either `identify` has a group"),
        ({"more": 'proof = "reply"'}, "needs a chip that says who it is"),
        ({"serial": None, "more": 'proof = "reply"'}, "needs [boot]"),
        ({"read": "", "serial": None}, "no command reads back"),
        ({"mode": "inject", "flash": 'gaps = "fill"'}, "writes the image whole"),
        ({"table": 'chip = "esp32"'}, "[programmer] names the chip"),
        ({"region": 'kind = "record"\naddress = 0\nlayout = []'}, "layout"),
        ({"write": 'write = { run = ["x", "{auth}"] }'}, "{auth} is not known here"),
        ({"write": 'write = { run = ["x"], format = "dump" }'}, "a dump cannot be written"),
    ],
)
def test_a_profile_that_cannot_work_is_refused(
    desk: RealDesk, changes: dict[str, str], why: str
) -> None:
    """Before anything is touched, with the place and the reason."""
    product = profile(desk.folder, **changes)  # type: ignore[arg-type]  # one of them is None
    told = desk.run(unit_of(desk, "u1"), "SN000001", product)
    assert told.code == 2, told
    assert why in json.dumps(told.out), told


def test_a_program_that_is_not_there_stops_before_the_unit(desk: RealDesk) -> None:
    """Named, with what to do, and the station's fault; a profile may be checked without it."""
    product = profile(desk.folder, write='write = { run = ["no-such-programmer"] }')
    unit = unit_of(desk, "u1")
    told = desk.run(unit, "SN000001", product)
    assert (told.code, told.error) == (3, "device.programmer_missing")
    assert "no-such-programmer" in told.out["error"]["text"]
    assert "Install it" in told.out["error"]["hint"]
    assert not (unit / "asked").exists()
    assert {row["state"] for row in desk.type("tokens", "status").out["counts"]} == {"available"}
    checked = check_profile(profiles.load(product))
    assert [warning for warning in checked.warnings if "'no-such-programmer'" in warning]
    assert not [warning for warning in checked.warnings if sys.executable in warning]


def test_an_eeprom_takes_the_token(desk: RealDesk) -> None:
    """The record stands in the EEPROM, and the firmware beside it is golden."""
    product = profile(desk.folder, region=EEPROM)
    unit = unit_of(desk, "u1")
    told = desk.run(unit, "SN000001", product)
    assert told.code == 0, told
    (token,) = tokens_of(desk, unit)
    assert toy.content(unit, "eeprom")[18:50] == token.encode()
    assert MARK in toy.content(unit, "flash")
    assert token.encode() not in toy.content(unit, "flash")


def test_a_chip_that_says_who_it_is_needs_no_scan(desk: RealDesk) -> None:
    """The uid names the unit; another one in the fixture gets a token of its own."""
    product = profile(desk.folder, serial=None)
    first, second = unit_of(desk, "u1", uid="A1B2C3"), unit_of(desk, "u2", uid="A1B2C4")
    assert desk.run(first, "", product).unit["unit"] == "A1B2C3"
    assert desk.run(second, "", product).unit["unit"] == "A1B2C4"
    assert tokens_of(desk, first) != tokens_of(desk, second)


LONG = "0123456789abcdef0123456789ABCDEF"
GROUPED = "01234567.89ABCDEF.01234567.89ABCDEF"


def test_a_chip_with_a_number_of_128_bits_is_made(desk: RealDesk) -> None:
    """The number has a token's shape: kept and printed in groups, found in either form, and no
    token in any of them."""
    product = profile(desk.folder, serial=None, uid="[0-9A-Fa-f]+")
    unit = unit_of(desk, "u1", uid=LONG)
    told = desk.run(unit, "", product)
    assert (told.code, told.error) == (2, "label.text_too_long"), "found out before the write"
    assert {row["state"] for row in desk.type("tokens", "status").out["counts"]} == {"available"}
    product = profile(desk.folder, serial=None, uid="[0-9A-Fa-f]+", label="claim-50x25-203-long")
    told = desk.run(unit, "", product)
    assert told.code == 0, told
    assert told.unit["unit"] == GROUPED
    assert GROUPED in told.unit["label_files"][0]
    assert LONG.lower() not in json.dumps(told.out).lower()
    (unit / "uid").write_text(LONG.upper())
    assert desk.run(unit, "", product).error == "ledger.unit_closed"
    for which in (LONG, LONG.upper(), f"uid:{LONG}", GROUPED, GROUPED.lower()):
        found = desk.type("unit", "show", which)
        assert (found.code, found.out["unit"]) == (0, GROUPED), found
        scanned = desk.type("unit", "show", "-", scans=f"{which}\n")
        assert (scanned.code, scanned.out["unit"]) == (0, GROUPED), scanned
    assert desk.type("verify", "--profile", product, "--port", str(unit)).code == 0


def test_a_number_that_is_a_token_of_the_ledger_is_refused(desk: RealDesk) -> None:
    """A firmware that tells its token where its number belongs: nothing is reserved or shown."""
    source = desk.folder / "hex.csv"
    source.write_text(f"Device Token,QR Token\n{LONG},sqr_{'h' * 32}+1\n")
    told = desk.type("tokens", "import", str(source), "--product", PRODUCT, "--lot", "H")
    assert told.code == 0, told
    product = profile(desk.folder, serial=None, uid="[0-9A-Fa-f]+")
    told = desk.run(unit_of(desk, "u1", uid=LONG), "", product)
    assert (told.code, told.error) == (1, "device.identity_is_token"), told
    assert {row["state"] for row in desk.type("tokens", "status").out["counts"]} == {"available"}
    said = json.dumps(told.out)
    assert LONG.lower() not in said.lower()
    assert GROUPED not in said


def test_a_number_that_only_looks_like_a_token_names_no_unit(desk: RealDesk) -> None:
    """It is hidden everywhere, so that all such chips would be one unit: refused."""
    product = profile(desk.folder, serial=None, uid="[0-9A-Z]+")
    told = desk.run(unit_of(desk, "u1", uid="G123456789ABCDEF0123456789ABCDEF"), "", product)
    assert (told.code, told.error) == (1, "device.bad_identity"), told


@pytest.mark.parametrize(
    ("fault", "code", "error", "state"),
    [
        ("identify hang", 3, "device.programmer_hung", ""),
        ("identify sync", 3, "device.no_sync", ""),
        ("identify chip", 1, "device.other_chip", ""),
        ("identify silent", 3, "device.other_answer", ""),
        ("read silent", 3, "device.programmer_output", ""),
        ("read quiet_sync", 3, "device.no_sync", ""),
        ("read die", 3, "device.programmer_failed", ""),
        ("write sync", 3, "device.no_sync", "writing"),
        ("write hang", 3, "device.programmer_hung", "writing"),
        ("write mismatch", 1, "device.verify_failed", "quarantined"),
        ("write tear", 1, "verify.memory_differs", "written"),
    ],
)
def test_every_way_a_programmer_fails_is_told(
    desk: RealDesk, fault: str, code: int, error: str, state: str
) -> None:
    """Exit code, code and state; no token is lost, none is shown, and no label comes out."""
    product = profile(desk.folder)
    unit = unit_of(desk, "u1")
    (unit / "fault").write_text(fault)
    told = desk.run(unit, "SN000001", product)
    assert (told.code, told.error, told.unit["state"] or "") == (code, error, state), told
    assert not list((desk.folder / "labels").glob("*.png"))
    assert not any(token in json.dumps(told.out) for token in desk.line.pool)
    assert "0x41" not in json.dumps(told.out)


def test_a_scanned_number_alone_does_not_go_on_with_a_unit_that_was_written(desk: RealDesk) -> None:
    """The write broke off; another unit under the same number must not get that token. A lead who
    looked lets it go on, and it is the same token."""
    product = profile(desk.folder)
    unit, wrong = unit_of(desk, "u1"), unit_of(desk, "u2")
    (unit / "fault").write_text("write sync")
    assert desk.run(unit, "SN000001", product).error == "device.no_sync"
    (unit / "fault").unlink()
    for other in (wrong, unit):
        told = desk.run(other, "SN000001", product)
        assert (told.code, told.error) == (1, "verify.serial_alone"), told
        assert tokens_of(desk, other) == set()
    pin = desk.admin()
    for act in ("quarantine", "clear"):
        told = desk.type("unit", act, "SN000001", "--reason", "looked at it", *pin)
        assert told.code == 0, told
    told = desk.run(unit, "SN000001", product)
    assert told.code == 0, told
    assert len(tokens_of(desk, unit)) == 1


def test_a_unit_that_holds_its_token_goes_on_by_itself(desk: RealDesk) -> None:
    """Number and token together are enough: the programmer died behind the write."""
    product = profile(desk.folder)
    unit = unit_of(desk, "u1")
    (unit / "fault").write_text("write late")
    assert desk.run(unit, "SN000001", product).unit["state"] == "writing"
    (token,) = tokens_of(desk, unit)
    (unit / "fault").unlink()
    told = desk.run(unit, "SN000001", product)
    assert told.code == 0, told
    assert tokens_of(desk, unit) == {token}


def test_a_number_of_a_unit_that_is_done_is_not_taken_for_another(desk: RealDesk) -> None:
    """The number of a closed unit over a blank one: erased, or the wrong unit."""
    product = profile(desk.folder)
    first, second = unit_of(desk, "u1"), unit_of(desk, "u2")
    assert desk.run(first, "SN000001", product).code == 0
    told = desk.run(second, "SN000001", product)
    assert (told.code, told.error) == (1, "ledger.unit_erased")
    told = desk.run(first, "SN000002", product)
    assert (told.code, told.error) == (1, "verify.holds_other_unit")
    assert tokens_of(desk, second) == set()


def test_a_token_in_another_firmware_is_seen(desk: RealDesk) -> None:
    """An older firmware keeps its token elsewhere: a unit that has one is not blank."""
    product = profile(desk.folder)
    first, old = unit_of(desk, "u1"), unit_of(desk, "u2")
    assert desk.run(first, "SN000001", product).code == 0
    (token,) = tokens_of(desk, first)
    (old / "flash").write_bytes((b"old firmware \0" + token.encode() + b"\0").ljust(4096, b"\1"))
    told = desk.run(old, "SN000002", product)
    assert (told.code, told.error) == (1, "verify.holds_other_unit")


def test_what_is_no_serial_number_is_not_taken(desk: RealDesk) -> None:
    """A claim code, a token, a typo: each is told without being shown, and asked for again."""
    product = profile(desk.folder)
    unit = unit_of(desk, "u1")
    token, claim = next(iter(desk.line.pool.items()))
    told = desk.run(unit, f"{claim}\n{token}\nSN12\nSN000007", product)
    assert told.code == 0, told
    assert told.unit["unit"] == "SN000007"
    assert token not in json.dumps(told.out)
    told = desk.run(unit_of(desk, "u2"), "", product)
    assert (told.code, told.error) == (3, "station.no_serial")


@pytest.mark.parametrize(("verb", "at_its_ends"), [("write", 2), ("read", 0)])
def test_a_slow_program_keeps_the_lease(
    desk: RealDesk, monkeypatch: pytest.MonkeyPatch, verb: str, at_its_ends: int
) -> None:
    """With a lease that is nearly over whenever somebody looks, it is renewed while the program
    runs: by the database's clock it never ends."""
    left: list[tuple[Step | None, float, float]] = []
    renew = Cycle.keep

    def keep(attempt: Attempt) -> None:
        if attempt.cycle is not None:
            with closing(sqlite3.connect(desk.folder / "real.db", isolation_level=None)) as file:
                file.execute("UPDATE lease SET expires = expires - 80")
                (before,) = file.execute("SELECT expires FROM lease").fetchone()
                renew(attempt.cycle)
                (after,) = file.execute("SELECT expires FROM lease").fetchone()
            left.append((attempt.teller.at, before, after))

    monkeypatch.setattr(Attempt, "keep", keep)
    unit = unit_of(desk, "u1")
    (unit / "fault").write_text(f"{verb} slow")
    assert desk.run(unit, "SN000001", profile(desk.folder)).code == 0
    seen = [one for one in left if one[0] in {Step.WRITE, Step.READ_BACK}]
    during = Step.WRITE if verb == "write" else Step.READ_BACK
    assert sum(step is during for step, _, _ in seen) > at_its_ends
    assert all(after - before > 60 for _, before, after in seen)


def test_a_program_ends_where_the_lease_is_lost(
    desk: RealDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another station has the unit: ours is not to write any more of it."""

    def keep(attempt: Attempt) -> None:
        if attempt.teller.at is Step.WRITE and "write" in (unit / "asked").read_text():
            raise StationError("ledger.lease_lost", slot="1")

    monkeypatch.setattr(Attempt, "keep", keep)
    unit = unit_of(desk, "u1")
    (unit / "fault").write_text("write hang")
    told = desk.run(unit, "SN000001", profile(desk.folder))
    assert (told.code, told.error) == (3, "ledger.lease_lost"), told
    assert tokens_of(desk, unit) == set()


def test_no_token_is_ever_an_argument(desk: RealDesk) -> None:
    """The toy writes down how it was called."""
    product = profile(desk.folder)
    unit = unit_of(desk, "u1")
    assert desk.run(unit, "SN000001", product).code == 0
    asked = (unit / "asked").read_text()
    assert re.findall(r"^\w+", asked, re.MULTILINE).count("write") == 1
    assert not any(token in asked for token in desk.line.pool)


def test_qa_reads_a_unit_by_its_programmer(desk: RealDesk) -> None:
    """Its own token and a golden firmware; the number of another unit, or a changed firmware, is
    told. Nothing is written."""
    product = profile(desk.folder)
    unit, other = unit_of(desk, "u1"), unit_of(desk, "u2")
    for one, number in ((unit, "SN000001"), (other, "SN000002")):
        assert desk.run(one, number, product).code == 0

    def verify(number: str) -> Told:
        return desk.type(
            "verify", "--profile", product, "--port", str(unit), "--scanner", "tty",
            scans=f"{number}\n",
        )  # fmt: skip

    told = verify("SN000001")
    assert (told.code, told.out["holding"], told.out["unit"]) == (0, "own", "SN000001"), told
    told = verify("SN000002")
    assert (told.code, told.error) == (1, "verify.holds_other_unit")
    flash = toy.content(unit, "flash")
    (unit / "flash").write_bytes(flash[:0x800] + b"T" + flash[0x801:])
    told = verify("SN000001")
    assert (told.code, told.error) == (1, "verify.not_golden")
    assert "write" not in [
        line.split()[0] for line in (unit / "asked").read_text().splitlines()[4:]
    ]
    assert not any(token in json.dumps(told.out) for token in desk.line.pool)
    told = verify("")
    assert (told.code, told.error) == (2, "label.nothing_scanned")
