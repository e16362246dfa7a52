"""Pure readers of what a unit holds, over ``read(address, size)``. Shares no code with ``image/``.

``inspect`` looks at every place where the firmware would look; ``classify`` says whose the tokens
found are; ``decode_region``, ``check_seal`` and ``against_golden`` judge what was read back.
"""

from eol_inject.verify.application import Seal, check_seal
from eol_inject.verify.composed import ComposedReader, Md5, Proved, prove
from eol_inject.verify.content import Content as RegionContent
from eol_inject.verify.content import PlaceState
from eol_inject.verify.flash import Reader
from eol_inject.verify.golden import against_golden
from eol_inject.verify.holding import (
    Holder,
    Holding,
    LookUp,
    classify,
    disagreement,
    distinct,
    torn_error,
)
from eol_inject.verify.memories import survey as inspect_memory
from eol_inject.verify.memories import tokens as tokens_in
from eol_inject.verify.places import Findings, Place, PlaceKind, TableState, stale_nvs
from eol_inject.verify.regions import decode_region
from eol_inject.verify.spec import InMemory, InspectSpec, Where
from eol_inject.verify.survey import inspect

__all__ = [
    "ComposedReader",
    "Findings",
    "Holder",
    "Holding",
    "InMemory",
    "InspectSpec",
    "LookUp",
    "Md5",
    "Place",
    "PlaceKind",
    "PlaceState",
    "Proved",
    "Reader",
    "RegionContent",
    "Seal",
    "TableState",
    "Where",
    "against_golden",
    "check_seal",
    "classify",
    "decode_region",
    "disagreement",
    "distinct",
    "inspect",
    "inspect_memory",
    "prove",
    "stale_nvs",
    "tokens_in",
    "torn_error",
]
