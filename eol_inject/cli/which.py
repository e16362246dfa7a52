"""What people type, or scan, to name a unit."""

import re
import sys
from typing import TYPE_CHECKING, Final

from eol_inject.cli.answer import tell
from eol_inject.errors import UsageError
from eol_inject.scan import diagnose, unwrap
from eol_inject.unit import AuthToken, ClaimCode, Identifier

if TYPE_CHECKING:
    from eol_inject.ledger import Ledger

_MAC: Final = re.compile(r"[0-9A-Fa-f]{2}([:.-]?[0-9A-Fa-f]{2}){5}")
_NAMED: Final = re.compile(r"([a-z][a-z0-9_]*):(.+)")
_SCAN: Final = "-"


def which_unit(text: str, ledger: "Ledger") -> Identifier | ClaimCode:
    """The unit that ``text`` names; ``-`` reads one line: typed, or scanned from a label.

    Raises ``UsageError``: ``ledger.unknown_unit``, ``which_unit``, ``scan_misread``,
    ``claim_in_arguments``; ``UnitError("device.bad_identity")``.
    """
    if text != _SCAN:
        if "sqr_" in text:
            raise UsageError("ledger.claim_in_arguments")
        return identifier(text, ledger)
    if sys.stdin.isatty():
        tell("Scan the unit's label, or type its number:")
    reading = unwrap(sys.stdin.readline().strip())
    if reading.claim is not None:
        return reading.claim
    known = ledger.named(reading.text)
    if not known and not _is_identifier(reading.text):
        misread = diagnose(reading)
        if misread is not None and misread.misread != "no_claim_code":
            raise UsageError("ledger.scan_misread", why=misread.misread.value.replace("_", " "))
    return identifier(reading.text, ledger)


def identifier(text: str, ledger: "Ledger") -> Identifier:
    """``mac:…``, ``KIND:VALUE``, a bare MAC, or a value that the ledger knows of one unit."""
    if _MAC.fullmatch(text):
        return Identifier("mac", text)
    named = _NAMED.fullmatch(text)
    if named:
        kind, value = named.groups()
        if AuthToken.looks_like(value) and not ledger.named(value):
            raise UsageError("ledger.unknown_unit", which=f"{kind}:[hidden]")
        return Identifier(kind, value)
    known = ledger.named(text)
    if not known:
        # somebody may have scanned the wrong code, and this one must not be repeated
        shown = "[hidden]" if AuthToken.looks_like(text) else text[:80]
        raise UsageError("ledger.unknown_unit", which=shown)
    if len(known) > 1:
        raise UsageError("ledger.which_unit", value=text, known=", ".join(map(str, known)))
    return known[0]


def _is_identifier(text: str) -> bool:
    return _MAC.fullmatch(text) is not None or _NAMED.fullmatch(text) is not None
