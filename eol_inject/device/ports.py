"""Opens a port by its URL, and says in our words why it could not.

We open the port and hand esptool the object: by URL an unknown scheme and a broken handler look
alike, and the reason of a refusal is lost in one sentence for all.
"""

import errno
import importlib
import importlib.util
import re
import sys
from typing import Any, Final
from urllib.parse import urlsplit

import serial

from eol_inject.device.holders import holders
from eol_inject.device.masking import mask
from eol_inject.errors import EolError, StationError, UsageError

SCHEMES: Final = ("socket", "rfc2217", "sim")
"""What may stand before ``://``. Not pyserial's ``spy://``: it dumps every byte, also tokens."""

_SERVERS: Final = frozenset({"socket", "rfc2217"})
"""Those that are reached at a host and a port."""

_PATIENCE_S: Final = 1.0
"""How long a read waits unless told otherwise: esptool does not say where it waits for the stub's
first word, and pyserial's own default is for ever."""

_HANDLERS: Final = "eol_inject.sim"
"""The package with ``protocol_sim``; known here by its name only."""

_MISSING: Final = re.compile(
    r"FileNotFoundError|No such file|No such device|Connection refused|not known|unreachable"
    r"|getaddrinfo|Name or service",
    re.IGNORECASE,
)
_DENIED: Final = re.compile(r"Permission denied", re.IGNORECASE)
_HOLDER: Final = re.compile(r"process \d+")
_BUSY: Final = re.compile(
    r"Access is denied|exclusively lock|busy|already open|in use", re.IGNORECASE
)


def open_port(url: str, *, baud: int) -> serial.Serial:
    """The open port at ``url``, at ``baud``, held exclusively where the system can.

    Raises ``UsageError``: ``device.unknown_scheme``, ``device.bad_url``; ``StationError`` with
    ``device.scheme_broken``, ``device.port_missing``, ``device.port_busy``,
    ``device.port_denied`` or ``device.port_failed``.
    """
    scheme, separator, _ = url.partition("://")
    if separator and scheme.lower() not in SCHEMES:
        raise UsageError("device.unknown_scheme", scheme=scheme, known=", ".join(SCHEMES))
    if scheme.lower() in _SERVERS and not _has_port(url):
        raise UsageError("device.bad_url", port=url, why="it names no host:port")
    if _HANDLERS not in serial.protocol_handler_packages:
        serial.protocol_handler_packages.append(_HANDLERS)
    try:
        port = serial.serial_for_url(
            url, do_not_open=True, exclusive=True, baudrate=baud, timeout=_PATIENCE_S
        )
    except ValueError as error:
        raise _unusable(url, scheme.lower(), error) from error
    if sys.platform == "win32":
        # Windows raises both lines on open, which would reset the chip (esptool does the same).
        port.rts = False
        port.dtr = False
    try:
        port.open()
    except (serial.SerialException, OSError, ValueError) as error:
        raise refusal(url, error) from error
    return port


def _has_port(url: str) -> bool:
    """pyserial compares a missing port number with a number, and says so to whoever typed it."""
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port is not None
    except ValueError:
        return False


def open_quiet(url: str) -> serial.Serial:
    """The open port with both its lines let go, to look at its modem lines: resets no unit.

    Raises as ``open_port`` does.
    """
    if _HANDLERS not in serial.protocol_handler_packages:
        serial.protocol_handler_packages.append(_HANDLERS)
    try:
        port = serial.serial_for_url(url, do_not_open=True, exclusive=True, timeout=0)
        port.rts = port.dtr = False
        port.open()
    except (serial.SerialException, OSError, ValueError) as error:
        raise refusal(url, error) from error
    return port


def refusal(url: str, error: Exception) -> EolError:
    """Why the system would not open ``url``, as one of ours."""
    number = getattr(error, "errno", None)
    text = str(error)
    if number in (errno.ENOENT, errno.ENODEV, errno.ENXIO) or _MISSING.search(text):
        return StationError("device.port_missing", port=url)
    if number == errno.EACCES or _DENIED.search(text):
        return StationError("device.port_denied", port=url)
    if number in (errno.EBUSY, errno.EAGAIN) or _BUSY.search(text):
        known = _HOLDER.search(text)
        return busy(url, known[0] if known else "")
    return StationError("device.port_failed", port=url, why=mask(text.splitlines()[0][:160]))


def busy(url: str, known: str = "") -> EolError:
    """``device.port_busy`` with the name of who holds it, where that can be seen."""
    names = known if known or "://" in url else ", ".join(map(str, holders(url)))
    return StationError("device.port_busy", port=url, holder=names or "another program")


def _unusable(url: str, scheme: str, error: Exception) -> EolError:
    """A ValueError of pyserial: a handler that cannot be imported, or an option it refuses."""
    handler: Any = f"{_HANDLERS}.protocol_{scheme}"
    if scheme == "sim":
        try:
            importlib.import_module(handler)
        except ImportError as cause:
            return StationError("device.scheme_broken", scheme=scheme, why=str(cause)[:160])
    return UsageError("device.bad_url", port=url, why=mask(str(error)[:160]))
