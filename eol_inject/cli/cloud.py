"""``eol-inject tokens revoke|lots|todo``: dead tokens, what is left, what to tell the cloud."""

import sys
from contextlib import closing
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

import click

from eol_inject.cli.answer import Answer
from eol_inject.cli.common import Workplace, json_option, with_workplace
from eol_inject.cli.person import acting, demand, pin_option, reason_option
from eol_inject.cli.which import which_unit

if TYPE_CHECKING:
    from eol_inject.ledger import Ledger, Todo
    from eol_inject.ledger.people import Person


@click.command()
@click.argument("which", metavar="IDENTIFIER|-")
@reason_option
@pin_option
@json_option
@with_workplace
def revoke(
    workplace: Workplace, *, which: str, reason: str, pin_file: str | None, as_json: bool
) -> Answer:
    """Declare a token dead; nobody gets it, and the unit that holds it is recalled.

    IDENTIFIER names the unit that has it; with - one line is read from standard input: a scanned
    claim label names its own token, also one in the pool.
    """
    reason = demand(reason, "revoke")
    with closing(workplace.open_ledger()) as ledger:
        named = which_unit(which, ledger)
        by = acting(workplace, ledger, pin_file)
        ledger.desk(by).revoke(named, reason=reason)
        todos = len(ledger.todos())
    return Answer(
        data={"act": "revoke", "which": str(named), "todos": todos},
        lines=[
            (
                f"The token of {named} is dead. A unit that holds it is recalled: run and verify "
                "refuse it until it is replaced or scrapped."
            ),
            f"The cloud has to be told ({todos} open): eol-inject tokens todo",
        ],
    )


@click.command()
@json_option
@with_workplace
def lots(workplace: Workplace, *, as_json: bool) -> Answer:
    """List the lots and what is left of each."""
    from eol_inject import report

    with closing(workplace.open_ledger()) as ledger:
        found = ledger.lots()
    rows = [
        (one.lot, one.product, one.organization, one.total, one.available, one.revoked,
         one.imported_at)
        for one in found
    ]  # fmt: skip
    headers = ("lot", "product", "organization", "tokens", "left", "revoked", "imported")
    return Answer(
        data={"lots": [asdict(one) for one in found]},
        lines=[report.table(headers, rows) if rows else "The ledger holds no tokens yet."],
    )


@click.command()
@click.option("--done", type=int, metavar="NUMBER", help="This one was done in the cloud.")
@click.option("--how", default="", help="With --done: how, and by whom, in one sentence.")
@click.option(
    "--export",
    metavar="FILE|-",
    help="A later console export: deletions of tokens that it lacks are done.",
)
@click.option("--product", metavar="ID", help="With --export: the cloud's productId.")
@click.option("--all", "closed", is_flag=True, help="Also list what was done already.")
@pin_option
@json_option
@with_workplace
def todo(
    workplace: Workplace,
    *,
    done: int | None,
    how: str,
    export: str | None,
    product: str | None,
    closed: bool,
    pin_file: str | None,
    as_json: bool,
) -> Answer:
    """List what the cloud still has to be told, or close what it was told.

    Tokens that were replaced, scrapped or revoked have to be deleted in the console, and their
    devices unclaimed where a customer may have scanned the label already. A later --export closes
    what it shows to be deleted; no export shows what was unclaimed: that is closed with --done.
    """
    if done is not None and export is not None:
        raise click.UsageError("Give either --done or --export.")
    if export is not None and not product:
        raise click.UsageError("Give --product: whose tokens does the export hold?")
    with closing(workplace.open_ledger()) as ledger:
        if done is not None:
            how = demand(how, "todo")
            ledger.desk(acting(workplace, ledger, pin_file)).done(done, how=how)
            told = 1
        elif export is not None and product is not None:
            by = acting(workplace, ledger, pin_file)
            told = _by_export(ledger, by, export, product)
        else:
            told = 0
        found = ledger.todos(closed=closed)
    return Answer(
        data={"closed": told, "todos": [_json(one) for one in found]},
        lines=[*([f"{told} closed."] if told or export else []), *_words(found)],
    )


def _by_export(ledger: "Ledger", by: "Person", export: str, product: str) -> int:
    from eol_inject.tokens import open_source

    batch = open_source(export, stdin=sys.stdin.buffer, mapping={}, organization=None, fields={})
    return ledger.desk(by).settle_by_export(
        batch.tokens, product=product, source_sha256=batch.sha256
    )


def _json(one: "Todo") -> dict[str, object]:
    return asdict(one)


def _words(found: "tuple[Todo, ...]") -> list[str]:
    from eol_inject import report

    if not found:
        return ["The cloud knows everything."]
    rows = [
        (one.number, one.act, f"…{one.claim_tail}" if one.claim_tail else "", one.product, one.lot,
         one.why, one.opened_by, one.opened_at, one.closed_by or "", one.closed_how or "")
        for one in found
    ]  # fmt: skip
    headers = ("no.", "to do", "claim", "product", "lot", "why", "by", "since", "done by", "how")
    return [report.table(headers, rows)]


COMMANDS: Final = (revoke, lots, todo)
