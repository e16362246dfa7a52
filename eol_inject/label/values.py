"""What a label may say: the names a template can use, and the texts a value may not be.

The renderer is given a ``Proven``, which has no secret. What is refused here are public values
that would print as something else: text with control or bidirectional characters, and anything
that looks like an AuthToken or a claim code (line-failures 1 to 3).
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from string import Formatter
from typing import Final

from eol_inject.errors import RecordError, UsageError
from eol_inject.unit import Proven, Unit, long_number

BUILT_IN: Final = frozenset({"unit", "unit_kind", "product", "lot", "tail", "role"})
"""Names every label has; ``unit.KIND`` besides, for each identifier the unit has."""

EXTRA: Final = frozenset({"product_name", "date", "label_id", "copy", "slot"})
"""Names whose values the caller passes to ``render``."""

LONGEST: Final = 200
"""Characters of one value. Longer ones are damage: a label has no room for them."""

_UNIT_KIND: Final = re.compile(r"unit\.[a-z][a-z0-9_]{0,30}")
_FIELD: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
_MAC_KINDS: Final = frozenset({"mac", "base_mac", "bt_mac"})
_TOKEN_RUN: Final = re.compile(r"[A-Za-z0-9_-]{32,}")
_UUID: Final = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_REFUSED: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Mn", "Mc", "Me"})
"""Unicode categories that draw nothing, reorder or pile up: control, format, surrogate, private,
unassigned, separators of lines and paragraphs, combining marks left over after NFC."""


def names_in(text: str) -> tuple[str, ...]:
    """The placeholders of a template's text, in order.

    Raises ``ValueError`` with a reason for a stray brace, a format specification or an index:
    a placeholder is a bare name.
    """
    names = []
    for _, name, spec, conversion in Formatter().parse(text):
        if name is None:
            continue
        if spec or conversion:
            raise ValueError(f"{{{name}}} takes no format after it")
        if not (_FIELD.fullmatch(name) or _UNIT_KIND.fullmatch(name)):
            raise ValueError(f"'{{{name}}}' is not a field name")
        names.append(name)
    return tuple(names)


def is_known(name: str, fields: Iterable[str]) -> bool:
    """Whether a template may use ``name``, given the profile's public fields."""
    return name in BUILT_IN or name in EXTRA or name in fields or bool(_UNIT_KIND.fullmatch(name))


def collect(proven: Proven, extra: Mapping[str, str]) -> dict[str, str]:
    """All values of one label by name; built-in names win over fields of the same name.

    Raises ``UsageError("label.unknown_field")`` for a name in ``extra`` that is not in ``EXTRA``.
    """
    for name in extra:
        if name not in EXTRA:
            raise UsageError(
                "label.unknown_field", field=name, element="extra", nearest=nearest(name, EXTRA)
            )
    return {
        **proven.fields,
        **extra,
        **of_unit(proven.unit),
        "product": proven.product,
        "lot": proven.lot,
        "tail": proven.claim.tail,
        "role": proven.role,
    }


def of_unit(unit: Unit) -> dict[str, str]:
    """The values that tell who a unit is."""
    return {
        "unit": _shown(unit.primary.kind, unit.primary.value),
        "unit_kind": unit.primary.kind.upper().replace("_", " "),
        **{
            f"unit.{identifier.kind}": _shown(identifier.kind, identifier.value)
            for identifier in reversed(unit.identifiers)
        },
    }


def _shown(kind: str, value: str) -> str:
    """MACs in capitals: in small 1-bit type ``b`` and ``6`` look alike, ``B`` and ``6`` do not. The
    groups of a long number with blanks, where a line can be broken."""
    if kind in _MAC_KINDS:
        return value.upper()
    return value.replace(".", " ") if long_number(value) else value


def fill(
    text: str, values: Mapping[str, str], *, element: str, optional: bool = False
) -> str | None:
    """``text`` with its placeholders filled; None where one has no value and it is ``optional``.

    Raises ``RecordError``: ``label.no_value``, ``label.bad_text`` (the field is named, its value
    never shown), ``label.token_shaped`` and ``label.claim_shaped`` for the filled text.
    """
    parts = []
    for literal, name, _, _ in Formatter().parse(text):
        parts.append(literal)
        if name is None:
            continue
        value = _clean(values.get(name, ""), name)
        if not value:
            if optional:
                return None
            raise RecordError("label.no_value", field=name, element=element)
        parts.append(value)
    filled = unicodedata.normalize("NFC", "".join(parts))
    _refuse_look_alikes(filled, element)
    return filled


def _clean(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise RecordError("label.bad_text", field=name, why="it is not text")
    if len(value) > LONGEST:
        raise RecordError(
            "label.bad_text", field=name, why=f"it is longer than {LONGEST} characters"
        )
    value = unicodedata.normalize("NFC", value).strip(" ")
    for character in value:
        if unicodedata.category(character) in _REFUSED:
            raise RecordError(
                "label.bad_text",
                field=name,
                why=f"it has the invisible character U+{ord(character):04X}",
            )
    return value


def _refuse_look_alikes(text: str, element: str) -> None:
    """Stop 32 characters in the AuthToken's alphabet, also inside longer words, but not a UUID."""
    if "sqr_" in text.lower():
        raise RecordError("label.claim_shaped", element=element)
    for run in _TOKEN_RUN.findall(text):
        if not _UUID.fullmatch(run):
            raise RecordError("label.token_shaped", element=element)


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name that ``name`` was most likely meant to be."""
    from difflib import get_close_matches

    return (get_close_matches(name, sorted(known), n=1, cutoff=0.0) or [""])[0]
