"""Names of label files and print jobs: seen by everybody, so never a token."""

import re
from typing import Final

from eol_inject.errors import UsageError

_LONGEST_NAME: Final = 80
_TOKEN_RUN: Final = re.compile(r"[A-Za-z0-9_-]{32,}")
_RESERVED: Final = frozenset(
    {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))}
)
"""Names that Windows gives to devices, whatever the extension."""


def safe_name(name: str) -> str:
    """A file name from an identity: letters, digits, dot, dash, underscore, at most 80 of them.

    Raises ``UsageError("label.bad_name")`` for an empty one and for what looks like a token.
    """
    safe = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")
    if not safe or len(safe) > _LONGEST_NAME:
        raise UsageError("label.bad_name", why="it is empty or too long")
    if _TOKEN_RUN.search(safe) or "sqr_" in safe.lower():
        raise UsageError("label.bad_name", why="it looks like a token")
    if safe.split(".")[0].lower() in _RESERVED:
        safe = f"unit-{safe}"
    return safe
