"""Who may override a guard: named people with a role and a PIN, kept in the ledger.

A training ledger without people takes a name's word, so that it can be practised with at once; a
production ledger without people lets nobody override anything until the first admin is named.
"""

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, assert_never

import sqlalchemy as sa

from eol_inject.errors import UsageError
from eol_inject.ledger.chain import Entry, Setup, append
from eol_inject.ledger.model import Kind
from eol_inject.ledger.schema import person
from eol_inject.ledger.transitions import Who
from eol_inject.unit import Secret

if TYPE_CHECKING:
    from argon2 import PasswordHasher

MAX_FAILURES: Final = 5
"""Wrong PINs in a row before an admin has to give a new one."""

_SHORTEST_PIN: Final = 4
_SHORTEST_BADGE: Final = 4


class Role(StrEnum):
    """What somebody is on the line."""

    OPERATOR = "operator"
    LEAD = "lead"
    QA = "qa"
    ENGINEER = "engineer"
    ADMIN = "admin"

    def may(self, who: Who) -> bool:
        """Whether this role may do what needs ``who``."""
        match self:
            case Role.ADMIN:
                return True
            case Role.ENGINEER:
                return who is not Who.ADMIN
            case Role.LEAD:
                return who in {Who.STATION, Who.OPERATOR, Who.LEAD}
            case Role.QA:
                return who in {Who.STATION, Who.OPERATOR, Who.QA}
            case Role.OPERATOR:
                return who in {Who.STATION, Who.OPERATOR}
        assert_never(self)


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who was asked for the PIN; ``role`` is None where no people are kept yet."""

    name: str
    role: Role | None


def authenticate(setup: Setup, name: str, pin: Secret | None) -> Person:
    """Check the PIN. Raises ``UsageError``: ``ledger.no_people``, ``unknown_person``,
    ``wrong_pin``, ``pin_locked``.
    """  # one list of codes
    name = name.strip()
    if not name:
        raise UsageError("ledger.unknown_person", name=name)

    def known(conn: sa.Connection) -> tuple[str, str, int] | None:
        if not _anybody(conn):
            return None
        row = conn.execute(
            sa.select(person).where(person.c.name == name, person.c.until.is_(None))
        ).first()
        if row is None:
            raise UsageError("ledger.unknown_person", name=name)
        return row.role, row.pin, row.failures

    found = setup.db.read(known)
    if found is None:
        if setup.info.kind is Kind.PRODUCTION:
            raise UsageError("ledger.no_people")
        return Person(name, None)
    role, stored, failures = found
    if failures >= MAX_FAILURES:
        raise UsageError("ledger.pin_locked", name=name)
    right = pin is not None and _fits(stored, pin)
    if not right or failures:
        setup.db.write(lambda conn: _count(conn, setup, name, right=right))
    if not right:
        raise UsageError("ledger.wrong_pin", name=name, left=MAX_FAILURES - failures - 1)
    return Person(name, Role(role))


def of_badge(setup: Setup, badge: Secret) -> str:
    """Whose badge this is. Raises ``UsageError("ledger.unknown_badge")``."""
    found = setup.db.read(
        lambda conn: conn.execute(
            sa.select(person.c.name).where(
                person.c.badge == setup.vault.print_of_badge(badge), person.c.until.is_(None)
            )
        ).scalar_one_or_none()
    )
    if found is None:
        raise UsageError("ledger.unknown_badge")
    return str(found)


def digest_of_pin(stored: str) -> str:
    """For the log, which vouches for a PIN without holding its hash."""
    return hashlib.sha256(stored.encode()).hexdigest()[:32]


def digest_of_badge(badge_print: bytes | None) -> str:
    """For the log, in the same way; empty for a person without a badge."""
    return "" if badge_print is None else hashlib.sha256(badge_print).hexdigest()[:32]


def add(
    setup: Setup,
    name: str,
    role: Role,
    pin: Secret,
    *,
    by: Person | None,
    badge: Secret | None = None,
) -> Person:
    """Name somebody, or give a known one a new role, PIN or badge.

    The first person must be an admin and needs nobody's leave (``by`` None); after that an admin
    adds. Without ``badge`` a known one's stays. Raises ``UsageError``: ``ledger.bad_pin``,
    ``bad_badge``, ``badge_taken``, ``first_is_admin``, ``not_allowed``.
    """
    name = name.strip()
    if badge is not None and len(badge) < _SHORTEST_BADGE:
        raise UsageError("ledger.bad_badge", least=_SHORTEST_BADGE)
    if len(pin) < _SHORTEST_PIN or not name:
        raise UsageError("ledger.bad_pin", least=_SHORTEST_PIN)
    stored = _hash(pin)

    def work(conn: sa.Connection) -> Person:
        if not _anybody(conn):
            if role is not Role.ADMIN:
                raise UsageError("ledger.first_is_admin")
        elif by is None:
            raise UsageError("ledger.not_allowed", name="nobody", act="person add", who="admin")
        else:
            require(conn, setup, by, Who.ADMIN, "person add")
        badge_print = _badge_of(conn, setup, name, badge)
        values = {
            "role": role, "pin": stored, "failures": 0, "until": None, "badge": badge_print
        }  # fmt: skip
        changed = conn.execute(sa.update(person).where(person.c.name == name).values(values))
        if not changed.rowcount:
            conn.execute(sa.insert(person), {"name": name, "since": setup.now(), **values})
        facts = {
            "name": name, "role": role.value, "pin": digest_of_pin(stored),
            "badge": digest_of_badge(badge_print),
        }  # fmt: skip
        append(conn, setup, Entry("person", operator=by.name if by else name, facts=facts))
        return Person(name, role)

    return setup.db.write(work)


def _badge_of(conn: sa.Connection, setup: Setup, name: str, badge: Secret | None) -> bytes | None:
    """Fingerprint of the new badge, or of the one before."""
    if badge is None:
        known = sa.select(person.c.badge).where(person.c.name == name)
        return conn.execute(known).scalar_one_or_none()
    wanted = setup.vault.print_of_badge(badge)
    owner = conn.execute(
        sa.select(person.c.name).where(person.c.badge == wanted, person.c.name != name)
    ).scalar_one_or_none()
    if owner is not None:
        raise UsageError("ledger.badge_taken", name=owner)
    return wanted


def remove(setup: Setup, name: str, *, by: Person) -> None:
    """Somebody left. The last admin stays. Raises ``UsageError``: ``ledger.last_admin``, …."""

    def work(conn: sa.Connection) -> None:
        require(conn, setup, by, Who.ADMIN, "person remove")
        admins = conn.execute(
            sa.select(person.c.name).where(
                person.c.role == Role.ADMIN.value, person.c.until.is_(None)
            )
        ).all()
        if [row.name for row in admins] == [name]:
            raise UsageError("ledger.last_admin", name=name)
        gone = conn.execute(
            sa.update(person)
            .where(person.c.name == name, person.c.until.is_(None))
            .values(until=setup.now())
        )
        if not gone.rowcount:
            raise UsageError("ledger.unknown_person", name=name)
        append(conn, setup, Entry("person_gone", operator=by.name, facts={"name": name}))

    setup.db.write(work)


def require(conn: sa.Connection, setup: Setup, by: Person, who: Who, act: str) -> None:
    """Raise ``UsageError("ledger.not_allowed")`` unless ``by`` may do what needs ``who`` now."""
    if by.role is None:
        # Only `authenticate` of a training ledger without people gives such a person.
        if setup.info.kind is Kind.TRAINING and not _anybody(conn):
            return
        raise UsageError("ledger.no_people")
    now = conn.execute(
        sa.select(person.c.role).where(person.c.name == by.name, person.c.until.is_(None))
    ).scalar_one_or_none()
    if now is None or not Role(now).may(who):
        raise UsageError("ledger.not_allowed", name=by.name, act=act, who=who.value)


def everybody(conn: sa.Connection) -> tuple[Person, ...]:
    """Who is kept, by name."""
    rows = conn.execute(
        sa.select(person.c.name, person.c.role)
        .where(person.c.until.is_(None))
        .order_by(person.c.name)
    )
    return tuple(Person(row.name, Role(row.role)) for row in rows)


def _anybody(conn: sa.Connection) -> bool:
    return conn.execute(sa.select(person.c.name).limit(1)).first() is not None


def _count(conn: sa.Connection, setup: Setup, name: str, *, right: bool) -> None:
    failures = 0 if right else person.c.failures + 1
    conn.execute(sa.update(person).where(person.c.name == name).values(failures=failures))
    if not right:
        append(conn, setup, Entry("wrong_pin", operator=name))


def _hasher() -> "PasswordHasher":
    """OWASP's least for Argon2id: 19 MiB, two passes. A PIN is short whatever the cost; what
    stops guessing is the lock after a few tries."""
    from argon2 import PasswordHasher

    return PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1)


def _hash(pin: Secret) -> str:
    return _hasher().hash(pin.reveal())


def _fits(stored: str, pin: Secret) -> bool:
    from argon2.exceptions import VerifyMismatchError

    try:
        return _hasher().verify(stored, pin.reveal())
    except VerifyMismatchError:
        return False
