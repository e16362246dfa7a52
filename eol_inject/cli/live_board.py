"""The board of slots in a terminal: one large word a slot, and what it waits for."""

import textwrap
import threading
import time
from types import TracebackType
from typing import Final, Self

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from eol_inject.cli.board import words_of
from eol_inject.events import Event, Outcome
from eol_inject.report import VERDICTS
from eol_inject.station.board_state import SlotState, StationState, reduce, start

_COLOURS: Final = {
    Outcome.PASS: "black on green3",
    Outcome.UNIT_BAD: "white on red3",
    Outcome.STATION_BAD: "black on yellow3",
    Outcome.RECORD_MISSING: "black on orange1",
    Outcome.USAGE: "black on yellow3",
    Outcome.INTERRUPTED: "black on grey70",
}
_WIDTH: Final = 38
_INSIDE: Final = _WIDTH - 4
_BAR: Final = 30
_SHORT_BAR: Final = 14
_ROOMY: Final = 12
"""Lines of a slot where the terminal has them: its word is seen from two metres away."""
_LEAST: Final = 5
_ABOVE: Final = 7
"""Lines of a roomy slot that are no sentence: frame, word, unit, bar."""
_EACH_S: Final = 8
"""Frames a second; events come faster."""


class LiveBoard:
    """Shows the slots of a run; an observer, and a context manager around the run."""

    def __init__(
        self, names: tuple[str, ...], *, title: str, console: Console | None = None
    ) -> None:
        self._state = start(names)
        self._title = title
        self._lock = threading.Lock()
        self._console = console or Console(stderr=True)
        self._live = Live(
            get_renderable=self._render, console=self._console, refresh_per_second=_EACH_S
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()

    def observe(self, event: Event) -> None:
        """One more event, from any slot's thread."""
        with self._lock:
            self._state = reduce(self._state, event, time.monotonic())

    def _render(self) -> Group:
        with self._lock:
            return picture(self._state, self._title, self._console.size)


def picture(state: StationState, title: str, size: tuple[int, int]) -> Group:
    """The board as rich draws it, for a terminal of ``size`` columns and lines.

    Every slot is seen, on a small terminal with fewer lines each: rich would cut the last ones off.
    """
    width, height = size
    grid = Table.grid(padding=(0, 1))
    in_a_row = max(1, width // (_WIDTH + 2))
    for _ in range(in_a_row):
        grid.add_column(width=_WIDTH)
    room = (height - 3) // -(-len(state.slots) // in_a_row)
    wanted = max(len(textwrap.wrap(_hands(slot), _INSIDE)) for slot in state.slots.values())
    lines = max(_LEAST, min(room, max(_ROOMY, _ABOVE + wanted)))
    panels = [_panel(slot, lines) for slot in state.slots.values()]
    for at in range(0, len(panels), in_a_row):
        grid.add_row(*panels[at : at + in_a_row])
    return Group(Text(f" {title}  {_counts(state)}", style="bold"), grid)


def _counts(state: StationState) -> str:
    parts = [f"{state.passed} passed", f"{state.failed} failed", f"{state.stopped} stopped"]
    if state.yield_ is not None:
        parts.append(f"yield {state.yield_:.0%}")
    if state.per_hour is not None:
        parts.append(f"{state.per_hour:.0f} an hour")
    return " · ".join(parts)


def _panel(slot: SlotState, height: int) -> Panel:
    style = f"bold {_COLOURS[slot.outcome] if slot.outcome is not None else 'default'}"
    hands = Text(_hands(slot), style="bold" if slot.question else "default")
    if height < _ROOMY:
        word = Text(_word(slot).center(_INSIDE), style=style)
        lines = [word, Text(f"{slot.unit or ' ':<18} {_bar(slot, _SHORT_BAR)}"), hands]
    else:
        word = Text("\n".join(text.center(_INSIDE) for text in ("", _word(slot), "")), style=style)
        lines = [word, Text(slot.unit or " "), Text(_bar(slot, _BAR)), hands]
    return Panel(Group(*lines), title=f"slot {slot.name}", width=_WIDTH, height=height)


def _word(slot: SlotState) -> str:
    """The one word that is read from two metres away."""
    if slot.outcome is not None:
        return "DONE" if slot.finished_before else VERDICTS[slot.outcome]
    if slot.step is None:
        return "READY"
    return slot.step.value.replace("_", " ")


def _bar(slot: SlotState, width: int) -> str:
    """How far the bytes are; how long it took, once it is over."""
    if slot.outcome is not None:
        return f"{slot.seconds:.1f} s"
    filled = width * slot.done // slot.total if slot.total else 0
    return "█" * filled + "░" * (width - filled) if slot.total else " "


def _hands(slot: SlotState) -> str:
    """What to do, or why."""
    if slot.question is not None:
        return f">>> {words_of(slot.question, slot.what)}"
    if slot.outcome is None:
        return slot.note
    return f"{slot.text} {slot.hint}".strip()
