"""Blynk's own consoles as data: what to send, and which line says that it was done.

Read from Blynk's public sources: blynk-library (``src/Blynk/BlynkConsole.h``,
``src/Blynk/BlynkProtocol.h``, ``examples/Blynk.Edgent/Edgent_ESP32/Console.h``, ``ConfigMode.h``,
``ConfigStore.h``) and Edgent-Arduino (``src/BlynkEdgentConsole.h``, ``BlynkEdgent.h``,
``BlynkConfigStore.h``, ``EdgentSettings.h``). What they have in common:

- Each character is echoed as it comes. A line end runs the line; behind the answer stands ``>``
  with no line end, so a command without an answer shows only by that prompt.
- Words are split at blanks, and only then unescaped: ``\\x20`` is a blank inside a word. There are
  no quotes. A line of more than 256 bytes loses its beginning without a word.
- ``connect`` keeps the token in RAM. It is saved after the cloud has accepted it, so its OK proves
  nothing, and a product proved this way needs a network that reaches the cloud.
- No command tells the token: whose it is, only the ledger knows.
"""

from typing import Any, Final

_UNKNOWN: Final = r"^>?Command not found"
_CONSOLE: Final[dict[str, Any]] = {
    "prompt": "^>",
    "escape": "blynk",
    "longest": 255,
    "blind": True,
    "identify": (
        {
            "name": "devinfo",
            "send": "devinfo",
            "expect": r'"tmpl_id":"(?P<template>[^"]*)","fw_type":"(?P<type>[^"]*)"',
            "refuse": _UNKNOWN,
        },
        # without a word behind it both answer; `wifi show` is classic's alone, `wifi info` new's
        {
            "name": "wifi",
            "send": "wifi",
            "expect": r"mac:(?P<mac>[0-9A-Fa-f:]{17}) ip:",
            "refuse": _UNKNOWN,
        },
    ),
}

_CLASSIC: Final = {
    **_CONSOLE,
    "cloud": True,
    "inject": (
        {
            "name": "connect",
            "send": "connect {auth} {ssid} {pass}",
            "expect": '"status":"OK"',
            "refuse": rf'"status":"error"|{_UNKNOWN}',
        },
        # ConfigMode.h sets RUNNING and saves right behind it. The line about saving alone would not
        # do: a failure saves as well, an empty configuration.
        {
            "name": "cloud connection",
            "expect": "CONNECTING_CLOUD => RUNNING",
            "refuse": r"Invalid auth token|Last error code|=> (?:ERROR|WAIT_CONFIG|RESET_CONFIG)",
            "timeout_s": 120,
        },
        {"name": "save", "expect": "Configuration stored to flash", "timeout_s": 10},
    ),
}
"""blynk-library's Edgent for ESP32 with ``APP_DEBUG``, as its example has it. Without that it says
only ``Ready (ping: …)``."""

_EDGENT: Final = {
    **_CONSOLE,
    "cloud": True,
    "inject": (
        # saved at once, beside the token; it has no answer of its own
        {
            "name": "wifi add",
            "send": "wifi add {ssid} {pass}",
            "refuse": rf"Available commands|{_UNKNOWN}",
        },
        {
            "name": "connect",
            "send": "connect {auth}",
            "expect": r"^>?Trying to connect",
            "refuse": rf"^>?(?:Error|Usage): ?|{_UNKNOWN}",
        },
        # BlynkEdgent.h commits in the same turn in which it sees the connection; that it says so
        # is at log level info, which Arduino leaves out by default. [boot] with the same line
        # proves the saving: after a restart only a saved token gets there.
        {
            "name": "cloud connection",
            "expect": r"Config saved\.|Ready \(ping: ",
            "refuse": r"Invalid auth token|failed to store|=> (?:WAIT CONFIG|ERROR)",
            "timeout_s": 120,
        },
    ),
}

_PREFS: Final = {
    **_CONSOLE,
    "inject": (
        {
            "name": "prefs set",
            "send": "prefs set blynk auth {auth}",
            "expect": '"status":"ok"',
            "refuse": rf'"status":"error"|{_UNKNOWN}',
        },
    ),
}
"""Edgent-Arduino built with ``CONFIG_COMMAND_PREFS``: straight into NVS, no network needed; the
answer is that of the write. In use after a restart.

``prefs get blynk auth`` is not allowed, and answers the same whether there is one. What proves
the saving is the banner of the next start (``BlynkEdgent.h``, ``printBanner``): only where a token
of 32 characters was read from NVS it has a line ``Token: abcd - •••• - •••• - ••••``, with the
first four of them. It is said at log level info (``CORE_DEBUG_LEVEL`` 3, or ``LOGGER_PRINT`` with
``LOGGER_LOG_LEVEL`` 3) in a firmware with ``BLYNK_PRINT``. ``[boot]`` expects it, and
``masking.hide`` hides it."""

PRESETS: Final[dict[str, dict[str, Any]]] = {
    "classic-edgent": _CLASSIC,
    "edgent": _EDGENT,
    "edgent-prefs": _PREFS,
}
