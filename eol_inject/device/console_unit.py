"""A unit by the console of its running firmware: lines sent, answers expected, by script.

What comes is bytes with log lines in between, and most consoles repeat what they are sent. So only
whole lines count, none that ends with what was just sent, and nothing that came before it was sent.
A prompt has no line end: it is the one thing that counts unfinished. What is kept is masked.
"""

import codecs
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from eol_inject.device import console_line, ports
from eol_inject.device.console import listen
from eol_inject.device.esp_errors import PORT_ERRORS
from eol_inject.device.identity import IsToken, public_fact
from eol_inject.device.line import Line
from eol_inject.device.spec import AskSpec, ConsoleSpec, DeviceSpec
from eol_inject.errors import StationError, UnitError
from eol_inject.unit import AuthToken, Secret

_LOOK_S: Final = 0.05
_PULSE_S: Final = 0.1
_PROMPTED: Final = re.compile(r"|.*[>#$%:]\s*")
"""What may stand before an echo: nothing, or what ends as prompts do."""
_PROMPT_S: Final = 1.0
"""Longest wait for the prompt behind an answer: a firmware that logs meanwhile may hide it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One line that was expected: its named groups, secret ones wrapped."""

    groups: Mapping[str, str]
    token: AuthToken | None = None
    """What the group ``token`` said, where it has a token's shape."""
    odd: bool = False
    """The group ``token`` said something: no token, and not what the profile calls blank."""


class ConsoleUnit:
    """The unit on a port, from ``open`` to ``close``. Raises ``StationError`` for the wire.

    ``waiting`` is called again and again while it is listened to; what it raises ends that.
    """

    def __init__(
        self,
        url: str,
        spec: DeviceSpec,
        console: ConsoleSpec,
        *,
        is_token: IsToken,
        sleep: Callable[[float], None],
        clock: Callable[[], float],
        aborted: Callable[[], bool] = lambda: False,
        waiting: Callable[[], None] = lambda: None,
    ) -> None:
        self.url = url
        self._console = console
        self._clock = clock
        self._sleep = sleep
        self._is_token = is_token
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._text = ""
        self._asleep = False
        self._line = Line(
            ports.open_port(url, baud=console.baud),
            deadline=clock() + spec.deadline_s,
            allowed_s=spec.deadline_s,
            clock=clock,
            coarse=url.lower().startswith("socket:"),
            aborted=aborted,
            waiting=waiting,
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
        if self._console.enter == "reset":
            with self._wire():
                self._forget()
                self._pulse()
        self._asleep = self._console.enter == "reset" or self._console.ready is not None
        self._wake()

    def boot(
        self, *, listen_s: float, baud: int, until: Callable[[str], bool] | None = None
    ) -> str:
        """Restart, and what is said within ``listen_s``, or until ``until`` is content; masked."""
        with self._wire():
            self._forget()
            self._pulse()
            heard = listen(self._line, seconds=listen_s, clock=self._clock, until=until)
        # its console may not listen yet: the next question waits for that
        self._asleep, self._text = True, heard
        return heard

    def _pulse(self) -> None:
        """The reset line, DTR first: an open port holds it active, and then RTS resets nothing."""
        self._line.setDTR(False)
        self._line.setRTS(True)
        self._sleep(_PULSE_S)
        self._line.setRTS(False)

    def _wake(self) -> None:
        """After a start, once: wait for the line that says that the console listens."""
        if not self._asleep:
            return
        self._asleep = False
        if self._console.ready is not None:
            ready = re.compile(self._console.ready)
            if not self._until(lambda line: bool(ready.search(line)), self._ready_s):
                raise UnitError("device.console_not_ready", seconds=self._ready_s)
        elif not self._prompted(self._ready_s):
            raise UnitError("device.console_not_ready", seconds=self._ready_s)

    @property
    def _ready_s(self) -> float:
        return self._console.ready_timeout_s

    def ask(self, ask: AskSpec, values: Mapping[str, str | Secret]) -> Answer:
        """Send one line and wait for its answer.

        Raises ``UnitError("device.console_refused")`` where a line matches ``refuse``,
        ``UnitError("device.identity_is_token")``, and ``StationError("device.console_silent")``
        where none matched ``expect`` in time: nobody knows whether the unit did it. None repeats
        what was sent.
        """
        sent = console_line.fill(ask, values, self._console)
        self._wake()
        if sent:
            with self._wire():
                self._forget()
                self._line.write((sent + self._console.line_end).encode())
        found = self._answered(ask, sent)
        if sent and ask.expect is not None:
            # the prompt behind the answer belongs to it: it must not be taken for the next one's
            self._prompted(_PROMPT_S)
        return self._answer(found)

    def _answered(self, ask: AskSpec, sent: str) -> dict[str, str]:
        """The groups of the line that answers; none where the prompt is the answer."""
        expect = re.compile(ask.expect) if ask.expect is not None else None
        prompt = re.compile(self._console.prompt or "")
        refuse = re.compile(ask.refuse) if ask.refuse else None
        found: list[re.Match[str]] = []

        def judge(line: str) -> bool:
            if sent and _echoes(line, sent):
                return False
            if refuse is not None and refuse.search(line):
                raise UnitError("device.console_refused", step=ask.name)
            match = (expect or prompt).search(line)
            if match is not None:
                found.append(match)
            return match is not None

        if not self._until(judge, ask.timeout_s, prompt=prompt if expect is None else None):
            raise StationError("device.console_silent", port=self.url, step=ask.name)
        if not found or expect is None:
            return {}
        return {name: text or "" for name, text in found[0].groupdict().items()}

    def _answer(self, groups: dict[str, str]) -> Answer:
        token = groups.pop("token", "")
        public = {name: public_fact(name, text, self._is_token) for name, text in groups.items()}
        if AuthToken.looks_like(token):
            return Answer(public, AuthToken(token))
        return Answer(public, odd=not re.fullmatch(self._console.blank, token))

    def _until(
        self,
        judge: Callable[[str], bool],
        seconds: float,
        *,
        prompt: re.Pattern[str] | None = None,
    ) -> bool:
        """Hand whole lines to ``judge`` until it is content, or, with ``prompt``, until an
        unfinished line is nothing else; False when the time is over."""
        end = self._clock() + seconds
        while True:
            line, newline, rest = self._text.partition("\n")
            if newline:
                self._text = rest
                if judge(line.rstrip("\r")):
                    return True
                continue
            if prompt is not None and line and prompt.fullmatch(line):
                return True
            if self._clock() >= end:
                return False
            self._hear()

    def _prompted(self, seconds: float) -> bool:
        """Wait for the prompt and leave every line where it is; True where there is none."""
        if self._console.prompt is None:
            return True
        prompt = re.compile(self._console.prompt)
        end = self._clock() + seconds
        while not any(prompt.search(line) for line in self._text.split("\n")):
            if self._clock() >= end:
                return False
            self._hear()
        return True

    def _forget(self) -> None:
        """Whatever came before now answers nothing that is sent from now on."""
        self._line.reset_input_buffer()
        self._decoder.reset()
        self._text = ""

    def _hear(self) -> None:
        with self._wire():
            self._line.timeout = _LOOK_S
            self._text += self._decoder.decode(self._line.read(max(1, self._line.in_waiting)))

    def _wire(self) -> "_Translating":
        return _Translating(self.url)


def _echoes(line: str, sent: str) -> bool:
    """Whether ``line`` is ``sent`` as the console repeats it: alone, or behind a prompt.

    An answer may end with the word that was sent (``token`` → ``no token``), so not every ending.
    """
    line, sent = line.strip(), sent.strip()
    return line.endswith(sent) and _PROMPTED.fullmatch(line.removesuffix(sent)) is not None


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
