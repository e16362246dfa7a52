"""What every test runs under: no user's ledger in reach, no missing program unnoticed in CI."""

import gc
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support import postgres

# A shared machine stalls now and then; what has to be fast is measured in benchmarks/.
settings.register_profile("house", deadline=None, database=None)
settings.load_profile("house")

_IN_CI = os.environ.get("CI") == "true"


def pytest_configure() -> None:
    """Programs that tests start obey Ctrl-C, also where this one was started in the background:
    a shell lets such a program ignore it, and what a program ignores its children ignore too."""
    # Hundreds of them start: without bytecode each would compile the product again, and each worker
    # these tests.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the long campaigns to ``make soak`` (``-m soak``)."""
    if "soak" in (config.option.markexpr or ""):
        return
    long = [item for item in items if item.get_closest_marker("soak")]
    if long:
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item not in long]


def pytest_runtest_setup(item: pytest.Item) -> None:
    """``@pytest.mark.needs_debian("pdftoppm")`` skips where that program, or file, is missing."""
    for marker in item.iter_markers("needs_debian"):
        missing = [
            name for name in marker.args if shutil.which(name) is None and not Path(name).is_file()
        ]
        if missing:
            pytest.skip(f"{missing[0]} is not installed; see .ci/debian-packages")


def pytest_collection_finish() -> None:
    """What was imported and collected stays to the end: no collection of garbage walks it again."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """In CI a skipped ``needs_debian`` test is a failure: nobody would notice it otherwise."""
    report = yield
    if _IN_CI and report.skipped and item.get_closest_marker("needs_debian"):
        report.outcome = "failed"
        report.longrepr = f"skipped in CI: {report.longrepr}"
    return report


@pytest.fixture(scope="session", autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Every path that a user's data would be found by leads into this run's own folder."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("EOL_INJECT_")]:
            patch.delenv(name)
        patch.setenv("HOME", str(home))
        patch.setenv("USERPROFILE", str(home))
        for name in ("DATA", "CONFIG", "STATE", "CACHE"):
            patch.setenv(f"XDG_{name}_HOME", str(home / name.lower()))
        runtime = home / "run"
        runtime.mkdir(mode=0o700)
        patch.setenv("XDG_RUNTIME_DIR", str(runtime))
        yield home


@pytest.fixture(scope="session")
def running_server() -> Iterator[postgres.Server]:
    """One PostgreSQL server for all tests that leave it running."""
    with postgres.running() as started:
        yield started
