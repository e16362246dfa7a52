"""Listens to the application's console: text as it comes, plain, tokens hidden."""

import codecs
from collections.abc import Callable

from eol_inject.device.line import Line
from eol_inject.device.masking import Masker, Plain

_WAIT_S = 0.05
"""Longest wait for the next byte before the clock is looked at."""

_KEPT = 65536
"""Characters kept, the last ones: a boot loop never stops talking."""


def listen(
    line: Line,
    *,
    seconds: float,
    clock: Callable[[], float],
    until: Callable[[str], bool] | None,
) -> str:
    """What the unit says within ``seconds``, or until ``until`` is content with all so far.

    Bytes that are no UTF-8 (the first ones after a reset often are none) become ``\ufffd``.
    """
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    plain, masker = Plain(), Masker()
    heard = ""
    end = clock() + seconds
    line.timeout = min(_WAIT_S, seconds)
    while clock() < end:
        chunk = line.read(max(1, line.in_waiting))
        if not chunk:
            continue
        heard = (heard + masker.feed(plain.feed(decoder.decode(chunk))))[-_KEPT:]
        if until is not None and until(heard):
            return heard
    rest = plain.feed(decoder.decode(b"", final=True))
    return heard + masker.feed(rest) + masker.finish()
