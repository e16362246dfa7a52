"""What goes to a console: each value as that console reads it, or not at all."""

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eol_inject.device import console_line
from eol_inject.device.spec import AskSpec, ConsoleSpec
from eol_inject.errors import StationError
from eol_inject.sim.console import unescape
from eol_inject.unit import AuthToken, Secret

TOKEN = "Zq4Rk9-fT_2mXw7Lc0Vb5NpJ8yHs3DgE"
PRINTABLE = st.text(st.characters(min_codepoint=0x20, exclude_categories=("C", "Z")) | st.just(" "))


def console(**more: object) -> ConsoleSpec:
    """A console of which only the way it takes values matters."""
    table = {
        "identify": [{"name": "id", "send": "id", "expect": "(?P<mac>.*)"}],
        "inject": [{"name": "set", "send": "set {auth}", "expect": "ok"}],
        "blind": True,
    }
    return ConsoleSpec.model_validate({**table, **more})


def line(template: str, values: dict[str, str | Secret], **more: object) -> str:
    """The line that is sent."""
    return console_line.fill(AskSpec(name="x", send=template, expect="y"), values, console(**more))


@given(PRINTABLE.filter(bool), PRINTABLE.filter(bool))
def test_blynks_console_reads_what_was_meant(ssid: str, password: str) -> None:
    """BlynkConsole.h splits at blanks, then unescapes: the simulated one does so too."""
    sent = line("c {a} {b}", {"a": ssid, "b": Secret(password)}, escape="blynk")
    words = [unescape(word.encode()) for word in sent.split(" ")]
    assert words == ["c", ssid, password]


@given(PRINTABLE, PRINTABLE)
def test_a_console_with_quotes_reads_what_was_meant(ssid: str, password: str) -> None:
    """Also nothing, and quotes within."""
    sent = line("c {a} {b}", {"a": ssid, "b": password}, escape="quotes")
    assert shlex.split(sent) == ["c", ssid, password]


@pytest.mark.parametrize("escape", ["word", "blynk", "quotes", "raw"])
@pytest.mark.parametrize("bad", ["a\nreboot", "a\rb", "a\0b", "\x1b[2J", "\x7f", "a\u2028b"])
def test_a_line_end_is_another_command(escape: str, bad: str) -> None:
    """In no way of sending, and the value is not repeated."""
    with pytest.raises(StationError) as caught:
        line("set {a}", {"a": Secret(bad)}, escape=escape)
    assert caught.value.code == "device.console_value"
    assert bad not in str(caught.value)


@pytest.mark.parametrize("bad", ["two words", "a\\b", 'a"b', "a'b", "a\u00a0b"])
def test_where_nothing_is_said_only_a_plain_word_goes(bad: str) -> None:
    """Nobody said how that console takes the rest."""
    with pytest.raises(StationError, match="cannot be sent"):
        line("set {a}", {"a": bad})


@pytest.mark.parametrize("escape", ["word", "blynk", "raw"])
def test_an_empty_value_only_at_the_end(escape: str) -> None:
    """In the middle the next one would take its place: a password for a network's name."""
    values: dict[str, str | Secret] = {"auth": AuthToken(TOKEN), "ssid": "", "pass": Secret("p")}
    with pytest.raises(StationError, match="another value follows"):
        line("connect {auth} {ssid} {pass}", values, escape=escape)
    with pytest.raises(StationError, match="another word follows"):
        line("connect {ssid} now", values, escape=escape)
    values["ssid"], values["pass"] = "net", Secret("")
    assert line("connect {auth} {ssid} {pass}", values).rstrip() == f"connect {TOKEN} net"


def test_a_line_that_the_console_would_cut_is_not_sent() -> None:
    """BlynkConsole.h forgets the first 256 bytes of a longer one: counted as sent, with its end."""
    fits = "ü" * 120
    assert line("set {a}", {"a": fits}, longest=245)
    with pytest.raises(StationError) as caught:
        line("set {a}", {"a": fits}, longest=244)
    assert caught.value.code == "device.console_line"
