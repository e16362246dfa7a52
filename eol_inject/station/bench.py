"""What a run holds open for all its cycles, frozen when the run starts."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from enum import StrEnum

from eol_inject.device import Rates
from eol_inject.errors import UsageError
from eol_inject.events import Nobody, Observer, Operator
from eol_inject.label import Printer, Template, check_template, load_template, open_printer
from eol_inject.label.printers import scheme_of
from eol_inject.ledger import Ledger
from eol_inject.ledger.label_states import UNIT
from eol_inject.ledger.model import Kind
from eol_inject.profiles import Profile
from eol_inject.scan import Reading, Scanner
from eol_inject.station.pace import Pace
from eol_inject.station.stop import Stop
from eol_inject.station.way import Way
from eol_inject.station.ways import open_way


class Confirm(StrEnum):
    """What has to be seen of a label before its unit is closed."""

    SCAN = "scan"
    PAIR = "pair"
    """First the mark on the board, then the label."""
    PRINTER = "printer"
    NONE = "none"

    @property
    def by_scan(self) -> bool:
        """Whether a person's scan is the proof."""
        return self in {Confirm.SCAN, Confirm.PAIR}


def awake_or_not() -> float:
    """Seconds that never go back, and go on while the computer sleeps, where the system counts
    them: a lease does not wait for a station that was asleep (clock_gettime(2), CLOCK_BOOTTIME)."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


@dataclass(frozen=True, slots=True)
class Bench:
    """The open ends of a station and what it makes. Nothing in it changes during a run."""

    station: str
    operator: str
    profile: Profile
    way: Way
    """How the token gets into a unit, and how it is known what the unit holds."""
    template: Template
    ledger: Ledger
    printer: Printer
    lot: str
    observe: Observer
    confirm: Confirm = Confirm.NONE
    also: Mapping[str, Template] = field(default_factory=dict)
    """Templates of a unit's further labels, by kind."""
    scanner: Scanner | None = None
    scan_timeout_s: float = 300.0
    person: Operator = field(default_factory=Nobody)
    """Who is asked what only a person can see."""
    pace: Pace = field(default_factory=lambda: Pace(Rates(921600, 921600)))
    """Which baud rates each slot bears."""
    stop: Stop = field(default_factory=Stop)
    """Somebody wants to end the run."""
    lane: threading.Lock = field(default_factory=threading.Lock)
    """Held by the slot whose label is on its way: one at a time out of one printer."""
    desk: threading.Lock = field(default_factory=threading.Lock)
    """Held by the slot whose question the scanner, or the person, answers."""
    early: dict[str, Reading] = field(default_factory=dict)
    """By slot: a reading that started its cycle, which may be its unit's serial number; gone with
    that cycle."""
    label_later: bool = False
    """Units stay verified: their labels come from sheets."""
    clock: Callable[[], float] = field(default=awake_or_not)
    """Seconds that never go back."""
    today: Callable[[], date] = lambda: datetime.now(UTC).astimezone().date()
    """For the date on the label: the station's own day."""

    @property
    def templates(self) -> dict[str, Template]:
        """Every label that a unit needs, by kind, in the order of printing."""
        return {UNIT: self.template, **self.also}

    @property
    def watermark(self) -> str | None:
        """Printed on every label of a training ledger."""
        return watermark_of(self.ledger.info.kind)


def open_bench(
    profile: Profile,
    ledger: Ledger,
    *,
    station: str,
    operator: str,
    lot: str,
    printer: str,
    observe: Observer,
    scanner: Scanner | None = None,
    person: Operator | None = None,
    label_later: bool = False,
) -> Bench:
    """Judge the profile's files and template and put the ends together; ``printer`` is a URL.

    Raises ``UsageError``: ``profile.no_label``, ``label.no_scanner``, ``station.serial_scanner``,
    and what image and label raise.
    """
    spec = profile.spec
    if spec.label is None:
        raise UsageError("profile.no_label", profile=profile.name)
    names = {UNIT: spec.label.template, **spec.label.also}
    templates = {kind: load_template(profile.template(name)) for kind, name in names.items()}
    # what is the same on every label is tried now: no unit is written that could not be labelled
    for template in templates.values():
        check_template(
            template,
            profile.public_fields,
            organization=spec.product.organization,
            known=known_texts(profile) | {"lot": lot},
            watermark=watermark_of(ledger.info.kind),
        )
    confirm = confirm_of(profile, printer)
    if confirm.by_scan and scanner is None and not label_later:
        raise UsageError("label.no_scanner", confirm=confirm.value)
    if spec.programmer is not None and spec.programmer.serial is not None and scanner is None:
        raise UsageError("station.serial_scanner")
    stop = Stop()
    return Bench(
        station=station,
        operator=operator,
        profile=profile,
        way=open_way(profile, ledger, aborted=stop.at_once),
        pace=Pace(spec.device.rates),
        stop=stop,
        template=templates.pop(UNIT),
        ledger=ledger,
        printer=open_printer(printer),
        lot=lot,
        observe=observe,
        confirm=confirm,
        also=templates,
        scanner=scanner,
        scan_timeout_s=spec.label.scan_timeout_s,
        person=person or Nobody(),
        label_later=label_later,
    )


def confirm_of(profile: Profile, printer: str) -> Confirm:
    """As the profile says; without a word of it, a real printer's labels are scanned."""
    label = profile.spec.label
    if label is not None and label.confirm is not None:
        return Confirm(label.confirm)
    return Confirm.NONE if scheme_of(printer) == "file" else Confirm.SCAN


def watermark_of(kind: Kind) -> str | None:
    """The word on every label of a ledger of that kind."""
    return "TRAINING" if kind is Kind.TRAINING else None


def known_texts(profile: Profile) -> dict[str, str]:
    """What a product's labels all say alike."""
    product = profile.spec.product
    return {"product_name": product.name, "product": product.id, "role": product.role}
