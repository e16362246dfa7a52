"""Hides whatever is shaped like a token in text from a device, also across chunks.

A firmware may print its AuthToken, or a QR token, on its console; the text is kept with the
attempt and shown. So every run of 32 or more token characters, and everything that begins with
``sqr_``, is replaced before anybody sees it. Hashes of the same shape go too: better one hash too
few than one token too many.
"""

import re
from typing import Final

HIDDEN: Final = "[hidden]"

_LENGTH: Final = 32
"""Characters of an AuthToken (Blynk, "Static tokens")."""
_RUN: Final = re.compile(r"[A-Za-z0-9_-]+")
_QR: Final = "sqr_"


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


def _public_part(run: str) -> str | None:
    """What of a run of token characters may be shown; None if nothing."""
    if len(run) >= _LENGTH:
        return None
    begin = run.find(_QR)
    return run if begin < 0 else run[:begin]


def _end_of_run(text: str, start: int) -> int:
    run = _RUN.match(text, start)
    return run.end() if run else start
