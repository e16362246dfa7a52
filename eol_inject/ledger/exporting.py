"""Everything that happened to the tokens, row by row, for other programs.

Public facts only, unless somebody with the right asks for the secrets, with a reason: that is on
record. CSV cells cannot become formulas in a spreadsheet.
"""

import csv
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Final, TextIO

import sqlalchemy as sa

from eol_inject.errors import UnitError
from eol_inject.ledger import labels, people
from eol_inject.ledger.chain import Entry, Setup, append
from eol_inject.ledger.people import Person
from eol_inject.ledger.schema import Found, assignment, identifier, token
from eol_inject.ledger.transitions import Who

_AT_ONCE: Final = 2000
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


class Format(StrEnum):
    """How an export is written."""

    JSON_LINES = "jsonl"
    CSV = "csv"


@dataclass(frozen=True, slots=True)
class Row:
    """One token, and the unit that has or had it last; empty where none has."""

    product: str
    organization: int | None
    lot: str
    row: int
    """In the source it came from."""
    claim_tail: str
    pool: str
    """``available``, ``taken`` or ``revoked``."""
    state: str
    unit: str
    role: str
    proof: str
    label: str
    changed_at: str
    fields: str
    """Public fields, as JSON."""


def rows(conn: sa.Connection, lot: str | None) -> Iterator[tuple[Row, Found]]:
    """Every token of ``lot`` (None: of all), in the order they came."""
    query = (
        sa.select(
            token,
            assignment.c.state.label("now"),
            assignment.c.role,
            assignment.c.proof,
            labels.STANDS,
            assignment.c.changed_at,
            (identifier.c.kind + ":" + identifier.c.value).label("name"),
        )
        .select_from(
            token.outerjoin(
                assignment,
                sa.and_(assignment.c.token == token.c.id, assignment.c.state != "available"),
            ).outerjoin(
                identifier,
                sa.and_(identifier.c.unit == assignment.c.unit, identifier.c.is_primary == 1),
            )
        )
        .order_by(token.c.id)
    )
    if lot is not None:
        query = query.where(token.c.lot == lot)
    for part in conn.execute(query, execution_options={"yield_per": _AT_ONCE}).partitions():
        for one in part:
            yield _row(one), one


def write(setup: Setup, out: TextIO, how: Format, lot: str | None) -> int:
    """Write the public facts to ``out``; how many rows."""
    return setup.db.read(lambda conn: _write(conn, setup, out, how=how, lot=lot, secrets=False))


def write_with_secrets(
    setup: Setup, out: TextIO, how: Format, lot: str | None, *, by: Person, reason: str
) -> int:
    """With AuthTokens and claim codes: an engineer's, with a reason, on record before it begins."""
    if not reason.strip():
        raise UnitError("ledger.reason_missing", act="export with secrets")

    def tell(conn: sa.Connection) -> None:
        people.require(conn, setup, by, Who.ENGINEER, "export with secrets")
        facts = {"lot": lot or "all"}
        entry = Entry("export_secrets", operator=by.name, reason=reason, facts=facts)
        append(conn, setup, entry)

    setup.db.write(tell)
    return setup.db.read(lambda conn: _write(conn, setup, out, how=how, lot=lot, secrets=True))


def _row(one: Found) -> Row:
    return Row(
        product=one.product,
        organization=one.organization,
        lot=one.lot,
        row=one.row,
        claim_tail=one.claim_tail,
        pool=one.state,
        state=one.now or one.state,
        unit=one.name or "",
        role=one.role or "",
        proof=one.proof or "",
        label=one.label or "",
        changed_at=one.changed_at or "",
        fields=one.public,
    )


def _write(
    conn: sa.Connection, setup: Setup, out: TextIO, *, how: Format, lot: str | None, secrets: bool
) -> int:
    written = 0
    sheet = csv.writer(out, lineterminator="\n")
    for row, one in rows(conn, lot):
        values = asdict(row)
        if secrets:
            values |= _secrets(setup, one)
        if how is Format.JSON_LINES:
            values["fields"] = json.loads(row.fields)
            out.write(json.dumps(values, ensure_ascii=False) + "\n")
        else:
            if not written:
                sheet.writerow(values)
            sheet.writerow([safe(value) for value in values.values()])
        written += 1
    return written


def _secrets(setup: Setup, one: Found) -> dict[str, str]:
    vault = setup.vault
    claim = "" if one.claim is None else vault.open_claim(one.uid, one.claim).reveal()
    return {"auth_token": vault.open_auth(one.uid, one.auth).reveal(), "claim_code": claim}


def safe(value: str | int | None) -> str:
    """A cell that no spreadsheet takes for a formula: such a text gets a ``'`` in front."""
    text = "" if value is None else str(value)
    return "'" + text if text.startswith(_FORMULA) else text
