"""The main job through the command line: one unit, one token, one label."""

import pytest

from eol_inject.cli import answer
from eol_inject.sim import manage
from tests.line.conftest import BASE, FIRMWARE, LOT, Line

CHIPS = ("esp32c3", "esp32", "esp8266")


@pytest.mark.parametrize("chip", CHIPS)
def test_a_blank_unit_gets_one_token_and_its_label(line: Line, chip: str) -> None:
    """`run --once` leaves one pool token in the flash and prints its claim code."""
    unit = line.unit(chip)
    told = line.run(unit)
    assert (told.code, told.out["status"], told.out["error"]) == (0, "pass", None)
    assert told.unit["unit"] == unit.mac
    assert told.unit["proof"] == "read_back"
    assert told.unit["state"] == "closed"
    (token,) = unit.tokens(line.pool)
    assert line.labels() == {unit.mac.replace(":", ""): line.pool[token]}
    assert told.unit["claim_tail"] == line.pool[token].split("+")[0][-6:]


@pytest.mark.parametrize("chip", CHIPS)
def test_inject_writes_only_the_changed_sectors(line: Line, chip: str) -> None:
    """On a golden unit, `inject` changes the sectors of region and tail only."""
    unit = line.golden_unit(chip)
    manage.start(unit.url)
    before = unit.flash(0, 1 << 20)
    told = line.run(unit, profile=line.profile(chip, mode="inject"))
    assert told.code == 0, told
    after = unit.flash(0, 1 << 20)
    changed = [
        at for at in range(0, 1 << 20, 4096) if before[at : at + 4096] != after[at : at + 4096]
    ]
    size = (FIRMWARE / f"{chip}_app.bin").stat().st_size
    assert 1 <= len(changed) <= 3
    assert all(BASE[chip] <= at < BASE[chip] + size for at in changed)
    assert len(unit.tokens(line.pool)) == 1


def test_inject_refuses_another_firmware(line: Line) -> None:
    """A byte that differs outside the sectors we write stops before a token is used."""
    unit = line.golden_unit()
    manage.start(unit.url)
    manage.poke(unit.url, BASE["esp32c3"] + 0x3000, b"\x5a\xa5")
    before = unit.digest()
    told = line.run(unit, profile=line.profile(mode="inject"))
    assert (told.code, told.error) == (1, "verify.not_golden")
    assert unit.digest() == before
    assert available(line) == 10


def test_a_closed_unit_is_told_so_and_keeps_every_byte(line: Line) -> None:
    """A second pass of a finished unit writes nothing, prints nothing and takes no token."""
    unit = line.unit()
    assert line.run(unit).code == 0
    before, labels = unit.digest(), line.labels()
    told = line.run(unit)
    assert (told.code, told.error) == (1, "ledger.unit_closed")
    assert unit.digest() == before
    assert line.labels() == labels
    assert available(line) == 9


def test_every_unit_gets_another_token(line: Line) -> None:
    """Four units, four tokens, four labels, each its own."""
    for chip in (*CHIPS, "esp32c3"):
        assert line.run(line.unit(chip)).code == 0
    assert len(line.labels()) == 4
    line.judge()


def test_an_empty_pool_writes_nothing(line: Line) -> None:
    """A lot without tokens is the station's trouble: exit 3, the unit untouched."""
    unit = line.unit()
    manage.start(unit.url)
    before = unit.digest()
    line.import_tokens(1, lot="SMALL")
    assert line.run(line.unit(), lot="SMALL").code == 0
    told = line.run(unit, lot="SMALL")
    assert (told.code, told.error) == (3, "ledger.pool_empty")
    assert unit.digest() == before


def test_simulated_units_never_use_production_tokens(
    line: Line, capfd: pytest.CaptureFixture[str]
) -> None:
    """A production ledger refuses a sim:// port with exit 2."""
    source = next(line.folder.glob("tokens-*.csv"))
    ledger = [
        "--ledger",
        f"sqlite:///{line.folder / 'real.db'}",
        "--key-file",
        str(line.folder / "real.key"),
    ]
    assert (
        answer.run(
            ["tokens", "import", str(source), "--product", "TMPLsample01", "--lot", LOT, *ledger]
        )
        == 0
    )
    unit = line.unit()
    code = answer.run(
        [
            "run",
            "--once",
            "--profile",
            "esp32c3-blnkopt",
            "--port",
            unit.url,
            "--lot",
            LOT,
            "--printer",
            str(line.folder / "labels"),
            *ledger,
        ]
    )
    assert code == 2
    assert "production ledger" in capfd.readouterr().err
    assert not line.labels()


def available(line: Line) -> int:
    """Tokens still in the pool, as `tokens status` counts them."""
    told = line.type("tokens", "status")
    return sum(row["count"] for row in told.out["counts"] if row["state"] == "available")
