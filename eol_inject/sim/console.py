"""The console of a running firmware: Blynk's classic and new Edgent, and one of somebody's own.

Read from blynk-library (``src/Blynk/BlynkConsole.h``: echo, prompt, words, escapes, buffer;
``examples/Blynk.Edgent/Edgent_ESP32``: commands, states, when it saves) and Edgent-Arduino
(``src/BlynkEdgentConsole.h``, ``BlynkEdgent.h``, ``BlynkConfigStore.h``), not from ``device``'s
presets: the one is tried on the other. Both keep a token in RAM until the cloud has accepted it.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

DIALECTS: Final = ("classic", "edgent", "edgent-prefs", "own")
"""``own`` is nobody's: it stores at once, and tells what it has."""
CLOUDS: Final = ("accepts", "refuses", "silent")
"""What the network does with the unit: ``silent``, it is not reached."""

_TOKEN_SIZE: Final = 32
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{32}")
_BUFFER: Final = 256
_WORDS: Final = 15
_BLANKS: Final = re.compile(rb"[ \n\r\t]+")
_UNSET: Final = "invalid token"
LISTENS_S: Final = 0.03
"""From the application's first words to its prompt; a second and more on a real unit."""
NET_S: Final = 0.08
CLOUD_S: Final = 0.16
"""From ``connect`` to the network, and to the cloud; seconds on a real unit."""


@dataclass(slots=True)
class Config:
    """What the firmware is told: in RAM, or saved."""

    auth: str = ""
    host: str = "blynk.cloud"
    ssid: str = ""
    password: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the firmware knows of itself."""

    mac: str
    product: str


@dataclass(frozen=True, slots=True)
class Flash:
    """Where the firmware keeps what has to survive: its NVS, and the networks beside it."""

    store: Callable[[Config], None]
    """An empty token erases."""
    stored: Callable[[], str]
    networks: dict[str, str]


@dataclass(slots=True)
class Console:
    """Takes bytes and says lines; ``later`` calls back after so many seconds, while it runs."""

    dialect: str
    facts: Facts
    flash: Flash
    say: Callable[[str], None]
    later: Callable[[float, Callable[[], None]], None]
    echo: bool = True
    cloud: str = "accepts"
    leak: bool = False
    """It logs what no firmware should."""
    chatty: bool = False
    """Another of its tasks logs between a line and its answer."""
    answers: bool = True
    """False is a fault: what is done is not told."""
    _line: bytearray = field(default_factory=bytearray)
    _config: Config = field(default_factory=Config)
    _state: str = "INIT"
    _time_ms: int = 1000

    # ── start ───────────────────────────────────────────────────────────────────────────────────

    def start(self) -> None:
        """The prompt, a moment after the first words; then the cloud, where it is configured."""
        if self.leak:
            self._leak()
        self._config = Config(self.flash.stored())
        if self.dialect == "edgent-prefs":
            self._banner()
        self.later(LISTENS_S, lambda: self.say("\n>"))
        if not _TOKEN.fullmatch(self._config.auth):
            return
        if self.dialect == "classic" or self.flash.networks:
            self.later(LISTENS_S, lambda: self._connect_on(saved=True))

    def _banner(self) -> None:
        """Of a build with log level info: its token's first four letters, if it has one saved."""
        self._log("Device:    Blynk Sample-4W8N")
        if _TOKEN.fullmatch(self._config.auth):
            dots = "\u2022\u2022\u2022\u2022".encode().decode("latin-1")
            self._log(f"Token:     {self._config.auth[:4]} - {dots} - {dots} - {dots}")

    def _leak(self) -> None:
        """A line too long for the terminal, broken where it hurts."""
        token = self.flash.stored()
        for ssid, password in self.flash.networks.items():
            self._log(f"WiFi SSID: {ssid} Pass: {password[:5]}\r\n{password[5:]}")
            self._log(f"WiFi Pass: {password}")
        if token:
            self._log(f"Blynk cloud: {token[:20]}")
            self._log(f"{token[20:]} @ blynk.cloud:443")

    # ── lines ───────────────────────────────────────────────────────────────────────────────────

    def receive(self, data: bytes) -> None:
        """Bytes of the host: each is echoed, CR or LF runs what came before."""
        for byte in data:
            if len(self._line) >= _BUFFER:
                self._line.clear()
            if byte not in b"\r\n":
                self._line.append(byte)
                if self.echo:
                    self.say(chr(byte))
                continue
            words = [unescape(word) for word in _BLANKS.split(bytes(self._line)) if word]
            self._line.clear()
            if words:
                self._run(words[:_WORDS])

    def _run(self, words: list[str]) -> None:
        said = self._obey(words[0].lower(), words[1:])
        if not self.answers:
            return
        if self.echo:
            self.say("\r\n")
        if self.chatty:
            self._log("Heartbeat timeout")
        self.say(("Command not found.\r\n" if said is None else said) + ">")

    def _obey(self, command: str, words: list[str]) -> str | None:
        """What is printed before the prompt; None for a command that it does not have."""
        if command == "devinfo":
            told = {
                "name": "Blynk Sample-4W8N", "board": "Sample Sensor",
                "tmpl_id": self.facts.product, "fw_type": self.facts.product, "fw_ver": "0.1.0",
            }  # fmt: skip
            return json.dumps(told, separators=(",", ":")) + "\n"
        match self.dialect:
            case "classic":
                return self._classic(command, words)
            case "own":
                return self._own(command, words)
            case _:
                return self._edgent(command, words)

    def _log(self, text: str) -> None:
        """In between, on a line of its own only if it is lucky."""
        self._time_ms += 37
        self.say(f"[{self._time_ms}] {text}\r\n")

    def _go(self, state: str) -> None:
        if self.dialect == "classic":  # the new one says so at a log level that is off
            self._log(f"{self._state} => {state}")
        self._state = state

    # ── classic Edgent ──────────────────────────────────────────────────────────────────────────

    def _classic(self, command: str, words: list[str]) -> str | None:
        match command, words[:1]:
            case "wifi", [] | ["show"]:
                return f"mac:{self.facts.mac.upper()} ip:0.0.0.0 ( [] 0dBm)\n"
            case "config", ["erase"]:
                self.later(0, self._reset)
            case "config" | "wifi", _:
                pass
            case "reboot", _:
                return _status("OK", "rebooting wifi module")
            case "connect", _:
                return self._classic_connect(words)
            case _:
                return None
        return ""

    def _classic_connect(self, words: list[str]) -> str:
        if len(words) < 2:  # noqa: PLR2004  # token and network
            return _status("error", "invalid arguments. expected: <auth> <ssid> <pass>")
        auth, ssid, *rest = words
        if len(auth) != _TOKEN_SIZE:
            return _status("error", "invalid token size")
        self._config = Config(auth, ssid=ssid, password=rest[0] if rest else "")
        self.later(0, lambda: self._go("SWITCH_TO_STA"))
        self.later(0, self._connect_on)
        return _status("OK", "trying to connect...")

    def _reset(self) -> None:
        self._go("RESET_CONFIG")
        self._log("Resetting configuration!")
        self._save(Config())
        self._go("WAIT_CONFIG")

    # ── new Edgent ──────────────────────────────────────────────────────────────────────────────

    def _edgent(self, command: str, words: list[str]) -> str | None:
        match command, words[:1]:
            case "wifi", [] | ["info"]:
                return f"mac:{self.facts.mac} ip:0.0.0.0 status:down\nerror: NETWORK_NOT_FOUND\n"
            case "wifi", ["add"] if len(words) > 1:
                self._add(words[1], words[2] if len(words) > 2 else "")  # noqa: PLR2004
            case "wifi", ["clear"]:
                self.flash.networks.clear()
            case "wifi", _:
                return "Available commands: info, scan, add ssid [pass], clear, on, off\r\n"
            case "config", ["erase"]:
                self.flash.networks.clear()
                self._save(Config())
            case "config", [] | ["start"] | ["stop"]:
                pass
            case "config", _:
                return "Available commands: start, stop, erase\r\n"
            case "connect", _:
                return self._edgent_connect(words)
            case "prefs", _ if self.dialect == "edgent-prefs":
                return self._prefs(words)
            case _:
                return None
        return ""

    def _add(self, ssid: str, password: str) -> None:
        """Refused without a word: why is said at a log level that is off."""
        if 0 < len(ssid) <= 31 and (not password or 8 <= len(password) <= 64):  # noqa: PLR2004
            self.flash.networks[ssid] = password

    def _edgent_connect(self, words: list[str]) -> str:
        if not words:
            return "Usage: connect <auth> [host]\n"
        if len(words[0]) != _TOKEN_SIZE:
            return "Error: invalid token size\n"
        self._config = Config(words[0], *words[1:2])
        if self.flash.networks:
            self.later(0, self._connect_on)
        return "Trying to connect...\n"

    def _prefs(self, words: list[str]) -> str:
        match words:
            case ["set", space, key, value]:
                if (space, key) == ("blynk", "auth"):
                    self.flash.store(Config(value))
                return '{"status":"ok"}\n'
            case ["get", "blynk", "auth"]:
                return '{"status":"error","msg":"not allowed"}\n'
            case _:
                return '{"status":"error","msg":"invalid args"}\n'

    # ── the way to the cloud ────────────────────────────────────────────────────────────────────

    def _connect_on(self, *, saved: bool = False) -> None:
        config = self._config
        self._go("CONNECTING_NET")
        if self.dialect == "classic":
            self._log(f"Connecting to WiFi: {config.ssid}")
        if self.cloud == "silent":
            return
        self.later(NET_S, lambda: self._go("CONNECTING_CLOUD"))
        self.later(CLOUD_S, lambda: self._logged_in(config, saved=saved))

    def _logged_in(self, config: Config, *, saved: bool) -> None:
        if config is not self._config:
            return  # told another meanwhile
        if self.cloud == "refuses":
            self._log("Invalid auth token")
            if self.dialect == "classic" and not saved:
                self._log("Last error code: 703")
                self._save(Config())
            self._go("WAIT_CONFIG")
            return
        self._log("Ready (ping: 12ms).")
        self._go("RUNNING")
        if not saved:
            self._save(config)

    def _save(self, config: Config) -> None:
        self.flash.store(config)
        if self.dialect == "classic":
            self.flash.networks.clear()
            if config.auth:
                self.flash.networks[config.ssid] = config.password
            self._log("Configuration stored to flash")

    # ── somebody's own ──────────────────────────────────────────────────────────────────────────

    def _own(self, command: str, words: list[str]) -> str | None:
        match command, words:
            case "id", []:
                return f"mac {self.facts.mac} type {self.facts.product}\r\n"
            case "token", []:
                return f"token={self.flash.stored() or _UNSET}\r\n"
            case "token", [token]:
                self.flash.store(Config(token))
                return "saved\r\n"
            case _:
                return None


def unescape(word: bytes) -> str:
    """BlynkConsole.h: ``\\0 \\b \\n \\r \\t \\xNN``; any other letter stands for itself."""
    out = bytearray()
    at = 0
    while at < len(word):
        byte = word[at : at + 1]
        if byte != b"\\":
            out += byte
            at += 1
            continue
        letter = word[at + 1 : at + 2]
        if letter == b"x":
            digits = re.match(rb"[0-9A-Fa-f]*", word[at + 2 : at + 4])
            out.append(int((digits[0] if digits else b"") or b"0", 16))
            at += 4
            continue
        out += {b"0": b"\0", b"b": b"\b", b"n": b"\n", b"r": b"\r", b"t": b"\t"}.get(letter, letter)
        at += 2
    return bytes(out).split(b"\0")[0].decode("utf-8", "replace")


def _status(status: str, text: str) -> str:
    return json.dumps({"status": status, "msg": text}, separators=(",", ":")) + "\n"
