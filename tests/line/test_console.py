"""A running firmware takes its token over its console; judged by the NVS in the unit's flash.

The simulated firmwares are written from Blynk's sources, the profiles' presets too: neither from
the other.
"""

import json
import tomllib

import pytest

from eol_inject import resources
from eol_inject.cli import answer
from eol_inject.sim import manage
from tests.line.conftest import Line, Told, Unit

SHIPPED = "esp32c3-edgent-console"
CLASSIC = "esp32c3-classic-edgent-console"
PREFS = "esp32c3-edgent-prefs-console"
DIALECT = {SHIPPED: "edgent", CLASSIC: "classic", PREFS: "edgent-prefs"}
SSID, PASSWORD = "plant \\2 hall", "hunter 2\\horses"
OWN = """schema = 1
description = "A firmware that tells its token"
[product]
id = "TMPLsample01"
name = "Sample"
organization = 1
[device]
chip = "esp32c3"
mode = "console"
deadline_s = 60
[console]
prompt = "^>"
require = { type = "TMPLsample01" }
identify = [{ name = "id", send = "id", expect = 'mac (?P<mac>\\S+) type (?P<type>\\S*)' }]
inject = [{ name = "token", send = "token {auth}", expect = "saved" }]
holds = { name = "token", send = "token", expect = "token=(?P<token>.*)" }
blank = "invalid token"
proof = "read_back"
[label]
template = "claim-50x25-203"
"""


def lot_with_wifi(line: Line, *, ssid: str = SSID, password: str = PASSWORD) -> str:
    """A lot of two tokens that bring a network along."""
    source = line.folder / "wifi.csv"
    rows = [f"{'Z' * 31}{n},{'sqr_' + 'Z' * 31 + str(n)}+1,{ssid},{password}\n" for n in (1, 2)]
    source.write_text("Device Token,QR Token,WiFi,WiFi password\n" + "".join(rows))
    told = line.type(
        "tokens", "import", str(source), "--product", "TMPLsample01", "--lot", "W",
        "--profile", CLASSIC, "--keep-source",
    )  # fmt: skip
    assert told.code == 0, told
    line.pool |= {row.split(",")[0]: row.split(",")[1] for row in rows}
    return "W"


def unit_of(line: Line, *options: str, profile: str = SHIPPED) -> Unit:
    """A unit whose firmware runs and listens."""
    return line.golden_unit("esp32c3", f"console={DIALECT.get(profile, 'own')}", *options)


def run(line: Line, unit: Unit, *, fault: str = "", profile: str = PREFS, lot: str = "") -> Told:
    """One cycle; without a network where the profile needs none."""
    port = f"{unit.url}&fault={fault}" if fault else unit.url
    return line.run(unit, profile=profile, port=port, **({"lot": lot} if lot else {}))


def changed(line: Line, old: str, new: str, *, profile: str = PREFS) -> str:
    """A shipped profile with one thing changed."""
    text = (resources.folder("profiles") / f"{profile}.toml").read_text("utf-8")
    assert old in text
    path = line.folder / "console.toml"
    path.write_text(text.replace(old, new), "utf-8")
    return str(path)


def impatient(line: Line, profile: str) -> str:
    """The shipped profile, with a second for what takes up to two minutes."""
    from eol_inject.device.console_presets import PRESETS

    name = tomllib.loads((resources.folder("profiles") / f"{profile}.toml").read_text())
    lines = PRESETS[name["console"]["preset"]]["inject"]
    asks = "".join(
        "{" + ", ".join(f"{k} = {json.dumps(v)}" for k, v in {**ask, "timeout_s": 1}.items()) + "},"
        for ask in lines
    )
    return changed(line, "require =", f"inject = [{asks}]\nrequire =", profile=profile)


def own(line: Line, **changes: str) -> str:
    """The profile of a firmware of somebody's own."""
    text = OWN
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    path = line.folder / "own.toml"
    path.write_text(text, "utf-8")
    return str(path)


def states(line: Line) -> set[str]:
    """The states of all tokens."""
    counts = line.type("tokens", "status").out["counts"]
    return {row["state"] for row in counts}


@pytest.mark.parametrize("profile", [SHIPPED, CLASSIC, PREFS])
def test_a_unit_gets_its_token_and_its_label(line: Line, profile: str) -> None:
    """Proof `reply`; the token stands in its NVS, and only there; the label is its own; a name and
    a password with blanks and backslashes arrive as they are."""
    lot = lot_with_wifi(line)
    unit = unit_of(line, profile=profile)
    told = run(line, unit, profile=profile, lot=lot)
    assert told.code == 0, told
    assert (told.unit["proof"], told.unit["state"]) == ("reply", "closed")
    (token,) = unit.tokens(line.pool)
    if profile == CLASSIC:
        nvs = manage.peek(unit.url, 0x9000, 0x5000)
        assert SSID.encode() + b"\0" in nvs
        assert PASSWORD.encode() + b"\0" in nvs
    assert PASSWORD not in str(told.out)
    assert token not in str(told.out)
    line.judge()
    assert run(line, unit, profile=profile, lot=lot).error == "ledger.unit_closed"


@pytest.mark.parametrize(
    ("profile", "cloud", "code", "error"),
    [
        (SHIPPED, "refuses", 1, "device.console_refused"),
        (CLASSIC, "refuses", 1, "device.console_refused"),
        (SHIPPED, "silent", 3, "device.console_silent"),
        (CLASSIC, "silent", 3, "device.console_silent"),
    ],
)
def test_an_ok_is_not_a_saved_token(
    line: Line, profile: str, cloud: str, code: int, error: str
) -> None:
    """Both Edgents answer OK and keep the token in RAM until the cloud has accepted it."""
    lot = lot_with_wifi(line)
    unit = unit_of(line, f"cloud={cloud}", profile=profile)
    told = run(line, unit, profile=impatient(line, profile), lot=lot)
    assert (told.code, told.error) == (code, error)
    assert unit.tokens(line.pool) == set()
    assert line.labels() == {}


def test_a_saved_token_is_seen_after_a_restart(line: Line) -> None:
    """`prefs set` answers OK wherever it wrote to: only the banner of the next start shows that the
    firmware found its token. The four characters in it are hidden in what is kept."""
    wrong = """inject = [{ name = "prefs set", send = "prefs set blink auth {auth}",
  expect = '"status":"ok"' }]""".replace("\n", " ")
    unit = unit_of(line, profile=PREFS)
    told = run(line, unit, profile=changed(line, "require =", f"{wrong}\nrequire ="))
    assert (told.code, told.error) == (1, "device.boot_silent"), told
    assert line.labels() == {}
    told = run(line, unit)
    assert told.code == 0, told
    (token,) = unit.tokens(line.pool)
    said = json.dumps(line.type("unit", "show", unit.mac, "--log").out, ensure_ascii=False)
    assert "Token:     [hidden] - ••••" in said
    assert f"{token[:4]} - " not in said


def test_a_firmware_that_tells_its_token_is_read_back(line: Line) -> None:
    """Proof `read_back`; a unit that holds another unit's token is stopped before anything."""
    profile = own(line)
    unit = unit_of(line, profile="own")
    told = run(line, unit, profile=profile)
    assert (told.code, told.unit["proof"]) == (0, "read_back"), told
    (token,) = unit.tokens(line.pool)
    other = unit_of(line, profile="own")
    manage.start(other.url)
    nvs = manage.peek(unit.url, 0x9000, 0x5000)
    manage.poke(other.url, 0x9000, nvs)
    told = run(line, other, profile=profile)
    assert (told.code, told.error) == (1, "verify.holds_other_unit")
    assert other.tokens(line.pool) == {token}
    manage.poke(other.url, 0x9000, b"\xff" * 0x5000)
    assert run(line, other, profile=profile).code == 0
    line.judge()


def test_an_odd_answer_is_not_blank(line: Line) -> None:
    """Where the profile does not know the words for "none", nothing is written."""
    unit = unit_of(line, profile="own")
    told = run(line, unit, profile=own(line, **{'blank = "invalid token"': ""}))
    assert (told.code, told.error) == (1, "verify.told_oddly")
    assert states(line) == {"available"}
    assert unit.tokens(line.pool) == set()


def test_qa_reads_a_unit_that_tells(line: Line) -> None:
    """`verify` says whose the token is, and reads no flash; a blank unit fails."""
    profile = own(line)
    unit = unit_of(line, profile="own")
    blank = line.type("verify", "--profile", profile, "--port", unit.url)
    assert (blank.code, blank.error) == (1, "verify.no_token")
    run(line, unit, profile=profile)
    good = line.type("verify", "--profile", profile, "--port", unit.url)
    assert (good.code, good.out["holding"], good.out["state"]) == (0, "own", "closed")
    assert good.out["seal_ok"] is None
    (token,) = unit.tokens(line.pool)
    assert token not in str(good.out)
    other = unit_of(line, profile="own")
    manage.start(other.url)
    manage.poke(other.url, 0x9000, manage.peek(unit.url, 0x9000, 0x5000))
    copy = line.type("verify", "--profile", profile, "--port", other.url)
    assert (copy.code, copy.error) == (1, "verify.holds_other_unit")


def test_qa_says_that_a_blind_firmware_tells_nobody(line: Line) -> None:
    """Before a port is opened: nothing is wrong with the unit, nobody could know."""
    told = line.type("verify", "--profile", SHIPPED, "--port", "sim://esp32c3?id=nobody")
    assert (told.code, told.error) == (2, "verify.not_told")


def test_another_unit_before_the_token_gets_none(line: Line) -> None:
    """Swapped after it was identified: the one that answers now is not sent the token."""
    unit = unit_of(line, profile=PREFS)
    told = run(line, unit, fault="swap@console:13")
    assert (told.code, told.error) == (3, "device.unit_changed")
    assert unit.tokens(line.pool) == set()
    assert line.labels() == {}


@pytest.mark.parametrize(
    ("fault", "code", "error"),
    [
        ("lost_reply", 3, "device.console_silent"),
        ("hang@console:60", 3, "device.console_silent"),
        ("unplug@console:60", 3, "device.port_lost"),
        ("silent_boot", 1, "device.console_not_ready"),
    ],
)
def test_trouble_ends_in_a_word_and_the_unit_goes_on_with_its_own_token(
    line: Line, fault: str, code: int, error: str
) -> None:
    """Whatever it has done without saying so: it is given the same token again."""
    unit = unit_of(line, profile=PREFS)
    told = run(line, unit, fault=fault)
    assert (told.code, told.error) == (code, error)
    assert line.labels() == {}
    manage.set_faults(unit.url)
    assert run(line, unit).code == 0
    assert len(unit.tokens(line.pool)) == 1
    counts = line.type("tokens", "status").out["counts"]
    assert sum(row["count"] for row in counts if row["state"] != "available") == 1
    line.judge()


def test_a_firmware_without_the_command_refuses(line: Line) -> None:
    """`prefs` is not compiled in by default."""
    unit = line.golden_unit("esp32c3", "console=edgent")
    told = run(line, unit)
    assert (told.code, told.error) == (1, "device.console_refused")


def test_another_products_firmware_is_refused_before_a_token_is_drawn(line: Line) -> None:
    """By what `devinfo` says."""
    profile = changed(line, '"TMPLsample01" }', '"TMPLother" }')
    told = run(line, unit_of(line, profile=PREFS), profile=profile)
    assert (told.code, told.error) == (1, "device.other_firmware")
    assert states(line) == {"available"}


@pytest.mark.parametrize(
    ("ssid", "escape", "code"),
    [("plant hall", "word", "device.console_value"), ("plant", "word", "")],
)
def test_a_value_that_cannot_be_sent_is_refused_before_anything_is_written(
    line: Line, ssid: str, escape: str, code: str
) -> None:
    """Not half of it, and not with the password in its place. The unit is not to blame: it may be
    tried as often as somebody likes."""
    lot = lot_with_wifi(line, ssid=ssid, password="12345678")
    unit = unit_of(line, profile=CLASSIC)
    profile = changed(line, "require =", f'escape = "{escape}"\nrequire =', profile=CLASSIC)
    for _ in range(4 if code else 1):
        told = run(line, unit, profile=profile, lot=lot)
        assert told.error == code
    if code:
        assert told.code == 3
        assert states(line) == {"available", "reserved"}
        assert unit.tokens(line.pool) == set()


def test_an_import_with_the_profile_refuses_what_its_console_cannot_take(line: Line) -> None:
    """Before any unit is there: by row and field, no value is told, and nothing is imported."""
    before = line.type("tokens", "status").out["counts"]
    profile = changed(line, "require =", 'escape = "word"\nrequire =', profile=CLASSIC)
    source = line.folder / "wifi.csv"
    good = f"{'Y' * 32},sqr_{'Y' * 32}+1,plant,hunter2horses\n"
    bad = f"{'X' * 32},sqr_{'X' * 32}+1,plant,hunter 2 horses\n"
    source.write_text(f"Device Token,QR Token,WiFi,WiFi password\n{good}{bad}")
    args = ("tokens", "import", str(source), "--lot", "W", "--profile", profile, "--keep-source")
    told = line.type(*args)
    assert (told.code, told.error) == (2, "tokens.field_unsendable")
    text = told.out["error"]["text"]
    assert text.startswith("Row 3: ")
    assert "The value of pass cannot be sent" in text
    assert "horses" not in str(told.out)
    assert line.type("tokens", "status").out["counts"] == before
    source.write_text(f"Device Token,QR Token,WiFi,WiFi password\n{good}")
    assert line.type(*args).code == 0


@pytest.mark.parametrize("profile", [SHIPPED, CLASSIC])
def test_what_the_console_said_is_kept_without_the_units_secrets(line: Line, profile: str) -> None:
    """A firmware that logs its password, and its token over two lines."""
    lot = lot_with_wifi(line, password="hunter2horses")
    unit = unit_of(line, "leak=1", profile=profile)
    if profile == CLASSIC:
        profile = changed(
            line, "[fields.ssid]", "[boot]\nexpect = 'Ready'\n\n[fields.ssid]", profile=CLASSIC
        )
    assert run(line, unit, profile=profile, lot=lot).code == 0
    said = str(line.type("unit", "show", unit.mac, "--log").out)
    assert "Blynk cloud" in said, "nothing was said that could be hidden"
    (token,) = unit.tokens(line.pool)
    for secret in ("hunter2horses", "hunte\\", "r2horses", token[:20], token[20:]):
        assert secret not in said, secret


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('mode = "console"', 'mode = "flash"', "belong together"),
        ('preset = "', 'proof = "read_back"\npreset = "', "needs `holds`"),
        ('preset = "', 'inject = []\npreset = "', "at least 1"),
        ('preset = "', "identify = [{name='x', send='x', expect='y'}]\npreset = \"", "mac"),
        ('preset = "', "holds = {name='x', send='x', expect='y'}\npreset = \"", "token"),
        ('preset = "', 'blind = false\npreset = "', "blind"),
        ('preset = "', "erase = [{name='x'}]\npreset = \"", "nothing answers 'x'"),
        ("[label]", "[[regions]]\nkind = 'blnkopt'\n[label]", "no [firmware]"),
        ("[label]", "[fields.wifi]\ncolumn='W'\n[label]", ""),
    ],
)
def test_a_profile_that_makes_no_sense_is_refused(
    line: Line, old: str, new: str, said: str
) -> None:
    """Before a line depends on it; the last one is sound."""
    code = answer.run(["profile", "check", changed(line, old, new), "--json"])
    assert code == (2 if said else 0)
    assert said in line.read_output()


@pytest.mark.parametrize(
    ("profile", "words"),
    [(SHIPPED, ["reaches the cloud", "tells nobody"]), (PREFS, ["tells nobody"])],
)
def test_profile_check_says_what_such_a_product_needs(
    line: Line, profile: str, words: list[str]
) -> None:
    """A network at the station, and that QA cannot look."""
    line.read_output()
    assert answer.run(["profile", "check", profile, "--json"]) == 0
    warnings = json.loads(line.read_output())["warnings"]
    assert len(warnings) == len(words)
    for warning, word in zip(warnings, words, strict=True):
        assert word in warning
