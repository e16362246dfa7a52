"""``eol-inject unit``: one unit's whole story, as the ledger tells it, and rework of it."""

from contextlib import closing
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from eol_inject.cli import rework
from eol_inject.cli.answer import Answer
from eol_inject.cli.common import Workplace, json_option, with_workplace
from eol_inject.cli.which import which_unit

if TYPE_CHECKING:
    from eol_inject.ledger import UnitRecord


@click.group()
def unit() -> None:
    """Show what the ledger knows about a unit, and do rework on it."""


for _command in rework.COMMANDS:
    unit.add_command(_command)


@unit.command()
@click.argument("which", metavar="IDENTIFIER|-")
@click.option("--log", is_flag=True, help="Also what its console said after the last write.")
@json_option
@with_workplace
def show(workplace: Workplace, *, which: str, log: bool, as_json: bool) -> Answer:
    """Show a unit's tokens, attempts and events.

    IDENTIFIER is a MAC, a serial number, or KIND:VALUE. With - one line is read from standard
    input: an identifier, or a scanned claim label, whose text belongs into no argument list.
    """
    with closing(workplace.open_ledger()) as ledger:
        found = ledger.show(which_unit(which, ledger))
    return Answer(data=_json(found), lines=[*_words(found), *(_log(found) if log else [])])


def _json(found: "UnitRecord") -> dict[str, Any]:
    return {
        "unit": found.unit.primary.value,
        "identifiers": [asdict(one) for one in found.unit.identifiers],
        "hold": found.hold.value or None,
        "reason": found.reason or None,
        "tokens": [_plain(one) for one in found.assignments],
        "attempts": [_plain(one) for one in found.attempts],
        "events": [_plain(one) for one in found.events],
    }


def _plain(record: Any) -> dict[str, Any]:
    # not asdict: it copies, and the read-only mappings in these records do not copy
    return {
        name: dict(value)
        if hasattr(value, "items")
        else _plain(value)
        if hasattr(value, "__dataclass_fields__")
        else value
        for name, value in ((name, getattr(record, name)) for name in record.__dataclass_fields__)
    }


def _log(found: "UnitRecord") -> list[str]:
    for one in reversed(found.attempts):
        if one.log:
            return ["", f"What it said at {one.ended_at} (tokens hidden):", one.log]
    return ["", "No attempt has a boot log: the profile has no [boot], or none got that far."]


def _words(found: "UnitRecord") -> list[str]:
    from eol_inject import report

    facts: dict[str, object] = {one.kind: one.value for one in found.unit.identifiers}
    if found.hold:
        facts["on hold"] = f"{found.hold}: {found.reason}"
    tokens = report.table(
        ("token", "state", "product", "lot", "claim", "label", "proof", "since"),
        [
            (
                f"{one.role}{' (revoked)' if one.revoked else ''}",
                one.state,
                one.product,
                one.lot,
                f"…{one.claim_tail}" if one.claim_tail else "",
                one.label,
                one.proof,
                one.changed_at,
            )
            for one in found.assignments
        ],
    )
    attempts = report.table(
        ("attempt", "station", "slot", "operator", "outcome", "code"),
        [
            (
                one.started_at,
                one.station,
                one.slot,
                one.operator,
                one.outcome or "cut off",
                one.code,
            )
            for one in found.attempts
        ],
    )
    events = report.table(
        ("event", "act", "from", "to", "station", "operator", "reason"),
        [
            (one.at, one.act, one.source, one.target, one.station, one.operator, one.reason)
            for one in found.events
        ],
    )
    return [report.pairs(facts), "", tokens, "", attempts, "", events]
