"""The one place where a command's answer, or an error, becomes stdout, stderr and an exit code.

A command returns an ``Answer`` or raises; nothing else in ``cli/`` prints a result or picks an
exit code. With ``--json`` there is always exactly one object on stdout, also on failure.
"""

import contextlib
import json
import os
import re
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Final, TextIO

import click

from eol_inject import __version__
from eol_inject.errors import EolError, StationError, StoppedError, UsageError
from eol_inject.events import Outcome
from eol_inject.report import Failure, failure_json

_PROGRAM: Final = "eol-inject"
_TOKEN_SHAPED: Final = re.compile(r"[A-Za-z0-9_-]{32,}")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command found: ``data`` for ``--json``, ``lines`` for people.

    ``data`` holds plain JSON values, enums and paths; a ``Secret`` in it is a programming error
    and stops the command. A verdict other than a pass carries its ``failure`` beside the data.
    """

    data: Mapping[str, object] = field(default_factory=dict)
    lines: Sequence[str] = ()
    outcome: Outcome = Outcome.PASS
    failure: Failure | None = None

    @classmethod
    def of(cls, error: EolError) -> "Answer":
        """Nothing but an error."""
        return cls(outcome=Outcome.of(error.exit), failure=Failure.of(error))


def run(args: Sequence[str]) -> int:
    """Run the command line ``args``, print its answer, and return the exit code."""
    from eol_inject.cli import root

    as_json = "--json" in (args[: args.index("--")] if "--" in args else args)
    try:
        with root.make_context(_PROGRAM, list(args)) as context:
            answer = root.invoke(context)
        body = _body(answer, as_json=as_json)
    except click.exceptions.Exit as done:
        return done.exit_code
    except BrokenPipeError:
        # ports and printers translate theirs: this is our own output, with nobody left to read it
        _point_nowhere(sys.stdout)
        return int(Outcome.INTERRUPTED.exit)
    except Exception as error:  # noqa: BLE001  # one of the two places that turn errors into outcomes
        answer = _of_error(error, as_json=as_json)
        body = _body(answer, as_json=as_json)
    except KeyboardInterrupt:
        answer = Answer.of(StoppedError("report.interrupted"))
        body = _body(answer, as_json=as_json)
    try:
        _print(body, sys.stdout)
    except (OSError, ValueError, AttributeError):
        # a full disk behind `>`, or no standard output at all: the answer is on no record
        _point_nowhere(sys.stdout)
        lost = StationError("report.output_lost")
        tell(f"error: {lost}")
        tell(f"hint: {lost.hint}")
        return int(answer.outcome.exit or lost.exit)
    if answer.failure:
        tell(f"error: {answer.failure.text}")
        if answer.failure.hint:
            tell(f"hint: {answer.failure.hint}")
    return int(answer.outcome.exit)


def tell(line: str) -> None:
    """Write one line of progress, or a note, to stderr; stdout is for results.

    Where that cannot be written (a full disk, a terminal that has gone), work goes on without a
    word: no unit is to blame for it.
    """
    try:
        _print([line], sys.stderr)
    except (OSError, ValueError):
        _point_nowhere(sys.stderr)


def show(line: str) -> bool:
    """Write one line of a result that is not whole yet to stdout; whether that went well.

    Does not raise: units are under work. That the reader has gone is well enough.
    """
    try:
        _print([line], sys.stdout)
    except (OSError, ValueError, AttributeError):
        _point_nowhere(sys.stdout)
        return False
    return True


def crash_lines(error: BaseException) -> list[str]:
    """A traceback without messages and values, which may hold secrets: types and places only."""
    lines: list[str] = []
    seen: BaseException | None = error
    while seen is not None:
        lines.append(f"{type(seen).__module__}.{type(seen).__qualname__}")
        lines += [
            f"  {frame.filename}:{frame.lineno} in {frame.name}"
            for frame in traceback.extract_tb(seen.__traceback__)
        ]
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)
    return lines


def _of_error(error: Exception, *, as_json: bool) -> Answer:
    if isinstance(error, EolError):
        return Answer.of(error)
    if isinstance(error, click.ClickException):
        return _of_click(error, as_json=as_json)
    if isinstance(error, (click.Abort, EOFError)):
        return Answer.of(StoppedError("report.interrupted"))
    for line in crash_lines(error):
        tell(line)
    return Answer.of(StationError("report.internal", kind=type(error).__name__))


def _of_click(error: click.ClickException, *, as_json: bool) -> Answer:
    """Click's own complaints. What looks like a token is masked: people do paste them here."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    path = context.command_path if context else _PROGRAM
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        if not as_json:
            tell(error.format_message())
        text = "A command is missing."
    else:
        text = _TOKEN_SHAPED.sub("[hidden]", error.format_message())
    return Answer.of(UsageError("report.usage", why=text, command=path))


def _body(answer: object, *, as_json: bool) -> Sequence[str]:
    if not isinstance(answer, Answer):
        raise TypeError("a command has to return an Answer")
    if not as_json:
        return answer.lines
    head = {
        "version": __version__,
        "status": answer.outcome.value,
        "error": None if answer.failure is None else failure_json(answer.failure),
    }
    return [json.dumps(head | dict(answer.data), default=_plain)]


def _plain(value: object) -> str:
    if isinstance(value, PurePath):
        return str(value)
    raise TypeError(f"{type(value).__name__} does not go into JSON")


def _print(lines: Sequence[str], stream: TextIO) -> None:
    with _reader_may_go(stream):
        for line in lines:
            click.echo(line, file=stream)
        stream.flush()


@contextlib.contextmanager
def _reader_may_go(stream: TextIO) -> Iterator[None]:
    """Go on in silence where the reader has gone (``| head``): the exit code still tells."""
    try:
        yield
    except BrokenPipeError:
        _point_nowhere(stream)


def _point_nowhere(stream: TextIO | None) -> None:
    """So that the interpreter's last flush does not fail as well, which is exit code 120."""
    if stream is None:
        return
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
