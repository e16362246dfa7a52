"""The console of a running firmware: classic Edgent's and new Edgent's commands.

Sources: blynk-library ``Edgent/Console.h`` (``connect``, ``config``, ``devinfo``, ``wifi show``,
answers as JSON) and Edgent-Arduino (``connect <auth> [host]``). What is configured goes into the
unit's NVS partition as its flash has it, so that a restart finds it.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{32}")
DIALECTS: Final = ("classic", "edgent")
_LONGEST: Final = 512


@dataclass(frozen=True, slots=True)
class Facts:
    """What the firmware knows of itself."""

    mac: str
    product: str


class Console:
    """Takes bytes and says lines. ``store`` writes a configuration: (auth, host), both empty to
    erase; ``stored`` tells the token that is configured, empty for none."""

    def __init__(
        self,
        dialect: str,
        facts: Facts,
        *,
        store: Callable[[str, str], None],
        stored: Callable[[], str],
        say: Callable[[str], None],
        echo: bool,
    ) -> None:
        self._dialect = dialect
        self._facts = facts
        self._store = store
        self._stored = stored
        self._say = say
        self._echo = echo
        self._line = bytearray()
        self.answers = True
        """A fault: what is done is not told."""

    def receive(self, data: bytes) -> None:
        """Bytes of the host; a line ends with CR, LF or both."""
        for byte in data:
            if byte in b"\r\n":
                line, self._line = self._line.decode("utf-8", "replace"), bytearray()
                if line.strip():
                    self._obey(line.strip())
            elif len(self._line) < _LONGEST:
                self._line.append(byte)

    def _obey(self, line: str) -> None:
        if self._echo:
            self._say(f"{line}\r\n")
        words = line.split()
        said = self._answer(words[0].lower(), words[1:])
        if self.answers:
            self._say(f"{said}\r\n>")

    def _answer(self, command: str, words: list[str]) -> str:
        match command:
            case "devinfo":
                return json.dumps(
                    {
                        "name": "Sample", "board": "Sample board", "tmpl_id": self._facts.product,
                        "fw_type": self._facts.product, "fw_ver": "1.0.0",
                    },
                    separators=(",", ":"),
                )  # fmt: skip
            case "wifi" if words[:1] == ["show"]:
                return f"mac:{self._facts.mac} ip:0.0.0.0"
            case "config" if words[:1] == ["erase"]:
                self._store("", "")
                return _status("OK", "config erased")
            case "config" if words[:1] == ["show"]:
                return f"auth:{self._stored()}"
            case "config" if words[:1] in (["start"], ["stop"]):
                return _status("OK", f"config {words[0]}")
            case "connect":
                return self._connect(words)
            case _:
                return _status("error", "unknown command")

    def _connect(self, words: list[str]) -> str:
        """classic: ``<auth> <ssid> [pass]``; new: ``<auth> [host]``."""
        if not words or not _TOKEN.fullmatch(words[0]):
            return _status("error", "invalid token size")
        host = words[1] if self._dialect == "edgent" and len(words) > 1 else "blynk.cloud"
        self._store(words[0], host)
        return _status("OK", "trying to connect...")


def _status(status: str, text: str) -> str:
    return json.dumps({"status": status, "msg": text}, separators=(",", ":"))
