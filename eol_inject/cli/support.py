"""``eol-inject support``: facts for whoever helps."""

from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from eol_inject.cli.answer import Answer
from eol_inject.cli.common import Workplace, json_option, with_workplace
from eol_inject.errors import EolError

if TYPE_CHECKING:
    from collections.abc import Mapping


@click.group()
def support() -> None:
    """Collect what somebody who helps has to know."""


@support.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--profile", "profiles", metavar="FILE", multiple=True, help="Its digest too; repeatable."
)
@json_option
@with_workplace
def bundle(workplace: Workplace, *, file: Path, profiles: tuple[str, ...], as_json: bool) -> Answer:
    """Write versions, counts, states, ports and digests into a new ZIP.

    It holds no token, no claim code, no unit's number, no name. A ledger that cannot be opened is
    told by its error.
    """
    from eol_inject.acts import support as act
    from eol_inject.device.inventory import snapshot

    parts = {
        "versions": act.versions(),
        "ledger": _ledger(workplace),
        "ports": {one.port: asdict(one) for one in snapshot()},
        "profiles": act.profile_facts(profiles),
    }
    made = act.write_bundle(file, parts)
    return Answer(
        data={"file": made, "ledger": parts["ledger"]},
        lines=[f"{made} can be sent: look into it first, it is plain text."],
    )


def _ledger(workplace: Workplace) -> "Mapping[str, object]":
    from eol_inject.acts import support as act

    try:
        with closing(workplace.open_ledger()) as ledger:
            return act.ledger_facts(ledger)
    except EolError as error:
        return act.trouble(error)
