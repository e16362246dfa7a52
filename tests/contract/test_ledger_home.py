"""A ledger or a station that is in two places draws from one of them only."""

import shutil

import pytest

from eol_inject.errors import EolError
from eol_inject.events import Outcome
from eol_inject.ledger import open_ledger, restore_ledger
from tests.support.ledger import KEYS, begin, reserve


def at(url, host, station="st1", witness=None):
    """The ledger as a program on ``host`` opens it."""
    return open_ledger(url, keys=KEYS, station=station, host=host, witness=witness)


def code_of(call, *values, **names):
    """The code of the error that the call raises."""
    with pytest.raises(EolError) as refused:
        call(*values, **names)
    assert refused.value.hint
    return refused.value.code


def test_the_same_computer_goes_on(opener, ledger):
    """As often as it likes, under several names."""
    for station in ("st1", "st1", "st2"):
        with at(opener.url, "pc1", station) as one:
            begin(one, 1).end(Outcome.PASS)


def test_two_computers_cannot_be_one_station(opener, ledger):
    """On a shared ledger; a file is refused even before, for it lives on one computer."""
    with at(opener.url, "pc1") as one, at(opener.url, "pc2") as two:
        begin(one, 1)
        expected = "ledger.copied" if "sqlite" in opener.url else "ledger.station_taken"
        assert code_of(begin, two, 2) == expected
        assert two.status()  # looking is allowed
        assert code_of(two.adopt, by=two.authenticate("lea"), reason="") == "ledger.reason_missing"
        two.adopt(by=two.authenticate("lea"), reason="pc1 burnt")
        begin(two, 2)
        assert code_of(begin, one, 3) == expected


def test_a_copied_file_is_refused_on_the_other_computer(opener, ledger, tmp_path):
    """Both would hand out the same tokens."""
    if "sqlite" not in opener.url:
        pytest.skip("a server's database is not copied as a file")
    with at(opener.url, "pc1") as one:
        reserve(begin(one, 1))
        one.backup(tmp_path / "copy.db")
    copy = f"sqlite:///{tmp_path / 'copy.db'}"
    with at(copy, "pc2", "st2") as two:
        assert code_of(begin, two, 2) == "ledger.copied"
    shutil.copy(tmp_path / "copy.db", tmp_path / "again.db")
    with at(f"sqlite:///{tmp_path / 'again.db'}", "pc1") as one:
        begin(one, 3)  # the same computer may move its own file


def test_a_restored_ledger_may_live_on_a_new_computer(opener, ledger, tmp_path, request):
    """That is what a backup is for."""
    with at(opener.url, "pc1") as one:
        begin(one, 1).end(Outcome.PASS)
        one.backup(tmp_path / "b.db")
    url = f"sqlite:///{tmp_path / 'new.db'}"
    restore_ledger(tmp_path / "b.db", url, keys=KEYS, station="desk", operator="eng")
    with at(url, "pc9") as one:
        begin(one, 1)


def test_nobody_asks_where_no_host_is_given(opener, ledger):
    """As in tests and small tools."""
    with at(opener.url, "pc1") as one, open_ledger(opener.url, keys=KEYS, station="st1") as two:
        begin(one, 1).end(Outcome.PASS)
        begin(two, 2)
