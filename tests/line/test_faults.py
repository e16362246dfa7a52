"""A fault at any step: the right exit code and state, nothing harmed, and the next cycle goes on.

Units are judged by their flash and by the labels, not by what the ledger says of itself.
"""

from pathlib import Path
from typing import NamedTuple

import pytest

from eol_inject import profiles
from eol_inject.device import Rates
from eol_inject.events import Event, Notice, Outcome
from eol_inject.ledger import Keys, open_ledger
from eol_inject.sim import manage
from eol_inject.station.bench import open_bench
from eol_inject.station.cycle import run_cycle
from tests.line.conftest import LOT, Line, Unit


class Case(NamedTuple):
    """What a fault must lead to."""

    fault: str
    exit: int
    code: str
    state: str | None


AFTER_THE_FIRST_BYTE = (
    Case("hang@write", 3, "device.no_answer", "writing"),
    Case("unplug@write:8192", 3, "device.port_lost", "writing"),
    Case("power_cut@write:8192", 3, "device.no_answer", "writing"),
    Case("brownout@erase", 3, "device.no_answer", "writing"),
    Case("unplug@erase", 3, "device.port_lost", "writing"),
    Case("mute@write:13", 3, "device.no_answer", "writing"),
    Case("drop@write=5,x9", 3, "device.garbled", "writing"),
)
BEFORE_THE_FIRST_BYTE = (
    Case("unplug@sync", 3, "device.port_lost", None),
    Case("unplug@identify", 3, "device.port_lost", None),
    Case("unplug@read", 3, "device.port_lost", None),
    Case("unplug@stub", 3, "device.port_lost", None),
    Case("hang@identify", 3, "device.no_answer", None),
    Case("no_sync", 3, "device.tx_down", None),
    Case("busy", 3, "device.port_busy", None),
)


@pytest.mark.parametrize("case", BEFORE_THE_FIRST_BYTE, ids=lambda case: case.fault)
def test_a_fault_before_the_write_uses_no_token(line: Line, case: Case) -> None:
    """Exit 3, not a byte of flash changed, and the pool as full as before."""
    unit = line.unit()
    manage.start(unit.url)
    before = unit.digest()
    told = line.run(unit, port=f"{unit.url}&fault={case.fault}")
    assert (told.code, told.error) == (case.exit, case.code)
    assert unit.digest() == before
    manage.set_faults(unit.url)
    assert line.run(unit).code == 0
    line.judge()


@pytest.mark.parametrize("case", AFTER_THE_FIRST_BYTE, ids=lambda case: case.fault)
def test_a_fault_while_writing_is_carried_on_with_the_same_token(line: Line, case: Case) -> None:
    """The unit keeps its token; another unit in between gets another one; nothing is lost."""
    unit, other = line.unit(), line.unit()
    told = line.run(unit, port=f"{unit.url}&fault={case.fault}")
    assert (told.code, told.error) == (case.exit, case.code)
    assert told.unit["state"] == case.state
    assert line.run(other).code == 0
    manage.set_faults(unit.url)
    again = line.run(unit)
    assert again.code == 0, again
    assert again.unit["resumed"] is True
    assert len(unit.tokens(line.pool)) == 1
    assert used(line) == 2
    line.judge()


@pytest.mark.parametrize("fault", ["flaky_reset=2", "stub_fail=1"])
def test_what_the_tool_can_mend_itself_passes(line: Line, fault: str) -> None:
    """Missed resets and a stub that does not start cost time, not the unit."""
    unit = line.unit()
    told = line.run(unit, port=f"{unit.url}&fault={fault}")
    assert told.code == 0, told
    line.judge()


@pytest.mark.parametrize(
    ("fault", "again"),
    [("wrong_md5", ""), ("bad_sector@0x10000", "ledger.unit_quarantined")],
)
def test_bad_flash_fails_the_unit_and_keeps_the_token_back(
    line: Line, fault: str, again: str
) -> None:
    """Exit 1 with the address; the token is quarantined, and no other unit ever gets it.

    A unit that reads blank afterwards may try again with the same token; one that holds something
    waits for a person.
    """
    unit = line.unit()
    told = line.run(unit, port=f"{unit.url}&fault={fault}")
    assert (told.code, told.error) == (1, "device.md5_mismatch")
    assert told.unit["state"] == "quarantined"
    assert "0x" in told.unit["error"]["text"]
    manage.set_faults(unit.url)
    assert line.run(line.unit()).code == 0
    assert line.run(unit).error == again
    assert used(line) == 2
    line.judge()


@pytest.mark.parametrize(
    ("options", "code"),
    [("flash=2MB", "device.wrong_flash_size"), ("mac=00:00:00:00:00:00", "device.bad_identity")],
)
def test_a_unit_that_must_not_be_begun_costs_no_token(line: Line, options: str, code: str) -> None:
    """The unit's own fault, exit 1; nothing is drawn for it."""
    profile = Path(line.profile())
    text = profile.read_text("utf-8")
    assert "[device]\n" in text
    profile.write_text(text.replace("[device]\n", "[device]\nflash_size = 4194304\n"), "utf-8")
    url = f"sim://esp32c3?id={line.folder.name}-odd&{options}"
    unit = Unit("esp32c3", "", url)
    line.units.append(unit)
    told = line.run(unit, profile=str(profile))
    assert (told.code, told.error) == (1, code)
    assert used(line) == 0


@pytest.mark.parametrize("fault", ["swap@write:8192", "swap_unplug@write", "swap@identify"])
def test_a_unit_swapped_in_the_middle_harms_neither(line: Line, fault: str) -> None:
    """The neighbour never gets the first unit's token, and both pass afterwards."""
    unit = line.unit()
    told = line.run(unit, port=f"{unit.url}&fault={fault}")
    assert told.code == 3
    assert told.error in {"device.unit_changed", "device.port_lost"}
    manage.set_faults(unit.url)
    neighbour = line.run(unit)
    assert neighbour.code == 0
    assert neighbour.unit["unit"] != unit.mac
    manage.swap(unit.url)
    own = line.run(unit)
    assert (own.code, own.unit["unit"]) == (0, unit.mac)
    here = manage.peek(unit.url, 0, 1 << 20, board="first")
    there = manage.peek(unit.url, 0, 1 << 20, board="other")
    tokens = [{t for t in line.pool if t.encode() in flash} for flash in (here, there)]
    assert [len(found) for found in tokens] == [1, 1]
    assert tokens[0] != tokens[1]


def test_a_noisy_line_ends_in_a_word_and_harms_nothing(line: Line) -> None:
    """Flipped bits anywhere: the unit may not pass this time, and passes on a quiet line."""
    unit = line.unit()
    told = line.run(unit, port=f"{unit.url}&fault=flip=0.0001")
    assert told.code in {0, 3}
    manage.set_faults(unit.url)
    again = line.run(unit)
    assert again.code == 0 or again.error == "ledger.unit_closed"
    assert used(line) == 1
    line.judge()


def test_a_swap_before_the_last_identity_prints_no_label(line: Line) -> None:
    """When another unit answers at the end, there is no label for either."""
    unit = line.unit()
    told = line.run(unit, port=f"{unit.url}&fault=swap@md5")
    assert told.code in {1, 3}
    assert line.labels() == {}


def used(line: Line) -> int:
    """Tokens that left the pool."""
    told = line.type("tokens", "status")
    rows = [row for row in told.out["counts"] if row["lot"] == LOT]
    return sum(row["count"] for row in rows if row["state"] != "available")


def test_a_first_sync_that_fails_costs_its_slot_one_unit_the_time(line: Line) -> None:
    """It falls back within the same cycle and says so; the next unit of the slot begins with the
    rate that worked, and transfers stay as fast as the profile wants them."""
    keys = Keys.load(line.folder / "ledger.key")
    deaf = [f"{line.unit().url}&fault=flip@sync=0.5,above=115201" for _ in range(2)]
    told: list[Event] = []
    with open_ledger(f"sqlite:///{line.folder / 'ledger.db'}", keys=keys, station="S1") as ledger:
        bench = open_bench(
            profiles.load("esp32c3-blnkopt"), ledger, station="S1", operator="Ada", lot=LOT,
            printer=str(line.folder / "labels"), observe=told.append,
        )  # fmt: skip
        first, second = (run_cycle(bench, slot="1", port=port) for port in deaf)
        rates = bench.pace.of("1")
    assert [first.outcome, second.outcome] == [Outcome.PASS] * 2
    assert rates == Rates(115200, 921600)
    fallback = ("device.note", "no sync at 921600 baud, tried 115200")
    slower = ("station.slower", "This slot syncs at 115200 baud: it had trouble.")
    assert (fallback[1] in first.notes, fallback[1] in second.notes) == (True, False)
    assert (slower[1] in first.notes, slower[1] in second.notes) == (False, True)
    notices = [(event.code, event.text) for event in told if isinstance(event, Notice)]
    assert (notices.count(fallback), notices.count(slower)) == (1, 1)
    line.judge()


def test_a_slot_that_stepped_down_begins_lower_with_its_next_unit(line: Line) -> None:
    """A worn cable costs the first unit the time, and says so to each one after it; another slot is
    not slowed down."""
    keys = Keys.load(line.folder / "ledger.key")
    noisy = f"{line.unit().url}&fault=flip@read=0.05,above=460801"
    with open_ledger(f"sqlite:///{line.folder / 'ledger.db'}", keys=keys, station="S1") as ledger:
        bench = open_bench(
            profiles.load("esp32c3-blnkopt"), ledger, station="S1", operator="Ada", lot=LOT,
            printer=str(line.folder / "labels"), observe=lambda _: None,
        )  # fmt: skip
        first = run_cycle(bench, slot="1", port=noisy)
        second = run_cycle(bench, slot="1", port=line.unit().url)
        third = run_cycle(bench, slot="2", port=line.unit().url)
    assert [one.outcome for one in (first, second, third)] == [Outcome.PASS] * 3
    assert any("stepped down" in note for note in first.notes)
    slower = "This slot begins at 460800 baud"
    assert [any(note.startswith(slower) for note in one.notes) for one in (second, third)] == [
        True, False,
    ]  # fmt: skip
    line.judge()
