"""``eol-inject report``: what became of a lot."""

from collections import Counter
from contextlib import closing
from dataclasses import asdict

import click

from eol_inject.cli.answer import Answer
from eol_inject.cli.common import Workplace, json_option, with_workplace


@click.group()
def report() -> None:
    """Report the units of a lot."""


@report.command()
@click.option("--lot", help="Units with a token of this lot; default: of every lot.")
@json_option
@with_workplace
def units(workplace: Workplace, *, lot: str | None, as_json: bool) -> Answer:
    """List the units, each with its state, its label and the proof of what it holds."""
    from eol_inject.report import table

    with closing(workplace.open_ledger()) as ledger:
        found, info = ledger.units(lot=lot), ledger.info
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
