"""Before a unit is touched: could its cycle be recorded, and its label be made?

A unit must not be written that could not be labelled (line-failures 27), and a simulated unit has
nothing to do on a production ledger, nor a real one on a training ledger.
"""

from eol_inject.errors import UsageError
from eol_inject.label import check_template
from eol_inject.ledger.model import Kind
from eol_inject.station.bench import Bench

SIMULATED = "sim"
"""Scheme of a simulated unit's port."""


def ready(bench: Bench, port: str, slot: str) -> None:
    """Raises ``StationError`` or ``UsageError``; nothing has been touched then."""
    same_world(bench.ledger.info.kind, port)
    slot_fits(bench, slot)
    if not bench.label_later:
        bench.printer.preflight()


def slot_fits(bench: Bench, slot: str) -> None:
    """The slot's name has to fit onto the labels: not to be found out after a unit was written."""
    fields = bench.profile.public_fields
    for template in bench.templates.values():
        check_template(template, fields, known={"slot": slot})


def same_world(kind: Kind, port: str) -> None:
    """Simulated units on training ledgers, real ports on production ledgers, never across.

    Raises ``UsageError``: ``ledger.simulated_on_production``, ``ledger.real_on_training``.
    """
    simulated = port.partition(":")[0].lower() == SIMULATED
    if simulated and kind is Kind.PRODUCTION:
        raise UsageError("ledger.simulated_on_production", port=port)
    if not simulated and kind is Kind.TRAINING:
        raise UsageError("ledger.real_on_training", port=port)
