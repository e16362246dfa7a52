"""``eol-inject ledger``: which ledger this is."""

from contextlib import closing

import click

from eol_inject.cli.answer import Answer
from eol_inject.cli.common import Workplace, json_option, with_workplace


@click.group()
def ledger() -> None:
    """Show which ledger is used."""


@ledger.command()
@json_option
@with_workplace
def show(workplace: Workplace, *, as_json: bool) -> Answer:
    """Show which ledger the options lead to, its kind and where its keys are."""
    from eol_inject import report
    from eol_inject.cli import places

    with closing(workplace.open_ledger()) as opened:
        info, counts = opened.info, opened.status()
    url = workplace.ledger or places.default_url(training=workplace.training)
    facts = {
        "id": info.id,
        "kind": info.kind.value,
        "where": info.where,
        "key_file": str(workplace.key_file or places.default_key_file(url)),
        "schema": info.revision,
        "generation": info.generation,
        "tokens": sum(count.count for count in counts),
        "lots": len({(count.product, count.lot) for count in counts}),
    }
    return Answer(
        data=facts,
        lines=[report.pairs({name.replace("_", " "): value for name, value in facts.items()})],
    )
