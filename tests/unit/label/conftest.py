"""Made-up units for labels. Their ``Proven`` is built here, as only the ledger may do elsewhere."""

from collections.abc import Callable
from typing import Any

import pytest

from eol_inject.label import Template, load_template
from eol_inject.unit import ClaimCode, Identifier, Proof, Proven, Unit

CLAIM = "sqr_gCCsLSydh3d0ArmZj50l9zr79JXVooBR+1"
EXTRA = {"product_name": "Room Climate Sensor", "date": "2026-11-22"}

MakeProven = Callable[..., Proven]


def proven_unit(**changes: Any) -> Proven:
    """One unit's record; ``changes`` replace single facts of it."""
    facts: dict[str, Any] = {
        "unit": Unit(Identifier("mac", "34:85:18:aa:b6:01")),
        "role": "self",
        "assignment": 7,
        "claim": ClaimCode.parse(CLAIM),
        "product": "TMPL4mK2xQb7c",
        "lot": "2026-W47-A",
        "proof": Proof.READ_BACK,
        "fields": {},
    }
    return Proven(**(facts | changes))


@pytest.fixture
def make_proven() -> MakeProven:
    return proven_unit


@pytest.fixture
def proven() -> Proven:
    return proven_unit()


@pytest.fixture
def extra() -> dict[str, str]:
    return dict(EXTRA)


@pytest.fixture
def template() -> Template:
    return load_template("claim-50x25-203")
