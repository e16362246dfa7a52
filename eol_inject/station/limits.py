"""When to stop trying: a unit that keeps failing, a slot that fails one unit after another alike.

A bad fixture must not use up forty good units (line-failures 26). Both limits are read from the
ledger's attempts, so they outlast the program.
"""

from collections.abc import Sequence
from typing import Final

from eol_inject.errors import EolError, StationError
from eol_inject.events import Outcome
from eol_inject.ledger import Cycle, Tried
from eol_inject.station.bench import Bench

_LOOK_BACK: Final = 200
"""Attempts looked at; more than any limit."""

FIXTURE: Final = frozenset(
    {
        "device.no_sync", "device.wrong_boot_mode", "device.tx_down", "device.no_answer",
        "device.garbled", "device.refused", "device.baud_refused", "device.stub_failed",
        "device.needs_stub", "device.chip_crashed", "device.esptool_failed", "device.port_lost",
        "device.deadline", "device.unit_changed", "device.md5_mismatch", "device.flash_refused",
        "device.no_flash", "device.boot_silent", "device.boot_refused", "device.boot_loop",
        "verify.md5_mismatch", "verify.sector_differs", "verify.no_token", "verify.seal_broken",
        "verify.region_differs", "verify.short_read",
        "device.console_not_ready", "device.console_silent", "device.console_refused",
        "device.programmer_failed", "device.programmer_hung", "device.programmer_output",
        "device.other_answer", "device.verify_failed", "verify.memory_differs",
    }
)  # fmt: skip
"""What a bad fixture, cable or port can be behind. What a unit holds, what it is, and what the
station lacks says nothing about the slot."""

BLOCKED: Final = "station.slot_blocked"
"""Left out of the count: however many units are tried in a blocked slot, it stays so."""

GOOD: Final = "ledger.unit_closed"
"""How the attempt of a known good unit ends: it is finished, and its own token was read from it."""


def slot_failure(tried: Sequence[Tried], limit: int) -> str:
    """The code by which the last ``limit`` units failed alike, newest first; empty where not.

    Attempts on one unit count once; those that never learnt their unit count each. What says
    nothing about the slot is passed over.
    """
    units: set[int] = set()
    count, code = 0, ""
    for one in tried:
        if one.outcome == Outcome.PASS or one.code == GOOD:
            break
        if one.code not in FIXTURE or one.unit in units:
            continue
        if code and one.code != code:
            break
        code = one.code
        count += 1
        if one.unit is not None:
            units.add(one.unit)
        if count == limit:
            return code
    return ""


def unit_failures(tried: Sequence[Tried]) -> int:
    """How many of the unit's latest attempts failed in a row, by the unit or on the way to it."""
    count = 0
    for one in tried:
        if one.outcome == Outcome.PASS:
            break
        count += one.code in FIXTURE
    return count


def blocked_slot(bench: Bench, slot: str) -> StationError | None:
    """Why only a known good unit may go on in this slot; None where any may."""
    limit = bench.profile.spec.limits.equal_failures
    if not limit:
        return None
    code = slot_failure(bench.ledger.tried_at(slot, _LOOK_BACK, but=BLOCKED), limit)
    if not code:
        return None
    return StationError("station.slot_blocked", slot=slot, count=limit, failure=code)


def block_unit(bench: Bench, cycle: Cycle, error: EolError) -> str:
    """Block the unit whose attempt has just failed once too often; why, or empty."""
    limit = bench.profile.spec.limits.attempts_per_unit
    if not limit or error.code not in FIXTURE:
        return ""
    if 1 + unit_failures(cycle.tried(_LOOK_BACK)) < limit:
        return ""
    why = f"{limit} attempts in a row failed, the last by {error.code}"
    return why if cycle.block(why) else ""
