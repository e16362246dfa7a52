"""``eol-inject tokens``: a console export into the pool, and what the pool holds."""

import sys
from contextlib import closing
from typing import TYPE_CHECKING

import click

from eol_inject.cli import cloud
from eol_inject.cli.answer import Answer, tell
from eol_inject.cli.asking import Terminal
from eol_inject.cli.common import Workplace, json_option, record_name, with_workplace
from eol_inject.events import Question

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eol_inject.acts.import_tokens import ImportReport
    from eol_inject.ledger import Count


@click.group()
def tokens() -> None:
    """Import static tokens, count them, and say what the cloud must be told."""


for _command in cloud.COMMANDS:
    tokens.add_command(_command)


@tokens.command("import")
@click.argument("source")
@click.option("--product", metavar="ID", help="The cloud's productId; default: the profile's.")
@click.option(
    "--lot",
    required=True,
    callback=record_name,
    metavar="NAME",
    help="Name of this batch; a run draws from one lot.",
)
@click.option(
    "--org", type=click.IntRange(min=1), help="The cloud's orgId, where the source does not say."
)
@click.option(
    "--map",
    "pairs",
    metavar="HEADER=FIELD",
    multiple=True,
    help="Take a column as auth_token, qr_token, serial, mac, ignore or a field; repeatable.",
)
@click.option(
    "--profile", metavar="NAME|FILE", help="Take product, organization and [fields] from it."
)
@click.option(
    "--delete-source/--keep-source",
    "delete",
    default=None,
    help="What becomes of the source, which holds every token in the clear; default: ask.",
)
@json_option
@with_workplace
def import_(
    workplace: Workplace,
    *,
    source: str,
    product: str | None,
    lot: str,
    org: int | None,
    pairs: tuple[str, ...],
    profile: str | None,
    delete: bool | None,
    as_json: bool,
) -> Answer:
    """Import a console export ZIP, a CSV, or - for standard input.

    All of it or nothing; the same source twice changes nothing. Makes the ledger and its key file
    where there is none.
    """
    from eol_inject import profiles
    from eol_inject.acts.import_tokens import import_tokens, require_usable
    from eol_inject.tokens import open_source

    loaded = profiles.load(profile) if profile else None
    spec = loaded.spec if loaded else None
    named = product or (spec.product.id if spec else None)
    if named is None:
        raise click.UsageError("Give --product or --profile: whose tokens are these?")
    wanted = org or (spec.product.organization if spec else None)
    batch = open_source(
        source,
        stdin=sys.stdin.buffer if sys.stdin else None,
        mapping=_mapping(pairs),
        organization=wanted,
        fields=spec.fields if spec else {},
    )
    if loaded is not None:
        require_usable(batch, loaded)
    with closing(workplace.open_ledger(create=True)) as ledger:
        done = import_tokens(
            ledger,
            batch,
            product=named,
            lot=lot,
            organization=wanted,
            operator=workplace.operator,
            progress=_progress,
        )
        kind = ledger.info.kind.value
    deleted = _delete(done, delete)
    return Answer(
        data={
            "kind": kind,
            "product": named,
            "lot": lot,
            "organization": done.organization,
            "source": {"kind": done.kind, "sha256": done.sha256, "deleted": deleted},
            "columns": dict(done.columns),
            "read": done.new + done.known,
            "new": done.new,
            "known": done.known,
            "bound": done.bound,
            "without_claim": done.without_claim,
            "notes": list(done.notes),
        },
        lines=_words(done, kind),
    )


@tokens.command()
@json_option
@with_workplace
def status(workplace: Workplace, *, as_json: bool) -> Answer:
    """Count tokens by product, lot and state."""
    with closing(workplace.open_ledger()) as ledger:
        counts, info = ledger.status(), ledger.info
    return Answer(
        data={
            "ledger": info.id,
            "kind": info.kind.value,
            "counts": [
                {
                    "product": count.product,
                    "organization": count.organization,
                    "lot": count.lot,
                    "state": count.state.value,
                    "count": count.count,
                }
                for count in counts
            ],
        },
        lines=[_table(counts)] if counts else ["The ledger holds no tokens yet."],
    )


def _mapping(pairs: "Sequence[str]") -> dict[str, str]:
    mapping = {}
    for pair in pairs:
        # the header may hold an equals sign, a field's name cannot
        header, equals, name = pair.rpartition("=")
        if not (header and equals and name):
            raise click.BadParameter("write it as HEADER=FIELD.", param_hint="--map")
        mapping[header] = name
    return mapping


def _progress(rows: int) -> None:
    if rows % 100_000 == 0:
        tell(f"{rows} rows read")


def _delete(done: "ImportReport", delete: bool | None) -> bool:
    """Delete the source where that was said or is answered; True where it is gone."""
    from eol_inject.acts.import_tokens import delete_source

    if done.source is None:
        return False
    for phrase in done.exposure:
        tell(phrase)
    if delete is None:
        delete = Terminal().yes(Question.DELETE_SOURCE, path=str(done.source))
    if not delete:
        return False
    for phrase in delete_source(done.source, sha256=done.sha256).notes:
        tell(phrase)
    return True


def _words(done: "ImportReport", kind: str) -> list[str]:
    from eol_inject import report

    facts = {
        "read": done.new + done.known,
        "new": done.new,
        "known already": done.known,
        "bound to a unit": done.bound,
        "without QR token": done.without_claim,
        "lot": done.lot,
        "into": f"{kind} ledger",
        **{f"column '{header}'": name for header, name in done.columns.items()},
    }
    return [report.pairs(facts), *(f"note: {note}" for note in done.notes)]


def _table(counts: "Sequence[Count]") -> str:
    from eol_inject import report

    states = list(dict.fromkeys(count.state.value for count in counts))
    lots: dict[tuple[str, int | None, str], dict[str, int]] = {}
    for count in counts:
        lot = lots.setdefault((count.product, count.organization, count.lot), {})
        lot[count.state.value] = count.count
    rows = [
        (*lot, *(by_state.get(state, 0) for state in states), sum(by_state.values()))
        for lot, by_state in lots.items()
    ]
    return report.table(("product", "organization", "lot", *states, "all"), rows)
