"""The scanner at the station: on a port, or one that types like a keyboard."""

import sys
from collections.abc import Generator
from contextlib import closing
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
scanner_option = click.option(
    "--scanner",
    metavar="URL|tty",
    help="Label scanner: a serial port (/dev/ttyACM0, COM7), or tty for one that types; default: "
    "tty at a terminal.",
)


class KeyboardScanner:
    """Lines from standard input: a scanner that types, or a person who does."""

    def __init__(self, stdin: TextIO | None = None) -> None:
        self._stdin = stdin or sys.stdin
        self._ended = False

    @property
    def can_look(self) -> bool:
        """Typed lines are waited for."""
        return False

    @property
    def ended(self) -> bool:
        """Whether standard input came to its end."""
        return self._ended

    def read(self, timeout_s: float) -> Reading | None:
        """The next line that says something; a keyboard has no timeout, but Ctrl-C ends it.

        Nothing at all for ``timeout_s`` of 0: what was typed before cannot be told apart.
        """
        while timeout_s > 0 and not self._ended:
            line = self._stdin.readline()
            self._ended = not line
            reading = unwrap(line.strip(" "))
            if reading.text:
                return reading
        return None

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


def scanner_of(url: str | None) -> "Scanner | None":
    """The scanner that the option names; None where there is none.

    Raises ``StationError("label.scanner_gone")``.
    """
    if url == TTY or (url is None and sys.stdin.isatty()):
        return KeyboardScanner()
    return None if url is None else open_scanner(url)
