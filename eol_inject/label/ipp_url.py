"""``ipp:`` and ``cups:`` addresses as people write them.

Both take ``?format=zpl`` and ``?timeout=SECONDS``.
"""

import re
from typing import Final
from urllib.parse import parse_qs, urlsplit

from eol_inject.errors import UsageError
from eol_inject.label.ipp_client import PORT, Address
from eol_inject.label.ipp_printer import FINISH_S, IppPrinter

_FORMATS: Final = ("pdf", "zpl")
_MOST_TIMEOUT_S: Final = 600
_QUEUE: Final = re.compile(r"[A-Za-z0-9_.+@~-]{1,127}")


def open_ipp(url: str) -> IppPrinter:
    """``ipp://host[:port]/path``, ``/ipp/print`` where no path is given.

    Raises ``UsageError("label.bad_printer_url")``.
    """
    parts = urlsplit(url)
    form, finish_s = _options(url, parts.query)
    address = Address.of(url)
    if address is None or parts.username is not None or parts.fragment:
        raise UsageError("label.bad_printer_url", url=_public(url), why="it is not ipp://host/path")
    return IppPrinter(url, address, form=form, finish_s=finish_s)


def open_cups(url: str) -> IppPrinter:
    """``cups://queue`` of this computer, ``cups://host[:port]/queue`` of another.

    Raises ``UsageError("label.bad_printer_url")``.
    """
    parts = urlsplit(url)
    form, finish_s = _options(url, parts.query)
    queue = parts.path.strip("/")
    try:
        host, port = (parts.hostname, parts.port or PORT) if queue else ("localhost", PORT)
    except ValueError as error:
        why = "its port is no number"
        raise UsageError("label.bad_printer_url", url=_public(url), why=why) from error
    queue = queue or parts.netloc
    if not host or not _QUEUE.fullmatch(queue) or parts.username is not None or parts.fragment:
        why = "it is not cups://queue or cups://host:port/queue"
        raise UsageError("label.bad_printer_url", url=_public(url), why=why)
    return IppPrinter(url, Address(host, port, f"/printers/{queue}"), form=form, finish_s=finish_s)


def _options(url: str, query: str) -> tuple[str, float]:
    """The format, and the seconds a label may take."""
    asked = parse_qs(query, keep_blank_values=True)
    (form,) = asked.pop("format", ["pdf"])[-1:]
    (limit,) = asked.pop("timeout", [str(FINISH_S)])[-1:]
    if asked or form not in _FORMATS:
        why = f"after the ? it takes format={' or '.join(_FORMATS)} and timeout="
        raise UsageError("label.bad_printer_url", url=_public(url), why=why)
    try:
        seconds = float(limit)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= _MOST_TIMEOUT_S:
        why = f"its timeout is not up to {_MOST_TIMEOUT_S} seconds"
        raise UsageError("label.bad_printer_url", url=_public(url), why=why)
    return form, seconds


def _public(url: str) -> str:
    """Without a password that somebody put there."""
    return re.sub(r"//[^/@]*@", "//", url)
