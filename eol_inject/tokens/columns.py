"""Which column of a token table is what: by mapping, by the shape of its values, by its header.

The console's header row is not documented, so tokens are found by shape (reference: Blynk facts,
"Console export"). What stays ambiguous is refused, with the headers and how to say it.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from eol_inject.errors import UsageError
from eol_inject.tokens import cells
from eol_inject.tokens.spec import FieldSpec
from eol_inject.tokens.text import MAX_COLUMNS

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
_TOKEN_HEADERS: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        AUTH: frozenset({"devicetoken", "authtoken", "deviceauthtoken", "devicetokens", "auth"}),
        QR: frozenset({"qrtoken", "claimtoken", "claimcode", "qrcode", "qr"}),
    }
)
"""Believed only where no column has the shape, so that the damage is reported by row."""
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
    width: int
    """Cells that a row may have; one with more has lost the quotes around a separator."""

    def meanings(self) -> Mapping[str, str]:
        """Header → what the column was taken as."""
        said: dict[str, list[str]] = {name: [] for name in self.names}
        said[self.names[self.auth]].append("AuthToken")
        if self.qr is not None:
            said[self.names[self.qr]].append("QR token")
        for index, kind in self.identifiers:
            said[self.names[index]].append(kind)
        for kept in self.fields:
            if kept.spec:
                said[self.names[kept.index]].append(f"field {kept.name}")
            elif not said[self.names[kept.index]]:
                said[self.names[kept.index]].append("kept")
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
    headers, body = _split(sample, has_header=has_header)
    if not body:
        raise UsageError("tokens.no_rows")
    names = _names(headers)
    table = _Table(headers, names, body, _mapped(headers, names, mapping, fields))
    auth = _only(AUTH, cells.is_auth, table)
    if auth is None:
        raise UsageError("tokens.no_auth_column", columns=_listed(names))
    qr = _only(QR, cells.is_claim, table)
    identifiers = _identifiers(table, taken={auth, qr})
    declared = _declared(table, fields, tokens={auth, qr})
    taken = {one.name for one in declared}
    extra, dropped = _undeclared(table, {auth, qr, *(one.index for one in declared)})
    return Layout(
        names=names,
        auth=auth,
        qr=qr,
        identifiers=identifiers,
        fields=(*declared, *(one for one in extra if one.name not in taken)),
        dropped=dropped,
        has_header=has_header,
        width=len(sample[0]) if has_header else len(headers),
    )


@dataclass(frozen=True, slots=True)
class _Table:
    """The beginning of a table: its headers, as they are and as they may be shown, and rows."""

    headers: Sequence[str]
    names: tuple[str, ...]
    body: Sequence[Sequence[str]] = field(repr=False)
    mapped: Mapping[int, str]
    """Column → what the operator says it is."""

    def mostly(self, fits: Callable[[str], bool], index: int) -> bool:
        """At least half of the filled cells fit: a damaged one is found later, with its row."""
        filled = [row[index] for row in self.body if index < len(row) and cells.bare(row[index])]
        return bool(filled) and 2 * sum(map(fits, filled)) >= len(filled)


def _has_header(first: Sequence[str], mapping: Mapping[str, str]) -> bool:
    """Whether the first row is a header.

    A claim code is never one; thirty-two letters could be, so then somebody has to say it.
    """
    if any(cells.is_claim(cell) for cell in first):
        return False
    if not any(cells.is_auth(cell) for cell in first):
        return True
    if mapping and all(map(_number, mapping)):
        return False
    number = next(at for at, cell in enumerate(first, 1) if cells.is_auth(cell))
    raise UsageError("tokens.no_header", column=number)


def _split(
    sample: Sequence[Sequence[str]], *, has_header: bool
) -> tuple[list[str], list[Sequence[str]]]:
    """Headers and rows, without the empty columns that spreadsheets leave at the right."""
    body = list(sample[1:] if has_header else sample)
    if not has_header:
        return [""] * max(map(len, sample)), body
    headers = [cells.value(cell).removeprefix("ï»¿") for cell in sample[0]]
    used = [
        at
        for at, header in enumerate(headers)
        if header or any(at < len(row) and cells.value(row[at]) for row in body)
    ]
    return headers[: used[-1] + 1], body


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
        if index is None and (number := _number(key)) and number <= len(headers):
            index = number - 1
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


def _number(key: str) -> int:
    """``3`` and ``column 3`` mean the third column; 0 for anything else."""
    text = key.removeprefix("column ")
    return int(text) if text.isdecimal() and len(text) <= len(str(MAX_COLUMNS)) else 0


def _word(header: str) -> str:
    return re.sub(r"[^a-z0-9]", "", header.casefold())


def _same(header: str, name: str) -> bool:
    return bool(header) and header.casefold() == cells.value(name).casefold()


def _only(target: str, fits: Callable[[str], bool], table: _Table) -> int | None:
    """The column mapped to ``target``, or the only unmapped one whose values have its shape."""
    for index, said in table.mapped.items():
        if said == target:
            return index
    free = [index for index in range(len(table.names)) if index not in table.mapped]
    found = [index for index in free if table.mostly(fits, index)]
    if len(found) > 1:
        raise UsageError(
            "tokens.ambiguous",
            what={AUTH: "AuthTokens", QR: "QR tokens"}.get(target, target),
            columns=_listed(table.names[index] for index in found),
            example=f'--map "{table.names[found[0]]}={target}"',
        )
    named = [
        index
        for index in free
        if _word(table.headers[index]) in _TOKEN_HEADERS[target] and table.mostly(bool, index)
    ]
    return next(iter(found or named), None)


def _identifiers(table: _Table, *, taken: set[int | None]) -> tuple[tuple[int, str], ...]:
    """Columns whose values name units: as mapped, by header, MACs also by shape.

    One that is mapped to anything else is that and no more: ``--map "Serial Number=number"`` makes
    a field of it, and its tokens are for every unit.
    """
    found: dict[int, str] = {}
    mapped, names = table.mapped, table.names
    for index, header in enumerate(table.headers):
        said = mapped.get(index)
        by_header = _HEADERS.get(_word(header))
        if index in taken:
            continue
        if said is not None:
            if said in IDENTIFIERS:
                found[index] = said
        elif by_header:
            found[index] = by_header
        elif table.mostly(cells.is_mac, index):
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
    table: _Table, fields: Mapping[str, FieldSpec], *, tokens: set[int | None]
) -> tuple[Field, ...]:
    """The columns of the profile's ``[fields]``."""
    found = []
    for name, spec in fields.items():
        said = [index for index, target in table.mapped.items() if target == name]
        index = said[0] if said else _column(table.headers, spec.column or name)
        if index is not None and table.mapped.get(index) == IGNORE:
            index = None
        if index is None:
            if spec.required:
                raise UsageError(
                    "tokens.no_field_column",
                    field=name,
                    column=spec.column or name,
                    columns=_listed(table.names),
                )
            continue
        if index in tokens:
            raise UsageError("tokens.field_is_token", field=name, column=table.names[index])
        found.append(Field(index, name, spec))
    return tuple(found)


def _undeclared(table: _Table, used: set[int | None]) -> tuple[tuple[Field, ...], tuple[int, ...]]:
    """Columns kept under their own header, and those left out: the header is no public word."""
    kept, dropped = [], []
    for index, header in enumerate(table.headers):
        if index in used or table.mapped.get(index) == IGNORE:
            continue
        if header and sum(_same(other, header) for other in table.headers) > 1:
            raise UsageError("tokens.header_twice", column=table.names[index])
        if header == table.names[index] and not _SECRET_HEADER.search(header):
            kept.append(Field(index, header, None))
        else:
            dropped.append(index)
    return tuple(kept), tuple(dropped)
