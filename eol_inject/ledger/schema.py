"""The tables as statements see them. Constraints, indexes and triggers stand in ``migrations/``.

A test compares the columns here with the migrated database, so the two cannot drift apart.
"""

from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeEngine

REVISION: Final = "0003"
"""The newest migration; kept here so that opening a current ledger need not load Alembic."""

_tables: Final = sa.MetaData()
_id: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


_text, _bytes, _number = sa.Text(), sa.LargeBinary(), sa.BigInteger()
_real: Final = sa.Double[float]()

Found = sa.Row[*tuple[Any, ...]]
"""A row of whatever was selected."""


def _table(name: str, *columns: sa.Column[Any]) -> sa.Table:
    return sa.Table(name, _tables, *columns)


def _column(name: str, kind: TypeEngine[Any], *, key: bool = False) -> sa.Column[Any]:
    return sa.Column(name, kind, primary_key=key)


meta: Final = _table("meta", _column("key", _text, key=True), _column("value", _text))

station: Final = _table(
    "station", _column("name", _text, key=True), _column("host", _text), _column("since", _text)
)

unit: Final = _table(
    "unit",
    _column("id", _id, key=True),
    _column("hold", _text),
    _column("hold_reason", _text),
    _column("created_at", _text),
)

identifier: Final = _table(
    "identifier",
    _column("kind", _text, key=True),
    _column("value", _text, key=True),
    _column("unit", _number),
    _column("is_primary", _number),
)

source: Final = _table(
    "source",
    _column("id", _id, key=True),
    _column("sha256", _text),
    _column("product", _text),
    _column("organization", _number),
    _column("lot", _text),
    _column("new", _number),
    _column("known", _number),
    _column("operator", _text),
    _column("at", _text),
)

token: Final = _table(
    "token",
    _column("id", _id, key=True),
    _column("uid", _bytes),
    _column("product", _text),
    _column("organization", _number),
    _column("lot", _text),
    _column("source", _number),
    _column("row", _number),
    _column("auth", _bytes),
    _column("auth_print", _bytes),
    _column("claim", _bytes),
    _column("claim_print", _bytes),
    _column("claim_tail", _text),
    _column("public", _text),
    _column("secrets", _bytes),
    _column("content", _bytes),
    _column("bound", _number),
    _column("state", _text),
)

binding: Final = _table(
    "binding",
    _column("token", _number, key=True),
    _column("kind", _text, key=True),
    _column("value", _text),
    _column("product", _text),
    _column("live", _number),
)

lease: Final = _table(
    "lease",
    _column("unit", _number, key=True),
    _column("fence", _number),
    _column("attempt", _text),
    _column("station", _text),
    _column("slot", _text),
    _column("taken", _real),
    _column("expires", _real),
)

attempt: Final = _table(
    "attempt",
    _column("n", _id, key=True),
    _column("id", _text),
    _column("unit", _number),
    _column("station", _text),
    _column("slot", _text),
    _column("operator", _text),
    _column("started_at", _text),
    _column("ended_at", _text),
    _column("outcome", _text),
    _column("code", _text),
    _column("detail", _text),
    _column("proof", _text),
    _column("facts", _text),
    _column("times", _text),
)

assignment: Final = _table(
    "assignment",
    _column("id", _id, key=True),
    _column("token", _number),
    _column("unit", _number),
    _column("role", _text),
    _column("prev_state", _text),
    _column("act", _text),
    _column("state", _text),
    _column("request", _text),
    _column("proof", _text),
    _column("label", _text),
    _column("opened_at", _text),
    _column("changed_at", _text),
)

label: Final = _table(
    "label",
    _column("id", _id, key=True),
    _column("code", _text),
    _column("copy", _number),
    _column("kind", _text),
    _column("assignment", _number),
    _column("unit", _number),
    _column("role", _text),
    _column("state", _text),
    _column("came_out", _number),
    _column("lane", _text),
    _column("printer", _text),
    _column("template", _text),
    _column("template_digest", _text),
    _column("bitmap_digest", _text),
    _column("facts", _text),
    _column("batch", _text),
    _column("reason", _text),
    _column("operator", _text),
    _column("station", _text),
    _column("attempt", _text),
    _column("made_at", _text),
    _column("changed_at", _text),
)

event: Final = _table(
    "event",
    _column("id", _id, key=True),
    _column("station", _text),
    _column("seq", _number),
    _column("at", _text),
    _column("act", _text),
    _column("operator", _text),
    _column("unit", _number),
    _column("token", _number),
    _column("assignment", _number),
    _column("attempt", _text),
    _column("from_state", _text),
    _column("to_state", _text),
    _column("reason", _text),
    _column("facts", _text),
    _column("prev_hash", _bytes),
    _column("hash", _bytes),
)

todo: Final = _table(
    "todo",
    _column("id", _id, key=True),
    _column("token", _number),
    _column("act", _text),
    _column("why", _text),
    _column("opened_at", _text),
    _column("opened_by", _text),
    _column("closed_at", _text),
    _column("closed_by", _text),
    _column("closed_how", _text),
)

person: Final = _table(
    "person",
    _column("name", _text, key=True),
    _column("role", _text),
    _column("pin", _text),
    _column("failures", _number),
    _column("since", _text),
    _column("until", _text),
    _column("badge", _bytes),
)

transition: Final = _table(
    "transition",
    _column("from_state", _text, key=True),
    _column("act", _text, key=True),
    _column("to_state", _text),
    _column("who", _text),
    _column("needs_reason", _number),
)

_WORKED: Final = ("SELECT", "INSERT", "UPDATE")

RIGHTS: Final[dict[str, tuple[str, ...]]] = {
    "meta": ("SELECT", "INSERT", "DELETE"),  # flags of a restore; identity is guarded by triggers
    "station": ("SELECT", "INSERT"),
    "source": ("SELECT", "INSERT"),
    "event": ("SELECT", "INSERT"),
    **dict.fromkeys(
        (
            "person", "unit", "identifier", "token", "binding", "attempt", "lease", "assignment",
            "label", "todo",
        ),
        _WORKED,
    ),
}  # fmt: skip
"""What a station's user of a server may do; every other table it may only read."""

RULES: Final = (
    "event_no_update", "event_no_delete", "assignment_moves", "assignment_starts",
    "assignment_no_delete", "attempt_ended", "attempt_no_delete", "token_is_constant",
    "token_no_delete", "token_stays_revoked", "transition_no_update", "transition_no_delete",
    "meta_no_update", "meta_no_delete", "label_moves", "label_starts", "label_is_constant",
    "label_no_delete",
)  # fmt: skip
"""Triggers: rows that must not change."""

INDEXES: Final = (
    "identifier_one_of_a_kind", "token_auth", "token_claim", "token_pool", "binding_one_token",
    "attempt_unit", "assignment_one_unit_a_token", "assignment_one_live_a_role", "event_chain",
    "event_unit", "todo_open", "label_code", "label_one_a_copy", "label_one_live_a_kind",
    "label_one_waiting_a_printer", "label_batch", "person_badge",
    "attempt_slot",
)  # fmt: skip
"""Indexes, most of them rules: what must be there once only."""

TABLES: Final = tuple(_tables.sorted_tables)


class now(FunctionElement[float]):  # noqa: N801  # reads as the SQL function it is
    """The database's own clock, in seconds since 1970: leases must not trust a station's."""

    inherit_cache = True
    type = sa.Double()


@compiles(now, "sqlite")
def _sqlite_now(element: now, compiler: SQLCompiler, **options: object) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(now, "postgresql")
def _postgresql_now(element: now, compiler: SQLCompiler, **options: object) -> str:
    return "extract(epoch from clock_timestamp())::double precision"
