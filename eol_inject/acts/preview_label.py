"""A template with made-up values, as it would be printed.

A label comes from a ``Proven`` and from nothing else, and only a ledger makes one. So a preview
takes a made-up unit through a training ledger of its own, which is gone afterwards.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from eol_inject.label import Label, Template, render
from eol_inject.label.spec import Code128Element, TextElement
from eol_inject.label.values import BUILT_IN, EXTRA, names_in
from eol_inject.ledger import CycleFacts, Keys, Kind, Ledger, open_ledger
from eol_inject.unit import AuthToken, ClaimCode, Identifier, Proof, Proven, StaticToken, Unit

_PRODUCT: Final = "SAMPLE"
_AUTH: Final = "SAMPLE_of_no_unit".ljust(32, "_")
_QR: Final = "sqr_" + "SAMPLE_claims_nothing".ljust(26, "_") + "SAMPLE"
_EXTRA: Final = {
    "product_name": "Sample product",
    "date": "2026-01-31",
    "label_id": "K7QX",
    "copy": "1",
    "slot": "1",
}


def preview_label(template: Template, *, organization: int) -> Label:
    """The label of a made-up unit of ``organization``, marked SAMPLE where there is a place for it.

    Raises what ``label.render`` raises for values of usual length.
    """
    names = {
        name
        for element in template.spec.elements
        if isinstance(element, TextElement | Code128Element)
        for name in names_in(element.text)
    }
    kinds = {name.removeprefix("unit.") for name in names if name.startswith("unit.")} - {"mac"}
    unit = Unit(
        Identifier("mac", "60:55:f9:00:00:01"),
        tuple(Identifier(kind, "SAMPLE-0001") for kind in sorted(kinds)),
    )
    own = {name for name in names - BUILT_IN - EXTRA if not name.startswith("unit.")}
    with _sample_ledger() as ledger:
        proven = _proven(ledger, unit, organization, {name: name.upper() for name in sorted(own)})
    mark = "SAMPLE" if template.spec.watermark else None
    return render(proven, template, extra=_EXTRA, watermark=mark)


@contextmanager
def _sample_ledger() -> Iterator[Ledger]:
    # it holds made-up tokens only; Windows cannot delete a file that SQLite still has open
    with (
        TemporaryDirectory(prefix="eol-inject-") as folder,
        open_ledger(
            f"sqlite:///{Path(folder) / 'sample.db'}",
            keys=Keys.new(),
            station="sample",
            create=Kind.TRAINING,
        ) as ledger,
    ):
        yield ledger


def _proven(ledger: Ledger, unit: Unit, organization: int, fields: dict[str, str]) -> Proven:
    auth = AuthToken(_AUTH)
    ledger.import_tokens(
        [StaticToken(auth, ClaimCode(_QR, organization), row=1, fields=fields)],
        product=_PRODUCT,
        lot="SAMPLE",
        organization=organization,
        source_sha256="",
        operator="sample",
    )
    cycle = ledger.begin_cycle(unit, slot="1", operator="sample", traceability=CycleFacts())
    cycle.reserve(_PRODUCT, organization, "SAMPLE")
    cycle.begin_writing()
    cycle.written()
    return cycle.prove(auth, Proof.READ_BACK)
