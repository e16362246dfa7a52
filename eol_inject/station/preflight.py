"""Before a unit is touched: could its cycle be recorded, and its label be made?

A unit must not be written that could not be labelled (line-failures 27), and a simulated unit has
nothing to do on a production ledger, nor a real one on a training ledger.
"""

from eol_inject.errors import UsageError
from eol_inject.ledger.model import Kind
from eol_inject.station.bench import Bench

SIMULATED = "sim://"


def ready(bench: Bench, port: str) -> None:
    """Raises ``StationError`` or ``UsageError``; nothing has been touched then."""
    same_world(bench.ledger.info.kind, port)
    bench.printer.preflight()


def same_world(kind: Kind, port: str) -> None:
    """Simulated units on training ledgers, real ports on production ledgers, never across.

    Raises ``UsageError``: ``ledger.simulated_on_production``, ``ledger.real_on_training``.
    """
    simulated = port.startswith(SIMULATED)
    if simulated and kind is Kind.PRODUCTION:
        raise UsageError("ledger.simulated_on_production", port=port)
    if not simulated and kind is Kind.TRAINING:
        raise UsageError("ledger.real_on_training", port=port)
