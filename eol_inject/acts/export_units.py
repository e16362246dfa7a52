"""The units of a lot as a table for a spreadsheet, with no cell that a spreadsheet would run."""

import os
import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

from eol_inject.errors import StationError, UsageError
from eol_inject.ledger.listing import UnitLine

if TYPE_CHECKING:
    import pandas as pd

_FORMULA: Final = re.compile(r"[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
"""What a spreadsheet takes for the beginning of a formula (OWASP, "CSV injection"), wide forms
included: values come from token files and from what people type."""


def frame_of(units: Sequence[UnitLine]) -> "pd.DataFrame":
    """A row a unit, every cell text that stays text."""
    import pandas as pd

    names = list(UnitLine.__dataclass_fields__)
    frame = pd.DataFrame([asdict(one) for one in units], columns=names, dtype=object)
    return frame.map(_text)


def write_csv(units: Sequence[UnitLine], path: Path) -> int:
    """Write the table, owner-only, in UTF-8 with the mark that Excel wants; how many rows.

    Raises ``UsageError("report.output_exists")``, ``StationError("report.no_folder")``.
    """
    frame = frame_of(units)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8-sig", newline="") as file:
            frame.to_csv(file, index=False, lineterminator="\r\n")
    except FileExistsError:
        raise UsageError("report.output_exists", path=str(path)) from None
    except OSError as error:
        raise StationError("report.no_folder", path=str(path), why=error.strerror or "") from error
    return len(frame)


def counts(units: Sequence[UnitLine]) -> dict[str, dict[str, int]]:
    """Lot → state → units, in the order of the states' first appearance."""
    frame = frame_of(units)
    if frame.empty:
        return {}
    sizes = frame.groupby(["lot", "state"], sort=False).size().reset_index(name="units")
    found: dict[str, dict[str, int]] = {}
    for row in sizes.to_dict("records"):
        found.setdefault(str(row["lot"]), {})[str(row["state"])] = int(row["units"])
    return found


def _text(value: object) -> object:
    if isinstance(value, int):
        return value
    text = "" if value is None else str(value)
    return f"'{text}" if _FORMULA.match(text) else text
