"""Four IPP requests and their answers, typed: the one module that knows ``pyipp``.

IPP/1.1, which printers of every later version take too (RFC 8011, 4.1.8). Times are seconds.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
from pyipp import IPP
from pyipp.enums import IppOperation, IppTag
from pyipp.exceptions import (
    IPPConnectionError,
    IPPConnectionUpgradeRequired,
    IPPError,
    IPPParseError,
    IPPResponseError,
)
from pyipp.tags import ATTRIBUTE_TAG_MAP

PORT: Final = 631
ANSWER_S: Final = 5.0
"""Longest wait for one answer; a label is sent with its request."""
USER: Final = "eol-inject"
"""Who owns our jobs: CUPS lets owners cancel."""

_TAGS: Final = {
    "print-scaling": IppTag.KEYWORD,
    "fit-to-page": IppTag.BOOLEAN,
    "PageSize": IppTag.KEYWORD,
    "media": IppTag.KEYWORD,
    "job-sheets": IppTag.KEYWORD,
}
"""What pyipp 0.17 does not know, and drops without a word, or sends as a name: a printer may look
for a keyword among its names in vain."""

_PRINTER: Final = [
    "printer-state",
    "printer-state-reasons",
    "printer-is-accepting-jobs",
    "queued-job-count",
    "document-format-supported",
    "printer-resolution-default",
    "printer-make-and-model",
    "device-uri",
    "cups-version",
]
_JOB: Final = [
    "job-id",
    "job-name",
    "job-state",
    "job-state-reasons",
    "job-printer-state-message",
    "job-impressions-completed",
    "job-media-sheets-completed",
    "time-at-processing",
]
_STATUS: Final = {
    0x0401: "it does not allow that",
    0x0402: "it wants a password",
    0x0403: "it does not allow that",
    0x0406: "there is no such queue",
    0x0408: "the label is too large for it",
    0x040A: "it does not take this kind of file",
    0x040B: "it does not take this label's size or settings",
    0x0502: "it is not available",
    0x0506: "it takes no jobs",
    0x0507: "it is busy",
}
"""RFC 8011, appendix B."""


_STOPPED: Final = 5
"""Of ``printer-state``; 3 is idle, 4 processing."""
_PER_CM: Final = 4
"""Of a resolution's unit; 3 is per inch."""


class RefusedError(Exception):
    """The printer answered, and said no. Its text is a public phrase."""


class JobState(IntEnum):
    """RFC 8011, 5.3.7."""

    PENDING = 3
    HELD = 4
    PROCESSING = 5
    STOPPED = 6
    CANCELED = 7
    ABORTED = 8
    COMPLETED = 9

    @property
    def ended(self) -> bool:
        """Whether nothing more comes of it."""
        return self >= JobState.CANCELED


@dataclass(frozen=True, slots=True)
class PrinterFacts:
    """What a printer or queue says of itself; None where it does not say.

    ``resolution`` is its default, dots per inch. ``device`` is where a CUPS queue leads.
    """

    stopped: bool
    reasons: tuple[str, ...]
    accepting: bool | None
    queued: int | None
    formats: tuple[str, ...]
    resolution: int | None
    model: str
    device: str
    cups: bool


@dataclass(frozen=True, slots=True)
class JobFacts:
    """What became of a job. ``pieces`` are the sheets or impressions that came out, if counted.

    ``began``: whether the printer may have started on it.
    """

    id: int
    name: str
    state: JobState
    reasons: tuple[str, ...]
    message: str
    pieces: int | None
    began: bool


@dataclass(frozen=True, slots=True)
class Address:
    """Where a queue is."""

    host: str
    port: int
    path: str

    @classmethod
    def of(cls, uri: str) -> "Address | None":
        """Of an ``ipp:`` URI; None where it names no host."""
        parts = urlsplit(uri)
        try:
            host, port = parts.hostname, parts.port or PORT
        except ValueError:
            return None
        path = parts.path if parts.path.strip("/") else "/ipp/print"
        return cls(host, port, path) if host else None


class Queue:
    """A printer or print queue. All methods raise ``OSError`` where it is gone or not understood,
    and ``RefusedError`` where it says no.
    """

    def __init__(self, ipp: IPP) -> None:
        self._ipp = ipp

    async def facts(self) -> PrinterFacts:
        """Get-Printer-Attributes."""
        answer = await self._ask(
            IppOperation.GET_PRINTER_ATTRIBUTES, {"requested-attributes": _PRINTER}
        )
        return _printer_facts(_first(answer, "printers"))

    async def send(
        self, data: bytes, *, name: str, kind: str, settings: Mapping[str, str | int | bool]
    ) -> int:
        """Print-Job with one document of MIME type ``kind``; the job's id."""
        operation: dict[str, Any] = {"job-name": name, "document-format": kind}
        job = dict(settings)
        if job.pop("ipp-attribute-fidelity", False):
            operation["ipp-attribute-fidelity"] = True
        answer = await self._ask(IppOperation.PRINT_JOB, operation, job=job, data=data)
        number = _first(answer, "jobs").get("job-id")
        if not isinstance(number, int):
            raise ConnectionError("its answer names no job")
        return number

    async def job(self, number: int) -> JobFacts:
        """Get-Job-Attributes."""
        answer = await self._ask(
            IppOperation.GET_JOB_ATTRIBUTES, {"job-id": number, "requested-attributes": _JOB}
        )
        return _job_facts(_first(answer, "jobs"))

    async def cancel(self, number: int) -> None:
        """Cancel-Job."""
        await self._ask(IppOperation.CANCEL_JOB, {"job-id": number})

    async def mine(self, name: str) -> list[int]:
        """Get-Jobs: the ids of our own unfinished jobs of that name."""
        answer = await self._ask(
            IppOperation.GET_JOBS,
            {"which-jobs": "not-completed", "my-jobs": True, "requested-attributes": _JOB},
        )
        jobs = [_job_facts(job) for job in answer["jobs"] if job]
        return [job.id for job in jobs if job.name == name]

    async def _ask(
        self,
        operation: IppOperation,
        attributes: Mapping[str, Any],
        *,
        job: Mapping[str, Any] | None = None,
        data: bytes = b"",
    ) -> dict[str, Any]:
        for tag in [*attributes, *(job or ())]:
            if tag not in ATTRIBUTE_TAG_MAP:
                raise AssertionError(f"pyipp would drop {tag}")
        message: dict[str, Any] = {
            "operation-attributes-tag": {"requesting-user-name": USER, **attributes},
            "data": data,
        }
        if job:
            message["job-attributes-tag"] = dict(job)
        try:
            async with asyncio.timeout(ANSWER_S):
                return await self._ipp.execute(operation, message)
        except IPPConnectionError as error:
            raise ConnectionError(_gone(error.__cause__)) from error
        except IPPConnectionUpgradeRequired as error:
            raise RefusedError("it wants encryption, which ipp: does not have") from error
        except IPPResponseError as error:
            raise RefusedError(f"it answers {error.args[0]}") from error
        except IPPParseError as error:
            raise ConnectionError("its answer is not understood") from error
        except IPPError as error:
            raise RefusedError(_refusal(error)) from error
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            # pyipp lets through what happens while an answer is read
            raise ConnectionError(_gone(error)) from error


@asynccontextmanager
async def connected(address: Address) -> AsyncIterator[Queue]:
    """A queue to talk to; no connection outlives the block."""
    ATTRIBUTE_TAG_MAP.update(_TAGS)
    async with IPP(
        host=address.host,
        port=address.port,
        base_path=address.path,
        ipp_version=(1, 1),
        request_timeout=int(ANSWER_S),
    ) as ipp:
        yield Queue(ipp)


def _gone(error: BaseException | None) -> str:
    if isinstance(error, TimeoutError):
        return "silent"
    if isinstance(error, OSError) and error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    return "the connection broke" if error is not None else "silent"


def _refusal(error: IPPError) -> str:
    details = error.args[1] if len(error.args) > 1 else {}
    code = details.get("status-code") if isinstance(details, dict) else None
    if not isinstance(code, int):
        return "it does not speak IPP/1.1"
    return _STATUS.get(code, f"it answers IPP status 0x{code:04x}")


def _first(answer: Mapping[str, Any], group: str) -> Mapping[str, Any]:
    """The attributes of the one printer or job that was asked about."""
    return next((found for found in answer[group] if found), {})


def _printer_facts(said: Mapping[str, Any]) -> PrinterFacts:
    state = said.get("printer-state")
    if not isinstance(state, int):
        raise ConnectionError("it does not tell its state")
    accepting = said.get("printer-is-accepting-jobs")
    return PrinterFacts(
        stopped=state == _STOPPED,
        reasons=_texts(said.get("printer-state-reasons")),
        accepting=accepting if isinstance(accepting, bool) else None,
        queued=_number(said.get("queued-job-count")),
        formats=_texts(said.get("document-format-supported")),
        resolution=_dpi(said.get("printer-resolution-default")),
        model=str(said.get("printer-make-and-model") or ""),
        device=str(said.get("device-uri") or ""),
        cups="cups-version" in said,
    )


def _job_facts(said: Mapping[str, Any]) -> JobFacts:
    number, state = said.get("job-id"), said.get("job-state")
    if not isinstance(number, int) or not isinstance(state, int):
        raise ConnectionError("it does not tell the job's state")
    counts = [
        count
        for name in ("job-impressions-completed", "job-media-sheets-completed")
        if (count := _number(said.get(name))) is not None
    ]
    return JobFacts(
        id=number,
        name=str(said.get("job-name") or ""),
        state=JobState(state),
        reasons=_texts(said.get("job-state-reasons")),
        message=_plain(said.get("job-printer-state-message")),
        pieces=max(counts, default=None),
        # "no-value" is its answer for a job that never began; no answer proves nothing
        began=_number(said.get("time-at-processing", 0)) is not None,
    )


def _texts(value: object) -> tuple[str, ...]:
    """One value or several: IPP does not tell them apart."""
    values = value if isinstance(value, list) else [value]
    return tuple(text for text in values if isinstance(text, str) and text)


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _dpi(value: object) -> int | None:
    """From ``(across, down, unit)``."""
    if not isinstance(value, tuple) or value[0] != value[1]:
        return None
    return round(value[0] * 2.54) if value[2] == _PER_CM else int(value[0])


def _plain(value: object) -> str:
    """A stranger's sentence: one short line."""
    text = value if isinstance(value, str) else ""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:120].rstrip(".")
