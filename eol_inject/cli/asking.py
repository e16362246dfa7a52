"""The person at the terminal: questions on stderr, answers from the keyboard.

Where nobody can answer (a pipe, a service) every question is answered by None at once.
"""

import sys
from typing import TextIO

from eol_inject.cli.answer import tell
from eol_inject.cli.scanners import TypedLines
from eol_inject.events import Question

_SENTENCES = {
    Question.HOLD_BOOT: (
        "Hold the unit's BOOT button, press and let go EN, let go BOOT. Then press Enter"
    ),
    Question.SCAN_SERIAL: "Scan the serial number of the unit in slot {slot}",
    Question.SCAN_BOARD: "Scan the mark on the board",
    Question.SCAN_LABEL: "Scan the label on the unit",
    Question.SCAN_LABEL_ID: "Scan or type the id on the label",
    Question.LABEL_PRINTED: "Was the label {label} of {unit} printed? [y/n]",
    Question.DELETE_SOURCE: "{path} holds every AuthToken in the clear. Delete it now? [y/N]",
}


class Terminal:
    """An ``Operator`` at a terminal; ``ask`` returns None where there is none."""

    def __init__(self, stdin: "TextIO | TypedLines | None" = None, *, piped: bool = False) -> None:
        self._stdin = stdin or sys.stdin
        self._piped = piped
        """Standard input answers although it is no terminal."""

    def ask(self, question: Question, **facts: str) -> str | None:
        """The typed or scanned line, without its line end; None where nobody answers."""
        if not (self._piped or self._stdin.isatty()):
            return None
        sentence = _SENTENCES[question]
        for name, value in facts.items():
            sentence = sentence.replace("{" + name + "}", value)
        tell(f"{sentence}:")
        line = self._stdin.readline()
        return line.strip() if line else None

    def yes(self, question: Question, **facts: str) -> bool | None:
        """A yes or no; None where nobody answers, and anything but y or yes is a no."""
        answer = self.ask(question, **facts)
        return None if answer is None else answer.lower() in {"y", "yes"}
