"""What only a server can do to a ledger: go away, come back, be set up unsafely."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest

from eol_inject.errors import EolError, Exit
from eol_inject.events import Outcome
from eol_inject.ledger import CycleFacts, Kind, open_ledger, postgresql
from eol_inject.unit import Identifier, Unit
from tests.support import postgres
from tests.support.ledger import (
    KEYS,
    LOT,
    ORGANIZATION,
    PRODUCT,
    begin,
    fill,
    mac,
    make,
    reserve,
    run_to,
)

_numbers = count(1)


@pytest.fixture(scope="module")
def own():
    """A server that a test may kill."""
    with postgres.running() as started:
        yield started


@pytest.fixture
def url(own):
    """A new empty database on it."""
    return own.create(f"own{next(_numbers)}")


@pytest.fixture
def patient(monkeypatch):
    """A loaded machine's server needs longer to recover than a line would wait for it."""
    monkeypatch.setattr(postgresql, "_PAUSES_S", (0.05, 0.2, 0.5, 1.0, 2.0, 4.0, 8.0))


def refused(url):
    """The code with which a ledger there is refused."""
    with pytest.raises(EolError) as error:
        open_ledger(url, keys=KEYS, station="st1", create=Kind.TRAINING)
    assert error.value.exit is Exit.STATION_BAD
    assert error.value.hint
    assert error.value.__suppress_context__ or error.value.__context__ is None
    return error.value.code


@pytest.mark.parametrize("setting", ["synchronous_commit", "fsync", "full_page_writes"])
def test_a_server_that_may_lose_commits_is_refused(own, url, setting):
    """A token already in a unit would be handed out again."""
    name = url.split("/")[3].split("?")[0]
    with own.connect() as conn:
        if setting == "synchronous_commit":
            conn.execute(f"ALTER DATABASE {name} SET synchronous_commit = off")
        else:
            conn.execute(f"ALTER SYSTEM SET {setting} = off")
            conn.execute("SELECT pg_reload_conf()")
    try:
        deadline = time.monotonic() + 5
        while (code := _code_or_none(url)) is None and time.monotonic() < deadline:
            time.sleep(0.05)
        assert code == "ledger.unsafe_server"
    finally:
        with own.connect() as conn:
            conn.execute("ALTER SYSTEM RESET ALL")
            conn.execute("SELECT pg_reload_conf()")
        time.sleep(0.2)


def _code_or_none(url):
    try:
        open_ledger(url, keys=KEYS, station="st1", create=Kind.TRAINING).close()
    except EolError as error:
        return error.code
    return None


def test_a_server_that_is_not_there_says_so(own, url):
    """No server, no such database, no such user: each its own answer."""
    nowhere = str(own.folder / "nowhere")
    assert refused(f"postgresql://line@/x?host={nowhere}") == "ledger.unreachable"
    assert refused(own.url("missing")) == "ledger.no_database"
    assert refused(own.url("postgres", user="stranger")) in {
        "ledger.login_refused", "ledger.no_database",
    }  # fmt: skip


def test_a_password_is_never_shown(own):
    """Neither in the error nor in what says where the ledger is."""
    url = f"postgresql://line:hunter22hunter@/x?host={own.folder}/nowhere"
    with pytest.raises(EolError) as error:
        open_ledger(url, keys=KEYS, station="st1")
    assert "hunter22" not in str(error.value) + error.value.hint + repr(error.value.params)


def test_another_program_s_database_is_left_alone(own, url):
    """It has tables, but not ours."""
    name = url.split("/")[3].split("?")[0]
    with own.connect(name) as conn:
        conn.execute("CREATE TABLE token (a int)")
    assert refused(url) == "ledger.foreign"


@pytest.mark.usefixtures("patient")
def test_a_restarted_server_is_found_again(own, url):
    """In the middle of a cycle, without a word to anybody."""
    with open_ledger(url, keys=KEYS, station="st1", create=Kind.TRAINING) as ledger:
        fill(ledger, 5)
        cycle = begin(ledger)
        first = reserve(cycle)
        own.kill()
        starter = threading.Timer(0.5, own.start)
        starter.start()
        cycle.begin_writing()
        starter.join()
        assert reserve(cycle).auth == first.auth
        cycle.written()


@pytest.mark.usefixtures("patient")
def test_a_killed_server_loses_nothing_and_doubles_nothing(own, url):
    """What stations were told before the crash is still so; asking again gives the same."""
    told = {}
    with open_ledger(url, keys=KEYS, station="st1", create=Kind.TRAINING) as ledger:
        fill(ledger, 400)

    def station(number):
        with open_ledger(url, keys=KEYS, station=f"st{number}") as one:
            for turn in range(40):
                name = number * 1000 + turn
                cycle = begin(one, name)
                told[name] = reserve(cycle).auth.reveal()
                cycle.begin_writing()

    with ThreadPoolExecutor(6) as pool:
        running = [pool.submit(station, number) for number in range(6)]
        while len(told) < 40:
            time.sleep(0.01)
        own.kill()
        own.start()
        for one in running:
            one.result()
    assert len(told) == 240
    assert len(set(told.values())) == 240
    with open_ledger(url, keys=KEYS, station="check") as ledger:
        assert ledger.check().findings == ()
        with own.connect(url.split("/")[3].split("?")[0]) as conn:
            conn.execute("UPDATE lease SET expires = 0")
        for name, token in list(told.items())[::7]:
            assert reserve(begin(ledger, name)).auth.reveal() == token


def test_a_station_s_user_can_append_but_not_rewrite(own, url):
    """It runs whole cycles; the log, the pool and the identity it cannot change or delete."""
    import psycopg

    name = url.split("/")[3].split("?")[0]
    with own.connect() as conn:
        conn.execute("DROP ROLE IF EXISTS worker")
        conn.execute("CREATE ROLE worker LOGIN")
    with open_ledger(url, keys=KEYS, station="st1", create=Kind.TRAINING) as ledger:
        ledger.permit_station("worker")
    with open_ledger(own.url(name, user="worker"), keys=KEYS, station="st1", host="pc") as ledger:
        fill(ledger, 3)
        cycle = begin(ledger)
        run_to(cycle, "closed")
        cycle.end(Outcome.PASS)
        assert ledger.check().findings == ()
    with psycopg.connect(host=str(own.folder), user="worker", dbname=name, autocommit=True) as conn:
        for statement in (
            "UPDATE event SET operator = 'eve'",
            "DELETE FROM event",
            "DELETE FROM assignment",
            "DELETE FROM token",
            "TRUNCATE event",
            "ALTER TABLE event DISABLE TRIGGER ALL",
            "DROP TRIGGER event_no_update ON event",
            "UPDATE meta SET value = 'production'",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                conn.execute(statement)


def test_a_file_has_no_users(tmp_path):
    """Rights of its users are a server's business."""
    with make(tmp_path) as ledger, pytest.raises(EolError) as error:
        ledger.permit_station("worker")
    assert error.value.code == "ledger.no_server"


@pytest.fixture
def shared(own, url):
    """A ledger there, with tokens; no step of a transaction has been made on it since."""
    with open_ledger(url, keys=KEYS, station="st1", create=Kind.TRAINING) as ledger:
        fill(ledger, 40)
        yield ledger


def refuse_steps(monkeypatch, ledger):
    """From now on nothing may be done in several round trips."""

    def write(work):
        raise AssertionError("in steps")

    monkeypatch.setattr(ledger._setup.db, "write", write)


def lose_answers(monkeypatch, ledger):
    """What is done at once is done, and nobody hears of it."""
    database = ledger._setup.db
    at_once = database.at_once
    monkeypatch.setattr(database, "at_once", lambda *given: at_once(*given) and None)


@pytest.mark.parametrize("organization", [None, ORGANIZATION])
@pytest.mark.parametrize("names", [1, 3])
def test_a_new_unit_gets_its_token_in_three_statements(shared, monkeypatch, names, organization):
    """A look, what begins its cycle, its reservation: and all of it is on record as in steps."""
    others = (Identifier("serial", "Ä\"1'"), Identifier("imei", "123"))[: names - 1]
    known = Unit(mac(1), others)
    with monkeypatch.context() as patched:
        refuse_steps(patched, shared)
        facts = CycleFacts(port="/dev/ttyUSB0")
        cycle = shared.begin_cycle(known, slot="1", operator='Zoë "Z"', traceability=facts)
        given = cycle.reserve(PRODUCT, organization, LOT)
    assert not given.resumed
    assert set(cycle.unit.identifiers) == set(known.identifiers)
    assert cycle.unit.primary == known.primary
    run_to(cycle, "closed")
    cycle.end(Outcome.PASS)
    record = shared.show(mac(1))
    acts = [one.act for one in record.events]
    assert acts[: names + 2] == ["identified"] * names + ["attempt_begun", "reserve"]
    assert shared.check().findings == ()


def test_an_answer_that_was_lost_is_found_again(shared, monkeypatch):
    """The unit, its lease and its token are those of the statement that did commit."""
    lose_answers(monkeypatch, shared)
    cycle = begin(shared)
    given = reserve(cycle)
    assert given.resumed
    record = shared.show(mac(1))
    acts = [one.act for one in record.events]
    assert [acts.count(one) for one in ("identified", "attempt_begun", "reserve")] == [1, 1, 1]
    assert sum(one.count for one in shared.status() if one.state == "reserved") == 1
    assert shared.check().findings == ()


def test_slots_that_append_at_once_go_one_after_the_other(shared):
    """The chain of their station has no fork and no gap, and each unit gets a token of its own."""

    def slot(number):
        return [
            reserve(begin(shared, number * 100 + turn, slot=str(number))).auth.reveal()
            for turn in range(5)
        ]

    with ThreadPoolExecutor(8) as pool:
        given = [token for tokens in pool.map(slot, range(8)) for token in tokens]
    assert len(set(given)) == 40
    assert shared.check().findings == ()


def test_a_unit_that_may_not_have_a_token_gets_none_at_once_either(shared):
    """Stopped, taken over by another cycle, or with a lot that is empty: as in steps."""
    late = begin(shared, 1)
    begin(shared, 1)
    for cycle, lot, code in (
        (late, LOT, "ledger.lease_lost"),
        (begin(shared, 2), "another", "ledger.no_such_lot"),
        (_blocked(shared, 3), LOT, "ledger.unit_blocked"),
    ):
        with pytest.raises(EolError) as error:
            cycle.reserve(PRODUCT, ORGANIZATION, lot)
        assert error.value.code == code
    assert not shared.show(mac(3)).assignments


def _blocked(ledger, number):
    cycle = begin(ledger, number)
    cycle.block("it fell down")
    return cycle
