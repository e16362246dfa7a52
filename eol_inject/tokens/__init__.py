"""Where tokens come from: a console export ZIP, a CSV, or standard input.

``open_source`` checks everything before it returns; the tokens themselves are read again, one at
a time, when they are iterated, so that a million rows take no more memory than ten.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO, Final, Literal, overload
from urllib.parse import unquote, urlsplit

from eol_inject.errors import UsageError
from eol_inject.tokens import archive, check, columns, text
from eol_inject.tokens.notes import notes
from eol_inject.tokens.rows import RowReader
from eol_inject.tokens.source import Source, from_file, from_stdin
from eol_inject.tokens.spec import FieldSpec
from eol_inject.unit import StaticToken

__all__ = ["Batch", "FieldSpec", "open_source"]

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")


@dataclass(frozen=True, slots=True)
class Batch:
    """The tokens of one source, all checked; iterate ``tokens`` once and in order."""

    tokens: Sequence[StaticToken]
    notes: tuple[str, ...]
    """What the operator should know, as public phrases."""
    kind: Literal["zip", "csv"]
    columns: Mapping[str, str]
    """Header → what the column was taken as."""
    sha256: str
    """Of the source's bytes."""
    path: Path | None
    """The file, which is a secret now; None for standard input."""
    organization: int | None
    """The orgId that the source, or whoever imports it, says; part of every claim code."""


def open_source(
    source: str,
    *,
    stdin: BinaryIO | None,
    mapping: Mapping[str, str],
    organization: int | None,
    fields: Mapping[str, FieldSpec],
) -> Batch:
    """Read and check a token source: a path, a ``file://`` URL, or ``-`` for ``stdin``.

    ``mapping`` says what columns hold where their values do not: header, or number from 1, →
    ``auth_token``, ``qr_token``, ``serial``, ``mac``, ``ignore`` or the name of a field.
    ``organization`` is what the tokens' orgId has to be. Raises ``UsageError("tokens.…")``.
    """
    opened = _open(source, stdin)
    export = archive.read_export(opened) if opened.is_zip else None
    open_table = export.open_table if export else opened.open
    form = text.form_of(open_table)
    rows = partial(text.rows, open_table, form)
    layout = columns.find(_sample(rows), mapping=mapping, fields=fields)
    if layout.has_header:
        rows = partial(_without_header, rows)
    claims, broken = (export.claims, export.broken) if export else ({}, {})
    found = check.check(RowReader(layout, claims, broken), rows, organization)
    layout = check.keep(layout, found)
    opened.confirm_unchanged()
    return Batch(
        tokens=_Tokens(opened, rows, RowReader(layout, claims, {}), found),
        notes=tuple(
            notes(
                layout,
                found,
                images=len(claims) if export else None,
                strangers=export.strangers if export else 0,
            )
        ),
        kind="zip" if export else "csv",
        columns=layout.meanings(),
        sha256=opened.sha256,
        path=opened.path,
        organization=found.organization,
    )


def _sample(rows: check.Rows) -> list[list[str]]:
    """The first rows, up to the one that cannot be read: the check tells it in its turn."""
    sample: list[list[str]] = []
    try:
        sample.extend(record for _, record in islice(rows(), text.SAMPLE_ROWS))
    except UsageError:
        if not sample[1:]:
            raise
    if not sample:
        raise UsageError("tokens.empty")
    return sample


def _open(source: str, stdin: BinaryIO | None) -> Source:
    if source == "-":
        return from_stdin(stdin)
    scheme = _SCHEME.match(source)
    if scheme is None:
        return from_file(Path(source))
    opener = _SCHEMES.get(scheme[1].lower())
    if opener is None:
        raise UsageError("tokens.unknown_scheme", known=", ".join(sorted(_SCHEMES)))
    return opener(source)


def _from_file_url(url: str) -> Source:
    return from_file(Path(unquote(urlsplit(url).path)))


_SCHEMES: Final[Mapping[str, Callable[[str], Source]]] = MappingProxyType({"file": _from_file_url})
"""Scheme → what opens it."""


def _without_header(rows: check.Rows) -> Iterator[text.Row]:
    return islice(rows(), 1, None)


@dataclass(frozen=True, slots=True)
class _Tokens(Sequence[StaticToken]):
    """The tokens of a checked source, read again on every iteration.

    Iterating raises ``UsageError("tokens.changed")`` where the file is no longer the one that was
    checked. An index reads from the start: iterate.
    """

    _source: Source
    _rows: check.Rows
    _reader: RowReader
    _found: check.Checked = field(repr=False)

    def __len__(self) -> int:
        return self._found.count

    def __iter__(self) -> Iterator[StaticToken]:
        repeated, organization = self._found.repeated, self._found.organization
        for row, record in self._rows():
            if row not in repeated:
                yield self._reader.token(row, self._reader.parts(row, record), organization)
        self._source.confirm_unchanged()

    @overload
    def __getitem__(self, index: int) -> StaticToken: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[StaticToken]: ...

    def __getitem__(self, index: int | slice) -> StaticToken | Sequence[StaticToken]:
        if isinstance(index, slice):
            return tuple(self)[index]
        at = index + len(self) if index < 0 else index
        if not 0 <= at < len(self):
            raise IndexError(index)
        return next(islice(self, at, None))

    def __repr__(self) -> str:
        return f"<{len(self)} static tokens>"
