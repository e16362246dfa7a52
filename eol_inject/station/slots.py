"""Several slots at once: a thread each, so that a fault in one never touches another.

Two ways to work: in turns (somebody says that every slot has its unit), or each slot by itself, as
units come and leave.
"""

import threading
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from functools import partial
from queue import SimpleQueue
from typing import Final

from eol_inject.device import Watch
from eol_inject.device.inventory import Snapshot
from eol_inject.device.spec import PresenceSpec
from eol_inject.errors import EolError, StationError, UsageError
from eol_inject.report import CycleRecord
from eol_inject.scan import Reading, Scanner
from eol_inject.station.bench import Bench
from eol_inject.station.cycle import refuse_cycle, run_cycle
from eol_inject.station.presence import Gate, Look, Slot, looker
from eol_inject.station.stop import Stop

_JOIN_S: Final = 0.1
_LET_GO_S: Final = 15.0
"""How long a slot may take to let go after the second Ctrl-C; then the program ends without it."""

Told = Callable[[CycleRecord], None]
"""Takes each record as its slot ends its cycle, in the main thread."""


class Slots:
    """The slots of a station, working on one bench."""

    def __init__(
        self,
        bench: Bench,
        slots: Sequence[Slot],
        *,
        ports: Callable[[], Snapshot],
        told: Told,
    ) -> None:
        self._bench = bench
        self._slots = slots
        self._ports = ports
        self._told = told
        self._done: SimpleQueue[CycleRecord] = SimpleQueue()

    def turn(self) -> list[CycleRecord]:
        """One cycle in every slot, at once; returns when the last one has ended.

        A single slot works in the caller's own thread.
        """
        jobs = [partial(self._cycle, slot) for slot in self._slots]
        records: list[CycleRecord] = []
        if len(jobs) == 1:
            jobs[0]()
        else:
            self._side_by_side(jobs, records)
        self._drain(records)
        return records

    def attend(
        self, spec: PresenceSpec, watch: Callable[[str], Watch], *, once: bool = False
    ) -> list[CycleRecord]:
        """Every slot by itself, as units come and leave, until somebody wants to stop; ``once``:
        until each has had one.

        Raises ``UsageError("station.no_scanner")`` where scans should start the slots and none can.
        """
        if spec.kind == "scan":
            bench = self._bench
            taken = lambda: bench.lane.locked() or bench.desk.locked()  # noqa: E731
            calls = Calls(bench.scanner, self._slots, taken, bench.early)
            jobs = [
                partial(self._attend_calls, slot, spec, calls, once=once) for slot in self._slots
            ]
        else:
            jobs = [partial(self._attend, slot, spec, watch, once=once) for slot in self._slots]
        records: list[CycleRecord] = []
        self._side_by_side(jobs, records)
        self._drain(records)
        return records

    def _side_by_side(self, jobs: Sequence[Callable[[], None]], records: list[CycleRecord]) -> None:
        threads = [threading.Thread(target=job, daemon=True) for job in jobs]
        for thread in threads:
            thread.start()
        left = _LET_GO_S
        while left > 0 and (alive := [thread for thread in threads if thread.is_alive()]):
            with suppress(KeyboardInterrupt):  # the slots see by ``stop`` that it was pressed
                self._drain(records)
                alive[0].join(_JOIN_S)
            if self._stop.at_once():
                left -= _JOIN_S

    def _drain(self, records: list[CycleRecord]) -> None:
        while not self._done.empty():
            record = self._done.get()
            records.append(record)
            self._told(record)

    @property
    def _stop(self) -> Stop:
        return self._bench.stop

    def _cycle(self, slot: Slot) -> None:
        try:
            port = slot.port(self._ports())
            if port is None:
                raise StationError("device.slot_empty", slot=slot.name, place=_words(slot))
        except EolError as error:
            self._done.put(refuse_cycle(self._bench, slot=slot.name, error=error))
            return
        self._done.put(run_cycle(self._bench, slot=slot.name, port=port))

    def _attend_calls(self, slot: Slot, spec: PresenceSpec, calls: "Calls", *, once: bool) -> None:
        """A scan says that the unit is there; nothing says that it has left."""
        while not self._stop.wanted():
            if calls.called(slot.name):
                self._cycle(slot)
                if once:
                    return
            elif calls.over or self._stop.wait(spec.every_s):
                return

    def _attend(
        self, slot: Slot, spec: PresenceSpec, watch: Callable[[str], Watch], *, once: bool
    ) -> None:
        gate = Gate(spec.debounce_s)
        with closing(looker(slot, spec, ports=self._ports, watch=watch)) as look:
            while not self._stop.wanted():
                if not self._wait(gate, look, spec, there=True):
                    return
                look.close()
                self._cycle(slot)
                if once or not self._wait(gate, look, spec, there=False):
                    return

    def _wait(self, gate: Gate, look: Look, spec: PresenceSpec, *, there: bool) -> bool:
        """Look until a unit is there, or has left; False when somebody wants to stop."""
        while gate.there != there:
            gate.look(look(), self._bench.clock())
            if gate.there != there and self._stop.wait(spec.every_s):
                return False
        return True


class Calls:
    """Scans that start slots: of the slot's own name, or of anything where there is one slot.

    One scanner serves all: while a label is waited for, it belongs to that slot.
    """

    def __init__(
        self,
        scanner: Scanner | None,
        slots: Sequence[Slot],
        taken: Callable[[], bool],
        early: dict[str, Reading],
    ) -> None:
        if scanner is None or not scanner.can_look:
            raise UsageError("station.no_scanner")
        self._scanner = scanner
        self._names = [slot.name for slot in slots]
        self._taken = taken
        self._early = early
        """What started a single slot: perhaps its unit's serial number."""
        self._lock = threading.Lock()
        self._called: set[str] = set()

    @property
    def over(self) -> bool:
        """Whether nobody will ever scan anything any more."""
        return self._scanner.ended

    def called(self, name: str) -> bool:
        """Whether ``name`` was scanned since it was asked for last."""
        with self._lock:
            if not self._taken():
                self._look()
            if name in self._called:
                self._called.remove(name)
                return True
        return False

    def _look(self) -> None:
        while (reading := self._scanner.read(0.0)) is not None:
            if len(self._names) == 1:
                self._called.add(self._names[0])
                self._early[self._names[0]] = reading
            elif reading.text.strip() in self._names:
                self._called.add(reading.text.strip())


def _words(slot: Slot) -> str:
    where = slot.where
    return where.url or where.location or where.serial_number
