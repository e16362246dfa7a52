"""The scanner at the station: on a port, or one that types like a keyboard."""

import codecs
import os
import sys
import threading
from collections.abc import Generator, Iterator
from contextlib import closing, suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final, TextIO

import click

from eol_inject.cli.answer import tell
from eol_inject.errors import UsageError
from eol_inject.scan import Reading, open_scanner, unwrap
from eol_inject.unit import Secret

if TYPE_CHECKING:
    from eol_inject.scan import Scanner

TTY: Final = "tty"
_WAIT_S: Final = 120.0
_NOW_S: Final = 0.001
"""A look, for a queue that would wait for ever with 0."""
scanner_option = click.option(
    "--scanner",
    metavar="URL|tty",
    help="Label scanner: a serial port (/dev/ttyACM0, COM7), or tty for one that types; default: "
    "tty at a terminal.",
)


class TypedLines:
    """Standard input, read ahead by a thread: so that it can be asked whether a line is there.

    Who reads it this way reads it no other way.
    """

    def __init__(self, stdin: TextIO) -> None:
        self._stdin = stdin
        self._lines: SimpleQueue[str] = SimpleQueue()
        self._ended = False
        threading.Thread(target=self._fill, daemon=True).start()

    def isatty(self) -> bool:
        """Whether somebody types."""
        return self._stdin.isatty()

    def readline(self, timeout_s: float | None = None) -> str:
        """The next line, empty at the end; where ``timeout_s`` is given and none came, empty."""
        if self._ended:
            return ""
        try:
            line = self._lines.get(timeout=timeout_s)
        except Empty:
            return ""
        self._ended = not line
        return line

    def forget(self) -> None:
        """Throw away the lines that came and were not asked for; the end is kept."""
        while not self._ended and not self._lines.empty():
            self._ended = not self._lines.get()

    @property
    def ended(self) -> bool:
        """Whether the end was read."""
        return self._ended

    def _fill(self) -> None:
        with suppress(OSError):  # a terminal that has gone: its end
            for line in _lines_of(self._stdin):
                self._lines.put(line)
        self._lines.put("")


def _lines_of(stdin: TextIO) -> Iterator[str]:
    """As they come. Past the buffer where that is possible: a thread that holds its lock would
    break the end of the program."""
    try:
        number = stdin.fileno()
    except (OSError, ValueError):
        yield from stdin
        return
    if sys.platform == "win32":  # no file but a socket can be waited for there
        yield from stdin
        return
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    rest = ""
    while chunk := os.read(number, 4096):
        *whole, rest = (rest + decoder.decode(chunk)).split("\n")
        yield from (f"{line}\n" for line in whole)
    if rest:
        yield rest


class KeyboardScanner:
    """Lines from standard input: a scanner that types, or a person who does."""

    def __init__(self, stdin: "TextIO | TypedLines | None" = None) -> None:
        self._stdin = stdin or sys.stdin
        self._ended = False

    @property
    def can_look(self) -> bool:
        """Typed lines are waited for, unless they are read ahead."""
        return isinstance(self._stdin, TypedLines)

    @property
    def ended(self) -> bool:
        """Whether standard input came to its end."""
        return self._ended

    def read(self, timeout_s: float) -> Reading | None:
        """The next line that says something; a keyboard has no timeout, but Ctrl-C ends it.

        Nothing at all for ``timeout_s`` of 0: what was typed before cannot be told apart, unless it
        is read ahead.
        """
        if isinstance(self._stdin, TypedLines):
            return self._read_ahead(self._stdin, timeout_s)
        while timeout_s > 0 and not self._ended:
            line = self._stdin.readline()
            self._ended = not line
            reading = unwrap(line.strip(" "))
            if reading.text:
                return reading
        return None

    def _read_ahead(self, lines: TypedLines, timeout_s: float) -> Reading | None:
        reading = unwrap(lines.readline(max(timeout_s, _NOW_S)).strip(" "))
        self._ended = lines.ended
        return reading if reading.text else None

    def close(self) -> None:
        """Standard input stays open."""


def readings_of(url: str | None, prompt: str) -> Generator[Reading]:
    """As they are asked for; without a scanner, lines from standard input."""
    source = scanner_of(url) or KeyboardScanner()
    try:
        tell(prompt)
        while (reading := source.read(_WAIT_S)) is not None:
            yield reading
    finally:
        source.close()


def one_reading(url: str | None, prompt: str) -> Reading:
    """The next one. Raises ``UsageError("label.nothing_scanned")``."""
    with closing(readings_of(url, prompt)) as readings:
        reading = next(readings, None)
    if reading is None:
        raise UsageError("label.nothing_scanned")
    return reading


def read_badge(url: str, whose: str) -> Secret:
    """What the next badge says: it lets somebody in, so it is never shown.

    Raises ``UsageError("label.nothing_scanned")``.
    """
    return Secret(one_reading(url, f"Scan {whose}:").text)


def types(url: str | None) -> bool:
    """Whether the option, or its absence at a terminal, means a scanner that types."""
    return url == TTY or (url is None and sys.stdin.isatty())


def scanner_of(url: str | None, *, lines: TypedLines | None = None) -> "Scanner | None":
    """The scanner that the option names; None where there is none. ``lines``: what is typed, where
    it is read ahead.

    Raises ``StationError("label.scanner_gone")``.
    """
    if types(url):
        return KeyboardScanner(lines)
    return None if url is None else open_scanner(url)
