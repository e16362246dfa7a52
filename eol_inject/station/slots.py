"""Several slots at once: a thread each, so that a fault in one never touches another.

Two ways to work: in turns (somebody says that every slot has its unit), or each slot by itself, as
units come and leave.
"""

import threading
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from functools import partial
from queue import SimpleQueue
from types import TracebackType
from typing import Final, Self

from eol_inject.device import Watch
from eol_inject.device.inventory import Snapshot
from eol_inject.device.spec import PresenceSpec
from eol_inject.errors import EolError, StationError, UsageError
from eol_inject.report import CycleRecord
from eol_inject.scan import Reading
from eol_inject.station.bench import Bench
from eol_inject.station.cycle import refuse_cycle, run_cycle
from eol_inject.station.presence import Change, Gate, Look, Slot, looker
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
        records: list[CycleRecord] = []
        if len(self._slots) == 1:
            self._cycle(self._slots[0])
        else:
            self._side_by_side(self._cycle, records)
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
            calls = Calls(self._bench, self._slots)
            job = partial(self._attend_calls, spec=spec, calls=calls, once=once)
        else:
            job = partial(self._attend, spec=spec, watch=watch, once=once)
        records: list[CycleRecord] = []
        self._side_by_side(job, records)
        self._drain(records)
        return records

    def _side_by_side(self, job: Callable[[Slot], None], records: list[CycleRecord]) -> None:
        # not Thread.join: a Ctrl-C within it makes Python 3.11 take a running thread for ended
        over = [(slot, threading.Event()) for slot in self._slots]
        for slot, event in over:
            threading.Thread(target=self._whole, args=(job, slot, event), daemon=True).start()
        left = _LET_GO_S
        while left > 0 and (alive := [event for _, event in over if not event.is_set()]):
            with suppress(KeyboardInterrupt):  # the slots see by ``stop`` that it was pressed
                self._drain(records)
                alive[0].wait(_JOIN_S)
            if self._stop.at_once():
                left -= _JOIN_S

    def _whole(self, job: Callable[[Slot], None], slot: Slot, over: threading.Event) -> None:
        """``job``; where something ends it between two units, such as a scanner that has gone, or a
        defect, the slot has an outcome and the run does not pass."""
        lost: EolError | None = StationError("station.slot_lost", slot=slot.name)
        try:
            job(slot)
            lost = None
        except EolError as error:
            lost = error
        finally:
            if lost is not None:
                self._done.put(refuse_cycle(self._bench, slot=slot.name, error=lost))
            over.set()

    def _drain(self, records: list[CycleRecord]) -> None:
        while not self._done.empty():
            record = self._done.get()
            records.append(record)
            self._told(record)

    @property
    def _stop(self) -> Stop:
        return self._bench.stop

    def _cycle(self, slot: Slot, let_go: Callable[[], None] = lambda: None) -> None:
        try:
            self._one(slot, let_go)
        finally:
            # what was scanned with this start is nobody's serial number any more
            self._bench.early.pop(slot.name, None)

    def _one(self, slot: Slot, let_go: Callable[[], None]) -> None:
        try:
            port = slot.port(self._ports())
            if port is None:
                raise StationError("device.slot_empty", slot=slot.name, place=_words(slot))
        except EolError as error:
            self._done.put(refuse_cycle(self._bench, slot=slot.name, error=error))
            return
        self._done.put(run_cycle(self._bench, slot=slot.name, port=port, let_go=let_go))

    def _attend_calls(self, slot: Slot, *, spec: PresenceSpec, calls: "Calls", once: bool) -> None:
        """A scan says that the unit is there; nothing says that it has left."""
        while not self._stop.wanted():
            if calls.called(slot.name):
                self._cycle(slot)
                calls.forget(slot.name)
                if once:
                    return
            elif calls.over:
                if once:
                    never = StationError("station.not_called", slot=slot.name)
                    self._done.put(refuse_cycle(self._bench, slot=slot.name, error=never))
                return
            else:
                self._stop.wait(spec.every_s)

    def _attend(
        self, slot: Slot, *, spec: PresenceSpec, watch: Callable[[str], Watch], once: bool
    ) -> None:
        gate = Gate(spec.debounce_s)
        with closing(looker(slot, spec, ports=self._ports, watch=watch)) as look:
            while not self._stop.wanted():
                if not self._wait(gate, look, spec, there=True):
                    return
                look.close()
                with _LookingOn(gate, look, spec, self._bench.clock) as meanwhile:
                    self._cycle(slot, meanwhile.begin)
                if once or not (meanwhile.left or self._wait(gate, look, spec, there=False)):
                    return

    def _wait(self, gate: Gate, look: Look, spec: PresenceSpec, *, there: bool) -> bool:
        """Look until a unit is there, or has left; False when somebody wants to stop."""
        while gate.there != there:
            gate.look(look(), self._bench.clock())
            if gate.there != there and self._stop.wait(spec.every_s):
                return False
        return True


class _LookingOn:
    """Looks on while a label is printed and scanned: the operator may take the unit out to stick it
    on, and put in the next one, which must not be taken for a unit that has its verdict."""

    def __init__(
        self, gate: Gate, look: Look, spec: PresenceSpec, clock: Callable[[], float]
    ) -> None:
        self._gate = gate
        self._look = look
        self._spec = spec
        self._clock = clock
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.left = False
        """The unit has left its slot meanwhile."""

    def begin(self) -> None:
        """The unit's port is free: to be called once, within."""
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(self._spec.every_s):
            if self._gate.look(self._look(), self._clock()) is Change.LEFT:
                self.left = True


class Calls:
    """Scans that start slots: of the slot's own name, or of anything where there is one slot, but
    never of a label: it is scanned once more easily, and is no new unit.

    One scanner serves all: while a label is on its way, or a question open, it belongs to that
    slot.
    """

    def __init__(self, bench: Bench, slots: Sequence[Slot]) -> None:
        if bench.scanner is None or not bench.scanner.can_look:
            raise UsageError("station.no_scanner")
        self._bench = bench
        self._scanner = bench.scanner
        self._names = [slot.name for slot in slots]
        self._lock = threading.Lock()
        self._called: set[str] = set()

    @property
    def over(self) -> bool:
        """Whether nobody will ever scan anything any more."""
        return self._scanner.ended

    def called(self, name: str) -> bool:
        """Whether ``name`` was scanned since it was asked for last."""
        with self._lock:
            self._look()
            if name in self._called:
                self._called.remove(name)
                return True
        return False

    def forget(self, name: str) -> None:
        """A start that was scanned while its slot was at work was no new unit's."""
        with self._lock:
            self._look()
            self._called.discard(name)
            self._bench.early.pop(name, None)

    def _look(self) -> None:
        bench = self._bench
        if bench.lane.locked() or not bench.desk.acquire(blocking=False):
            return
        try:
            while (reading := self._scanner.read(0.0)) is not None:
                if reading.claim is None:
                    self._call(reading)
        finally:
            bench.desk.release()

    def _call(self, reading: Reading) -> None:
        if len(self._names) == 1:
            self._called.add(self._names[0])
            self._bench.early[self._names[0]] = reading  # perhaps its unit's serial number
        elif reading.text.strip() in self._names:
            self._called.add(reading.text.strip())


def _words(slot: Slot) -> str:
    where = slot.where
    return where.url or where.location or where.serial_number
