"""What an IPP printer says is the matter with it: ``printer-state-reasons`` in plain words.

Source: RFC 8011, 5.4.12. A reason may end in ``-report``, ``-warning`` or ``-error``; printers
differ in which they give to an empty roll, so what stops a label is told by its name.
"""

from collections.abc import Iterable
from typing import Final

FAULTS: Final = {
    "media-empty": "media out",
    "media-needed": "media out",
    "media-jam": "media jam",
    "input-tray-missing": "tray missing",
    "input-media-supply-empty": "media out",
    "output-area-full": "output full",
    "output-tray-missing": "output tray missing",
    "cover-open": "cover open",
    "door-open": "cover open",
    "interlock-open": "cover open",
    "marker-supply-empty": "ribbon or ink out",
    "marker-supply-missing": "ribbon or ink missing",
    "marker-waste-full": "waste full",
    "toner-empty": "toner out",
    "offline": "offline",
    "timed-out": "offline",
    "shutdown": "shut down",
    "paused": "paused",
    "moving-to-paused": "paused",
    "stopped-partly": "stopped",
    "spool-area-full": "its memory is full",
    "cups-missing-filter": "its driver is incomplete",
    "cups-insecure-filter": "its driver is incomplete",
}
"""Reasons that stop a label, whatever their suffix."""

_HARMLESS: Final = frozenset(
    {
        "none",
        "media-low",
        "input-media-supply-low",
        "marker-supply-low",
        "marker-waste-almost-full",
        "toner-low",
        "output-area-almost-full",
        "developer-low",
        "opc-near-eol",
        "connecting-to-device",
        "cups-waiting-for-job-completed",
        "identify-printer-requested",
        "wifi-not-configured",
        "hold-new-jobs",
    }
)
"""Reasons with which labels come out; a job that is held shows itself."""

_SUFFIXES: Final = ("-report", "-warning", "-error")


def fault_of(reasons: Iterable[str]) -> str:
    """Why no label would come out, each reason once; empty where one would.

    A reason that is not known counts as a fault, unless the printer itself calls it a report or a
    warning.
    """
    found: dict[str, None] = {}
    for reason in reasons:
        stem, suffix = _split(reason)
        word = FAULTS.get(stem)
        if word is None and stem not in _HARMLESS and suffix in {"", "-error"}:
            word = _shown(stem)
        if word is not None:
            found[word] = None
    return ", ".join(found)


def _split(reason: str) -> tuple[str, str]:
    for suffix in _SUFFIXES:
        if reason.endswith(suffix):
            return reason.removesuffix(suffix), suffix
    return reason, ""


def _shown(reason: str) -> str:
    """A stranger's keyword, as far as it is one."""
    return "".join(c for c in reason if c.isalnum() or c in "-._")[:60] or "an unnamed fault"
