"""``ipp://host/path`` and ``cups://queue``: one job, followed to its end, never left behind.

"Completed" is not "printed": CUPS says so once a socket took the bytes, with no media in the
printer too. So only a device that reports its own state confirms; a queue that merely hands bytes
over answers ``unknown``. What did not confirm is cancelled, or it comes out later, on another unit.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from typing import Final, TypeVar

from eol_inject.errors import StationError
from eol_inject.label.bitmap import Label
from eol_inject.label.ipp_client import (
    Address,
    JobFacts,
    JobState,
    PrinterFacts,
    Queue,
    RefusedError,
    connected,
)
from eol_inject.label.ipp_reasons import fault_of
from eol_inject.label.names import safe_name
from eol_inject.label.printers import Printed, PrintOutcome
from eol_inject.label.zpl import encode

FINISH_S: Final = 20.0
"""Longest print of one label, the warming up of a sheet printer included; ``?timeout=`` has
another."""
CANCEL_S: Final = 5.0
POLL_S: Final = 0.1
MM_PER_INCH: Final = 25.4

_PDF: Final = "application/pdf"
_CUPS_RAW: Final = "application/vnd.cups-raw"
_ZPL_TYPES: Final = ("application/vnd.zebra-zpl", "application/vnd.zebra.zpl", _CUPS_RAW)
_BYTES: Final = "application/octet-stream"
_FOLLOWED: Final = frozenset({"ipp", "ipps"})
"""CUPS backends that follow their job in the printer, and pass on its trouble and its end."""
_RAW_QUEUE: Final = " Raw Printer"
"""How CUPS ends the model of a queue without a driver."""

T = TypeVar("T")


class IppPrinter:
    """An IPP printer or a CUPS queue; each print has a connection of its own."""

    def __init__(
        self,
        url: str,
        address: Address,
        *,
        form: str = "pdf",
        finish_s: float = FINISH_S,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.url = url
        self._address = address
        self._form = form
        self._finish_s = finish_s
        self._clock = clock
        self._sleep = sleep

    def preflight(self) -> None:
        """Ask for the state. Raises ``StationError("label.printer_not_ready")``."""
        try:
            _, why = asyncio.run(self._with(self._asked))
        except OSError as error:
            why = _offline(error)
        except RefusedError as error:
            why = str(error)
        if why:
            raise StationError("label.printer_not_ready", printer=self.url, why=why)

    def print(self, label: Label, *, name: str) -> Printed:
        """Print one copy; the job is called ``name``, and is over when this returns."""
        title = safe_name(name)
        try:
            return asyncio.run(self._with(lambda queue: self._print(queue, label, title)))
        except OSError as error:
            return Printed(PrintOutcome.NOT_SENT, why=_offline(error))
        except RefusedError as error:
            return Printed(PrintOutcome.NOT_SENT, why=str(error))

    async def _with(self, act: Callable[[Queue], Awaitable[T]]) -> T:
        async with connected(self._address) as queue:
            return await act(queue)

    async def _print(self, queue: Queue, label: Label, name: str) -> Printed:
        """``OSError`` and ``RefusedError`` leave it only while nothing was sent."""
        facts, why = await self._asked(queue)
        why = why or self._other_resolution(facts, label)
        if why:
            return Printed(PrintOutcome.NOT_SENT, why=why)
        data, kind, settings = self._document(facts, label)
        number: int | None = None
        try:
            number = await queue.send(data, name=name, kind=kind, settings=settings)
            why = await self._follow(queue, number, facts)
            job = await self._end(queue, number)
            return _judged(await queue.facts(), job, why)
        except asyncio.CancelledError:
            await self._sweep(queue, name, number)
            raise
        except RefusedError as error:
            if number is None:
                raise
            why = f"its job is lost: {error}"
        except OSError as error:
            why = f"lost after sending: {_offline(error)}"
        if not await self._sweep(queue, name, number):
            why += "; its job may still be in the queue"
        return Printed(PrintOutcome.UNKNOWN, why=why)

    async def _asked(self, queue: Queue) -> tuple[PrinterFacts, str]:
        """What the queue says, and why a label would not come out now.

        CUPS asks its printer during a job only, and remembers the last job's trouble until the
        next: the printer behind it is asked too where it speaks IPP itself.
        """
        facts = await queue.facts()
        address = _behind(facts)
        if address is None:
            why = _trouble(facts)
            if facts.cups and fault_of(facts.reasons) and not facts.stopped:
                why += " at its last job; once that is mended, a test page makes CUPS forget it"
            return facts, why or self._other_format(facts)
        async with connected(address) as device:
            why = _trouble(await device.facts())
        return facts, _trouble(replace(facts, reasons=())) or why or self._other_format(facts)

    async def _follow(self, queue: Queue, number: int, before: PrinterFacts) -> str:
        """Empty once the job ended by itself; else why it is not waited for."""
        deadline = self._clock() + self._finish_s
        fresh = not before.cups
        while not (job := await queue.job(number)).state.ended:
            reasons = (await queue.facts()).reasons
            fresh = fresh or reasons != before.reasons
            fault = fault_of(reasons) if fresh else ""
            if fault:
                return fault
            if job.state is JobState.STOPPED:
                return _told("stopped", job)
            if job.state is JobState.HELD and "job-incoming" not in job.reasons:
                return _told("held in the queue", job)
            if self._clock() >= deadline:
                return _told(f"not printed within {self._finish_s:g} s", job)
            await self._sleep(POLL_S)
        return ""

    async def _end(self, queue: Queue, number: int) -> JobFacts:
        """The job once it ended; cancelled where it has not. It may still win that race."""
        job = await queue.job(number)
        if job.state.ended:
            return job
        with suppress(RefusedError):
            await queue.cancel(number)
        deadline = self._clock() + CANCEL_S
        # CUPS calls a job cancelled while it still takes it back from the printer
        while (
            not (job := await queue.job(number)).state.ended or (await queue.facts()).queued
        ) and self._clock() < deadline:
            await self._sleep(POLL_S)
        return job

    async def _sweep(self, queue: Queue, name: str, number: int | None) -> bool:
        """Cancel our job, by its name where its number never came; whether nothing is left."""
        try:
            numbers = await queue.mine(name) if number is None else [number]
            ends = [await self._end(queue, each) for each in numbers]
        except (OSError, RefusedError):
            return False
        return all(job.state.ended for job in ends)

    def _other_format(self, facts: PrinterFacts) -> str:
        if self._form == "zpl":
            taken = not facts.formats or not {*_ZPL_TYPES, _BYTES}.isdisjoint(facts.formats)
            return "" if taken else "it takes no ZPL"
        if facts.cups and facts.model.endswith(_RAW_QUEUE):
            return "its queue is raw and changes nothing: add ?format=zpl for a ZPL printer"
        taken = not facts.formats or _PDF in facts.formats
        return "" if taken else "it takes no PDF; a ZPL printer may take ?format=zpl"

    def _other_resolution(self, facts: PrinterFacts, label: Label) -> str:
        """Dots of another size are no label: lines double, codes do not read."""
        if self._form == "zpl" or facts.resolution is None or facts.resolution % label.dpi == 0:
            return ""
        return f"it prints {facts.resolution} dpi, and the template has {label.dpi}"

    def _document(
        self, facts: PrinterFacts, label: Label
    ) -> tuple[bytes, str, dict[str, str | int | bool]]:
        """The bytes, their MIME type and the job's settings."""
        settings: dict[str, str | int | bool] = {"copies": 1}
        if facts.cups:
            # a queue's own defaults may hold jobs, or add a page before them
            settings |= {"job-sheets": "none", "job-hold-until": "no-hold"}
        if self._form == "zpl":
            kinds = [_CUPS_RAW] if facts.cups else [*_ZPL_TYPES]
            kind = next((kind for kind in kinds if kind in facts.formats), _BYTES)
            return encode(label), kind, settings
        settings |= {"print-scaling": "none", "ipp-attribute-fidelity": True}
        if facts.cups:
            # given as media, CUPS takes the driver's next best size: 2 x 1 in for 50 x 25 mm
            settings |= {"PageSize": f"Custom.{_size(label)}", "fit-to-page": False}
        else:
            settings["media"] = f"custom_label_{_size(label)}"
        return label.pdf(), _PDF, settings


def _size(label: Label) -> str:
    """As PWG 5101.1 and CUPS write it, in hundredths of a millimetre: a twelfth of a dot."""
    width, height = (dots * MM_PER_INCH / label.dpi for dots in (label.width, label.height))
    return f"{width:.2f}x{height:.2f}mm"


def _behind(facts: PrinterFacts) -> Address | None:
    """The IPP printer that a CUPS queue leads to, where it is one without encryption."""
    return Address.of(facts.device) if facts.cups and facts.device.startswith("ipp://") else None


def _trouble(facts: PrinterFacts) -> str:
    """What would keep a label from coming out now, or empty."""
    fault = fault_of(facts.reasons)
    if fault or facts.stopped:
        return fault or "stopped"
    if facts.accepting is False:
        return "it takes no jobs"
    return f"{facts.queued} earlier job(s) wait in its queue" if facts.queued else ""


def _judged(facts: PrinterFacts, job: JobFacts, why: str) -> Printed:
    """What is known once a job is over; ``why`` is what stood against it before."""
    if not job.state.ended:
        why = f"{why}; its job {job.id} could not be cancelled: remove it by hand"
        return Printed(PrintOutcome.UNKNOWN, why=why)
    if job.state is JobState.COMPLETED:
        why = fault_of(facts.reasons) or _incomplete(job) or _unproven(facts)
        return Printed(PrintOutcome.UNKNOWN if why else PrintOutcome.CONFIRMED, why=why)
    if not why:
        ended = "aborted" if job.state is JobState.ABORTED else "cancelled"
        why = fault_of(facts.reasons) or _told(ended, job)
    nothing = not job.began and not job.pieces
    return Printed(PrintOutcome.NOT_SENT if nothing else PrintOutcome.UNKNOWN, why=why)


def _told(why: str, job: JobFacts) -> str:
    return f"{why}: {job.message}" if job.message else why


def _incomplete(job: JobFacts) -> str:
    if {"job-completed-with-errors", "job-completed-with-warnings"} & {*job.reasons}:
        return "completed with errors"
    return ""


def _unproven(facts: PrinterFacts) -> str:
    """Why "completed" says nothing about paper here, or empty for a device that knows."""
    if not facts.cups:
        return "" if facts.reasons else "it does not report its state"
    scheme = facts.device.partition(":")[0] or "its printer"
    if scheme in _FOLLOWED and "waitjob=" not in facts.device:
        return ""
    return f"CUPS handed it over to {scheme}, and cannot know whether it was printed"


def _offline(error: OSError) -> str:
    return f"offline: {error.strerror or error}"
