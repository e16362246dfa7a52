"""The label in step with the unit: rendered from what was proved, printed once."""

from typing import assert_never

from eol_inject.errors import RecordError
from eol_inject.label import Label, Printed, PrintOutcome, render
from eol_inject.ledger import Cycle
from eol_inject.station.bench import Bench
from eol_inject.unit import Proven


def render_label(bench: Bench, proven: Proven) -> Label:
    """The unit's label, decoded and compared with its own record.

    Raises ``RecordError``: the unit is good, its label cannot be made.
    """
    return render(
        proven,
        bench.template,
        extra={
            "product_name": bench.profile.spec.product.name,
            "date": bench.today().isoformat(),
        },
        watermark=bench.watermark,
    )


def print_label(bench: Bench, label: Label, proven: Proven, cycle: Cycle) -> Printed:
    """Print one copy and record what became of it.

    Raises ``RecordError``: ``label.not_sent`` (nothing came out), ``label.unknown`` (something may
    have come out: look before anything is printed again).
    """
    printed = bench.printer.print(label, name=proven.unit.primary.value.replace(":", ""))
    files = [str(path) for path in printed.files]
    match printed.outcome:
        case PrintOutcome.CONFIRMED:
            cycle.labelled(template=label.template, digest=label.digest, files=files)
            return printed
        case PrintOutcome.UNKNOWN:
            cycle.label_sent(why=printed.why, template=label.template, files=files)
            raise RecordError("label.unknown", unit=str(proven.unit), why=printed.why)
        case PrintOutcome.NOT_SENT:
            raise RecordError("label.not_sent", unit=str(proven.unit), why=printed.why)
        case other:
            assert_never(other)
