"""Which column of a token table is what: by mapping, by the shape of its values, by its header.

The console's header row is not documented, so tokens are found by shape (reference: Blynk facts,
"Console export"). What stays ambiguous is refused, with the headers and how to say it.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from eol_inject.errors import UsageError
from eol_inject.tokens import cells
from eol_inject.tokens.spec import FieldSpec

AUTH: Final = "auth_token"
QR: Final = "qr_token"
IGNORE: Final = "ignore"
IDENTIFIERS: Final = ("mac", "base_mac", "bt_mac", "serial", "imei", "chip_uid")
"""What a column may be mapped to so that its values name units."""

_HEADERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        **dict.fromkeys(
            ("mac", "macaddress", "macaddr", "macid", "wifimac", "wifimacaddress", "devicemac",
             "stamac", "unitmac"),
            "mac",
        ),
        **dict.fromkeys(("basemac", "basemacaddress"), "base_mac"),
        **dict.fromkeys(
            ("btmac", "blemac", "bluetoothmac", "bluetoothmacaddress", "btmacaddress",
             "blemacaddress"),
            "bt_mac",
        ),
        **dict.fromkeys(
            ("serial", "serialnumber", "serialno", "serialnum", "sn", "deviceserial",
             "deviceserialnumber"),
            "serial",
        ),
        **dict.fromkeys(("imei", "imeinumber"), "imei"),
        **dict.fromkeys(("chipuid", "chipid"), "chip_uid"),
    }
)  # fmt: skip
"""Headers that say which identifier a column holds, without case, blanks and punctuation."""
_SECRET_HEADER: Final = re.compile(
    r"pass(?!ed)|secret|psk|private|credential|token|auth|\bpin\b|\bpuk\b|\bkey", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Field:
    """A metadata column that is kept; ``spec`` is None where nobody declared it."""

    index: int
    name: str
    spec: FieldSpec | None


@dataclass(frozen=True, slots=True)
class Layout:
    """What each column is taken as; indexes count from 0."""

    names: tuple[str, ...]
    """The headers as they may be shown; ``column 3`` where a header may not be, or is blank."""
    auth: int
    qr: int | None
    identifiers: tuple[tuple[int, str], ...]
    fields: tuple[Field, ...]
    dropped: tuple[int, ...]
    """Columns whose values are not kept, since nobody declared them and they may be secret."""
    has_header: bool

    def meanings(self) -> Mapping[str, str]:
        """Header → what the column was taken as."""
        said: dict[str, list[str]] = {name: [] for name in self.names}
        said[self.names[self.auth]].append("AuthToken")
        if self.qr is not None:
            said[self.names[self.qr]].append("QR token")
        for index, kind in self.identifiers:
            said[self.names[index]].append(kind)
        for field in self.fields:
            if field.spec:
                said[self.names[field.index]].append(f"field {field.name}")
            elif not said[self.names[field.index]]:
                said[self.names[field.index]].append("kept")
        for index in self.dropped:
            said[self.names[index]].append("left out")
        return MappingProxyType({name: ", ".join(what) or "ignored" for name, what in said.items()})


def find(
    sample: Sequence[Sequence[str]],
    *,
    mapping: Mapping[str, str],
    fields: Mapping[str, FieldSpec],
) -> Layout:
    """The layout of a table, from its first rows.

    Raises ``UsageError``: ``tokens.no_header``, ``tokens.no_rows``, ``tokens.bad_map``,
    ``tokens.no_column``, ``tokens.map_twice``, ``tokens.no_auth_column``, ``tokens.ambiguous``,
    ``tokens.header_twice``, ``tokens.no_field_column``, ``tokens.field_is_token``.
    """
    has_header = _has_header(sample[0], mapping)
    headers, body = _table(sample, has_header=has_header)
    if not body:
        raise UsageError("tokens.no_rows")
    names = _names(headers)
    mapped = _mapped(headers, names, mapping, fields)
    auth = _only(AUTH, cells.is_auth, names, body, mapped)
    if auth is None:
        raise UsageError("tokens.no_auth_column", columns=_listed(names))
    qr = _only(QR, cells.is_claim, names, body, mapped)
    identifiers = _identifiers(headers, names, body, mapped, taken={auth, qr})
    declared = _declared(headers, names, mapped, fields, tokens={auth, qr})
    used = {auth, qr, *(field.index for field in declared)}
    extra, dropped = _undeclared(headers, names, mapped, used)
    taken_names = {field.name for field in declared}
    return Layout(
        names=names,
        auth=auth,
        qr=qr,
        identifiers=identifiers,
        fields=(*declared, *(field for field in extra if field.name not in taken_names)),
        dropped=dropped,
        has_header=has_header,
    )


def _has_header(first: Sequence[str], mapping: Mapping[str, str]) -> bool:
    """Whether the first row is a header.

    A claim code is never one; thirty-two letters could be, so then somebody has to say it.
    """
    if any(cells.is_claim(cell) for cell in first):
        return False
    if not any(cells.is_auth(cell) for cell in first):
        return True
    if mapping and all(key.isdigit() for key in mapping):
        return False
    number = next(at for at, cell in enumerate(first, 1) if cells.is_auth(cell))
    raise UsageError("tokens.no_header", column=number)


def _table(
    sample: Sequence[Sequence[str]], *, has_header: bool
) -> tuple[list[str], list[Sequence[str]]]:
    """Headers and rows, without the empty columns that spreadsheets leave at the right."""
    body = list(sample[1:] if has_header else sample)
    first = [cells.value(cell).removeprefix("ï»¿") for cell in sample[0]] if has_header else []
    width = len(first)
    while width and not first[width - 1]:
        width -= 1
    for row in body:
        filled = [at for at, cell in enumerate(row, 1) if cells.value(cell)]
        width = max(width, filled[-1] if filled else 0)
    return (first + [""] * width)[:width], body


def _names(headers: Sequence[str]) -> tuple[str, ...]:
    return tuple(
        header if cells.is_presentable(header) else f"column {number}"
        for number, header in enumerate(headers, 1)
    )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


def _mapped(
    headers: Sequence[str],
    names: Sequence[str],
    mapping: Mapping[str, str],
    fields: Mapping[str, FieldSpec],
) -> dict[int, str]:
    """Column → what the operator says it is."""
    known = (AUTH, QR, *IDENTIFIERS, IGNORE, *fields)
    found: dict[int, str] = {}
    for key, target in mapping.items():
        if target not in known:
            raise UsageError("tokens.bad_map", known=", ".join(known))
        index = _column(headers, key)
        if index is None and key.isdigit() and 0 < int(key) <= len(headers):
            index = int(key) - 1
        if index is None:
            raise UsageError("tokens.no_column", what=f"mapped to {target}", columns=_listed(names))
        if index in found or (target != IGNORE and target in found.values()):
            raise UsageError("tokens.map_twice", column=names[index], target=target)
        found[index] = target
    return found


def _column(headers: Sequence[str], name: str) -> int | None:
    """The one column called ``name``: exactly, else without case and blanks around it."""
    exact = [at for at, header in enumerate(headers) if header == name]
    loose = [at for at, header in enumerate(headers) if _same(header, name)]
    if len(exact) > 1 or (not exact and len(loose) > 1):
        raise UsageError("tokens.header_twice", column=f"column {loose[-1] + 1}")
    return next(iter(exact or loose), None)


def _same(header: str, name: str) -> bool:
    return bool(header) and header.casefold() == cells.value(name).casefold()


def _only(
    target: str,
    fits: Callable[[str], bool],
    names: Sequence[str],
    body: Sequence[Sequence[str]],
    mapped: Mapping[int, str],
) -> int | None:
    """The column mapped to ``target``, or the only unmapped one whose values have its shape."""
    for index, said in mapped.items():
        if said == target:
            return index
    found = [
        index for index in range(len(names)) if index not in mapped and _mostly(fits, body, index)
    ]
    if len(found) > 1:
        raise UsageError(
            "tokens.ambiguous",
            what={AUTH: "AuthTokens", QR: "QR tokens"}.get(target, target),
            columns=_listed(names[index] for index in found),
            example=f'--map "{names[found[0]]}={target}"',
        )
    return found[0] if found else None


def _mostly(fits: Callable[[str], bool], body: Sequence[Sequence[str]], index: int) -> bool:
    """At least half of the filled cells fit: a damaged cell is found later, with its row."""
    filled = [row[index] for row in body if index < len(row) and cells.bare(row[index])]
    return bool(filled) and 2 * sum(map(fits, filled)) >= len(filled)


def _identifiers(
    headers: Sequence[str],
    names: Sequence[str],
    body: Sequence[Sequence[str]],
    mapped: Mapping[int, str],
    *,
    taken: set[int | None],
) -> tuple[tuple[int, str], ...]:
    """Columns whose values name units: as mapped, by header, MACs also by shape."""
    found: dict[int, str] = {}
    for index, header in enumerate(headers):
        said = mapped.get(index)
        by_header = _HEADERS.get(re.sub(r"[^a-z0-9]", "", header.casefold()))
        if index in taken or said == IGNORE:
            continue
        if said in IDENTIFIERS:
            found[index] = said
        elif by_header:
            found[index] = by_header
        elif _mostly(cells.is_mac, body, index):
            found[index] = "mac"
    for kind in set(found.values()):
        same = [index for index, value in found.items() if value == kind]
        chosen = [index for index in same if mapped.get(index) == kind]
        if len(same) > 1 and len(chosen) == 1:
            for index in same:
                if index not in chosen:
                    del found[index]
        elif len(same) > 1:
            raise UsageError(
                "tokens.ambiguous",
                what=f"identifiers of kind {kind}",
                columns=_listed(names[index] for index in same),
                example=f'--map "{names[same[-1]]}={IGNORE}"',
            )
    return tuple(found.items())


def _declared(
    headers: Sequence[str],
    names: Sequence[str],
    mapped: Mapping[int, str],
    fields: Mapping[str, FieldSpec],
    *,
    tokens: set[int | None],
) -> tuple[Field, ...]:
    """The columns of the profile's ``[fields]``."""
    found = []
    for name, spec in fields.items():
        said = [index for index, target in mapped.items() if target == name]
        index = said[0] if said else _column(headers, spec.column or name)
        if index is not None and mapped.get(index) == IGNORE:
            index = None
        if index is None:
            if spec.required:
                raise UsageError(
                    "tokens.no_field_column",
                    field=name,
                    column=spec.column or name,
                    columns=_listed(names),
                )
            continue
        if index in tokens:
            raise UsageError("tokens.field_is_token", field=name, column=names[index])
        found.append(Field(index, name, spec))
    return tuple(found)


def _undeclared(
    headers: Sequence[str],
    names: Sequence[str],
    mapped: Mapping[int, str],
    used: set[int | None],
) -> tuple[tuple[Field, ...], tuple[int, ...]]:
    """Columns kept under their own header, and those left out: the header is no public word."""
    kept, dropped = [], []
    for index, header in enumerate(headers):
        if index in used or mapped.get(index) == IGNORE:
            continue
        if header and sum(_same(other, header) for other in headers) > 1:
            raise UsageError("tokens.header_twice", column=names[index])
        if header == names[index] and not _SECRET_HEADER.search(header):
            kept.append(Field(index, header, None))
        else:
            dropped.append(index)
    return tuple(kept), tuple(dropped)
