"""``zpl://host:9100`` and ``zpl+usb:///dev/usb/lp0``: ask, send, ask again.

A socket that took the bytes proves nothing: with media out the job waits and comes out later, on
another unit. So the printer's state is read before, its label counter before and after, and a job
that does not confirm is cleared with ``~JA``.
"""

import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from eol_inject.errors import StationError, UsageError
from eol_inject.label import zpl_status
from eol_inject.label.bitmap import Label
from eol_inject.label.channels import Channel, DeviceFileChannel, TcpChannel
from eol_inject.label.names import safe_name
from eol_inject.label.printers import Printed, PrintOutcome
from eol_inject.label.zpl import encode

PORT: Final = 9100
CONNECT_S: Final = 3.0
ANSWER_S: Final = 1.5
"""A printer that is ready answers within some 20 ms; silence means not ready."""
FINISH_S: Final = 10.0
"""Longest print of one label, a calibrating feed included."""
POLL_S: Final = 0.02
SETTLED_S: Final = 0.4
"""Without a label counter, a printer that is idle and without error for so long has printed."""
MM_PER_INCH: Final = 25.4


class ZplPrinter:
    """A ZPL II printer behind a channel that is opened for each job and closed after it."""

    def __init__(
        self,
        url: str,
        connect: Callable[[], Channel],
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.url = url
        self._connect = connect
        self._clock = clock
        self._sleep = sleep

    def preflight(self) -> None:
        """Connect and read the state. Raises ``StationError("label.printer_not_ready")``."""
        try:
            with closing(self._connect()) as channel:
                why = self._fault(channel)
        except OSError as error:
            why = _offline(error)
        if why:
            raise StationError("label.printer_not_ready", printer=self.url, why=why)

    def print(self, label: Label, *, name: str) -> Printed:
        """Print one copy and wait until the printer says that it is out; ZPL jobs have no name."""
        safe_name(name)
        try:
            with closing(self._connect()) as channel:
                why = self._fault(channel) or self._other_resolution(channel, label)
                if why:
                    return Printed(PrintOutcome.NOT_SENT, why=why)
                before = self._count(channel)
                return self._send(channel, encode(label), before)
        except OSError as error:
            return Printed(PrintOutcome.NOT_SENT, why=_offline(error))

    def _send(self, channel: Channel, job: bytes, before: int | None) -> Printed:
        try:
            channel.send(job)
            why = self._finish(channel, before)
        except OSError as error:
            why = f"lost after sending: {_offline(error)}"
        if not why:
            return Printed(PrintOutcome.CONFIRMED)
        with suppress(OSError):
            channel.send(zpl_status.CLEAR)
            # closing at once could take the command back out of the printer's buffer
            self._ask(channel, zpl_status.ERRORS_AND_WARNINGS)
        return Printed(PrintOutcome.UNKNOWN, why=why)

    def _finish(self, channel: Channel, before: int | None) -> str:
        """Wait for the label. Empty once it is out, else what stands against that."""
        deadline = self._clock() + FINISH_S
        idle_since: float | None = None
        while self._clock() < deadline:
            count = None if before is None else self._count(channel)
            errors, status = self._state(channel)
            if errors:
                # the last label of a roll comes out, and then there is no media
                last = before is not None and self._count(channel) == before + 1
                return "" if last else errors
            if status is None:
                return "silent"
            if before is not None and count is not None and count != before:
                more = count - before
                return "" if more == 1 else f"{more} labels came out instead of one"
            if not status.idle:
                idle_since = None
            elif idle_since is None:
                idle_since = self._clock()
            elif before is None and self._clock() - idle_since >= SETTLED_S:
                return ""
            self._sleep(POLL_S)
        return f"not printed within {FINISH_S:.0f} s"

    def _fault(self, channel: Channel) -> str:
        """Why a label would not come out now, or empty."""
        errors, status = self._state(channel)
        if errors:
            return errors
        if status is None:
            return "silent"
        if not status.idle:
            return "busy with an earlier job"
        return "a label waits to be taken" if status.label_waiting else ""

    def _state(self, channel: Channel) -> tuple[str, zpl_status.HostStatus | None]:
        """Errors first: with media out or head open there is no answer to ``~HS`` at all."""
        answer = self._ask(channel, zpl_status.ERRORS_AND_WARNINGS)
        errors = zpl_status.errors_of(answer)
        if errors is None:
            return ("silent" if not answer else "an answer that is not understood"), None
        if errors:
            return errors, None
        status = zpl_status.host_status_of(self._ask(channel, zpl_status.HOST_STATUS))
        return (status.fault if status is not None else ""), status

    def _other_resolution(self, channel: Channel, label: Label) -> str:
        has = zpl_status.dots_per_mm_of(self._ask(channel, zpl_status.IDENTITY))
        needs = round(label.dpi / MM_PER_INCH)
        if has is None or has == needs:
            return ""
        return f"it prints {has} dots per mm, and the template has {needs}"

    def _count(self, channel: Channel) -> int | None:
        return zpl_status.count_of(self._ask(channel, zpl_status.LABEL_COUNT))

    def _ask(self, channel: Channel, query: bytes) -> bytes:
        """The answer, or what came of it in time; late answers to earlier questions are dropped."""
        while channel.receive(0.0):
            pass
        channel.send(query)
        answer = b""
        deadline = self._clock() + ANSWER_S
        while not zpl_status.complete(query, answer):
            left = deadline - self._clock()
            if left <= 0:
                break
            answer += channel.receive(left)
        return answer


def open_tcp(url: str) -> ZplPrinter:
    """``zpl://host[:port]``. Raises ``UsageError("label.bad_printer_url")``."""
    parts = urlsplit(url)
    try:
        host, port = parts.hostname, parts.port or PORT
    except ValueError as error:
        raise UsageError("label.bad_printer_url", url=url, why="its port is no number") from error
    if not host or parts.path.strip("/") or parts.query or parts.username:
        raise UsageError("label.bad_printer_url", url=url, why="it is not zpl://host:port")
    return ZplPrinter(url, lambda: TcpChannel(host, port, timeout_s=CONNECT_S))


def open_usb(url: str) -> ZplPrinter:
    """``zpl+usb:///dev/usb/lp0``. Raises ``UsageError("label.bad_printer_url")``."""
    parts = urlsplit(url)
    if parts.netloc or not parts.path or parts.query:
        raise UsageError("label.bad_printer_url", url=url, why="it is not zpl+usb:///path")
    path = Path(parts.path)
    return ZplPrinter(url, lambda: DeviceFileChannel(path, timeout_s=CONNECT_S))


def _offline(error: OSError) -> str:
    return f"offline: {error.strerror or error}"
