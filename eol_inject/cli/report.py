"""``eol-inject report``: what became of a lot."""

from collections import Counter
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from eol_inject.cli.answer import Answer
from eol_inject.cli.common import Workplace, json_option, with_workplace

if TYPE_CHECKING:
    from eol_inject.ledger.listing import UnitLine


@click.group()
def report() -> None:
    """Report the units of a lot."""


@report.command()
@click.option("--lot", help="Units with a token of this lot; default: of every lot.")
@click.option(
    "--csv",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the table for a spreadsheet; no cell in it is ever run as a formula.",
)
@json_option
@with_workplace
def units(workplace: Workplace, *, lot: str | None, csv: Path | None, as_json: bool) -> Answer:
    """List the units, each with its state, its label and the proof of what it holds."""
    from eol_inject.report import table

    with closing(workplace.open_ledger()) as ledger:
        found, info = ledger.units(lot=lot), ledger.info
    if csv is not None:
        return _exported(found, csv)
    counts = Counter(line.state.value for line in found)
    rows = [
        (
            line.unit,
            f"{line.state}{f' ({line.hold})' if line.hold else ''}",
            line.product,
            line.lot,
            f"…{line.claim_tail}" if line.claim_tail else "",
            line.label,
            line.proof,
            line.attempts,
            line.changed_at,
        )
        for line in found
    ]
    headers = (
        "unit", "state", "product", "lot", "claim code", "label", "proof", "attempts", "since"
    )  # fmt: skip
    summary = ", ".join(f"{count} {state}" for state, count in counts.items())
    return Answer(
        data={
            "ledger": info.id,
            "kind": info.kind.value,
            "lot": lot,
            "counts": dict(counts),
            "units": [asdict(line) for line in found],
        },
        lines=[table(headers, rows), "", f"{len(found)} units: {summary}"]
        if rows
        else ["No unit has got a token yet."],
    )


def _exported(found: "tuple[UnitLine, ...]", path: Path) -> Answer:
    from eol_inject.acts import export_units
    from eol_inject.report import table

    rows = export_units.write_csv(found, path)
    counts = export_units.counts(found)
    lines = [(lot, state, n) for lot, states in counts.items() for state, n in states.items()]
    return Answer(
        data={"file": path, "rows": rows, "counts_by_lot": counts},
        lines=[table(("lot", "state", "units"), lines), "", f"{rows} units in {path}"],
    )
