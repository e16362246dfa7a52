"""Before a unit is touched: could its cycle be recorded, and its label be made?

A unit must not be written that could not be labelled (line-failures 27), and a simulated unit has
nothing to do on a production ledger, nor a real one on a training ledger.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

from eol_inject.errors import UsageError
from eol_inject.label import check_template
from eol_inject.label.values import of_unit
from eol_inject.ledger.model import Kind
from eol_inject.station import scanning
from eol_inject.station.bench import Bench
from eol_inject.unit import Unit

_FEW: Final = 10
"""Tokens left of a lot from which on it is said."""

_CLOCK_BACK: Final = timedelta(minutes=5)

SIMULATED = "sim"
"""Scheme of a simulated unit's port."""


def ready(bench: Bench, port: str, slot: str) -> None:
    """Raises ``StationError`` or ``UsageError``; nothing has been touched then."""
    same_world(bench.ledger.info.kind, port)
    slot_fits(bench, slot)
    bench.ledger.require_space()
    if bench.label_later or bench.lane.locked():
        return  # another slot's label is on its way: the printer was ready for that one
    bench.printer.preflight()
    if bench.profile.spec.presence.kind != "scan":  # there a scan may be another slot's start
        scanning.forget_earlier(bench.scanner)


def notices(bench: Bench) -> Iterator[tuple[str, str]]:
    """(code, sentence) of what stops nothing yet: a lot that runs out, a clock that went back."""
    product = bench.profile.spec.product
    left = bench.ledger.left(product.id, product.organization, bench.lot, at_most=_FEW)
    if left < _FEW:
        yield "station.pool_low", f"Tokens left in lot {bench.lot}: {left}."
    last = bench.ledger.last_told()
    now = datetime.now(UTC)
    if last is not None and last - now > _CLOCK_BACK:
        behind = int((last - now).total_seconds())
        yield "station.clock_back", f"This computer's clock is {behind} s behind the ledger's log."


def slot_fits(bench: Bench, slot: str) -> None:
    """The slot's name has to fit onto the labels: not to be found out after a unit was written."""
    fields = bench.profile.public_fields
    for template in bench.templates.values():
        check_template(template, fields, known={"slot": slot})


def unit_fits(bench: Bench, unit: Unit) -> None:
    """So has the unit's own number, once it is known: some have 32 digits and more.

    Raises ``UsageError("label.text_too_long")``.
    """
    for template in bench.templates.values():
        check_template(template, bench.profile.public_fields, known=of_unit(unit))


def same_world(kind: Kind, port: str) -> None:
    """Simulated units on training ledgers, real ports on production ledgers, never across.

    Raises ``UsageError``: ``ledger.simulated_on_production``, ``ledger.real_on_training``.
    """
    simulated = port.partition(":")[0].lower() == SIMULATED
    if simulated and kind is Kind.PRODUCTION:
        raise UsageError("ledger.simulated_on_production", port=port)
    if not simulated and kind is Kind.TRAINING:
        raise UsageError("ledger.real_on_training", port=port)
