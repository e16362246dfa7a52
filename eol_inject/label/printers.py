"""The seam to whatever takes a label: one URL, three outcomes.

"Job completed" is not "label printed": a socket that took the bytes proves nothing, so a printer
answers ``not_sent``, ``confirmed`` or ``unknown``, and nothing reprints by itself on ``unknown``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import Final, Protocol, cast

from eol_inject.errors import UsageError
from eol_inject.label.bitmap import Label


class PrintOutcome(StrEnum):
    """What is known after a label was handed to a printer."""

    NOT_SENT = "not_sent"
    CONFIRMED = "confirmed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Printed:
    """How one print went. ``why`` is empty or one public phrase; ``files`` are what was written."""

    outcome: PrintOutcome
    why: str = ""
    files: tuple[Path, ...] = ()


class Printer(Protocol):
    """A sink of labels."""

    @property
    def url(self) -> str:
        """The URL it was opened with, for records."""
        ...

    def preflight(self) -> None:
        """Prove that a label would come out now, before a token is reserved for it.

        Raises ``StationError("label.printer_not_ready")``.
        """
        ...

    def print(self, label: Label, *, name: str) -> Printed:
        """Print one copy. ``name`` identifies unit and copy in file and job names; never a token.

        A printer that cannot take it answers ``not_sent`` and why: the unit is good, its label is
        missing, and that is for the cycle to say.
        """
        ...


SINKS: Final[Mapping[str, str]] = {
    "file": "eol_inject.label.folder:open_folder",
    "zpl": "eol_inject.label.zpl_printer:open_tcp",
    "ipp": "eol_inject.label.ipp_url:open_ipp",
    "cups": "eol_inject.label.ipp_url:open_cups",
    "zpl+usb": "eol_inject.label.zpl_printer:open_usb",
}
"""Scheme → ``module:attr`` of a function ``(url) -> Printer``, imported when first used."""


def open_printer(url: str) -> Printer:
    """The printer of a URL; a plain path is a folder. Opens no connection yet.

    Raises ``UsageError``: ``label.unknown_printer``, ``label.bad_printer_url``.
    """
    scheme = scheme_of(url)
    target = SINKS.get(scheme)
    if target is None:
        raise UsageError("label.unknown_printer", scheme=scheme, known=", ".join(sorted(SINKS)))
    module, _, attribute = target.partition(":")
    return cast(Printer, getattr(import_module(module), attribute)(url))


def scheme_of(url: str) -> str:
    """The scheme in lower case; ``file`` for a plain path, a Windows drive included."""
    scheme, colon, rest = url.partition(":")
    if rest.startswith("//"):
        return scheme.lower()  # also one that is misspelt: it is no folder's name
    if not colon or len(scheme) == 1 or not scheme.replace("+", "").replace("-", "").isalnum():
        return "file"
    return scheme.lower()
