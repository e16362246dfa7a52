"""Units of a test's own: met in its own folder, gone after it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import serial

from eol_inject.sim import manage

HANDLERS = "eol_inject.sim"


@pytest.fixture(scope="session", autouse=True)
def _sim_urls() -> None:
    """pyserial knows ``sim://``, as it does once ``device`` has opened a port."""
    if HANDLERS not in serial.protocol_handler_packages:
        serial.protocol_handler_packages.append(HANDLERS)


@pytest.fixture
def units(tmp_path: Path) -> Iterator[Path]:
    """The folder where this test's units are met."""
    folder = tmp_path / "units"
    manage.use_folder(folder)
    yield folder
    manage.stop_all()
    manage.use_folder(None)
