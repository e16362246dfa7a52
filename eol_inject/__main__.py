"""Where the command starts: nothing may leak from a crash, then the command line runs."""

import contextlib
import io
import os
import sys
import threading
from types import TracebackType
from typing import NoReturn

from eol_inject.cli.answer import crash_lines, run
from eol_inject.events import Outcome


def main() -> NoReturn:
    """Run ``eol-inject`` with the arguments of this process, and exit."""
    _no_core_dumps()
    _no_stream_missing()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # a Windows pipe is cp1252: a label's name must not end a cycle
            stream.reconfigure(errors="backslashreplace")
    sys.excepthook = _quiet_hook
    threading.excepthook = _quiet_thread_hook
    try:
        code = run(sys.argv[1:])
    except KeyboardInterrupt:  # pressed once more, while the answer was written
        code = int(Outcome.INTERRUPTED.exit)
    sys.exit(code)


def _no_core_dumps() -> None:
    """A core dump would hold every token this process has seen; Windows has none to switch off."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _no_stream_missing() -> None:
    """Who closed standard input or error gets an empty one: else a ledger or a port would be opened
    in its place. A missing standard output stays so: the answer is lost, and that is told."""
    if sys.stdin is None:
        sys.stdin = os.fdopen(os.open(os.devnull, os.O_RDONLY), encoding="utf-8")
    if sys.stderr is None:
        sys.stderr = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8")


def _quiet_hook(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    # The usual hook prints the exception's message, and a library's message may repeat its input.
    sys.stderr.write("\n".join(crash_lines(error)) + "\n")


def _quiet_thread_hook(crash: threading.ExceptHookArgs) -> None:
    if crash.exc_value is not None and not isinstance(crash.exc_value, SystemExit):
        sys.stderr.write("\n".join(crash_lines(crash.exc_value)) + "\n")


if __name__ == "__main__":
    main()
