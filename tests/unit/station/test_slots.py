"""The slots' threads: every one is waited for, whatever comes in between."""

import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest

from eol_inject.device.inventory import Where
from eol_inject.station import slots as module
from eol_inject.station.presence import Slot
from eol_inject.station.slots import Slots
from eol_inject.station.stop import Stop


def test_a_ctrl_c_while_slots_are_waited_for_leaves_none_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Pressed twice in the middle of the wait: the record of each slot comes, also of the first."""
    import signal

    stop, begun = Stop(), threading.Barrier(3)
    bench: Any = SimpleNamespace(stop=stop, early={})

    def run_cycle(*_: Any, slot: str, **__: Any) -> str:
        begun.wait()
        while not stop.at_once():
            time.sleep(0.01)
        time.sleep(0.5)
        return slot

    def press() -> None:
        begun.wait()
        time.sleep(0.3)
        signal.raise_signal(signal.SIGINT)

    def pressed(*_: object) -> None:
        stop.press()
        stop.press()
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "run_cycle", run_cycle)
    before = signal.signal(signal.SIGINT, pressed)
    try:
        threading.Thread(target=press).start()
        places = [Slot(name, Where(url=f"sim://{name}")) for name in ("a", "b")]
        found = Slots(bench, places, ports=lambda: (), told=lambda _: None).turn()
    finally:
        signal.signal(signal.SIGINT, before)
    assert sorted(found) == ["a", "b"]  # type: ignore[type-var]  # names stand for records
