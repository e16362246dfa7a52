"""Fills a region's value templates: ``{auth}`` and the names of ``[fields]``."""

from collections.abc import Mapping
from string import Formatter

from eol_inject.errors import UsageError
from eol_inject.unit import AuthToken, Secret


def fill(template: str, auth: AuthToken, fields: Mapping[str, str | Secret]) -> str:
    """``template`` with every name in braces replaced; the result is as secret as its parts.

    Raises ``UsageError("image.field_missing")`` for a name without a value.
    """
    parts: list[str] = []
    for text, name, _spec, _conversion in Formatter().parse(template):
        parts.append(text)
        if name is None:
            continue
        value = auth if name == "auth" else fields.get(name)
        if value is None:
            raise UsageError("image.field_missing", field=name)
        parts.append(value.reveal() if isinstance(value, Secret) else value)
    return "".join(parts)
