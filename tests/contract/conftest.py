"""Every implementation of a seam, for the suites in this folder."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from eol_inject.ledger import Kind, Ledger, open_ledger
from tests.support import postgres
from tests.support.ledger import KEYS, Opener, fill, url_in

_numbers = count(1)


@pytest.fixture(scope="session")
def server(running_server: postgres.Server) -> postgres.Server:
    """The PostgreSQL server, and in it ``blank``: an empty ledger to copy."""
    url = running_server.create("blank")
    open_ledger(url, keys=KEYS, station="st1", create=Kind.TRAINING).close()
    return running_server


@pytest.fixture(params=["sqlite", "postgresql"])
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opener]:
    """Opens one and the same new ledger, as often and for as many stations as wanted."""
    if request.param == "sqlite":
        url = url_in(tmp_path)
        open_ledger(url, keys=KEYS, station="st1", create=Kind.TRAINING).close()
        yield Opener(url)
        return
    started: postgres.Server = request.getfixturevalue("server")
    name = f"ledger{next(_numbers)}"
    url = started.create(name, template="blank")
    yield Opener(url)
    started.drop(name)


@pytest.fixture
def empty(opener: Opener) -> Iterator[Ledger]:
    """A new ledger without tokens."""
    with opener() as opened:
        yield opened


@pytest.fixture
def ledger(empty: Ledger) -> Ledger:
    """A new ledger with five tokens in its pool."""
    fill(empty, 5)
    return empty
