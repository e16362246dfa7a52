"""`ledger check` finds what direct SQL does to any row: changed, added, removed; table by table.

The cases are made from the schema itself, so a new column is either vouched for by the log or has
its reason in ``EXEMPT``.
"""

import json

import pytest
import sqlalchemy as sa

from eol_inject.events import Outcome
from eol_inject.ledger import Kind, open_ledger, restore_ledger
from eol_inject.ledger.audit_rows import EXEMPT
from eol_inject.ledger.label_states import UNIT, CopyState
from eol_inject.ledger.labels import Made
from eol_inject.ledger.people import Role
from eol_inject.ledger.schema import TABLES, token
from eol_inject.unit import Identifier, Secret, Unit
from tests.contract.test_ledger_audit import found, tamper
from tests.support.ledger import KEYS, begin, fill, mac, run_to, static_token, take_in, url_in

PIN = Secret("271828")
ROW = {
    "unit": "id = 1", "identifier": "value = 'SN-9'", "source": "id = 1",
    "token": "id = 1", "binding": "value = 'SN-9'", "attempt": "n = 1", "assignment": "id = 1",
    "label": "id = 1", "todo": "id = 1", "person": "name = 'lea'",
}  # fmt: skip
"""One row of each table that the story below has filled."""

VALID = {
    ("unit", "hold"): "blocked", ("assignment", "state"): "labelled", ("assignment", "unit"): 2,
    ("assignment", "token"): 5, ("label", "state"): "unknown", ("label", "came_out"): 0,
    ("label", "copy"): 7, ("label", "assignment"): 2, ("label", "unit"): 2,
    ("identifier", "unit"): 1, ("token", "state"): "available", ("token", "source"): 2,
    ("attempt", "unit"): 2, ("todo", "token"): 2, ("binding", "token"): 1,
}  # fmt: skip
"""What the database itself would let pass, where any other value is refused at once."""


def columns():
    """Every column that the log has to vouch for."""
    for table in TABLES:
        exempt = EXEMPT.get(table.name, {})
        if "*" in exempt or table.name == "event":
            continue
        for column in table.c:
            if column.name not in exempt:
                yield pytest.param(table, column, id=f"{table.name}.{column.name}")


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def told(request, tmp_path_factory):
    """One story on each engine; a test puts back what it changed."""
    url = url_in(tmp_path_factory.mktemp("told"))
    if request.param == "postgresql":
        url = request.getfixturevalue("server").create("told", template="blank")
    with open_ledger(url, keys=KEYS, station="st1", create=Kind.TRAINING) as ledger:
        fill(ledger, 5)
        tell(ledger)
        assert found(ledger) == set()
        yield ledger, rows(ledger)


def rows(ledger):
    """All rows of every table that a test may change."""
    tables = [table for table in TABLES if table.name in {*ROW, "meta", "station", "event"}]
    with ledger._setup.db.engine.connect() as conn:
        return {
            table: [row._asdict() for row in conn.execute(sa.select(table).order_by(*table.c))]
            for table in tables
        }


def tell(ledger):
    """Units closed, replaced, blocked; a label, a bound token, two imports, people, to-dos."""
    serial = Identifier("serial", "SN-9")
    bound = static_token(60, bound=(serial,), fields={"batch": "7", "wifi": Secret("pass-word")})
    take_in(ledger, [bound, static_token(61)])
    ledger.add_person("ada", Role.ADMIN, PIN, badge=Secret("badge-ada"))
    ada = ledger.authenticate("ada", PIN)
    ledger.add_person("lea", Role.LEAD, PIN, by=ada, badge=Secret("badge-lea"))
    lea = ledger.authenticate("lea", PIN)
    for number, state in enumerate(("verified", "closed", "writing")):
        cycle = begin(ledger, number, one=Unit(mac(number), (serial,)) if number == 2 else None)
        run_to(cycle, state)
        if number == 0:
            made = Made(
                cycle.labels.draft(UNIT), printer="zpl://p", template="t", template_digest="1",
                bitmap_digest="2", facts="{}", exclusive=True,
            )  # fmt: skip
            cycle.labels.begin(made)
            cycle.labels.move(made.draft.code, CopyState.CONFIRMED)
        cycle.end(Outcome.PASS)
    desk = ledger.desk(lea)
    desk.replace(mac(1), reason="antenna")
    desk.quarantine(mac(2), reason="looks odd")
    desk.done(1, how="deleted")


@pytest.fixture
def storied(told):
    """The story, in which nothing was found, and again as it was when the test is over."""
    ledger, before = told
    assert rows(ledger) == before
    yield ledger
    after = rows(ledger)
    statements = []
    for table, content in before.items():
        if after[table] != content:
            statements += [sa.delete(table), *(sa.insert(table).values(row) for row in content)]
    tamper(ledger, *statements)


def changed(table, column, before):
    """Another value of the column's own kind."""
    wanted = VALID.get((table.name, column.name))
    if wanted is not None and wanted != before:
        return wanted
    if isinstance(column.type, sa.LargeBinary):
        return bytes(before or b"\1")[:-1] + bytes(((before or b"\1")[-1] ^ 1,))
    if isinstance(column.type, sa.BigInteger):
        return 1 - before if before in (0, 1) else (before or 0) + 1
    return f"{before or ''}x"


@pytest.mark.parametrize(("table", "column"), list(columns()))
def test_no_column_is_changed_unseen(storied, table, column):
    """One column of one row, by somebody who may write to the database and knows no keys."""
    where = ROW[table.name]
    if (table.name, column.name) == ("token", "secrets"):
        where = "bound = 1"
    engine = storied._setup.db.engine
    query = sa.select(column).select_from(table).where(sa.text(where))
    with engine.connect() as conn:
        before = conn.execute(query).scalar_one()
    value = changed(table, column, before)
    tamper(storied, sa.update(table).where(sa.text(where)).values({column.name: value}))
    with engine.connect() as conn:
        now = conn.execute(sa.select(sa.func.count()).select_from(table).where(column == value))
        assert now.scalar_one() >= 1
    assert found(storied), f"{table.name}.{column.name}: {before!r} -> {value!r}"


GONE = {
    "identifier": "identifier serial:SN-9", "source": "source", "token": "token 3",
    "attempt": "attempt ", "label": "label ", "todo": "todo 1", "person": "person lea",
    "binding": "token 6", "assignment": "assignment 1", "unit": "unit 1",
}  # fmt: skip


@pytest.mark.parametrize("table", [table for table in TABLES if table.name in GONE], ids=str)
def test_no_row_is_removed_unseen(storied, table):
    """And it is named, as far as what is left can name it."""
    where = "id = 3" if table.name == "token" else ROW[table.name]
    tamper(storied, sa.delete(table).where(sa.text(where)))
    assert any(one.startswith(GONE[table.name]) for one in found(storied)), found(storied)


ADDED = [
    ("unit", {"id": 99, "hold": "", "hold_reason": "", "created_at": ""}),
    ("identifier", {"kind": "serial", "value": "S1", "unit": 1, "is_primary": 0}),
    ("todo", {"id": 99, "token": 1, "act": "unclaim", "why": "", "opened_at": "",
              "opened_by": ""}),
    ("person", {"name": "eve", "role": "admin", "pin": "x", "failures": 0, "since": ""}),
    ("attempt", {"n": 99, "id": "a", "station": "s", "slot": "", "operator": "", "started_at": "",
                 "code": "", "detail": "", "proof": "", "facts": "{}", "times": "{}"}),
    ("source", {"id": 99, "sha256": "", "product": "p", "lot": "l", "new": 0, "known": 0,
                "operator": "", "at": ""}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "row"), ADDED, ids=[name for name, _ in ADDED])
def test_no_row_is_added_unseen(storied, name, row):
    """A person above all: whoever could add an admin could do everything."""
    (table,) = (table for table in TABLES if table.name == name)
    tamper(storied, sa.insert(table).values(row))
    assert found(storied)


def test_a_ledger_is_what_it_was_founded_as(storied):
    """A training ledger that is turned into a production one is told, triggers or not."""
    tamper(storied, sa.text("UPDATE meta SET value='production' WHERE key='kind'"))
    with storied._setup.db.engine.connect() as conn:
        facts = conn.execute(sa.text("SELECT facts FROM event WHERE act='founded'")).scalar_one()
    assert json.loads(facts)["kind"] == "training"
    assert "meta" in found(storied)


@pytest.mark.parametrize("number", [2, 5, 6, 7])
def test_a_token_that_is_removed_has_a_name(storied, number):
    """Also the last one of its source, and the first: what an import brought stands in the log."""
    tamper(storied, sa.delete(token).where(token.c.id == number))
    assert f"token {number}" in found(storied)


def test_tokens_that_change_places_are_found(storied):
    """All their values are real ones: only which is which was exchanged."""
    places = ((4, 900), (5, 4), (900, 5))
    tamper(
        storied,
        *(sa.update(token).where(token.c.id == old).values(id=new) for old, new in places),
    )
    assert "token 5" in found(storied)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE meta SET value='7' WHERE key='generation'",
        "DELETE FROM meta WHERE key='created_at'",
        "INSERT INTO meta VALUES ('unsettled:st9', '')",
        "INSERT INTO meta VALUES ('home', 'elsewhere')",
        "INSERT INTO station VALUES ('st9', 'elsewhere', '')",
    ],
)
def test_who_has_to_speak_is_not_changed_unseen(storied, statement):
    """These rows decide whether a restored ledger may hand out tokens."""
    tamper(storied, sa.text(statement))
    assert found(storied) == {"meta"}


def test_a_flag_of_a_restore_is_not_removed_unseen(tmp_path):
    """Who deletes it lets a station draw that has not compared its memory; a settle is told."""
    with open_ledger(url_in(tmp_path), keys=KEYS, station="st1", create=Kind.TRAINING) as ledger:
        fill(ledger, 3)
        run_to(begin(ledger, 1), "writing")
        ledger.backup(tmp_path / "backup.db")
    url = url_in(tmp_path)
    restore_ledger(tmp_path / "backup.db", url, keys=KEYS, station="st2", operator="eng")
    with open_ledger(url, keys=KEYS, station="st2") as restored:
        assert found(restored) == set()
        tamper(restored, sa.text("DELETE FROM meta WHERE key='unsettled:st1'"))
        assert found(restored) == {"meta"}
        tamper(restored, sa.text("INSERT INTO meta VALUES ('unsettled:st1', '')"))
        restored.settle("st1", by=restored.authenticate("lea"), reason="its disk is gone")
        assert found(restored) == set()


def test_an_older_ledger_is_not_blamed_for_what_its_log_never_told(storied):
    """A ledger that was founded before the log told of every row: only what is told is compared."""
    tamper(storied, sa.text("UPDATE event SET act='note' WHERE act IN ('founded', 'identified')"))
    assert {one.partition(" ")[0] for one in found(storied)} == {"event"}


def test_every_exemption_has_its_column():
    """A column that is gone leaves no reason behind."""
    known = {table.name: {column.name for column in table.c} for table in TABLES}
    for table, columns in EXEMPT.items():
        assert set(columns) - {"*"} <= known[table], table
