"""The base of every stage's spec, and the one way from a TOML table to it.

Unknown keys are errors that name the nearest known one; values never echo in messages.
"""

import difflib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from eol_inject.errors import UsageError


class Spec(BaseModel):
    """A table of a profile or template. Frozen, so one cycle sees one profile."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, validate_default=True
    )


AnySpec = TypeVar("AnySpec", bound=Spec)


def read_toml(path: Path, *, stage: str) -> tuple[bytes, dict[str, Any]]:
    """A file's bytes and its table.

    Raises ``UsageError`` with ``{stage}.unreadable`` or ``{stage}.not_toml``.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{stage}.unreadable", path=str(path), why=error.strerror) from error
    try:
        return data, tomllib.loads(data.decode("utf-8-sig"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{stage}.not_toml", path=str(path), why=str(error)) from error


def parse(model: type[AnySpec], table: Mapping[str, Any], *, stage: str, source: str) -> AnySpec:
    """``table`` as a ``model``.

    Raises ``UsageError`` with ``{stage}.unknown_key`` (``key``, ``nearest``) or ``{stage}.invalid``
    (``key``, ``why``) for the first thing that is wrong; ``source`` says where it stands.
    """
    try:
        return model.model_validate(table)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False, include_context=False)
    # a misspelt key is an unknown one and a missing one: the first says what to correct
    first = next((one for one in found if one["type"] == "extra_forbidden"), found[0])
    schema = model.model_json_schema()
    names, known = _walk(schema, first["loc"][:-1])
    key = ".".join((*names, str(first["loc"][-1]))) if first["loc"] else "(top)"
    more = len(first["loc"]) > 0 and first["type"] == "extra_forbidden"
    if more:
        close = difflib.get_close_matches(str(first["loc"][-1]), known, n=1, cutoff=0.5)
        nearest = f"did you mean '{close[0]}'?" if close else f"known here: {', '.join(known)}."
        raise UsageError(f"{stage}.unknown_key", source=source, key=key, nearest=nearest)
    why = first["msg"].removeprefix("Value error, ")
    raise UsageError(f"{stage}.invalid", source=source, key=key, why=why)


def _walk(schema: dict[str, Any], loc: tuple[int | str, ...]) -> tuple[list[str], list[str]]:
    """The names on the way to ``loc`` as a reader sees them, and the keys known there."""
    node, names = schema, []
    for part in loc:
        node = _resolve(schema, node)
        if "properties" in node and part in node["properties"]:
            names.append(str(part))
            node = node["properties"][part]
        elif isinstance(part, int):
            names.append(f"[{part + 1}]")
            node = node.get("items", {})
        elif part in node.get("discriminator", {}).get("mapping", {}):
            node = {"$ref": node["discriminator"]["mapping"][part]}
        elif isinstance(node.get("additionalProperties"), dict):
            names.append(str(part))
            node = node["additionalProperties"]
    return names, sorted(_resolve(schema, node).get("properties", {}))


def _resolve(schema: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    """Follow references, and an optional table to the table."""
    while True:
        options = [o for o in node.get("anyOf", []) if o.get("type") != "null"]
        if len(options) == 1:
            node = options[0]
        elif "$ref" in node:
            node = schema["$defs"][node["$ref"].rsplit("/", 1)[-1]]
        else:
            return node
