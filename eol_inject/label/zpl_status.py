"""What a Zebra printer says about itself: ``~HQES``, ``~HS``, ``~HI`` and its label counter.

Sources: docs.zebra.com, ZPL II programming guide, ``~HQ``, ``~HS``, ``~HI``; SGD
``odometer.total_label_count``. Whatever is not understood counts as not ready.
"""

import re
from dataclasses import dataclass
from typing import Final

ERRORS_AND_WARNINGS: Final = b"~HQES"
HOST_STATUS: Final = b"~HS"
IDENTITY: Final = b"~HI"
CLEAR: Final = b"~JA"
LABEL_COUNT: Final = b'! U1 getvar "odometer.total_label_count"\r\n'

ERROR_BITS: Final = {
    0x00000001: "media out",
    0x00000002: "ribbon out",
    0x00000004: "head open",
    0x00000008: "cutter fault",
    0x00000010: "printhead too hot",
    0x00000020: "motor too hot",
    0x00000040: "bad printhead element",
    0x00000080: "printhead not detected",
    0x00000100: "invalid firmware",
    0x00000200: "printhead thermistor open",
    0x00001000: "paper jam while retracting",
    0x00002000: "presenter not running",
    0x00004000: "paper feed error",
    0x00008000: "paper path not clear",
    0x00010000: "paused",
    0x00020000: "retract timed out",
    0x00040000: "black mark needs calibration",
    0x00080000: "black mark not found",
}
"""Error group 1 of ``~HQES``; each bit may stand beside others."""

_ERRORS: Final = re.compile(r"ERRORS:\s*([01])\s+([0-9A-Fa-f]{8})\s+([0-9A-Fa-f]{8})")
_STRINGS: Final = re.compile(rb"\x02([^\x02\x03]*)\x03")
_DOTS_PER_MM: Final = re.compile(r"\x02[^,\x03]*,[^,\x03]*,\s*(\d{1,2})\s*,")
_COUNT: Final = re.compile(r'"(\d{1,12})"')
_ENDS: Final = {
    ERRORS_AND_WARNINGS: (b"\x03", 1),
    HOST_STATUS: (b"\x03", 3),
    IDENTITY: (b"\x03", 1),
    LABEL_COUNT: (b'"', 2),
}
"""Query → what ends its answer, and how often that has to come: ``~HS`` has three strings."""


@dataclass(frozen=True, slots=True)
class HostStatus:
    """The parts of ``~HS`` that matter: is anything wrong, is anything left to print."""

    paper_out: bool
    paused: bool
    formats_waiting: int
    head_open: bool
    ribbon_out: bool
    label_waiting: bool
    labels_remaining: int

    @property
    def fault(self) -> str:
        """The first thing that stops printing, or empty."""
        faults = (
            (self.paper_out, "media out"),
            (self.head_open, "head open"),
            (self.ribbon_out, "ribbon out"),
            (self.paused, "paused"),
        )
        return next((name for wrong, name in faults if wrong), "")

    @property
    def idle(self) -> bool:
        """Nothing received is still waiting to be printed."""
        return self.formats_waiting == 0 and self.labels_remaining == 0


def errors_of(answer: bytes) -> str | None:
    """The errors ``~HQES`` tells, comma-separated; empty for none, None for no valid answer."""
    found = _ERRORS.search(answer.decode("ascii", "replace"))
    if found is None:
        return None
    flag, group2, group1 = (int(part, 16) for part in found.groups())
    names = [name for bit, name in ERROR_BITS.items() if group1 & bit]
    unknown = group1 & ~sum(ERROR_BITS)
    if unknown or group2:
        names.append(f"unknown error {group2:08X} {unknown:08X}")
    if flag and not names:
        names.append("unknown error")
    return ", ".join(names)


def host_status_of(answer: bytes) -> HostStatus | None:
    """The three strings of ``~HS``, or None where they are not complete or not as documented."""
    strings = [part.decode("ascii", "replace").split(",") for part in _STRINGS.findall(answer)]
    try:
        one, two, _ = strings
        return HostStatus(
            paper_out=_flag(one[1]),
            paused=_flag(one[2]),
            formats_waiting=int(one[4]),
            head_open=_flag(two[2]),
            ribbon_out=_flag(two[3]),
            label_waiting=_flag(two[7]),
            labels_remaining=int(two[8]),
        )
    except (ValueError, IndexError):
        return None


def dots_per_mm_of(answer: bytes) -> int | None:
    """The third field of ``~HI``: 6, 8, 12 or 24 dots a millimetre."""
    found = _DOTS_PER_MM.search(answer.decode("ascii", "replace"))
    return int(found[1]) if found else None


def count_of(answer: bytes) -> int | None:
    """The quoted number of ``odometer.total_label_count``; None where the printer says ``"?"``."""
    found = _COUNT.search(answer.decode("ascii", "replace"))
    return int(found[1]) if found else None


def complete(query: bytes, answer: bytes) -> bool:
    """Whether nothing more of the answer to ``query`` has to be waited for."""
    mark, times = _ENDS[query]
    return answer.count(mark) >= times


def _flag(field: str) -> bool:
    if field not in {"0", "1"}:
        raise ValueError("not a flag")
    return field == "1"
