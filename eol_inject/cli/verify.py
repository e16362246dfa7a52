"""``eol-inject verify``: QA's command for any connected unit."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from eol_inject.cli.answer import Answer, tell
from eol_inject.cli.common import (
    Workplace,
    json_option,
    port_option,
    profile_option,
    with_workplace,
)
from eol_inject.cli.scanners import readings_of, scanner_option
from eol_inject.errors import UsageError
from eol_inject.events import Outcome

if TYPE_CHECKING:
    import re

    from eol_inject.acts.verify_unit import UnitVerdict
    from eol_inject.ledger import Ledger
    from eol_inject.profiles import Profile
    from eol_inject.station.way import AskSerial


@click.command()
@profile_option
@port_option
@click.option("--scan", is_flag=True, help="Scan the label that sticks on it, and compare.")
@scanner_option
@json_option
@with_workplace
def verify(
    workplace: Workplace, profile: str, port: str, scan: bool, scanner: str | None, as_json: bool
) -> Answer:
    """Tell whose token a connected unit would use.

    Reads the unit's flash, or asks its firmware where that tells its token; asks the ledger, writes
    nothing. The token itself is never shown. With --scan
    the label on the unit has to be its own.
    """
    from eol_inject import profiles, report
    from eol_inject.acts.verify_unit import compare_label
    from eol_inject.station.preflight import same_world

    product = profiles.load(profile)
    look = _looker(product, scanner)
    with closing(workplace.open_ledger()) as ledger:
        same_world(ledger.info.kind, port)
        found = look(port, ledger)
        if scan and found.failure is None:
            readings = readings_of(scanner, "Scan the label on the unit:")
            found = compare_label(found, ledger, readings)
    facts = {
        "unit": found.unit,
        "chip": found.chip,
        "holds": found.holding.value.replace("_", " "),
        "given to": found.holder,
        "state": found.state,
        "product": found.product,
        "lot": found.lot,
        "claim code": f"…{found.claim_tail}" if found.claim_tail else "",
        "label": found.label,
        "application": found.boots,
        "seal": {True: "valid", False: "broken", None: ""}[found.seal_ok],
    }
    places = [
        (p.name, f"{p.address:#x}", p.state, "yes" if p.used else "", p.why) for p in found.places
    ]
    return Answer(
        data={
            "unit": found.unit,
            "hardware_id": found.unit,
            "chip": found.chip,
            "holding": found.holding.value,
            "holder": found.holder or None,
            "state": found.state or None,
            "product": found.product or None,
            "lot": found.lot or None,
            "claim_tail": found.claim_tail or None,
            "label": found.label or None,
            "boots": found.boots or None,
            "seal_ok": found.seal_ok,
            "places": [asdict(place) for place in found.places],
        },
        lines=[
            "PASS  this unit holds its own token" if found.failure is None else "FAIL",
            report.pairs(facts),
            "",
            report.table(("place", "address", "state", "used", "remark"), places),
        ],
        outcome=Outcome.of(found.failure.exit) if found.failure else Outcome.PASS,
        failure=found.told,
    )


def _looker(product: "Profile", scanner: str | None) -> "Callable[[str, Ledger], UnitVerdict]":
    """How a unit of this product is read: its flash, by a programmer, or what its firmware tells.

    Raises before a port is opened: ``UsageError("verify.not_told")``, or image's own codes.
    """
    from eol_inject.acts.verify_unit import verify_console_unit, verify_unit
    from eol_inject.device import open_device
    from eol_inject.station.console_way import open_console_way
    from eol_inject.station.golden import load_firmware, where
    from eol_inject.station.way import nobody_waits

    spec = product.spec
    if spec.console is not None:
        if spec.console.blind:
            raise UsageError("verify.not_told", profile=product.name)

        def told(port: str, ledger: "Ledger") -> "UnitVerdict":
            way = open_console_way(product, ledger, aborted=lambda: False)
            ask = _serial_asked(scanner)
            with way.open(port, spec.device.rates, ask, nobody_waits) as hand:
                return verify_console_unit(hand, ledger, product=spec.product.id)

        return told
    if spec.programmer is not None:
        return _programmer_looker(product, scanner)
    files = load_firmware(product)

    def read(port: str, ledger: "Ledger") -> "UnitVerdict":
        with open_device(port, spec.device) as device:
            return verify_unit(
                device, ledger, where(product, files), files, product=spec.product.id
            )

    return read


def _programmer_looker(
    product: "Profile", scanner: str | None
) -> "Callable[[str, Ledger], UnitVerdict]":
    from eol_inject.acts.verify_unit import verify_programmed_unit
    from eol_inject.station.programmer_way import open_programmer_way
    from eol_inject.station.way import nobody_waits

    spec = product.spec
    if spec.programmer is None or spec.programmer.proof == "reply":
        raise UsageError("verify.not_told", profile=product.name)

    def read(port: str, ledger: "Ledger") -> "UnitVerdict":
        way = open_programmer_way(product, ledger)
        ask = _serial_asked(scanner)
        with way.open(port, spec.device.rates, ask, nobody_waits) as hand:
            return verify_programmed_unit(hand, ledger, product=spec.product.id)

    return read


def _serial_asked(scanner: str | None) -> "AskSerial":
    """Asks for the serial number of the unit, until one is scanned."""
    from eol_inject.station.scanning import is_serial

    def ask(looks_like: "re.Pattern[str]") -> str:
        with closing(readings_of(scanner, "Scan the serial number on the unit:")) as readings:
            for reading in readings:
                if is_serial(reading, looks_like):
                    return reading.text.strip()
                tell("This is no serial number of this product. Scan the number on the unit:")
        raise UsageError("label.nothing_scanned")

    return ask
