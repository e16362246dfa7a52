"""Options for tests on a real unit, and their report; without ``--port`` nothing here runs."""

import json
import platform
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent

_MAC = re.compile(r"\b[0-9a-f]{2}([:-]?[0-9a-f]{2}){5}\b", re.IGNORECASE)
"""A unit's number, as it may stand in an error or in what a comparison shows."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """``pytest tests/hardware --port URL --chip NAME [--destructive]``."""
    group = parser.getgroup("hardware", "a real unit")
    group.addoption("--port", help="port name or URL of the unit, e.g. /dev/ttyUSB0")
    group.addoption("--chip", help="its chip as esptool says it, e.g. esp32c3")
    group.addoption(
        "--before",
        default="default-reset",
        choices=("default-reset", "usb-reset", "no-reset"),
        help="how the chip is brought into its loader; over a URL its own USB cannot be known",
    )
    group.addoption(
        "--destructive",
        action="store_true",
        help="also write: the four sectors at --scratch are lost, all else stays",
    )
    group.addoption(
        "--scratch",
        type=lambda text: int(text, 0),
        default=0x3F0000,
        help="flash address of four sectors that may be lost (default 0x3f0000)",
    )

    group.addoption(
        "--report",
        type=Path,
        metavar="FILE",
        help="write what was found there, as JSON; the unit's MAC is left out but for its maker",
    )


class Report:
    """Each fact that was tried, how it ended and how long it took."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self.unit: dict[str, Any] = {}
        self.facts: list[dict[str, Any]] = []

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Iterator[None]:
        """One line a test; a set-up that failed counts as its test."""
        report = yield
        if report.when == "call" or report.outcome != "passed":
            function = getattr(item, "function", None)
            says = (getattr(function, "__doc__", None) or item.name).strip()
            self.facts.append(
                {
                    "fact": says.splitlines()[0],
                    "test": item.name,
                    "outcome": report.outcome,
                    "seconds": round(report.duration, 3),
                    "why": _MAC.sub("(MAC)", str(call.excinfo.value))[:300] if call.excinfo else "",
                }
            )
        return report

    def pytest_sessionfinish(self) -> None:
        """Write it; an empty one tells that nothing was tried."""
        path: Path = self._config.getoption("--report")
        counts = {
            outcome: sum(one["outcome"] == outcome for one in self.facts)
            for outcome in ("passed", "failed", "skipped")
        }
        made = {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "system": f"{platform.system()} {platform.release()}",
            "versions": {
                name: metadata.version(name) for name in ("eol-inject", "esptool", "pyserial")
            },
            "unit": self.unit,
            "destructive": self._config.getoption("--destructive"),
            "counts": counts,
            "facts": self.facts,
        }
        path.write_text(json.dumps(made, indent=2) + "\n", encoding="utf-8")


@pytest.fixture(scope="session")
def told(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Where a test puts what it learnt about the unit."""
    found = request.config.pluginmanager.get_plugin("hardware report")
    return found.unit if isinstance(found, Report) else {}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave these tests out where no unit is named, and the writing ones unless asked for."""
    port = config.getoption("--port", default=None)
    writing = config.getoption("--destructive", default=False)
    out = [
        item
        for item in items
        if HERE in item.path.parents
        and (not port or (item.get_closest_marker("destructive") and not writing))
    ]
    if out:
        config.hook.pytest_deselected(items=out)
        items[:] = [item for item in items if item not in out]


def pytest_configure(config: pytest.Config) -> None:
    """Name the marker that only these tests use."""
    config.addinivalue_line("markers", "destructive: writes to the unit's scratch sectors")
    if config.getoption("--report", default=None):
        config.pluginmanager.register(Report(config), "hardware report")
