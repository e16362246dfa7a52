"""Bytes → numbered rows of cells, streamed: encoding, separator, quotes and limits.

Row numbers are those a spreadsheet shows: header is row 1, blank rows count. Nothing here keeps
more than one row. Errors never hold text of the file.
"""

import csv
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

from eol_inject.errors import UsageError
from eol_inject.tokens import cells

MAX_ROWS: Final = 2_000_000
MAX_COLUMNS: Final = 100
MAX_LINE: Final = 128 * 1024
"""Characters; also the csv module's own limit for one cell."""
_MAX_LINES_PER_ROW: Final = 500
"""A quoted cell may hold a whole certificate; more lines mean that a quote was never closed."""
_SAMPLE_BYTES: Final = 64 * 1024
SAMPLE_ROWS: Final = 200
_SEPARATORS: Final = (",", ";", "\t", "|")
_BOMS: Final = (
    (b"\xff\xfe\x00\x00", ""),
    (b"\x00\x00\xfe\xff", ""),
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)

Row = tuple[int, list[str]]
Opener = Callable[[], BinaryIO]


@dataclass(frozen=True, slots=True)
class Form:
    """How the text is written; ``announced`` if a line ``sep=;`` stands before the header."""

    encoding: str
    separator: str
    announced: bool


def form_of(open_: Opener) -> Form:
    """Find encoding and separator by looking at the beginning of the text.

    Raises ``UsageError("tokens.bad_encoding")``.
    """
    with open_() as stream:
        head = stream.read(_SAMPLE_BYTES)
    encoding = _encoding(head)
    lines = io.StringIO(head.decode(encoding, errors="replace"), newline="").readlines()
    if len(head) == _SAMPLE_BYTES and len(lines) > 1:
        lines.pop()  # cut somewhere in the middle
    first = lines[0].strip() if lines else ""
    if first.lower().startswith("sep=") and len(first) == len("sep=;"):
        return Form(encoding, first[-1], announced=True)
    return Form(encoding, _separator(lines[:SAMPLE_ROWS]), announced=False)


def rows(open_: Opener, form: Form) -> Iterator[Row]:
    """Every row that is not blank.

    Raises ``UsageError``: ``tokens.bad_encoding``, ``tokens.nul_bytes``, ``tokens.line_too_long``,
    ``tokens.bad_quotes``, ``tokens.too_many_columns``, ``tokens.too_many_rows``.
    """
    lines = _Lines()
    row = 0
    with open_() as stream:
        reader = csv.reader(
            lines.read(stream, form), delimiter=form.separator, strict=True, doublequote=True
        )
        while True:
            lines.since_row = 0
            try:
                record = _unwrapped(next(reader, None), form.separator)
            except csv.Error:
                lines.trouble = lines.trouble or "tokens.bad_quotes"
                record = None
            if record is None:
                break
            row += 1
            if lines.since_row > 1 and _swallowed(record, form.separator):
                lines.trouble = "tokens.bad_quotes"
                break
            if len(record) > MAX_COLUMNS:
                raise UsageError("tokens.too_many_columns", row=row, limit=MAX_COLUMNS)
            if row > MAX_ROWS:
                raise UsageError("tokens.too_many_rows", limit=MAX_ROWS)
            if record and (record[0].strip() or any(map(cells.value, record))):
                yield row, record
    if lines.trouble:
        raise UsageError(lines.trouble, row=row + 1)


class _Lines:
    """Lines for the csv reader; what is wrong with one is kept, since only the reader's caller
    knows the row."""

    def __init__(self) -> None:
        self.trouble = ""
        self.since_row = 0

    def read(self, stream: BinaryIO, form: Form) -> Iterator[str]:
        text = io.TextIOWrapper(stream, form.encoding, errors="replace", newline="")
        try:
            if form.announced:
                text.readline(MAX_LINE)
            while line := text.readline(MAX_LINE + 1):
                self.since_row += 1
                if self.since_row > 1 or len(line) > MAX_LINE or "\0" in line or not line.isascii():
                    self.trouble = self._trouble(line)
                    if self.trouble:
                        return
                yield line
        finally:
            # the stream is its opener's to close; a wrapper that is collected would close it too
            if not text.closed:
                text.detach()

    def _trouble(self, line: str) -> str:
        if len(line) > MAX_LINE:
            return "tokens.line_too_long"
        if self.since_row > _MAX_LINES_PER_ROW:
            return "tokens.bad_quotes"
        if "\0" in line:
            return "tokens.nul_bytes"
        return "tokens.bad_encoding" if "\ufffd" in line else ""


def _encoding(head: bytes) -> str:
    for bom, encoding in _BOMS:
        if head.startswith(bom):
            if not encoding:
                raise UsageError("tokens.bad_encoding", row=1)
            return encoding
    # Plain text of tokens in UTF-16 without its mark: every second byte is NUL.
    even, odd = head[0:200:2], head[1:200:2]
    if odd and odd.count(0) == len(odd) and not even.count(0):
        return "utf-16-le"
    if odd and even.count(0) == len(even) and not odd.count(0):
        return "utf-16-be"
    return "utf-8"


def _separator(lines: list[str]) -> str:
    """The separator with which most cells are tokens; where that ties, the one used most."""

    def score(separator: str) -> tuple[int, int]:
        records: list[list[str]] = []
        try:
            records.extend(
                _unwrapped(record, separator) or []
                for record in csv.reader(lines, delimiter=separator)
            )
        except csv.Error:
            return (0, 0)
        tokens = sum(
            cells.is_auth(cell) or cells.is_claim(cell) for record in records for cell in record
        )
        return tokens, sum(len(record) - 1 for record in records[:1])

    return max(_SEPARATORS, key=score)


def _unwrapped(record: list[str] | None, separator: str) -> list[str] | None:
    """A row that a spreadsheet took for one cell, and put into quotes as a whole."""
    if record and len(record) == 1 and separator in record[0]:
        return next(csv.reader(record, delimiter=separator, strict=True), [])
    return record


def _swallowed(record: list[str], separator: str) -> bool:
    """Whether a quote that was never closed has taken whole rows into one cell."""
    return any(
        cells.is_auth(part) or cells.is_claim(part)
        for cell in record
        if "\n" in cell or "\r" in cell
        for line in cell.splitlines()[1:]
        if separator in line
        for part in line.split(separator)
    )
