"""``python killed_at.py EVENT STEP ARGS…``: the real command line, which kills itself with SIGKILL.

It dies inside the observer, at the first event of that class for that step: an exact point of the
cycle, with every commit, byte and label of before, and nothing of after.
"""

import os
import signal
import sys

from eol_inject.cli import answer, board
from eol_inject.events import Event, Observer


def observer(event_name: str, step: str) -> Observer:
    """Dies at the point, and is silent before."""

    def watch(event: Event) -> None:
        if type(event).__name__ == event_name and getattr(event, "step", "") == step:
            os.kill(os.getpid(), signal.SIGKILL)

    return watch


def main() -> int:
    """Run the command line with that observer."""
    event_name, step, *args = sys.argv[1:]
    board.observer = lambda **_: observer(event_name, step)  # type: ignore[assignment]
    return answer.run(args)


if __name__ == "__main__":
    sys.exit(main())
