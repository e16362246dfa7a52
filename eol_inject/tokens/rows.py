"""One row of a token table → its parts, checked; errors name row and column, never a value."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, NamedTuple

from eol_inject.errors import UnitError, UsageError
from eol_inject.tokens import cells
from eol_inject.tokens.columns import Field, Layout
from eol_inject.unit import AuthToken, ClaimCode, Identifier, Secret, StaticToken, TokenFields

_LONGEST_IDENTIFIER: Final = 64
_LONGEST_PUBLIC: Final = 1000
_LONGEST_SECRET: Final = 16 * 1024
"""A certificate chain or a private key, in characters."""

_NO_FIELDS: Final[TokenFields] = MappingProxyType({})


class Parts(NamedTuple):
    """What a row says. Plain text for speed: made, compared and dropped, never shown."""

    auth: str
    qr: str | None
    organization: int | None
    bound: tuple[Identifier, ...]
    fields: dict[str, str]

    def __repr__(self) -> str:
        return "<parts of a token row>"


@dataclass(frozen=True, slots=True)
class RowReader:
    """Reads the rows of one table. ``claims`` and ``broken`` come from an export's images."""

    layout: Layout
    claims: Mapping[str, str] = field(repr=False)
    broken: Mapping[str, UsageError] = field(repr=False)

    def parts(self, row: int, record: Sequence[str]) -> Parts:
        """The parts of a row.

        Raises ``UsageError``: ``tokens.row_too_wide``, ``tokens.cell_empty``,
        ``tokens.formula_error``, ``tokens.shortened_number``, ``tokens.bad_cell``,
        ``tokens.image_contradicts``, ``tokens.other_organization``, ``tokens.bad_identifier``,
        ``tokens.token_in_public``, ``tokens.field_missing``, ``tokens.field_pattern``,
        ``tokens.field_text``, each with ``row`` and ``more``; and the code of the row's image, if
        that is broken, with ``where``.
        """
        layout = self.layout
        if len(record) > layout.width and any(map(cells.value, record[layout.width :])):
            raise UsageError("tokens.row_too_wide", row=row, width=layout.width, more="")
        auth = _cell(record, layout.auth)
        if not AuthToken.looks_like(auth):
            auth = self._auth(row, auth)
        qr, organization = None, None
        if layout.qr is not None:
            qr, organization = self._claim(row, layout.qr, _cell(record, layout.qr))
        if self.broken or self.claims:
            qr, organization = self._with_image(row, auth, qr, organization)
        if not layout.identifiers and not layout.fields:
            return Parts(auth, qr, organization, (), {})
        bound = tuple(
            identifier
            for index, kind in layout.identifiers
            if (identifier := self._identifier(row, index, kind, record, auth))
        )
        fields = {
            column.name: text
            for column in layout.fields
            if (text := self._field(row, column, record, auth))
        }
        return Parts(auth, qr, organization, bound, fields)

    def token(self, row: int, parts: Parts, organization: int | None) -> StaticToken:
        """The token of a row that was checked; the source's ``organization`` completes it."""
        return StaticToken(
            auth=AuthToken(parts.auth),
            claim=None if parts.qr is None else ClaimCode(parts.qr, organization),
            row=row,
            bound=parts.bound,
            fields=self._guarded(parts.fields) if parts.fields else _NO_FIELDS,
        )

    def _guarded(self, fields: Mapping[str, str]) -> TokenFields:
        secret = {
            column.name for column in self.layout.fields if column.spec and column.spec.secret
        }
        return MappingProxyType(
            {name: Secret(text) if name in secret else text for name, text in fields.items()}
        )

    def _auth(self, row: int, cell: str) -> str:
        text = cells.bare(cell)
        if AuthToken.looks_like(text):
            return text
        raise _unreadable(row, self.layout.names[self.layout.auth], text, "an AuthToken")

    def _claim(self, row: int, index: int, cell: str) -> tuple[str, int | None]:
        if parts := cells.claim_parts(cell):
            return parts
        text = cells.bare(cell)
        if parts := cells.claim_parts(text):
            return parts
        raise _unreadable(row, self.layout.names[index], text, "a QR token")

    def _with_image(
        self, row: int, auth: str, qr: str | None, organization: int | None
    ) -> tuple[str | None, int | None]:
        """The image named after this AuthToken has to say the same; it may say more."""
        if auth in self.broken:
            said = self.broken[auth]
            raise UsageError(said.code, **{**said.params, "where": f"the QR image of row {row}"})
        parts = cells.claim_parts(self.claims.get(auth, ""))
        if parts is None:
            return qr, organization
        if qr is not None and qr != parts[0]:
            raise UsageError("tokens.image_contradicts", row=row, more="")
        if None not in (organization, parts[1]) and organization != parts[1]:
            raise UsageError(
                "tokens.other_organization",
                row=row,
                found=parts[1],
                expected=organization,
                more="",
            )
        return parts[0], parts[1] or organization

    def _identifier(
        self, row: int, index: int, kind: str, record: Sequence[str], auth: str
    ) -> Identifier | None:
        text = cells.bare(_cell(record, index))
        name = self.layout.names[index]
        if not text:
            return None
        if auth in text or cells.may_be_secret(text):
            raise UsageError("tokens.token_in_public", row=row, column=name, more="")
        if cells.is_shortened_number(text) or cells.is_failed_formula(text):
            raise _unreadable(row, name, text, f"a {kind}")
        try:
            if len(text) <= _LONGEST_IDENTIFIER:
                return Identifier(kind, text)
            why = f"longer than {_LONGEST_IDENTIFIER} characters"
        except UnitError as error:
            why = str(error.params["why"])
        raise UsageError("tokens.bad_identifier", row=row, column=name, kind=kind, why=why, more="")

    def _field(self, row: int, column: Field, record: Sequence[str], auth: str) -> str:
        text = cells.value(_cell(record, column.index))
        spec, name = column.spec, self.layout.names[column.index]
        if spec is None:
            return text
        if not text:
            if spec.required:
                raise UsageError("tokens.field_missing", row=row, column=name, more="")
            return text
        if not spec.secret and (
            auth in text or (spec.pattern is None and cells.may_be_secret(text))
        ):
            raise UsageError("tokens.token_in_public", row=row, column=name, more="")
        if spec.pattern is not None and not re.fullmatch(spec.pattern, text):
            raise UsageError("tokens.field_pattern", row=row, column=name, more="")
        if spec.pattern is None and (
            cells.is_shortened_number(text) or cells.is_failed_formula(text)
        ):
            raise _unreadable(row, name, text, "a value")
        if len(text) > (_LONGEST_SECRET if spec.secret else _LONGEST_PUBLIC):
            raise UsageError("tokens.field_text", row=row, column=name, why="too long", more="")
        if not spec.secret and not text.isprintable():
            raise UsageError(
                "tokens.field_text", row=row, column=name, why="it has control characters", more=""
            )
        return text


def _cell(record: Sequence[str], index: int) -> str:
    return record[index] if index < len(record) else ""


def _unreadable(row: int, column: str, text: str, what: str) -> UsageError:
    """What to say of a cell that should hold a ``what``: empty, damaged, or something else."""
    if not text:
        return UsageError("tokens.cell_empty", row=row, column=column, what=what, more="")
    if cells.is_failed_formula(text):
        return UsageError("tokens.formula_error", row=row, column=column, what=what, more="")
    if cells.is_shortened_number(text):
        return UsageError("tokens.shortened_number", row=row, column=column, what=what, more="")
    return UsageError(
        "tokens.bad_cell", row=row, column=column, what=what, length=len(text), more=""
    )
