"""The transition table is one: in the code, in the database, and enforced by it."""

import sqlite3
from itertools import product

import pytest

from eol_inject.ledger.transitions import (
    LIVE,
    TRANSITIONS,
    WRITTEN_TO,
    Act,
    State,
    Who,
    transition,
)
from tests.support.ledger import begin, make, reserve


@pytest.fixture
def rows(tmp_path):
    """A raw connection to a ledger with one reserved unit, its foreign keys on."""
    with make(tmp_path) as ledger:
        reserve(begin(ledger))
    connection = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)
    connection.execute("PRAGMA foreign_keys=ON")
    yield connection
    connection.close()


def test_the_database_holds_the_table(rows):
    """The database's table is the code's, row for row."""
    found = set(rows.execute("SELECT from_state, act, to_state, who, needs_reason FROM transition"))
    assert found == {
        (t.source.value, t.act.value, t.target.value, t.who.value, int(t.needs_reason))
        for t in TRANSITIONS
    }


def test_a_pair_of_states_has_one_act():
    """From the change of a state one can tell what was done."""
    pairs = [(t.source, t.target) for t in TRANSITIONS]
    assert len(pairs) == len(set(pairs))


def test_nothing_written_goes_back_to_the_pool():
    """Only a token that never was `writing` becomes available again."""
    back = {t.source for t in TRANSITIONS if t.target is State.AVAILABLE}
    assert back == {State.RESERVED}
    assert not [t for t in TRANSITIONS if t.target is State.RESERVED and t.source in WRITTEN_TO]


def test_guards_need_a_person_and_a_reason():
    """Every act outside the ordinary way of a unit wants a reason; all but quarantine a lead."""
    for t in TRANSITIONS:
        ordinary = t.who is Who.STATION
        assert ordinary == (
            t.act
            in {
                Act.RESERVE, Act.BEGIN, Act.RELEASE, Act.WRITTEN, Act.PROVE, Act.LABEL,
                Act.CLOSE, Act.QUARANTINE,
            }
        )  # fmt: skip
        assert t.needs_reason == (not ordinary or t.act is Act.QUARANTINE)


def test_the_database_refuses_what_the_table_does_not_allow(rows):
    """By direct SQL, a reserved unit moves to exactly the states the table allows, by its acts."""
    for source, act, target in product(State, Act, State):
        step = transition(source, act)
        legal = source is State.RESERVED and step is not None and step.target is target
        rows.execute("BEGIN")
        try:
            rows.execute(
                "UPDATE assignment SET prev_state=?, act=?, state=?", (source, act, target)
            )
            done = True
        except sqlite3.IntegrityError:
            done = False
        rows.execute("ROLLBACK")
        assert done == legal, (source, act, target)


def test_an_assignment_starts_reserved(rows):
    """By direct SQL, no assignment appears in a later state, whatever it says of its past."""
    for t in TRANSITIONS:
        if t.target is State.RESERVED:
            continue
        with pytest.raises(sqlite3.IntegrityError, match="starts reserved"):
            rows.execute(
                "INSERT INTO assignment (token, unit, role, prev_state, act, state, request,"
                " proof, label, opened_at, changed_at)"
                " VALUES (2, 1, 'other', ?, ?, ?, 'r', '', '', '', '')",
                (t.source, t.act, t.target),
            )


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE event SET operator='eve'",
        "DELETE FROM event",
        "INSERT OR REPLACE INTO event SELECT * FROM event",
        "DELETE FROM assignment",
        "DELETE FROM token",
        "DELETE FROM attempt",
        "UPDATE token SET lot='x'",
        "UPDATE token SET auth=x'00'",
        "UPDATE transition SET to_state='closed'",
        "DELETE FROM transition",
        "UPDATE meta SET value='production' WHERE key='kind'",
        "DELETE FROM meta",
    ],
)
def test_what_must_not_change_is_refused_by_the_database(rows, statement):
    """By direct SQL, history and identity cannot be rewritten."""
    rows.execute("PRAGMA recursive_triggers=ON")
    with pytest.raises(sqlite3.IntegrityError, match="ledger: "):
        rows.execute(statement)


def test_uniqueness_is_the_database_s(rows):
    """By direct SQL: no second unit a token, no second live token a role, no second identifier."""
    copy = (
        "INSERT INTO assignment (token, unit, role, prev_state, act, state, request, proof, label,"
        " opened_at, changed_at) VALUES ({}, 'available', 'reserve', 'reserved', '{}', '', '',"
        " '', '')"
    )
    rows.execute("INSERT INTO unit VALUES (9, '', '', '')")
    with pytest.raises(sqlite3.IntegrityError, match=r"assignment\.token"):
        rows.execute(copy.format("1, 9, 'self'", "r1"))
    with pytest.raises(sqlite3.IntegrityError, match=r"assignment\.unit, assignment\.role"):
        rows.execute(copy.format("2, 1, 'self'", "r2"))
    with pytest.raises(sqlite3.IntegrityError, match=r"identifier\.kind, identifier\.value"):
        rows.execute("INSERT INTO identifier SELECT kind, value, 9, 0 FROM identifier")
    request = rows.execute("SELECT request FROM assignment").fetchone()[0]
    with pytest.raises(sqlite3.IntegrityError, match=r"assignment\.request"):
        rows.execute(copy.format("2, 9, 'self'", request))
    rows.execute(copy.format("2, 9, 'self'", "r3"))


def test_live_states_are_those_that_occupy_a_unit():
    """Released, replaced and scrapped free the role; everything between does not."""
    assert set(State) - set(LIVE) == {
        State.AVAILABLE, State.REPLACED, State.SCRAPPED, State.REVOKED,
    }  # fmt: skip
