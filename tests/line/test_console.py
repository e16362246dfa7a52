"""A running firmware takes its token over its console; judged by the NVS in the unit's flash."""

from pathlib import Path

import pytest

from eol_inject import resources
from eol_inject.sim import manage
from tests.line.conftest import Line, Told, Unit

SHIPPED = "esp32c3-edgent-console"


def unit_of(line: Line, *options: str) -> Unit:
    """A unit whose firmware runs and listens."""
    return line.golden_unit("esp32c3", "console=edgent", *options)


def run(line: Line, unit: Unit, *, fault: str = "", profile: str = SHIPPED) -> Told:
    """One cycle."""
    port = f"{unit.url}&fault={fault}" if fault else unit.url
    return line.run(unit, profile=profile, port=port)


def own(line: Line, old: str, new: str) -> str:
    """The shipped profile with one thing changed."""
    text = (resources.folder("profiles") / f"{SHIPPED}.toml").read_text("utf-8")
    assert old in text
    path = line.folder / "console.toml"
    path.write_text(text.replace(old, new), "utf-8")
    return str(path)


def with_holds(line: Line) -> str:
    """A firmware that tells which token it has."""
    holds = '{ name = "config show", send = "config show", expect = "auth:(?P<token>.*)" }'
    ready = 'ready = "INFO: token"\n'
    return own(line, ready, f'{ready}proof = "read_back"\nholds = {holds}\n')


@pytest.mark.parametrize("echo", ["echo=1", "echo=0"])
def test_a_unit_gets_its_token_and_its_label(line: Line, echo: str) -> None:
    """Proof `reply`; the token stands in its NVS, and only there; the label is its own."""
    unit = unit_of(line, echo)
    told = run(line, unit)
    assert told.code == 0, told
    assert (told.unit["proof"], told.unit["state"]) == ("reply", "closed")
    assert len(unit.tokens(line.pool)) == 1
    line.judge()
    assert run(line, unit).error == "ledger.unit_closed"


def test_a_firmware_that_tells_its_token_is_read_back(line: Line) -> None:
    """Proof `read_back`; a unit that holds another unit's token is stopped before anything."""
    profile = with_holds(line)
    unit = unit_of(line)
    told = run(line, unit, profile=profile)
    assert (told.code, told.unit["proof"]) == (0, "read_back")
    (token,) = unit.tokens(line.pool)
    other = unit_of(line)
    manage.start(other.url)
    nvs = manage.peek(unit.url, 0x9000, 0x5000)
    manage.poke(other.url, 0x9000, nvs)
    told = run(line, other, profile=profile)
    assert (told.code, told.error) == (1, "verify.holds_other_unit")
    assert other.tokens(line.pool) == {token}
    manage.poke(other.url, 0x9000, b"\xff" * 0x5000)
    assert run(line, other, profile=profile).code == 0
    line.judge()


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
    unit = unit_of(line)
    told = run(line, unit, fault=fault)
    assert (told.code, told.error) == (code, error)
    assert line.labels() == {}
    manage.set_faults(unit.url)
    assert run(line, unit).code == 0
    assert len(unit.tokens(line.pool)) == 1
    counts = line.type("tokens", "status").out["counts"]
    assert sum(row["count"] for row in counts if row["state"] != "available") == 1
    line.judge()


def test_another_products_firmware_is_refused_before_a_token_is_drawn(line: Line) -> None:
    """By what `devinfo` says."""
    profile = own(line, 'type = "TMPLsample01" }', 'type = "TMPLother" }')
    told = run(line, unit_of(line), profile=profile)
    assert (told.code, told.error) == (1, "device.other_firmware")
    counts = line.type("tokens", "status").out["counts"]
    assert {row["state"] for row in counts} == {"available"}


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('mode = "console"', 'mode = "flash"', "belong together"),
        ('preset = "edgent"', 'proof = "read_back"\npreset = "edgent"', "needs `holds`"),
        ('preset = "edgent"', 'preset = "edgent"\ninject = []', "at least 1"),
        ('preset = "edgent"', "preset = 'edgent'\nidentify = [{name='x', expect='y'}]", "mac"),
        ("[label]", "[[regions]]\nkind = 'blnkopt'\n[label]", "no [firmware]"),
        ("[label]", "[fields.wifi]\ncolumn='W'\n[label]", ""),
    ],
)
def test_a_profile_that_makes_no_sense_is_refused(
    line: Line, old: str, new: str, said: str
) -> None:
    """Before a line depends on it; the last one is sound."""
    from eol_inject.cli import answer

    code = answer.run(["profile", "check", own(line, old, new), "--json"])
    assert code == (2 if said else 0)
    assert said in line.read_output()


def test_classic_takes_its_wifi_with_the_token(line: Line) -> None:
    """Fields come from the token's own data, the secret one too, and are never shown."""
    source = line.folder / "wifi.csv"
    token, code = "Z" * 31 + "1", "sqr_" + "Z" * 31 + "1+1"
    source.write_text(f"Device Token,QR Token,WiFi,WiFi password\n{token},{code},plant,hunter2\n")
    profile = "esp32c3-classic-edgent-console"
    told = line.type(
        "tokens", "import", str(source), "--product", "TMPLsample01", "--lot", "W",
        "--profile", profile, "--keep-source",
    )  # fmt: skip
    assert told.code == 0, told
    line.pool[token] = code
    unit = line.golden_unit("esp32c3", "console=classic")
    told = line.run(unit, profile=profile, lot="W")
    assert told.code == 0, told
    assert unit.tokens(line.pool) == {token}
    assert "hunter2" not in str(told.out)
    line.judge()


def test_flash_commands_say_that_there_is_nothing_to_read(line: Line, tmp_path: Path) -> None:
    """QA's verify reads flash: this product's firmware has no such way in."""
    told = line.type("verify", "--profile", SHIPPED, "--port", unit_of(line).url)
    assert (told.code, told.error) == (2, "profile.no_firmware")
