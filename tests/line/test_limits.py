"""A bad fixture does not use up good units, and a bad unit is not tried for ever."""

from pathlib import Path

import pytest

from eol_inject.sim import manage
from eol_inject.station import limits
from tests.line.conftest import Line


def test_units_that_fail_alike_block_their_slot_until_a_good_one_passes(line: Line) -> None:
    """The fourth good unit is not even begun; a finished one frees the slot, and then it passes."""
    good = line.unit()
    assert line.run(good).code == 0
    for _ in range(3):
        bad = line.unit()
        told = line.run(bad, port=f"{bad.url}&fault=unplug@write:4096")
        assert told.error == "device.port_lost", told
    fourth = line.unit()
    before = used(line)
    told = line.run(fourth)
    assert (told.code, told.error) == (3, "station.slot_blocked")
    assert "finished unit" in told.out["error"]["hint"]
    assert fourth.tokens(line.pool) == set()
    assert used(line) == before
    other = line.type(
        "run", "--once", "--profile", "esp32c3-blnkopt", "--port", fourth.url, "--lot", "L1",
        "--printer", str(line.folder / "labels"), "--slot", "2",
    )  # fmt: skip
    assert other.code == 0, "another slot is not blocked"
    assert line.run(good).error == "ledger.unit_closed"
    assert line.run(line.unit()).code == 0
    line.judge()


def test_a_dead_slot_stays_blocked_for_a_good_unit_too(line: Line) -> None:
    """A finished unit that cannot be reached there frees nothing."""
    path = Path(line.profile())
    path.write_text(path.read_text().replace("baud = 921600", "baud = 921600\nattempts = 1"))
    good = line.unit()
    assert line.run(good).code == 0
    for _ in range(3):
        unit = line.unit()
        line.run(unit, port=f"{unit.url}&fault=no_sync", profile=str(path))
    told = line.run(good, port=f"{good.url}&fault=no_sync", profile=str(path))
    assert told.error in {"device.no_sync", "device.tx_down"}
    manage.set_faults(good.url)
    assert line.run(line.unit()).error == "station.slot_blocked"


def test_a_unit_that_keeps_failing_is_blocked_until_a_lead_clears_it(line: Line) -> None:
    """Five attempts; its token stays its own, and it goes on with it afterwards."""
    unit = line.unit()
    for number in range(5):
        manage.start(unit.url)
        manage.set_faults(unit.url, "unplug@write:4096")
        told = line.run(unit)
        assert told.error == "device.port_lost"
        assert any("blocked now" in note for note in told.unit["notes"]) == (number == 4)
    manage.set_faults(unit.url)
    told = line.run(unit)
    assert (told.code, told.error) == (1, "ledger.unit_blocked")
    assert "5 attempts" in told.out["error"]["text"]
    assert line.type("unit", "clear", unit.mac, "--reason", "resoldered").code == 0
    assert line.run(unit).code == 0
    assert used(line) == 1
    assert line.type("ledger", "check").code == 0
    line.judge()


def used(line: Line) -> int:
    """Tokens that left the pool."""
    counts = line.type("tokens", "status").out["counts"]
    return sum(row["count"] for row in counts if row["state"] != "available")


def test_a_blocked_slot_stays_so_however_often_it_is_tried(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was refused does not push what failed out of sight."""
    monkeypatch.setattr(limits, "_LOOK_BACK", 4)
    for _ in range(3):
        bad = line.unit()
        assert line.run(bad, port=f"{bad.url}&fault=unplug@write:4096").error == "device.port_lost"
    unit = line.unit()
    assert {line.run(unit).error for _ in range(6)} == {"station.slot_blocked"}
