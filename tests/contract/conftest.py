"""Every implementation of a seam, for the suites in this folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from eol_inject.ledger import Ledger
from tests.support.ledger import fill, make


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Ledger]:
    """A new ledger without tokens."""
    with make(tmp_path, tokens=0) as opened:
        yield opened


@pytest.fixture
def ledger(empty: Ledger) -> Ledger:
    """A new ledger with five tokens in its pool."""
    fill(empty, 5)
    return empty
