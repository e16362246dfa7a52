"""One cell of a token table: freed of what spreadsheets do to it, and what its shape says.

Spreadsheets guard cells with a leading ``'``, wrap them as ``="…"``, turn what looks like a
formula into ``#NAME?`` and long numbers into ``1.23E+11`` (reference: Blynk facts, "Excel
mangles tokens that start with -, =, +, @").
"""

import re
from typing import Final

from eol_inject.unit import AuthToken

_INVISIBLE: Final = "\u200b\u200c\u200d\u2060\ufeff"
"""Zero-width characters that ``str.strip`` leaves: they come along when cells are pasted."""
_EDGE: Final = " \t\r\n\v\f\x1c\x1d\x1e\x1f\x85\xa0\u2007\u202f\u3000" + _INVISIBLE
_WRAPPING: Final = _EDGE + "'\"\u2018\u2019\u201c\u201d"
_SECRET_RUN: Final = re.compile(r"[A-Za-z0-9_-]{32,}")
_CLAIM: Final = re.compile(r"(sqr_[A-Za-z0-9_-]{32})(?:\+([1-9][0-9]{0,11}))?")
_QR_RUN: Final = re.compile(r"sqr_[A-Za-z0-9_-]{32}")
_FORMULA_TEXT: Final = re.compile(r'="(.*)"', re.DOTALL)
_SHORTENED: Final = re.compile(r"[+-]?[0-9]+(?:[.,][0-9]+)?[eE][+-][0-9]{1,3}")
_FAILED_FORMULA: Final = re.compile(r"#(?:NAME\?|VALUE!|REF!|DIV/0!|N/A|NUM!|NULL!|[A-Z]+[!?]|#+)")
_SEPARATED_MAC: Final = re.compile(
    r"[0-9A-Fa-f]{2}([:\-])(?:[0-9A-Fa-f]{2}\1){4}[0-9A-Fa-f]{2}|(?:[0-9A-Fa-f]{4}\.){2}[0-9A-Fa-f]{4}"
)
_EMAIL: Final = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_LONG_RUN: Final = re.compile(r"[A-Za-z0-9_-]{12,}")
_WORD: Final = re.compile(r"(?:[A-Z]?[a-z]{2,}|[A-Z]{2,}|[0-9]+)[-_]*")
_LONGEST_NAME: Final = 60
"""Characters of a header in a sentence."""
_LONGEST_PUBLIC: Final = 200
"""Characters of a value that nobody declared; longer ones are keys, notes or attacks."""


def bare(cell: str) -> str:
    """A token, serial or MAC without quotes, guards and blanks: none of them can hold those."""
    return cell.strip(_WRAPPING).removeprefix("=").strip(_WRAPPING)


def value(cell: str) -> str:
    """Metadata as a person meant it: ``'`` and ``="…"`` go only where they are guards."""
    text = cell.strip(_EDGE)
    wrapped = _FORMULA_TEXT.fullmatch(text)
    if wrapped:
        return wrapped[1].replace('""', '"')
    if text[:1] == "'" and (text[1:2].isdigit() or text[1:2] in ("=", "+", "-", "@", "'")):
        return text[1:]
    return text


def is_auth(cell: str) -> bool:
    """Whether the cell, once freed, has the shape of an AuthToken."""
    return AuthToken.looks_like(bare(cell))


def is_claim(cell: str) -> bool:
    """Whether the cell, once freed, has the shape of a QR token or claim code."""
    return claim_parts(bare(cell)) is not None


def claim_parts(text: str) -> tuple[str, int | None] | None:
    """QR token and organization of what a QR code or cell says; None for anything else."""
    found = _CLAIM.fullmatch(text)
    return (found[1], int(found[2]) if found[2] else None) if found else None


def is_mac(cell: str) -> bool:
    """Whether the cell is written like a MAC, with separators; twelve bare digits say nothing."""
    return _SEPARATED_MAC.fullmatch(bare(cell)) is not None


def is_shortened_number(text: str) -> bool:
    """Whether a spreadsheet has shortened a long number: ``1.23E+11``."""
    return _SHORTENED.fullmatch(text) is not None


def is_failed_formula(text: str) -> bool:
    """Whether a spreadsheet took the value for a formula and put its error there: ``#NAME?``."""
    return _FAILED_FORMULA.fullmatch(text) is not None


def may_be_secret(text: str) -> bool:
    """Whether a token may stand in ``text``, also glued to something else.

    Hexadecimal ids and UUIDs have one case of letters; of a hundred million AuthTokens at most a
    few do.
    """
    if _QR_RUN.search(text):
        return True
    return any(run != run.lower() and run != run.upper() for run in _SECRET_RUN.findall(text))


def is_harmless(text: str) -> bool:
    """Whether a value that nobody declared may be kept and shown: short, printable, no secret."""
    if not text:
        return True
    return (
        len(text) <= _LONGEST_PUBLIC
        and text.isprintable()
        and not may_be_secret(text)
        and not _EMAIL.search(text)
    )


def is_presentable(name: str) -> bool:
    """Whether a header or file name may be shown: short, printable, made of words.

    Half a token is a secret too: twelve and more characters in a row have to be words of letters,
    or numbers, of four characters on average. Of random ones, less than one in a hundred is.
    """
    if not name or len(name) > _LONGEST_NAME or not name.isprintable():
        return False
    for run in _LONG_RUN.findall(name):
        words = _WORD.findall(run)
        if sum(map(len, words)) != len(run) or len(words) * 4 > len(run):
            return False
    return not may_be_secret(name) and not is_auth(name)
