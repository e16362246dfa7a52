"""How long the command line makes people wait: ``help_vs_click``.

Compares ``python -m eol_inject --help`` with ``python -c "import click"``: whole processes,
started in turn in one run so that both meet the same machine, medians of each, and their ratio.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

HELP = (sys.executable, "-m", "eol_inject", "--help")
CLICK = (sys.executable, "-c", "import click")
LIMIT = 3.0


def seconds(command: Sequence[str]) -> float:
    """Wall time of one process, its output thrown away."""
    start = time.perf_counter()
    subprocess.run(
        command, check=True, stdout=subprocess.DEVNULL, cwd=Path(__file__).resolve().parents[1]
    )
    return time.perf_counter() - start


def measure(rounds: int) -> dict[str, float | int | str]:
    """Interleaved rounds, after one of each that fills the file cache and writes the .pyc files."""
    for command in (HELP, CLICK):
        seconds(command)
    pairs = [(seconds(HELP), seconds(CLICK)) for _ in range(rounds)]
    ours, bare = (statistics.median(column) for column in zip(*pairs, strict=True))
    return {
        "help_vs_click": round(ours / bare, 2),
        "limit": LIMIT,
        "help_ms": round(ours * 1000, 1),
        "click_ms": round(bare * 1000, 1),
        "rounds": rounds,
        "compared": "python -m eol_inject --help / python -c 'import click', medians, interleaved",
    }


def main() -> int:
    """Exit code 1 where the limit is passed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    options = parser.parse_args()
    figures = measure(5 if options.quick else 25)
    if options.json:
        print(json.dumps(figures))
    else:
        for name, value in figures.items():
            print(f"{name:<14} {value}")
    return int(float(figures["help_vs_click"]) > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
