"""What a simulated firmware's console stores, and how it answers: as Blynk's sources do."""

import io

import pytest
from esp_idf_nvs_partition_gen.nvs_partition_gen import Page, nvs_close, nvs_open

from eol_inject.sim.console import Config, Console, Facts, Flash, unescape
from eol_inject.sim.firmware import config_of, nvs_of, nvs_token

TOKEN = "T" * 31 + "1"


@pytest.mark.parametrize(
    "values",
    [
        {"auth": TOKEN, "host": "blynk.cloud"},
        {"config": config_of(TOKEN, "blynk.cloud", "plant", "hunter22")},
    ],
)
def test_its_nvs_is_what_espressifs_own_writer_makes(values: dict[str, str | bytes]) -> None:
    """Byte for byte: so the readers are not tried on an invention."""
    out = io.BytesIO()
    store = nvs_open(out, 0x5000 - 0x1000, Page.VERSION2)
    store.write_namespace("blynk")
    for key, value in values.items():
        kind = "string" if isinstance(value, str) else "base64"
        if isinstance(value, bytes):
            import base64

            value = base64.b64encode(value)  # noqa: PLW2901
        store.write_entry(key, value, kind, store.get_namespace_idx())
    nvs_close(store)
    made = nvs_of(values, 0x5000)
    assert made == out.getvalue()
    assert nvs_token(made) == TOKEN.encode()


class Bench:
    """A console, what it said, and what it stored; its time passes when it is told to."""

    def __init__(self, dialect: str, *, echo: bool = False, cloud: str = "accepts") -> None:
        self.heard = ""
        self.kept: list[Config] = []
        self.due: list[tuple[float, int, object]] = []
        self.networks: dict[str, str] = {}
        self.console = Console(
            dialect, Facts("60:55:f9:00:00:01", "TMPL1"),
            Flash(self.kept.append, lambda: self.kept[-1].auth if self.kept else "", self.networks),
            say=self._say, later=self._later, echo=echo, cloud=cloud,
        )  # fmt: skip

    def _say(self, text: str) -> None:
        self.heard += text

    def _later(self, seconds: float, act: object) -> None:
        self.due.append((seconds, len(self.due), act))

    def type(self, *lines: str) -> str:
        """What it says at once."""
        before = len(self.heard)
        for line in lines:
            self.console.receive(line.encode())
        return self.heard[before:]

    def wait(self) -> str:
        """What it says of itself afterwards."""
        before = len(self.heard)
        while self.due:
            self.due.sort(key=lambda one: one[:2])
            self.due.pop(0)[2]()  # type: ignore[operator]
        return self.heard[before:]


@pytest.mark.parametrize(
    ("dialect", "line", "said"),
    [
        ("classic", "connect short net", '{"status":"error","msg":"invalid token size"}\n>'),
        ("classic", f"connect {TOKEN}", '{"status":"error","msg":"invalid arguments.'),
        ("edgent", "connect short", "Error: invalid token size\n>"),
        ("edgent", "connect", "Usage: connect <auth> [host]\n>"),
        ("edgent", "wifi show", "Available commands: info"),
        ("edgent", f"prefs set blynk auth {TOKEN}", "Command not found.\r\n>"),
        ("edgent-prefs", "prefs get blynk auth", '{"status":"error","msg":"not allowed"}\n>'),
        ("classic", "config erase", ">"),
        ("edgent", "config erase", ">"),
        ("classic", "nonsense", "Command not found.\r\n>"),
    ],
)
def test_it_answers_as_the_source_does(dialect: str, line: str, said: str) -> None:
    """JSON in the classic one, plain text in the new one, and nothing at all for some."""
    bench = Bench(dialect)
    assert bench.type(line + "\n").startswith(said)
    assert [one for one in bench.kept if one.auth] == []


@pytest.mark.parametrize(
    ("dialect", "line", "answer"),
    [
        ("classic", f"connect {TOKEN} net", '"status":"OK"'),
        ("edgent", f"connect {TOKEN}", "Trying to connect..."),
    ],
)
def test_a_token_is_in_ram_until_the_cloud_has_accepted_it(
    dialect: str, line: str, answer: str
) -> None:
    """The OK comes at once, the saving after the connection."""
    bench = Bench(dialect)
    bench.networks["net"] = ""
    assert answer in bench.type(line + "\n")
    assert bench.kept == []
    said = bench.wait()
    assert "Ready (ping: " in said
    assert [one.auth for one in bench.kept] == [TOKEN]


def test_classic_saves_an_empty_configuration_when_the_cloud_refuses() -> None:
    """And says the same words as after a success: they alone prove nothing."""
    bench = Bench("classic", cloud="refuses")
    bench.type(f"connect {TOKEN} net\n")
    assert "Configuration stored to flash" in bench.wait()
    assert bench.kept[-1].auth == ""


def test_without_a_network_the_new_one_goes_nowhere() -> None:
    """`connect` brings none; `wifi add` does, and refuses a short password without a word."""
    bench = Bench("edgent")
    assert bench.type("wifi add net short\n") == ">"
    bench.type(f"connect {TOKEN}\n")
    assert bench.wait() == ""
    assert bench.type("wifi add net longer-than-8\n") == ">"
    bench.type(f"connect {TOKEN}\n")
    bench.wait()
    assert bench.kept[-1].auth == TOKEN


def test_a_line_counts_once_however_it_ends_and_whenever_it_comes() -> None:
    """CR LF is one end; each character is echoed as it comes, the prompt follows the answer."""
    bench = Bench("edgent-prefs", echo=True)
    bench.type(*f"prefs set blynk auth {TOKEN}\r\n")
    assert [one.auth for one in bench.kept] == [TOKEN]
    assert bench.heard == f'prefs set blynk auth {TOKEN}\r\n{{"status":"ok"}}\n>'


def test_a_line_longer_than_its_buffer_loses_its_beginning() -> None:
    """256 bytes are forgotten without a word; the rest is a command."""
    bench = Bench("classic")
    assert bench.type("x" * 256 + "devinfo\n").startswith("{")


@pytest.mark.parametrize(
    ("word", "read"),
    [("a\\x20b", "a b"), ("a\\\\b", "a\\b"), ("\\q", "q"), ("a\\tb", "a\tb"), ("a\\0b", "a")],
)
def test_words_are_unescaped_as_blynks_console_does(word: str, read: str) -> None:
    """A letter without a meaning stands for itself; NUL ends the word."""
    assert unescape(word.encode()) == read
