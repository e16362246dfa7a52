"""Runs an external program: no shell, no terminal, a time limit, and nothing of it left behind."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from eol_inject.errors import StationError, StoppedError

_LOOK_S: Final = 0.1
"""Between two looks whether somebody wants to stop."""
_KILL: Final = getattr(signal, "SIGKILL", signal.SIGTERM)
_END_S: Final = 2.0
"""How long a program may take to end itself before it is killed."""


@dataclass(frozen=True, slots=True)
class Done:
    """How it ended. ``output`` may be what was read from a unit, and ``said`` may quote it."""

    code: int
    output: bytes = field(repr=False)
    """Its standard output."""
    said: str = field(repr=False)
    """Its standard error and, unless that is what it read, its standard output."""


def run(
    arguments: Sequence[str],
    *,
    given: bytes = b"",
    moves: bool = False,
    files: Sequence[int] = (),
    timeout_s: float,
    clock: Callable[[], float],
    aborted: Callable[[], bool],
    waiting: Callable[[], None],
) -> Done:
    """Run it to its end. ``given`` is its standard input; ``files`` are descriptors it inherits.

    ``moves``: its standard output is what it read from the unit, and nothing that it says.

    It does not hear the terminal's Ctrl-C: the first one lets a unit be finished. Raises
    ``StationError``: ``device.programmer_missing``, ``device.programmer_hung``, and
    ``StoppedError("device.aborted")``, and what ``waiting`` raises, which is called meanwhile; the
    program is ended then.
    """
    program = arguments[0]
    try:
        process = subprocess.Popen(  # an argument list of the profile, without a shell
            arguments,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=() if sys.platform == "win32" else tuple(files),
            start_new_session=sys.platform != "win32",
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )
    except OSError as error:
        raise StationError(
            "device.programmer_missing", program=program, why=error.strerror or "not found"
        ) from None
    end = clock() + timeout_s
    sending: bytes | None = given
    try:
        while True:
            try:
                output, errors = process.communicate(sending, timeout=_LOOK_S)
                break
            except subprocess.TimeoutExpired:
                sending = None  # communicate goes on with what it was given first
            waiting()
            if aborted():
                raise StoppedError("device.aborted")
            if clock() >= end:
                raise StationError(
                    "device.programmer_hung", program=program, seconds=f"{timeout_s:g}"
                )
    except BaseException:
        _end(process)
        raise
    _signal(process, _KILL)  # what it has started and left behind would keep the port locked
    said = errors if moves else errors + output
    return Done(process.returncode, output, said.decode("utf-8", "replace"))


def _end(process: "subprocess.Popen[bytes]") -> None:
    """It, and whatever it started."""
    _signal(process, signal.SIGTERM)
    try:
        process.wait(_END_S)
    except subprocess.TimeoutExpired:
        _signal(process, _KILL)
        process.wait(_END_S)
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            with suppress(OSError, ValueError):
                pipe.close()


def _signal(process: "subprocess.Popen[bytes]", number: int) -> None:
    with suppress(OSError):
        if sys.platform == "win32":
            process.terminate()
        else:
            os.killpg(process.pid, number)
