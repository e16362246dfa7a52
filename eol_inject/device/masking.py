"""Hides whatever is shaped like a token in text from a device, also across chunks.

A firmware may print its AuthToken, or a QR token, on its console; the text is kept with the
attempt and shown. So every run of 32 or more token characters, and everything that begins with
``sqr_``, is replaced before anybody sees it. Hashes of the same shape go too: better one hash too
few than one token too many. Whatever else is secret about a unit has no shape: ``hide`` takes the
values themselves.
"""

import json
import re
from collections.abc import Iterable, Iterator
from itertools import chain, groupby
from operator import itemgetter
from typing import Final
from urllib.parse import quote

from eol_inject.unit import AuthToken, Secret

HIDDEN: Final = "[hidden]"

_LENGTH: Final = 32
"""Characters of an AuthToken (Blynk, "Static tokens")."""
_RUN: Final = re.compile(r"[A-Za-z0-9_-]+")
_QR: Final = "sqr_"
_LONG: Final = 16
_PIECE: Final = 8
"""Of a secret of ``_LONG`` characters or more so many in a row are already too many."""
_SHORT: Final = 4
"""Characters below which a secret is found in every other word."""


class Masker:
    """Takes text in chunks and gives it back without tokens.

    The tail that could still grow into a token is held back until the next chunk or ``finish``;
    that tail is never longer than 31 characters.
    """

    def __init__(self) -> None:
        self._held = ""
        self._inside = False

    def feed(self, chunk: str) -> str:
        """The part of the text so far that is safe to show."""
        return self._take(chunk, final=False)

    def finish(self) -> str:
        """The rest; after it the masker begins anew."""
        rest = self._take("", final=True)
        self._inside = False
        return rest

    def _take(self, chunk: str, *, final: bool) -> str:
        text = self._held + chunk
        self._held = ""
        shown: list[str] = []
        at = 0
        if self._inside:
            at = _end_of_run(text, 0)
            self._inside = at == len(text)
        for run in _RUN.finditer(text, at):
            shown.append(text[at : run.start()])
            at = run.end()
            open_end = at == len(text) and not final
            public = _public_part(run.group())
            if public is None:
                shown.append(HIDDEN)
                self._inside = open_end
            elif public != run.group():
                shown.append(public + HIDDEN)
                self._inside = open_end
            elif open_end:
                self._held = run.group()
            else:
                shown.append(run.group())
        shown.append(text[at:])
        return "".join(shown)


def mask(text: str) -> str:
    """``text`` without tokens, for text that is there all at once."""
    masker = Masker()
    return masker.feed(text) + masker.finish()


def hide(text: str, secrets: Iterable[Secret]) -> str:
    """``text`` without the values of ``secrets``, also escaped, or broken by line ends.

    Of a long one pieces are hidden too: another line may have come in between. A value of less than
    four characters is hidden where it stands as a word of its own: inside of others it would take
    half the text with it.
    """
    forms = set(chain.from_iterable(map(_forms_of, secrets)))
    longest_first = sorted(forms, key=len, reverse=True)
    for form in longest_first:
        text = _anywhere(form).sub(HIDDEN, text)
    for form in longest_first:
        if len(form) >= _LONG:
            text = _without_pieces(text, form)
    return text


def _without_pieces(text: str, form: str) -> str:
    """``text`` without what it has in common with ``form`` for ``_PIECE`` characters or more."""
    hit = [False] * len(text)
    for start in range(len(form) - _PIECE + 1):
        piece = form[start : start + _PIECE]
        at = text.find(piece)
        while at >= 0:
            hit[at : at + _PIECE] = [True] * _PIECE
            at = text.find(piece, at + 1)
    parts = groupby(zip(text, hit, strict=True), key=itemgetter(1))
    return "".join(HIDDEN if hidden else "".join(one for one, _ in run) for hidden, run in parts)


def _forms_of(secret: Secret) -> Iterator[str]:
    value = secret.reveal()
    yield from _forms(value)
    if isinstance(secret, AuthToken):
        # Edgent-Arduino's banner (BlynkEdgent.h): four characters of it, and bullets
        yield f"{value[:4]} - \u2022\u2022\u2022\u2022"


def _forms(value: str) -> Iterator[str]:
    """A value as it is, and as a firmware or a console may write it."""
    if value.strip():
        yield value
        yield json.dumps(value)[1:-1]
        yield json.dumps(value, ensure_ascii=False)[1:-1]
        yield quote(value)
        yield quote(value, safe="").replace("%20", "+")
        yield value.replace("\\", "\\\\").replace(" ", "\\x20")
        yield value.encode().hex()


def _anywhere(form: str) -> re.Pattern[str]:
    pattern = r"[\r\n]*".join(re.escape(letter) for letter in form)
    if len(form) < _SHORT:
        pattern = rf"(?<!\w){pattern}(?!\w)"
    return re.compile(pattern, re.IGNORECASE)


def _public_part(run: str) -> str | None:
    """What of a run of token characters may be shown; None if nothing."""
    if len(run) >= _LENGTH:
        return None
    begin = run.find(_QR)
    return run if begin < 0 else run[:begin]


def _end_of_run(text: str, start: int) -> int:
    run = _RUN.match(text, start)
    return run.end() if run else start
