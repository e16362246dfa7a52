"""A check passes a sound ledger and names the row that was tampered with, on every engine."""

import os
import time

import pytest
import sqlalchemy as sa

from eol_inject.errors import EolError
from eol_inject.events import Outcome
from eol_inject.ledger import restore_ledger
from eol_inject.ledger.audit import read_anchors, write_anchor
from eol_inject.ledger.schema import INDEXES, RULES
from tests.support.ledger import KEYS, begin, fill, mac, reserve, run_to


@pytest.fixture
def used(ledger):
    """A ledger with some history: closed, cut off, released, reworked."""
    for number, state in enumerate(("closed", "writing", "reserved", "verified")):
        cycle = begin(ledger, number)
        run_to(cycle, state)
        cycle.end(Outcome.PASS if state == "closed" else Outcome.INTERRUPTED)
    desk = ledger.desk(ledger.authenticate("lea"))
    desk.release(mac(2))
    desk.quarantine(mac(3), reason="r")
    desk.clear(mac(3), reason="r")
    return ledger


def tamper(ledger, *statements):
    """As somebody does who may write to the database: triggers off, change, triggers on."""
    engine = ledger._setup.db.engine  # behind the face, as a tamperer works
    with engine.connect() as conn:
        if engine.dialect.name == "sqlite":
            raw = conn.connection.driver_connection  # before BEGIN: within, the pragma does nothing
            raw.execute("PRAGMA foreign_keys=OFF")
            rows = conn.exec_driver_sql(
                "SELECT name, sql FROM sqlite_master WHERE type='trigger'"
            ).all()
            off = [f"DROP TRIGGER {name}" for name, _ in rows]
            on = [text for _, text in rows]
        else:
            off, on = ["SET LOCAL session_replication_role = replica"], []
        for statement in (*off, *statements, *on):
            conn.execute(sa.text(statement) if isinstance(statement, str) else statement)
        conn.commit()
        if engine.dialect.name == "sqlite":
            raw.execute("PRAGMA foreign_keys=ON")


def found(ledger, anchors=()):
    """Where the check found something."""
    return {finding.where for finding in ledger.check(anchors).findings}


def test_a_sound_ledger_passes(used):
    """With everything counted."""
    report = used.check(())
    assert report.findings == ()
    assert (report.tokens, report.assignments) == (5, 4)
    assert report.events == report.heads["st1"].seq > 10


@pytest.mark.parametrize(
    ("statement", "where"),
    [
        ("UPDATE event SET operator='eve' WHERE seq=3", "event st1/3"),
        ("UPDATE event SET facts='[]' WHERE seq=5", "event st1/5"),
        ("UPDATE event SET at='2020' WHERE seq=2", "event st1/2"),
        ("UPDATE event SET unit=2 WHERE seq=4", "event st1/4"),
        ("DELETE FROM event WHERE seq=6", "event st1/7"),
        ("UPDATE assignment SET state='closed', act='close', prev_state='labelled' WHERE id=2",
         "assignment 2"),
        ("UPDATE token SET state='available' WHERE id=1", "token 1"),
        ("UPDATE token SET claim_tail='xxxxxx' WHERE id=2", "token 2"),
        ("UPDATE token SET auth=(SELECT auth FROM token WHERE id=5) WHERE id=4", "token 4"),
        ("UPDATE transition SET who='operator' WHERE from_state='closed' AND act='scrap'",
            "transition closed scrap scrapped",
        ),
    ],
)  # fmt: skip
def test_a_tampered_row_is_named(used, statement, where):
    """Whoever changes a row leaves a trace, whichever it is."""
    tamper(used, statement)
    assert where in found(used)


def test_dropped_and_switched_off_rules_are_named(used):
    """One by one."""
    engine = used._setup.db.engine
    tables = {"event": RULES[0], "assignment": RULES[3]}
    with engine.connect() as conn:
        for table, rule in tables.items():
            on = f" ON {table}" if engine.dialect.name == "postgresql" else ""
            conn.exec_driver_sql(f"DROP TRIGGER {rule}{on}")
        conn.exec_driver_sql("DROP INDEX assignment_one_unit_a_token")
        conn.commit()
    assert found(used) == {
        "trigger event_no_update", "trigger assignment_starts",
        "index assignment_one_unit_a_token",
    }  # fmt: skip


def test_a_rewritten_end_shows_against_an_anchor(used, tmp_path):
    """Cutting off the newest events leaves a chain that is whole; the anchor outside knows more."""
    path = tmp_path / "anchors"
    assert read_anchors(path) == ()
    write_anchor(path, used.anchor())
    reserve(begin(used, 9))
    write_anchor(path, used.anchor())
    anchors = read_anchors(path)
    report = used.check(anchors)
    assert report.findings == ()
    assert report.anchors == 2
    last = anchors[-1].heads["st1"].seq
    tamper(
        used,
        "DELETE FROM event WHERE seq=(SELECT max(seq) FROM event)",
        "DELETE FROM assignment WHERE id=(SELECT max(id) FROM assignment)",
        "UPDATE token SET state='available' WHERE id=3",
    )
    assert found(used) == set()
    assert f"event st1/{last}" in found(used, anchors)


def test_an_anchor_of_a_lost_generation_is_not_held_against_a_restored_ledger(
    opener, used, tmp_path, request
):
    """The restore itself is on record; what it lost is the witnesses' business."""
    used.backup(tmp_path / "backup.db")
    reserve(begin(used, 9))
    anchor = used.anchor()
    used.close()
    url = opener.url
    if not url.startswith("sqlite"):
        started = request.getfixturevalue("server")
        url = started.create(f"anchored{os.getpid()}{int(time.monotonic() * 1000)}")
    restore_ledger(tmp_path / "backup.db", url, keys=KEYS, station="desk", operator="eng")
    from eol_inject.ledger import open_ledger

    with open_ledger(url, keys=KEYS, station="st1") as restored:
        report = restored.check([anchor])
        assert report.findings == ()
        assert set(report.heads) == {"st1", "desk"}


def test_a_file_that_is_no_anchor_is_refused(tmp_path):
    """By line."""
    path = tmp_path / "anchors"
    for text in ('{"a":1}', "x", "[]", '{"ledger":"a","generation":1,"at":"","heads":{"s":[1]}}'):
        path.write_text(text)
        with pytest.raises(EolError) as refused:
            read_anchors(path)
        assert refused.value.code == "ledger.bad_anchor"


def test_a_check_tells_its_progress(used):
    """A million events take a while."""
    seen = []
    used.check((), progress=seen.append)
    assert seen[-1] == used.check(()).events
    fill(used, 1, start=40)


def test_the_names_of_the_rules_are_those_of_the_database(tmp_path):
    """`schema.RULES` and `INDEXES` are what PostgreSQL is checked against."""
    import sqlite3

    from tests.support.ledger import make

    make(tmp_path).close()
    raw = sqlite3.connect(tmp_path / "ledger.db")
    for kind, names in (("trigger", RULES), ("index", INDEXES)):
        rows = raw.execute(
            "SELECT name FROM sqlite_master WHERE type=? AND sql IS NOT NULL", (kind,)
        )
        assert {name for (name,) in rows} == set(names)
    raw.close()
