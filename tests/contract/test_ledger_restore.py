"""Backup, restore and the memory outside the database, on every engine."""

from pathlib import Path

import pytest

from eol_inject.errors import EolError
from eol_inject.events import Outcome
from eol_inject.ledger import Hold, State, open_ledger, restore_ledger
from eol_inject.ledger.chain import Head
from tests.support.ledger import (
    KEYS,
    auth_text,
    begin,
    export,
    fill,
    mac,
    reserve,
    run_to,
    static_token,
    take_in,
)


def code_of(call, *values, **names):
    """The code of the error that the call raises."""
    with pytest.raises(EolError) as refused:
        call(*values, **names)
    assert refused.value.hint
    return refused.value.code


@pytest.fixture
def folder(tmp_path):
    """Where the stations of this test keep their memory."""
    memory = tmp_path / "memory"
    memory.mkdir()
    return memory


@pytest.fixture
def place(opener, request, tmp_path):
    """The ledger's URL, and where a restored one goes: in place, or into a new database."""
    if opener.url.startswith("sqlite"):
        yield opener.url, opener.url
        return
    started = request.getfixturevalue("server")
    name = f"restored{abs(hash(tmp_path))}"
    yield opener.url, started.create(name)
    started.drop(name)


def station(url, folder, name="st1"):
    """The ledger as a station opens it."""
    return open_ledger(url, keys=KEYS, station=name, witness=folder)


def restored(path, place):
    """What an engineer at a desk does."""
    return restore_ledger(path, place[1], keys=KEYS, station="desk", operator="eng")


def used(ledger, numbers, slot="A"):
    """Tokens that these units got, as text."""
    found = set()
    for number in numbers:
        cycle = begin(ledger, number, slot=slot)
        found.add(run_to(cycle, "closed").auth.reveal())
        cycle.end(Outcome.PASS)
    return found


def test_no_token_is_given_twice_after_a_restore(place, folder, tmp_path):
    """Backup, ten units, restore, ten other units: refused until replayed, then no double."""
    with station(place[0], folder) as ledger:
        fill(ledger, 40)
        before = used(ledger, range(5))
        ledger.backup(tmp_path / "backup.db")
        lost = used(ledger, range(10, 20))
    info, _ = restored(tmp_path / "backup.db", place)
    assert info.generation == 2
    with station(place[1], folder) as ledger:
        assert code_of(begin, ledger, 30) == "ledger.behind_witness"
        assert code_of(begin, ledger, 30) == "ledger.behind_witness"
        done = ledger.replay(by=ledger.authenticate("eng"), reason="disk died")
        assert (done.replayed, done.known, done.set_aside) == (10, 5, 0)
        later = used(ledger, range(30, 40))
        for number in range(10, 20):
            resumed = reserve(begin(ledger, number))
            assert resumed.state is State.WRITING
            assert resumed.auth.reveal() in lost
    assert len(before | lost | later) == 25
    with station(place[1], folder) as ledger:
        assert reserve(begin(ledger, 50)).auth.reveal() not in before | lost | later


def test_another_station_waits_until_all_have_spoken(place, folder, tmp_path):
    """Its own memory is fine, but the other's tokens look available."""
    with station(place[0], folder) as one, station(place[0], folder, "st2") as two:
        fill(one, 30)
        used(two, [1])
        used(one, [2])
        one.backup(tmp_path / "backup.db")
        lost = used(one, range(10, 15))
    restored(tmp_path / "backup.db", place)
    with station(place[1], folder) as one, station(place[1], folder, "st2") as two:
        assert code_of(begin, two, 20) == "ledger.unsettled"
        one.replay(by=one.authenticate("eng"), reason="r")
        assert used(two, range(20, 23)).isdisjoint(lost)


def test_a_station_that_came_after_the_backup_is_waited_for_too(place, folder, tmp_path):
    """Where the state that is replaced can still be read: a file that is restored in place."""
    if place[0] != place[1]:
        pytest.skip("a new database knows nothing of the lost one; the operator's manual says so")
    with station(place[0], folder) as one, station(place[0], folder, "late") as late:
        fill(one, 9)
        one.backup(tmp_path / "backup.db")
        lost = used(late, [5])
    restored(tmp_path / "backup.db", place)
    with station(place[1], folder) as one, station(place[1], folder, "late") as late:
        assert code_of(begin, one, 1) == "ledger.unsettled"
        assert late.replay(by=late.authenticate("eng"), reason="r").replayed == 1
        assert used(one, [1]).isdisjoint(lost)


def test_a_station_that_is_gone_is_settled_by_a_lead(place, folder, tmp_path):
    """By name and reason; one's own memory cannot be waved away."""
    with station(place[0], folder) as one, station(place[0], folder, "st2") as two:
        fill(one, 10)
        used(one, [1])
        used(two, [2])
        one.backup(tmp_path / "backup.db")
    restored(tmp_path / "backup.db", place)
    with station(place[1], folder) as one:
        eng = one.authenticate("eng")
        assert code_of(begin, one, 3) == "ledger.unsettled"
        assert code_of(one.settle, "st2", by=eng, reason=" ") == "ledger.reason_missing"
        one.settle("st2", by=eng, reason="it burnt")
        reserve(begin(one, 3))
        assert code_of(one.settle, "st1", by=eng, reason="r") == "ledger.own_memory"


def test_tokens_that_the_backup_never_had_are_imported_first(place, folder, tmp_path):
    """Or else they would come back as new ones."""
    with station(place[0], folder) as ledger:
        ledger.backup(tmp_path / "backup.db")
        fill(ledger, 3)
        lost = used(ledger, [1, 2])
    restored(tmp_path / "backup.db", place)
    with station(place[1], folder) as ledger:
        eng = ledger.authenticate("eng")
        assert code_of(ledger.replay, by=eng, reason="r") == "ledger.replay_incomplete"
        fill(ledger, 3)
        assert code_of(begin, ledger, 9) == "ledger.behind_witness"
        assert ledger.replay(by=eng, reason="r").replayed == 2
        assert reserve(begin(ledger, 9)).auth.reveal() not in lost


def test_a_unit_with_another_token_by_now_sets_the_old_one_aside(place, folder, tmp_path):
    """A station without memory went on meanwhile: nothing is overwritten, nothing used twice."""
    with station(place[0], folder) as ledger:
        take_in(ledger, [*export(6), static_token(90)])
        ledger.backup(tmp_path / "backup.db")
        used(ledger, [1])
        second = used(ledger, [2])
    restored(tmp_path / "backup.db", place)
    with open_ledger(place[1], keys=KEYS, station="st1") as blind:
        eng = blind.authenticate("eng")
        blind.settle("st1", by=eng, reason="wrong, but people do it")
        doubled = used(blind, [2])
    with station(place[1], folder) as ledger:
        done = ledger.replay(by=eng, reason="r")
        assert (done.known, done.replayed, done.set_aside) == (0, 0, 2)
        assert {ledger.show(mac(n)).hold for n in (1, 2)} == {Hold.BLOCKED}
        left = {reserve(begin(ledger, n)).auth.reveal() for n in range(20, 24)}
        assert left.isdisjoint(second | doubled)


def test_a_backup_is_whole_owner_only_and_needs_no_key(place, folder, tmp_path):
    """One file, no WAL beside it; it shows no token, and is never overwritten."""
    with station(place[0], folder) as ledger:
        fill(ledger, 5)
        used(ledger, [1])
        made = ledger.backup(tmp_path / "backup.db")
        assert code_of(ledger.backup, tmp_path / "backup.db") == "ledger.backup_exists"
        assert code_of(ledger.backup, tmp_path / "no" / "b.db") == "ledger.no_folder"
        assert made.ledger_id == ledger.info.id
        assert made.events > 5
    names = {path.name for path in tmp_path.iterdir() if path.name.startswith("backup")}
    assert names == {"backup.db"}
    assert (tmp_path / "backup.db").stat().st_mode & 0o777 == 0o600
    assert auth_text(0).encode() not in (tmp_path / "backup.db").read_bytes()


def test_a_restored_ledger_is_complete(place, folder, tmp_path):
    """Records, pool, people and identity are those of the backup; new ids go on from there."""
    with station(place[0], folder) as ledger:
        fill(ledger, 5)
        used(ledger, [1])
        held = begin(ledger, 2)
        reserve(held)
        was = (ledger.info.id, ledger.status(), ledger.show(mac(1)))
        ledger.backup(tmp_path / "backup.db")
    _, kept = restored(tmp_path / "backup.db", place)
    assert (kept is not None) == place[0].startswith("sqlite")
    with station(place[1], folder) as ledger:
        assert (ledger.info.id, ledger.status(), ledger.show(mac(1))) == was
        fill(ledger, 2, start=60)
        assert reserve(begin(ledger, 7)).auth.reveal() == auth_text(2)


def test_restoring_over_another_ledger_is_refused(opener, folder, tmp_path, request):
    """It would be gone."""
    from eol_inject.ledger import Kind

    other = f"sqlite:///{tmp_path / 'other.db'}"
    open_ledger(other, keys=KEYS, station="x", create=Kind.TRAINING).close()
    with station(opener.url, folder) as ledger:
        ledger.backup(tmp_path / "backup.db")
    into = other if opener.url.startswith("sqlite") else opener.url
    code = code_of(restored, tmp_path / "backup.db", (None, into))
    assert code in {"ledger.another_ledger", "ledger.not_empty"}
    (tmp_path / "junk").write_bytes(b"junk" * 100)
    assert code_of(restored, tmp_path / "junk", (None, other)) == "ledger.foreign"


def test_no_token_leaves_without_being_remembered(opener, folder, ledger):
    """A memory that cannot be written stops the station before the token is used."""
    with station(opener.url, folder) as one:
        cycle = begin(one, 1)
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
        assert code_of(reserve, cycle) == "ledger.witness"
        folder.mkdir()
        assert reserve(cycle).resumed
        (memory,) = folder.iterdir()
        assert memory.stat().st_mode & 0o777 == 0o600
        assert auth_text(0).encode() not in memory.read_bytes()


def test_a_cut_off_line_of_the_memory_does_no_harm(opener, folder, ledger):
    """The crash came before the token was used."""
    with station(opener.url, folder) as one:
        used(one, [1])
        (memory,) = folder.iterdir()
        with memory.open("ab") as file:
            file.write(b'{"seq":99,"ha')
        used(one, [2])
        used(one, [3])
    lines = Path(memory).read_bytes().splitlines()
    assert len(lines) == 4


def test_a_token_that_went_back_belongs_to_who_got_it_next(place, folder, tmp_path):
    """Released by the cycle or at the desk, drawn by another unit, restored: only that one."""
    with station(place[0], folder) as ledger:
        fill(ledger, 6)
        ledger.backup(tmp_path / "backup.db")
        first = begin(ledger, 1)
        token = reserve(first).auth
        first.release()
        first.end(Outcome.STATION_BAD, "x")
        again = begin(ledger, 3)
        assert reserve(again).auth == token
        again.end(Outcome.STATION_BAD, "x")
        ledger.desk(ledger.authenticate("eng")).release(mac(3))
        used(ledger, [2])
    restored(tmp_path / "backup.db", place)
    with station(place[1], folder) as ledger:
        done = ledger.replay(by=ledger.authenticate("eng"), reason="r")
        assert (done.known, done.replayed, done.set_aside) == (0, 1, 0)
        assert reserve(begin(ledger, 2)).auth == token
        assert reserve(begin(ledger, 1)).auth != token
        assert reserve(begin(ledger, 3)).auth != token
        assert {ledger.show(mac(n)).hold for n in (1, 2, 3)} == {Hold.NONE}


def test_a_token_still_with_its_unit_in_the_backup_is_given_back_again(place, folder, tmp_path):
    """The backup has it reserved; it was released, and another unit was finished with it."""
    with station(place[0], folder) as ledger:
        fill(ledger, 6)
        first = begin(ledger, 1)
        token = reserve(first).auth
        ledger.backup(tmp_path / "backup.db")
        first.release()
        first.end(Outcome.STATION_BAD, "x")
        used(ledger, [2])
    restored(tmp_path / "backup.db", place)
    with station(place[1], folder) as ledger:
        ledger.replay(by=ledger.authenticate("eng"), reason="r")
        assert reserve(begin(ledger, 2)).auth == token
        assert ledger.show(mac(1)).assignments[-1].state is State.AVAILABLE


@pytest.mark.parametrize("order", [("st1", "st2"), ("st2", "st1")])
def test_a_token_in_two_memories_blocks_both_units(place, folder, tmp_path, order):
    """Released at a desk that remembers nothing: nobody can tell whose it is; in either order."""
    with station(place[0], folder) as one, station(place[0], folder, "st2") as two:
        fill(one, 6)
        one.backup(tmp_path / "backup.db")
        first = begin(one, 1)
        token = reserve(first).auth
        first.end(Outcome.STATION_BAD, "x")
        with open_ledger(place[0], keys=KEYS, station="desk") as desk:
            desk.desk(desk.authenticate("eng")).release(mac(1))
        assert used(two, [2], slot="B") == {token.reveal()}
    restored(tmp_path / "backup.db", place)
    for name in order:
        with station(place[1], folder, name) as ledger:
            ledger.replay(by=ledger.authenticate("eng"), reason="r")
    with station(place[1], folder) as ledger:
        for number in (1, 2):
            assert ledger.show(mac(number)).hold is Hold.BLOCKED
            assert code_of(reserve, begin(ledger, number)) == "ledger.unit_blocked"
        assert reserve(begin(ledger, 3)).auth != token


@pytest.mark.parametrize("late", [False, True], ids=["backup first", "backup before the replace"])
def test_a_replaced_token_stays_replaced(place, folder, tmp_path, late):
    """The unit goes on with its new one; the old one is dead, and still to be deleted."""
    with station(place[0], folder) as ledger:
        fill(ledger, 6)
        if not late:
            ledger.backup(tmp_path / "backup.db")
        (old,) = used(ledger, [1])
        if late:
            ledger.backup(tmp_path / "backup.db")
        ledger.desk(ledger.authenticate("eng")).replace(mac(1), reason="wet")
        (new,) = used(ledger, [1])
    restored(tmp_path / "backup.db", place)
    with station(place[1], folder) as ledger:
        ledger.replay(by=ledger.authenticate("eng"), reason="r")
        assert reserve(begin(ledger, 1)).auth.reveal() == new
        assert [one.act for one in ledger.todos()].count("delete") == 1
        assert reserve(begin(ledger, 2)).auth.reveal() not in {old, new}


def test_a_revoked_token_is_not_written_whatever_the_unit_s_hold_says(ledger):
    """The pool knows that it is dead."""
    cycle = begin(ledger, 1)
    reserve(cycle)
    with ledger._setup.db.engine.begin() as conn:
        conn.exec_driver_sql("UPDATE token SET state = 'revoked' WHERE state = 'taken'")
    assert code_of(cycle.begin_writing) == "ledger.unit_recall"
    assert code_of(reserve, cycle) == "ledger.unit_recall"


def test_a_station_that_resumes_what_another_reserved_is_not_behind(opener, folder, ledger):
    """Its own chain had no event yet: what it remembers must stand there."""
    with station(opener.url, folder) as one, station(opener.url, folder, "st2") as two:
        first = begin(one, 1)
        token = reserve(first).auth
        first.end(Outcome.STATION_BAD, "killed")
        assert reserve(begin(two, 1, slot="B")).auth == token
        reserve(begin(two, 2, slot="B"))
        reserve(begin(one, 3))


def test_what_a_station_resumed_is_missed_after_a_restore(place, folder, tmp_path):
    """The other was killed before it could remember: this one does, though its chain is older."""
    with station(place[0], folder) as one, station(place[0], folder, "st2") as two:
        fill(one, 9)
        used(one, [7])
        used(two, [5], slot="B")
        two.backup(tmp_path / "backup.db")
        with open_ledger(place[0], keys=KEYS, station="st1") as killed:
            first = begin(killed, 1)
            reserve(first)
            first.end(Outcome.STATION_BAD, "killed")
        lost = used(two, [1], slot="B")
    restored(tmp_path / "backup.db", place)
    with station(place[1], folder) as one, station(place[1], folder, "st2") as two:
        assert code_of(begin, two, 9) == "ledger.behind_witness"
        assert code_of(begin, one, 9) == "ledger.unsettled"
        assert two.replay(by=two.authenticate("eng"), reason="r").replayed == 1
        assert used(one, [8]).isdisjoint(lost)


def test_a_memory_that_points_nowhere_is_cured_by_a_replay(opener, folder, ledger):
    """As an earlier version wrote it for a station without events."""
    with station(opener.url, folder, "st2") as two:
        two._setup.witness.settle(Head(0, bytes(32)))
        assert code_of(begin, two, 1) == "ledger.behind_witness"
        two.replay(by=two.authenticate("eng"), reason="r")
        reserve(begin(two, 1))


def test_stations_whose_names_look_alike_have_their_own_memory(opener, folder, ledger):
    """A space is no letter of a file name; neither is the underscore in its place."""
    with station(opener.url, folder, "line 1") as one, station(opener.url, folder, "line_1") as two:
        used(one, [1])
        used(two, [2])
        used(one, [3])
        assert len(list(folder.iterdir())) == 2


def test_a_memory_of_the_old_name_is_still_the_station_s(opener, folder, ledger):
    """Only where the name says for certain whose it was."""
    for name, kept in (("st 1", False), ("st_1", True)):
        with station(opener.url, folder, name) as one:
            old = folder / f"{one.info.id}.st_1.witness"
            old.touch()
        with station(opener.url, folder, name) as one:
            assert (one._setup.witness.path == old) == kept


def test_rework_on_a_restored_ledger_does_not_hide_that_it_is_behind(place, folder, tmp_path):
    """What is done at a desk before the replay is no sign that the memory was compared."""
    with station(place[0], folder) as ledger:
        fill(ledger, 9)
        used(ledger, [1])
        held = begin(ledger, 2)
        reserve(held)
        held.end(Outcome.STATION_BAD, "x")
        ledger.backup(tmp_path / "backup.db")
        lost = used(ledger, [5])
    restored(tmp_path / "backup.db", place)
    with station(place[1], folder) as ledger:
        desk = ledger.desk(ledger.authenticate("eng"))
        desk.release(mac(2))
        desk.replace(mac(1), reason="wet")
        desk.scrap(mac(1), reason="wetter")
        assert code_of(begin, ledger, 9) == "ledger.behind_witness"
        assert ledger.replay(by=ledger.authenticate("eng"), reason="r").replayed == 2
        assert used(ledger, [9]).isdisjoint(lost)


def test_the_order_of_the_log_counts_not_that_of_the_memory(place, folder, tmp_path):
    """A desk and a line, two programs of one station: the later act was written down first."""
    with station(place[0], folder) as ledger:
        fill(ledger, 9)
        ledger.backup(tmp_path / "backup.db")
        first = begin(ledger, 1)
        reserve(first)
        first.release()
        first.end(Outcome.STATION_BAD, "x")
        lost = used(ledger, [2])
    (memory,) = folder.iterdir()
    given, back, again = memory.read_bytes().splitlines(keepends=True)
    memory.write_bytes(given + again + back)
    restored(tmp_path / "backup.db", place)
    with station(place[1], folder) as ledger:
        assert ledger.replay(by=ledger.authenticate("eng"), reason="r").replayed == 1
        assert used(ledger, [9]).isdisjoint(lost)
