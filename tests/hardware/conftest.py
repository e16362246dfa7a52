"""Options for tests on a real unit; without ``--port`` nothing here runs."""

from pathlib import Path

import pytest

HERE = Path(__file__).parent


def pytest_addoption(parser: pytest.Parser) -> None:
    """``pytest tests/hardware --port URL --chip NAME [--destructive]``."""
    group = parser.getgroup("hardware", "a real unit")
    group.addoption("--port", help="port name or URL of the unit, e.g. /dev/ttyUSB0")
    group.addoption("--chip", help="its chip as esptool says it, e.g. esp32c3")
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
