"""One line for a console: the template with its values, escaped as that console reads them.

A value that the console would read as something else is refused before anything is sent: a broken
line could configure the unit with half a password, or with the next value in its place.
"""

import re
from collections.abc import Mapping
from string import Formatter
from typing import Final

from eol_inject.device.spec import AskSpec, ConsoleSpec
from eol_inject.errors import StationError
from eol_inject.unit import Secret

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_NO_WORD: Final = re.compile(r"[\s\\\"']")


def fill(ask: AskSpec, values: Mapping[str, str | Secret], console: ConsoleSpec) -> str:
    """The line without its end.

    Raises ``StationError``, since the unit has nothing to do with it: ``device.console_value``,
    which names the field and never its value, or ``device.console_line``.
    """
    parts: list[str] = []
    left_out = ""
    for text, name, _, _ in Formatter().parse(ask.send):
        if left_out and text.strip():
            raise _unsendable(left_out, "it is empty, and another word follows")
        parts.append(text)
        if name is None:
            continue
        value = values.get(name, "")
        said = value.reveal() if isinstance(value, Secret) else value
        word = _escaped(name, said, console.escape)
        if left_out and word:
            raise _unsendable(left_out, "it is empty, and another value follows")
        if not word:
            left_out = name
        parts.append(word)
    line = "".join(parts)
    if len((line + console.line_end).encode()) > console.longest:
        raise StationError("device.console_line", step=ask.name, longest=console.longest)
    return line


def _escaped(name: str, value: str, how: str) -> str:
    if _CONTROL.search(value):
        raise _unsendable(name, "it has a line end or another control character in it")
    match how:
        case "raw":
            return value
        case "quotes":
            return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
        case "blynk":
            # BlynkConsole.h splits at blanks first and unescapes each word then
            return value.replace("\\", "\\\\").replace(" ", "\\x20")
        case _:
            if _NO_WORD.search(value):
                raise _unsendable(name, "it is not one plain word, and `escape` says nothing else")
            return value


def _unsendable(name: str, why: str) -> StationError:
    return StationError("device.console_value", field=name, why=why)
