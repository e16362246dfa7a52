"""A unit by the console of its running firmware: lines sent, answers expected, by script.

What comes is bytes with log lines in between, and most consoles repeat what they are sent. So only
whole lines count, none that ends with what was just sent, and everything that is kept is masked.
"""

import codecs
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from string import Formatter
from types import TracebackType
from typing import Final, Self

from eol_inject.device import ports
from eol_inject.device.console import listen
from eol_inject.device.esp_errors import PORT_ERRORS
from eol_inject.device.line import Line
from eol_inject.device.masking import mask
from eol_inject.device.spec import AskSpec, ConsoleSpec, DeviceSpec
from eol_inject.errors import StationError, UnitError
from eol_inject.unit import AuthToken, Secret

_LOOK_S: Final = 0.05
_PULSE_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class Answer:
    """One line that was expected: its named groups, secret ones wrapped."""

    groups: Mapping[str, str]
    token: AuthToken | None = None
    """What the group ``token`` said, where it has a token's shape."""


class ConsoleUnit:
    """The unit on a port, from ``open`` to ``close``. Raises ``StationError`` for the wire."""

    def __init__(
        self,
        url: str,
        spec: DeviceSpec,
        console: ConsoleSpec,
        *,
        sleep: Callable[[float], None],
        clock: Callable[[], float],
        aborted: Callable[[], bool] = lambda: False,
    ) -> None:
        self.url = url
        self._console = console
        self._clock = clock
        self._sleep = sleep
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._text = ""
        self._line = Line(
            ports.open_port(url, baud=console.baud),
            deadline=clock() + spec.deadline_s,
            allowed_s=spec.deadline_s,
            clock=clock,
            coarse=url.lower().startswith("socket:"),
            aborted=aborted,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._line.close()

    def start(self) -> None:
        """Reset into the application where the script says so, and wait until it listens.

        Raises ``UnitError("device.console_not_ready")``.
        """
        with self._wire():
            if self._console.enter == "reset":
                self._pulse()
        if self._console.ready is None:
            return
        ready = re.compile(self._console.ready)
        if not self._until(lambda line: bool(ready.search(line)), self._console.ready_timeout_s):
            raise UnitError("device.console_not_ready", seconds=self._console.ready_timeout_s)

    def boot(
        self, *, listen_s: float, baud: int, until: Callable[[str], bool] | None = None
    ) -> str:
        """Restart, and what is said within ``listen_s``, or until ``until`` is content; masked."""
        with self._wire():
            self._line.reset_input_buffer()
            self._pulse()
            return listen(self._line, seconds=listen_s, clock=self._clock, until=until)

    def _pulse(self) -> None:
        """The reset line, DTR first: an open port holds it active, and then RTS resets nothing."""
        self._line.setDTR(False)
        self._line.setRTS(True)
        self._sleep(_PULSE_S)
        self._line.setRTS(False)

    def ask(self, ask: AskSpec, values: Mapping[str, str | Secret]) -> Answer:
        """Send one line and wait for its answer.

        Raises ``UnitError("device.console_refused")`` where a line matches ``refuse``,
        ``StationError("device.console_silent")`` where none matched ``expect`` in time: nobody
        knows whether the unit did it. Neither repeats what was sent.
        """
        sent = _filled(ask.send, values)
        expect = re.compile(ask.expect)
        refuse = re.compile(ask.refuse) if ask.refuse else None
        found: list[re.Match[str]] = []

        def judge(line: str) -> bool:
            if sent and line.rstrip().endswith(sent):
                return False  # its echo, behind whatever prompt
            if refuse is not None and refuse.search(line):
                raise UnitError("device.console_refused", step=ask.name)
            match = expect.search(line)
            if match is not None:
                found.append(match)
            return match is not None

        with self._wire():
            self._line.write((sent + self._console.line_end).encode())
        if not self._until(judge, ask.timeout_s):
            raise StationError("device.console_silent", port=self.url, step=ask.name)
        groups = {name: text or "" for name, text in found[0].groupdict().items()}
        token = groups.pop("token", "")
        auth = AuthToken(token) if AuthToken.looks_like(token) else None
        return Answer({name: mask(text) for name, text in groups.items()}, auth)

    def _until(self, judge: Callable[[str], bool], seconds: float) -> bool:
        """Hand whole lines to ``judge`` until it is content; False when the time is over."""
        end = self._clock() + seconds
        while True:
            line, newline, rest = self._text.partition("\n")
            if newline:
                self._text = rest
                if judge(line.rstrip("\r")):
                    return True
                continue
            if self._clock() >= end:
                return False
            self._hear()

    def _hear(self) -> None:
        with self._wire():
            self._line.timeout = _LOOK_S
            self._text += self._decoder.decode(self._line.read(max(1, self._line.in_waiting)))

    def _wire(self) -> "_Translating":
        return _Translating(self.url)


class _Translating:
    """A port that went away is ``device.port_lost``; the original may quote bytes, and stays."""

    def __init__(self, url: str) -> None:
        self._url = url

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, PORT_ERRORS):
            raise StationError("device.port_lost", port=self._url) from None


def _filled(template: str, values: Mapping[str, str | Secret]) -> str:
    """The line with its values. A line end in a value would be another command."""
    parts = []
    for text, name, _, _ in Formatter().parse(template):
        parts.append(text)
        if name is not None:
            value = values.get(name, "")
            said = value.reveal() if isinstance(value, Secret) else value
            if any(ord(one) < ord(" ") for one in said):
                raise UnitError("device.console_value", field=name)
            parts.append(said)
    return "".join(parts)
