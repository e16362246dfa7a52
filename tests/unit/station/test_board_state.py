"""Events → what the board shows."""

import io

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from eol_inject.cli.live_board import picture
from eol_inject.events import (
    CycleEnded,
    Outcome,
    Progress,
    Question,
    Step,
    StepDone,
    StepStarted,
    UnitKnown,
    Waiting,
)
from eol_inject.station.board_state import reduce, start


def cycle(slot, outcome, *, code=""):
    """The events of one cycle."""
    return [
        StepStarted(1, slot, Step.IDENTIFY),
        UnitKnown(2, slot, f"unit-{slot}", "esp32c3"),
        StepDone(3, slot, Step.IDENTIFY, 0.1),
        StepStarted(4, slot, Step.WRITE),
        Progress(5, slot, Step.WRITE, 50, 100),
        CycleEnded(6, slot, f"unit-{slot}", outcome, 2.5, code, "What happened.", "What to do."),
    ]


def shown(events, names=("1", "2")):
    """The state after ``events``, a second apart."""
    state = start(names)
    for now, event in enumerate(events):
        state = reduce(state, event, float(now))
    return state


@given(st.lists(st.tuples(st.sampled_from("123"), st.sampled_from(list(Outcome))), max_size=30))
def test_every_cycle_is_counted_once_and_slots_do_not_mix(cycles):
    """Passed, failed and stopped add up; each slot shows its own last verdict."""
    state = shown([event for slot, outcome in cycles for event in cycle(slot, outcome)])
    assert state.passed + state.failed + state.stopped == len(cycles)
    assert state.passed == sum(outcome is Outcome.PASS for _, outcome in cycles)
    for slot, outcome in dict(cycles).items():
        assert (state.slots[slot].outcome, state.slots[slot].unit) == (outcome, f"unit-{slot}")


def test_the_verdict_stays_until_the_next_unit_is_looked_at():
    """And then it is gone with everything that was said of the unit before."""
    state = shown(cycle("1", Outcome.UNIT_BAD))
    assert state.slots["1"].outcome is Outcome.UNIT_BAD
    state = reduce(state, StepStarted(1, "1", Step.IDENTIFY), 9.0)
    slot = state.slots["1"]
    assert (slot.outcome, slot.unit, slot.text, slot.hint) == (None, "", "", "")


def test_a_finished_unit_counts_neither_way():
    """DONE: it passed before, at another time."""
    state = shown(cycle("1", Outcome.UNIT_BAD, code="ledger.unit_closed"))
    assert (state.passed, state.failed, state.stopped) == (0, 0, 0)
    assert "DONE" in drawn(state)


def drawn(state, width=80, height=60):
    """The board as text."""
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(picture(state, "Sensor · L1", (width, height)))
    return console.export_text()


def test_the_board_says_what_to_do_with_ones_hands():
    """Large words, the question of the slot that waits, counts and yield."""
    events = [
        *cycle("1", Outcome.PASS),
        *cycle("2", Outcome.UNIT_BAD)[:-1],
        Waiting(7, "2", Question.SCAN_LABEL, "ABCDEF-1"),
    ]
    text = drawn(shown(events))
    assert "PASS" in text
    assert ">>> Stick label" in text
    assert "ABCDEF-1" in text
    assert "1 passed" in text
    assert "yield 100%" in text
    assert all(len(line) <= 80 for line in text.splitlines())


def test_a_narrow_terminal_has_one_slot_a_row():
    """Nothing is cut off at the side."""
    text = drawn(shown(cycle("1", Outcome.PASS), names=("1", "2", "3")), width=42)
    assert all(len(line) <= 42 for line in text.splitlines())
    assert text.count("slot ") == 3


def test_eight_slots_are_seen_on_a_small_terminal():
    """With fewer lines each, the word and the first words of what to do among them."""
    names = tuple("12345678")
    events = [event for name in names for event in cycle(name, Outcome.UNIT_BAD)]
    text = drawn(shown(events, names=names), width=80, height=24)
    assert len(text.splitlines()) < 24
    assert (text.count("slot "), text.count("FAIL")) == (8, 8)
    assert all(f"unit-{name}" in text for name in names)


def test_a_long_sentence_is_read_to_its_end_where_there_is_room():
    """What to do stands last."""
    words = " ".join(f"word{number}" for number in range(60))
    state = shown([*cycle("1", Outcome.UNIT_BAD)[:-1], Waiting(7, "1", Question.SCAN_LABEL, words)])
    assert "word59" in drawn(state, height=40)
    assert "word59" not in drawn(state, height=14)
