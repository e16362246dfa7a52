"""``eol-inject ledger people``: who may override a guard."""

from contextlib import closing

import click

from eol_inject.cli.answer import Answer
from eol_inject.cli.common import Workplace, json_option, with_workplace
from eol_inject.cli.person import acting, pin_option, read_pin
from eol_inject.cli.scanners import read_badge
from eol_inject.errors import UsageError
from eol_inject.unit import Secret

_ROLES = ("operator", "lead", "qa", "engineer", "admin")


@click.group()
def people() -> None:
    """Name the people who may do rework, with a role and a PIN each."""


@people.command("list")
@json_option
@with_workplace
def list_people(workplace: Workplace, *, as_json: bool) -> Answer:
    """List who is named in this ledger, and as what."""
    from eol_inject import report

    with closing(workplace.open_ledger()) as ledger:
        found = ledger.people()
    rows = [(one.name, one.role) for one in found]
    return Answer(
        data={"people": [{"name": name, "role": role} for name, role in rows]},
        lines=[report.table(("name", "role"), rows) if rows else "Nobody is named yet."],
    )


@people.command()
@click.argument("name")
@click.option("--role", type=click.Choice(_ROLES), required=True, help="What this person is.")
@click.option(
    "--new-pin-file",
    metavar="FILE|-",
    help="Read the new person's PIN from there; default: it is asked for at the terminal.",
)
@click.option(
    "--new-badge",
    metavar="URL|tty",
    help="Scan the new person's badge there; without it a known one's badge stays.",
)
@pin_option
@json_option
@with_workplace
def add(
    workplace: Workplace,
    *,
    name: str,
    role: str,
    new_pin_file: str | None,
    new_badge: str | None,
    pin_file: str | None,
    as_json: bool,
) -> Answer:
    """Name somebody, or give a known one a new role, PIN or badge.

    The first one has to be an admin and needs nobody's leave. After that --operator names the
    admin who adds.
    """
    from eol_inject.ledger.people import Role

    with closing(workplace.open_ledger()) as ledger:
        by = acting(workplace, ledger, pin_file) if ledger.people() else None
        pin = _new_pin(name, new_pin_file)
        badge = None if new_badge is None else read_badge(new_badge, f"{name}'s badge")
        person = ledger.add_person(name, Role(role), pin, by=by, badge=badge)
    return Answer(
        data={"name": person.name, "role": role}, lines=[f"{person.name} is named as {role}."]
    )


@people.command()
@click.argument("name")
@pin_option
@json_option
@with_workplace
def remove(workplace: Workplace, *, name: str, pin_file: str | None, as_json: bool) -> Answer:
    """Take somebody off the list; what that person did stays on record."""
    with closing(workplace.open_ledger()) as ledger:
        ledger.remove_person(name, by=acting(workplace, ledger, pin_file))
    return Answer(data={"name": name}, lines=[f"{name} is not named any more."])


def _new_pin(name: str, source: str | None) -> Secret:
    """Typed twice, since nobody sees it. Raises ``UsageError``: ``no_pin``, ``pins_differ``."""
    pin = read_pin(f"New PIN of {name}: ", source)
    again = pin if source is not None else read_pin("The same again: ", None)
    if pin is None or again is None:
        raise UsageError("ledger.no_pin", name=name)
    if pin != again:
        raise UsageError("ledger.pins_differ")
    return pin
