"""Tokens into the pool: all or nothing, and never twice.

Tokens are encrypted into a temporary table first, which locks nobody out; then one short
transaction compares it with what is known, refuses contradictions by row, and takes the new ones.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import sqlalchemy as sa

from eol_inject.errors import Param, UsageError
from eol_inject.ledger.chain import Entry, Setup, append
from eol_inject.ledger.model import ImportResult
from eol_inject.ledger.schema import Found, binding, source, token
from eol_inject.ledger.vault import UID_SIZE, Vault
from eol_inject.unit import Secret, StaticToken

_CHUNK: Final = 2000
_ONE_IMPORT: Final = "import"
"""The name of the lock; a station of this name waits for imports too, and nothing worse."""

_staged: Final = sa.MetaData()

incoming: Final = sa.Table(
    "incoming",
    _staged,
    sa.Column("row", sa.BigInteger),
    sa.Column("uid", sa.LargeBinary),
    sa.Column("organization", sa.BigInteger),
    sa.Column("auth", sa.LargeBinary),
    sa.Column("auth_print", sa.LargeBinary),
    sa.Column("claim", sa.LargeBinary),
    sa.Column("claim_print", sa.LargeBinary),
    sa.Column("claim_tail", sa.Text),
    sa.Column("public", sa.Text),
    sa.Column("secrets", sa.LargeBinary),
    sa.Column("content", sa.LargeBinary),
    sa.Column("bound", sa.BigInteger),
    prefixes=["TEMPORARY"],
)
incoming_binding: Final = sa.Table(
    "incoming_binding",
    _staged,
    sa.Column("auth_print", sa.LargeBinary),
    sa.Column("row", sa.BigInteger),
    sa.Column("kind", sa.Text),
    sa.Column("value", sa.Text),
    prefixes=["TEMPORARY"],
)


@dataclass(frozen=True, slots=True)
class Parcel:
    """What is said about all tokens of one import."""

    product: str
    lot: str
    organization: int | None
    """For tokens whose claim code does not say."""
    sha256: str
    """Of the source's bytes."""
    operator: str


def stage(
    conn: sa.Connection,
    setup: Setup,
    tokens: Iterable[StaticToken],
    parcel: Parcel,
    progress: Callable[[int], None],
) -> None:
    """Encrypt ``tokens`` into the temporary tables; ``progress`` is told the rows done so far."""
    for table in (incoming, incoming_binding):
        table.drop(conn, checkfirst=True)
        table.create(conn)
    done = 0
    for chunk in _chunks(tokens, _CHUNK):
        rows = [_row(setup.vault, one, parcel) for one in chunk]
        setup.db.bulk(conn, incoming, rows)
        bound = [
            (row[_PRINT], one.row, by.kind, by.value)
            for row, one in zip(rows, chunk, strict=True)
            for by in one.bound
        ]
        if bound:
            setup.db.bulk(conn, incoming_binding, bound)
        done += len(chunk)
        progress(done)


def take(conn: sa.Connection, setup: Setup, parcel: Parcel) -> ImportResult:
    """Compare, refuse or take what ``stage`` left.

    Raises ``UsageError("ledger.token_contradicts")`` with ``row`` and ``what``.
    """
    setup.db.expect_bulk(conn)
    rows, repeated = _size(conn)
    if repeated:
        _refuse_rows(conn)
    _refuse_known(conn, parcel)
    new, bound, bare = _new(conn, repeated=repeated)
    if new:
        first, last = _insert(conn, setup, parcel, rows=rows, new=new, repeated=repeated)
        facts: dict[str, Param] = {
            "first": first, "last": last,
            "product": parcel.product, "lot": parcel.lot, "organization": parcel.organization,
            "source_sha256": parcel.sha256, "new": new, "known": rows - new,
        }  # fmt: skip
        append(conn, setup, Entry(act="import", operator=parcel.operator, facts=facts))
    return ImportResult(new=new, known=rows - new, bound=bound, without_claim=bare)


_PRINT: Final = 4
"""Where ``auth_print`` stands in a row of ``incoming``."""

_to_text: Final = json.JSONEncoder(ensure_ascii=False, sort_keys=True).encode


def _row(vault: Vault, one: StaticToken, parcel: Parcel) -> tuple[Any, ...]:
    """One row of ``incoming``, in the order of its columns: this runs a million times."""
    claim, organization = one.claim, parcel.organization
    if claim is not None and claim.organization is not None:
        if organization not in (None, claim.organization):
            raise UsageError(
                "ledger.token_contradicts", row=one.row, what="another organization than the import"
            )
        organization = claim.organization
    public, secret = _split(one.fields)
    uid = vault.random(UID_SIZE)
    claim_print = None if claim is None else vault.print_of_claim(claim)
    return (
        one.row,
        uid,
        organization,
        vault.close_auth(uid, one.auth),
        vault.print_of_auth(one.auth),
        None if claim is None else vault.close_claim(uid, claim),
        claim_print,
        "" if claim is None else claim.tail,
        public,
        vault.close_secrets(uid, secret) if secret else None,
        vault.print_of_content(claim_print, organization, public, secret, one.bound),
        int(bool(one.bound)),
    )


def _split(fields: Mapping[str, str | Secret]) -> tuple[str, dict[str, Secret]]:
    """The public ones as JSON, and the secret ones."""
    if not fields:
        return "{}", {}
    secret = {name: value for name, value in fields.items() if isinstance(value, Secret)}
    return _to_text({name: value for name, value in fields.items() if name not in secret}), secret


_KNOWN: Final = sa.exists().where(token.c.auth_print == incoming.c.auth_print)


def _size(conn: sa.Connection) -> tuple[int, bool]:
    """How many rows, and whether any two have a token or a unit in common."""
    rows, auths, claims, distinct = conn.execute(
        sa.select(
            sa.func.count(),
            sa.func.count(sa.distinct(incoming.c.auth_print)),
            sa.func.count(incoming.c.claim_print),
            sa.func.count(sa.distinct(incoming.c.claim_print)),
        ).select_from(incoming)
    ).one()
    units = sa.select(incoming_binding.c.kind, incoming_binding.c.value)
    every = conn.execute(sa.select(sa.func.count()).select_from(units.subquery())).scalar_one()
    apart = conn.execute(
        sa.select(sa.func.count()).select_from(units.distinct().subquery())
    ).scalar_one()
    return int(rows), bool(rows - auths or claims - distinct or every - apart)


def _refuse_rows(conn: sa.Connection) -> None:
    """Two rows of the source that cannot both be true; the lowest row of each kind."""
    _refuse(conn, _within(incoming.c.auth_print, incoming.c.content), "another row of this source")
    _refuse(
        conn,
        _within(incoming.c.claim_print, incoming.c.auth_print),
        "another row with the same QR token",
    )
    _refuse(
        conn,
        _within(incoming_binding.c.kind, incoming_binding.c.auth_print, incoming_binding.c.value),
        "another row for the same unit",
    )


def _refuse_known(conn: sa.Connection, parcel: Parcel) -> None:
    """A row that cannot be true together with what is known."""
    same = incoming.join(token, token.c.auth_print == incoming.c.auth_print)
    known = (
        sa.select(incoming, *(column.label(f"old_{column.name}") for column in token.c))
        .select_from(same)
        .where(
            sa.or_(
                token.c.content != incoming.c.content,
                token.c.product != parcel.product,
                token.c.lot != parcel.lot,
            )
        )
        .order_by(incoming.c.row)
        .limit(1)
    )
    row = conn.execute(known).first()
    if row is not None:
        raise UsageError(
            "ledger.token_contradicts", row=row.row, what=f"a known token: {_what(row, parcel)}"
        )
    _refuse(
        conn,
        sa.select(sa.func.min(incoming.c.row))
        .select_from(incoming.join(token, token.c.claim_print == incoming.c.claim_print))
        .where(token.c.auth_print != incoming.c.auth_print),
        "a known token: the same QR token with another AuthToken",
    )
    _refuse(conn, _bound_elsewhere(parcel), "a known token that is bound to the same unit")


def _refuse(conn: sa.Connection, first_row: sa.Select[*tuple[Any, ...]], what: str) -> None:
    row = conn.execute(first_row).scalar_one_or_none()
    if row is not None:
        raise UsageError("ledger.token_contradicts", row=row, what=what)


def _within(
    key: sa.Column[Any], differs: sa.Column[Any], *more: sa.Column[Any]
) -> sa.Select[*tuple[Any, ...]]:
    """The first row that has its key in common with an earlier one, and differs from it."""
    rows: sa.Column[Any] = key.table.c.row
    groups = (
        sa.select(sa.func.max(rows).label("row"))
        .where(key.is_not(None))
        .group_by(key, *more)
        .having(sa.func.count(sa.distinct(differs)) > 1)
        .subquery()
    )
    return sa.select(sa.func.min(groups.c.row))


def _bound_elsewhere(parcel: Parcel) -> sa.Select[*tuple[Any, ...]]:
    return (
        sa.select(sa.func.min(incoming_binding.c.row))
        .select_from(
            incoming_binding.join(
                binding,
                sa.and_(
                    binding.c.kind == incoming_binding.c.kind,
                    binding.c.value == incoming_binding.c.value,
                ),
            ).join(token, token.c.id == binding.c.token)
        )
        .where(
            binding.c.live == 1,
            binding.c.product == parcel.product,
            token.c.auth_print != incoming_binding.c.auth_print,
            # A token that is known already is not bound anew, whatever became of its unit.
            ~sa.exists().where(token.alias("t").c.auth_print == incoming_binding.c.auth_print),
        )
    )


def _what(row: Found, parcel: Parcel) -> str:
    if row.old_claim_print != row.claim_print:
        return "the same AuthToken with another QR token"
    if row.old_organization != row.organization:
        return "another organization"
    if row.old_product != parcel.product:
        return f"it belongs to product {row.old_product}"
    if row.old_lot != parcel.lot:
        return f"it belongs to lot {row.old_lot}"
    old, new = json.loads(row.old_public), json.loads(row.public)
    for name in sorted(set(old) | set(new)):
        if old.get(name) != new.get(name):
            return f"another value of the field {name}"
    return "another unit or another secret field"


def _new(conn: sa.Connection, *, repeated: bool) -> tuple[int, int, int]:
    """The new tokens: how many, how many of them bound, how many without a QR token."""
    bare = incoming.c.claim.is_(None)
    fresh = sa.select(incoming.c.auth_print, incoming.c.bound, bare.label("bare")).where(~_KNOWN)
    if repeated:
        fresh = fresh.distinct()
    rows = fresh.subquery()
    new, bound, without = conn.execute(
        sa.select(
            sa.func.count(),
            sa.func.coalesce(sa.func.sum(rows.c.bound), 0),
            sa.func.coalesce(sa.func.sum(sa.case((rows.c.bare, 1), else_=0)), 0),
        )
    ).one()
    return int(new), int(bound), int(without)


def _insert(
    conn: sa.Connection, setup: Setup, parcel: Parcel, *, rows: int, new: int, repeated: bool
) -> tuple[int, int]:
    """The ids of the first and the last of the new tokens."""
    # One import at a time: ids without a gap, so that a token that was removed has a name.
    setup.db.lock_chain(conn, _ONE_IMPORT)
    source_id = conn.execute(
        sa.insert(source).returning(source.c.id),
        {
            "sha256": parcel.sha256, "product": parcel.product, "lot": parcel.lot,
            "organization": parcel.organization, "new": new, "known": rows - new,
            "operator": parcel.operator, "at": setup.now(),
        },
    ).scalar_one()  # fmt: skip
    copied = (
        "row", "uid", "organization", "auth", "auth_print", "claim", "claim_print", "claim_tail",
        "public", "secrets", "content", "bound",
    )  # fmt: skip
    given: dict[str, sa.ColumnElement[Any]] = {
        "product": sa.literal(parcel.product),
        "lot": sa.literal(parcel.lot),
        "source": sa.literal(source_id),
        "state": sa.literal("available"),
    }
    fresh = (
        sa.select(*(incoming.c[name] for name in copied), *given.values())
        .where(~_KNOWN)
        # In the order of the source, so that a lot is used up in the order people see.
        .order_by(incoming.c.row)
    )
    if repeated:
        first = sa.select(sa.func.min(incoming.c.row)).group_by(incoming.c.auth_print)
        fresh = fresh.where(incoming.c.row.in_(first))
    conn.execute(sa.insert(token).from_select([*copied, *given], fresh))
    by_print = incoming_binding.join(token, token.c.auth_print == incoming_binding.c.auth_print)
    conn.execute(
        sa.insert(binding).from_select(
            ["token", "kind", "value", "product", "live"],
            sa.select(
                token.c.id,
                incoming_binding.c.kind,
                incoming_binding.c.value,
                sa.literal(parcel.product),
                sa.literal(1),
            )
            .select_from(by_print)
            .where(token.c.source == source_id)
            .distinct(),
        )
    )
    ends = sa.select(sa.func.min(token.c.id), sa.func.max(token.c.id))
    first_id, last_id = conn.execute(ends.where(token.c.source == source_id)).one()
    return int(first_id), int(last_id)


def _chunks(tokens: Iterable[StaticToken], size: int) -> Iterator[Sequence[StaticToken]]:
    rest = iter(tokens)
    while chunk := list(islice(rest, size)):
        yield chunk
