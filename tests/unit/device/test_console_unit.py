"""The script on a wire: what counts as an answer, and what does not."""

from collections.abc import Callable
from itertools import pairwise

import pytest

from eol_inject.device import console_unit
from eol_inject.device.console_presets import PRESETS
from eol_inject.device.console_unit import ConsoleUnit
from eol_inject.device.spec import AskSpec, ConsoleSpec, DeviceSpec
from eol_inject.errors import StationError, UnitError
from eol_inject.unit import AuthToken

TOKEN = "Zq4Rk9-fT_2mXw7Lc0Vb5NpJ8yHs3DgE"
Replies = Callable[[str], str]


class Port:
    """Answers each line by ``replies``; time passes while nothing comes."""

    timeout: float | None = None
    baudrate = 115200

    def __init__(self, replies: Replies, *, waiting: str = "") -> None:
        self.replies = replies
        self.came = bytearray(waiting.encode())
        self.sent: list[str] = []
        self.now = 0.0
        self.waited: list[float] = []
        self.resets: list[bool] = []

    @property
    def in_waiting(self) -> int:
        return len(self.came)

    def read(self, size: int) -> bytes:
        data, self.came = bytes(self.came[:size]), self.came[size:]
        if not data:
            self.now += self.timeout or 0.05
        return data

    def write(self, data: bytes) -> int:
        self.sent.append(data.decode())
        self.came += self.replies(data.decode().strip()).encode()
        return len(data)

    def reset_input_buffer(self) -> None:
        self.came.clear()

    def close(self) -> None:
        pass

    rts = dtr = False


@pytest.fixture
def unit(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[ConsoleUnit, Port]]:
    """A unit whose console answers by a function."""

    def make(
        replies: Replies,
        *,
        waiting: str = "",
        deadline_s: float = 120,
        waiting_is: Callable[[], None] | None = None,
        **more: object,
    ) -> tuple[ConsoleUnit, Port]:
        port = Port(replies, waiting=waiting)
        monkeypatch.setattr(console_unit.ports, "open_port", lambda *_, **__: port)
        table = {
            "identify": [{"name": "id", "send": "id", "expect": "(?P<mac>.*)"}],
            "inject": [{"name": "set", "send": "set {auth}", "expect": "ok"}],
            "blind": True,
            **more,
        }
        made = ConsoleUnit(
            "loop://",
            DeviceSpec(chip="esp32c3", mode="console", deadline_s=deadline_s),
            ConsoleSpec.model_validate(table),
            is_token=lambda _: False,
            sleep=lambda _: None,
            clock=lambda: port.now,
            waiting=waiting_is or (lambda: port.waited.append(port.now)),
        )
        return made, port

    return make


def ask(send: str = "go", expect: str | None = "ok", refuse: str | None = None) -> AskSpec:
    """One line."""
    return AskSpec(name="step", send=send, expect=expect, refuse=refuse, timeout_s=1)


Maker = Callable[..., tuple[ConsoleUnit, Port]]


def test_a_line_that_came_before_answers_nothing(unit: Maker) -> None:
    """Neither one in the port's buffer, nor one that was read with an earlier answer."""
    made, _ = unit(lambda _: "", waiting="ok\n")
    with pytest.raises(StationError, match="did not answer"):
        made.ask(ask(), {})
    made, _ = unit(lambda line: "ok\nok\nok\n" if line == "one" else "")
    made.ask(ask("one"), {})
    with pytest.raises(StationError, match="did not answer"):
        made.ask(ask("two"), {})


@pytest.mark.parametrize("wait", ["an answer", "its start", "its boot message"])
def test_whoever_waits_is_told_so_all_the_time(unit: Maker, wait: str) -> None:
    """A lease is kept through ten silent minutes: no second of them without a sign."""
    made, port = unit(lambda _: "", deadline_s=1000, ready="listens", ready_timeout_s=100)
    if wait == "an answer":
        with pytest.raises(StationError, match="did not answer"):
            made.ask(AskSpec(name="step", send="go", expect="ok", timeout_s=600), {})
    elif wait == "its start":
        with pytest.raises(UnitError, match="console listens"):
            made.start()
    else:
        made.boot(listen_s=600, baud=115200)
    assert port.now > 90
    times = [0.0, *port.waited, port.now]
    assert max(later - earlier for earlier, later in pairwise(times)) < 1


def test_what_ends_the_wait_ends_the_question(unit: Maker) -> None:
    """A lease that is lost: nothing more is sent to a unit that is another station's."""

    def lost() -> None:
        raise StationError("ledger.lease_lost", slot="1")

    made, port = unit(lambda _: "", waiting_is=lost)
    with pytest.raises(StationError) as caught:
        made.ask(ask("token"), {})
    assert caught.value.code == "ledger.lease_lost"
    assert port.sent == []


def test_a_refusal_that_came_before_refuses_nothing(unit: Maker) -> None:
    """The other way round."""
    made, _ = unit(lambda _: "ok\n", waiting="error\n")
    made.ask(ask(refuse="error"), {})


def test_what_is_only_listened_for_may_have_come_with_the_last_answer(unit: Maker) -> None:
    """Nothing is sent: nothing is forgotten."""
    made, _ = unit(lambda _: "ok\nsaved\n")
    made.ask(ask(), {})
    made.ask(ask("", "saved"), {})


@pytest.mark.parametrize("echo", ["go ok", ">go ok", "dev> go ok", "me@unit:~$ go ok"])
def test_an_echo_is_no_answer(unit: Maker, echo: str) -> None:
    """Alone or behind a prompt."""
    made, _ = unit(lambda _: f"{echo}\r\n")
    with pytest.raises(StationError, match="did not answer"):
        made.ask(ask("go ok"), {})


def test_an_answer_may_end_with_what_was_sent(unit: Maker) -> None:
    """`token` → `there is no token`."""
    made, _ = unit(lambda _: "token\r\nthere is no token\r\n")
    made.ask(ask("token", "no token"), {})


def test_a_prompt_alone_answers_a_command_that_says_nothing(unit: Maker) -> None:
    """A prompt has no line end; one that came before is not it."""
    made, _ = unit(lambda _: "go\r\n>", prompt="^>")
    made.ask(ask(expect=None), {})
    made, _ = unit(lambda _: "go\r\n", waiting=">", prompt="^>")
    with pytest.raises(StationError, match="did not answer"):
        made.ask(ask(expect=None), {})
    made, _ = unit(lambda _: "go\r\nCommand not found.\r\n>", prompt="^>")
    with pytest.raises(UnitError, match="refused"):
        made.ask(ask(expect=None, refuse="not found"), {})


def test_the_prompt_behind_an_answer_is_waited_for(unit: Maker) -> None:
    """Else it would come late, and answer the next command before that is done."""
    made, port = unit(lambda line: f"{line}\r\nok\r\n", prompt="^>")
    made.ask(ask(), {})
    assert port.now >= 1, "went on without it"


@pytest.mark.parametrize(
    ("said", "token", "odd"),
    [
        (f"auth={TOKEN}", True, False),
        ("auth=", False, False),
        ("auth=invalid token", False, False),
        ("auth=Invalid token", False, True),
        (f"auth={TOKEN[:-1]}", False, True),
        (f"auth={TOKEN}x", False, True),
        ("auth=<none>", False, True),
    ],
)
def test_what_is_no_token_and_not_called_blank_is_odd(
    unit: Maker, said: str, token: bool, odd: bool
) -> None:
    """A token cut short is not an empty unit."""
    made, _ = unit(lambda _: f"{said}\n", blank="(?:invalid token)?")
    told = made.ask(ask("show", "auth=(?P<token>.*)"), {})
    assert told.token == (AuthToken(TOKEN) if token else None)
    assert told.odd is odd


def test_after_a_start_the_first_question_waits_for_the_console(unit: Maker) -> None:
    """A firmware's console comes up after its first lines: what is asked before is lost."""
    made, port = unit(lambda _: "ok\n", prompt="^>", enter="open")
    port.came += b"booting\nReady\n"
    assert "booting" not in made.boot(listen_s=0.2, baud=115200)
    with pytest.raises(UnitError, match="its console listens"):
        made.ask(ask(), {})
    assert port.sent == []


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_is_a_whole_console(preset: str) -> None:
    """It names its own lines, and takes what a profile says instead."""
    spec = ConsoleSpec.model_validate({"preset": preset})
    assert spec.blind
    assert spec.holds is None
    assert spec.proof == "reply"
    assert spec.longest < 256, "BlynkConsole.h's buffer"
    tells = {"name": "show", "send": "show", "expect": "(?P<token>.*)"}
    told = ConsoleSpec.model_validate({"preset": preset, "holds": tells, "proof": "read_back"})
    assert not told.blind


@pytest.mark.parametrize("preset", ["classic-edgent", "edgent"])
def test_an_ok_of_blynks_is_never_the_last_word(preset: str) -> None:
    """Both keep the token in RAM until the cloud has accepted it: the proof is a later line."""
    spec = ConsoleSpec.model_validate({"preset": preset})
    assert spec.cloud
    sending = [number for number, one in enumerate(spec.inject) if "{auth}" in one.send]
    assert sending[0] < len(spec.inject) - 1
