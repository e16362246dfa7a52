"""``eol-inject ledger``: which ledger this is, and how it is kept."""

from contextlib import closing

import click

from eol_inject.cli import keeping
from eol_inject.cli.answer import Answer
from eol_inject.cli.common import Workplace, json_option, with_workplace
from eol_inject.cli.people import people


@click.group()
def ledger() -> None:
    """Show, check, back up and restore the ledger, and name its people."""


for _command in (*keeping.COMMANDS, people):
    ledger.add_command(_command)


@ledger.command()
@json_option
@with_workplace
def show(workplace: Workplace, *, as_json: bool) -> Answer:
    """Show which ledger the options lead to, its kind and where its keys are."""
    from eol_inject import report
    from eol_inject.cli import places

    with closing(workplace.open_ledger()) as opened:
        info, counts = opened.info, opened.status()
    url = places.url_of(workplace)
    facts = {
        "id": info.id,
        "kind": info.kind.value,
        "where": info.where,
        "key_file": str(workplace.key_file or places.default_key_file(url)),
        "memory": str(places.memory_folder()),
        "schema": info.revision,
        "generation": info.generation,
        "tokens": sum(count.count for count in counts),
        "lots": len({(count.product, count.lot) for count in counts}),
    }
    return Answer(
        data=facts,
        lines=[report.pairs({name.replace("_", " "): value for name, value in facts.items()})],
    )
