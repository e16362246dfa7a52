"""The whole table checked before anything of it is imported: every row, and rows against rows.

Memory stays flat: of a row only 64-bit hashes are kept, and only rows whose hash came twice are
looked at again. Two million rows of two tokens take 32 MB.
"""

from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, pairwise

from eol_inject.errors import UsageError
from eol_inject.tokens import cells
from eol_inject.tokens.columns import Layout
from eol_inject.tokens.rows import Parts, RowReader
from eol_inject.tokens.text import Row

Rows = Callable[[], Iterator[Row]]


@dataclass(slots=True)
class Checked:
    """What was found in a table in which nothing is wrong."""

    organization: int | None
    count: int = 0
    """Tokens, each counted once."""
    bound: int = 0
    """Of those, the ones that name a unit."""
    repeated: set[int] = field(default_factory=set)
    """Rows that say the same as an earlier one: they are passed over."""
    dropped: set[int] = field(default_factory=set)
    """Undeclared columns with a value that must not be kept in the clear."""
    filled: set[int] = field(default_factory=set)
    """Columns left out from the start that do hold something."""
    damaged: tuple[int, int] | None = None
    """Row and column of the first undeclared value that a spreadsheet damaged."""
    without_image: int = 0
    """Tokens that no QR image belongs to, in an archive that has images."""
    first_without_image: int = 0
    unused_images: set[str] = field(default_factory=set, repr=False)


def check(reader: RowReader, rows: Rows, organization: int | None) -> Checked:
    """Read every row. ``organization`` is the one the operator named, if any.

    Raises the first bad row's ``UsageError`` with the number of other bad rows in ``more``, or
    what stops the reading itself (see ``text.rows``).
    """
    done = _Check(reader, organization)
    stopped: UsageError | None = None
    try:
        for row, record in rows():
            done.read(row, record)
    except UsageError as error:
        stopped = error.with_traceback(None)  # its frames hold rows
    done.raise_if_wrong()
    if stopped:
        raise stopped
    found = done.found
    names = {*reader.claims, *reader.broken}
    for name in reader.broken.keys() & found.unused_images:
        raise reader.broken[name]
    if names and found.unused_images == names:
        raise UsageError("tokens.zip_other_images", count=len(names))
    if twice := done.twice():
        _settle(done, rows, twice)
        done.raise_if_wrong()
    return found


class _Check:
    """The state of the pass over a table."""

    def __init__(self, reader: RowReader, organization: int | None) -> None:
        self.found = Checked(organization)
        self.found.unused_images |= {*reader.claims, *reader.broken}
        self.reader = reader
        self._has_images = bool(self.found.unused_images)
        self._auths, self._qrs = array("q"), array("q")
        self._units: dict[str, array[int]] = {}
        self._first: UsageError | None = None
        self._wrong = 0

    def read(self, row: int, record: Sequence[str]) -> None:
        """Check one row and remember what of it must not come twice."""
        try:
            parts = self.reader.parts(row, record)
            if parts.organization is not None:
                self._agree(row, parts.organization)
            if self._has_images and parts.qr is None:
                raise UsageError("tokens.image_missing", row=row, more="")
        except UsageError as error:
            self.wrong(error)
            return
        found = self.found
        found.count += 1
        found.bound += bool(parts.bound)
        self._auths.append(hash(parts.auth))
        if parts.qr is not None:
            self._qrs.append(hash(parts.qr))
        for identifier in parts.bound:
            self._units.setdefault(identifier.kind, array("q")).append(hash(identifier.value))
        if self._has_images:
            found.unused_images.discard(parts.auth)
            if parts.auth not in self.reader.claims:
                found.without_image += 1
                found.first_without_image = found.first_without_image or row
        if parts.fields or self.reader.layout.dropped:
            self._undeclared(row, record, parts)

    def wrong(self, error: UsageError) -> None:
        """Keep the first error; count the others."""
        self._wrong += 1
        self._first = self._first or error.with_traceback(None)  # its frames hold the row

    def raise_if_wrong(self) -> None:
        """Raise the first error, with the number of the others."""
        if self._first:
            more = f" (and {self._wrong - 1} more)" if self._wrong > 1 else ""
            raise UsageError(self._first.code, **{**self._first.params, "more": more})

    def twice(self) -> set[int]:
        """Hashes that came more than once, of any kind."""
        return {
            one
            for hashes in (self._auths, self._qrs, *self._units.values())
            for one, other in pairwise(sorted(hashes))
            if one == other
        }

    def _agree(self, row: int, organization: int) -> None:
        """One source belongs to one organization."""
        if self.found.organization is None:
            self.found.organization = organization
        if self.found.organization != organization:
            raise UsageError(
                "tokens.other_organization",
                row=row,
                found=organization,
                expected=self.found.organization,
                more="",
            )

    def _undeclared(self, row: int, record: Sequence[str], parts: Parts) -> None:
        found, layout = self.found, self.reader.layout
        for column in layout.fields:
            if column.spec or column.index in found.dropped:
                continue
            text = parts.fields.get(column.name, "")
            if not cells.is_harmless(text) or parts.auth in text:
                found.dropped.add(column.index)
            elif not found.damaged and (
                cells.is_failed_formula(text) or cells.is_shortened_number(text)
            ):
                found.damaged = (row, column.index)
        for index in layout.dropped:
            if index < len(record) and cells.value(record[index]):
                found.filled.add(index)


def _keys(parts: Parts) -> Iterator[tuple[str, str]]:
    """What of a row no other row may say: kind and value."""
    yield "AuthToken", parts.auth
    if parts.qr is not None:
        yield "QR token", parts.qr
    for identifier in parts.bound:
        yield identifier.kind, identifier.value


def _settle(done: _Check, rows: Rows, twice: set[int]) -> None:
    """Look again at rows whose hashes came twice: repeated in every part, or contradicting."""
    seen: dict[tuple[str, str], tuple[int, int]] = {}
    found = done.found
    for row, record in rows():
        parts = done.reader.parts(row, record)
        keys = [key for key in _keys(parts) if hash(key[1]) in twice]
        if not keys:
            continue
        whole = hash((parts.auth, parts.qr, parts.bound, *chain(*sorted(parts.fields.items()))))
        earlier = [(seen[key], key) for key in keys if key in seen]
        if earlier and all(said == whole for (_, said), _ in earlier):
            found.repeated.add(row)
            found.count -= 1
            found.bound -= bool(parts.bound)
        for (other, said), (kind, _) in earlier:
            if said != whole:
                code = "tokens.row_contradicts" if kind == "AuthToken" else "tokens.value_twice"
                done.wrong(UsageError(code, row=row, other=other, what=kind, more=""))
                break
        for key in keys:
            seen.setdefault(key, (row, whole))


def keep(layout: Layout, found: Checked) -> Layout:
    """The layout without the columns that turned out to hold what must not be shown."""
    return replace(
        layout,
        fields=tuple(
            column for column in layout.fields if column.spec or column.index not in found.dropped
        ),
        dropped=(*layout.dropped, *sorted(found.dropped)),
    )
