"""Reads a value back through the template it was written with: ``id={serial};{auth}``."""

import re
from string import Formatter
from typing import Final

AUTH: Final = "auth"


def names(template: str) -> tuple[str, ...]:
    """The names in braces, in order."""
    return tuple(name for _, name, _, _ in Formatter().parse(template) if name is not None)


def read(template: str, text: str) -> dict[str, str] | None:
    """Name → what stands in its place; None where ``text`` cannot come from ``template``.

    Where two names touch, the first takes as little as it can. Secret, as ``text`` is.
    """
    pattern = ""
    groups: list[str] = []
    for literal, name, _, _ in Formatter().parse(template):
        pattern += re.escape(literal)
        if name is None:
            continue
        if name in groups:
            pattern += f"(?P=g{groups.index(name)})"
        else:
            pattern += f"(?P<g{len(groups)}>.*?)"
            groups.append(name)
    found = re.fullmatch(pattern, text, re.DOTALL)
    if found is None:
        return None
    return {name: found[f"g{number}"] for number, name in enumerate(groups)}
