"""The real command line in a process of its own, which kills itself with SIGKILL.

It dies inside the observer, at the first event of that class for that step: an exact point of the
cycle, with every commit, byte and label of before, and nothing of after. The process is forked from
a small server that has the libraries already: starting them is most of what a short run costs.
"""

import io
import multiprocessing
import os
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from eol_inject.cli import answer, board
from eol_inject.events import Event, Observer

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(
    ["eol_inject.cli.run", "eol_inject.station.bench", "eol_inject.ledger.opening",
     "eol_inject.label.render", "reportlab.pdfgen.canvas"]
)  # fmt: skip
_END_S = 60


def killed_at(event_name: str, step: str, args: Sequence[str], *, given: bytes = b"") -> None:
    """Run ``args`` until that event, with ``given`` on standard input."""
    with tempfile.NamedTemporaryFile() as said, tempfile.NamedTemporaryFile() as typed:
        Path(typed.name).write_bytes(given)
        files = (typed.name, said.name)
        process = _FORKS.Process(
            target=_run, args=(event_name, step, list(args), dict(os.environ), files)
        )
        process.start()
        process.join(_END_S)
        ended = process.exitcode
        process.kill()
        assert ended == -signal.SIGKILL, Path(said.name).read_text("utf-8")


def _run(
    event_name: str,
    step: str,
    args: Sequence[str],
    environment: Mapping[str, str],
    files: tuple[str, str],
) -> None:
    # The fork server has the environment and the streams of the first test that asked it.
    os.environ.clear()
    os.environ.update(environment)
    with Path(files[0]).open("rb") as typed, Path(files[1]).open("wb") as output:
        os.dup2(typed.fileno(), 0)
        sys.stdin = io.TextIOWrapper(io.FileIO(0, closefd=False))  # multiprocessing puts another
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    board.observer = lambda **_: _observer(event_name, step)  # type: ignore[assignment]
    answer.run(args)


def _observer(event_name: str, step: str) -> Observer:
    """Dies at the point, and is silent before."""

    def watch(event: Event) -> None:
        if type(event).__name__ == event_name and getattr(event, "step", "") == step:
            os.kill(os.getpid(), signal.SIGKILL)

    return watch
