"""The error tree. Each class says who has to act; each error has a dotted code and parameters.

::

    EolError
    ├── UsageError      exit 2    the command line, a profile, a file given to us
    ├── UnitError       exit 1    the unit is bad, or must not go on
    ├── StationError    exit 3    the station is bad; the unit was not judged
    ├── RecordError     exit 4    the unit is good; its label or its record is missing
    └── StoppedError    exit 130  somebody pressed Ctrl-C

The code's first word is the stage (``device.no_sync``). The sentence and the hint of each code
stand in ``texts/en.toml``; parameters are plain text and numbers, never a secret. Errors of other
libraries are translated once, where we call them, with ``raise … from``.
"""

import tomllib
from enum import IntEnum
from functools import cache
from importlib import resources
from typing import ClassVar, Final

Param = str | int | float | None


class Exit(IntEnum):
    """Exit codes of the command line."""

    PASS = 0
    UNIT_BAD = 1
    USAGE = 2
    STATION_BAD = 3
    RECORD_MISSING = 4
    INTERRUPTED = 130


class EolError(Exception):
    """Root of everything this package raises on purpose.

    ``str()`` of it is the sentence; ``hint`` says what to do, one sentence.
    """

    exit: ClassVar[Exit]

    def __init__(self, code: str, **params: Param) -> None:
        super().__init__(code)
        self.code: Final = code
        self.params: Final = params

    def __str__(self) -> str:
        return _fill(_text(self.code)["text"], self.params)

    @property
    def hint(self) -> str:
        """What to do about it; empty where the sentence says it all."""
        return _fill(_text(self.code).get("hint", ""), self.params)


class UsageError(EolError):
    """Bad input: a command line, profile, template, token source or image."""

    exit = Exit.USAGE


class UnitError(EolError):
    """The unit is bad, or holds something that must not be overwritten."""

    exit = Exit.UNIT_BAD


class StationError(EolError):
    """Port, ledger, pool, disk or fixture: the unit was not judged."""

    exit = Exit.STATION_BAD


class RecordError(EolError):
    """The unit is good, but its label or its record is missing."""

    exit = Exit.RECORD_MISSING


class StoppedError(EolError):
    """Somebody asked us to stop."""

    exit = Exit.INTERRUPTED


@cache
def texts() -> dict[str, dict[str, dict[str, str]]]:
    """All sentences: stage → name → ``{"text": …, "hint": …}``."""
    return tomllib.loads(
        resources.files("eol_inject").joinpath("texts/en.toml").read_text(encoding="utf-8")
    )


def _text(code: str) -> dict[str, str]:
    stage, _, name = code.partition(".")
    return texts().get(stage, {}).get(name, {"text": code})


def _fill(sentence: str, params: dict[str, Param]) -> str:
    for name, value in params.items():
        sentence = sentence.replace("{" + name + "}", str(value))
    return sentence
