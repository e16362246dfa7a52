"""The application's console: text in time, tokens hidden, never more than is kept."""

from collections.abc import Callable

import pytest

from eol_inject.device.console import _KEPT, listen
from eol_inject.device.masking import HIDDEN

TOKEN = "Zq4Rk9-fT_2mXw7Lc0Vb5NpJ8yHs3DgE"


class Line:
    """Gives one chunk a read; each read takes a second of the clock that it is."""

    timeout: float | None = None
    in_waiting = 0

    def __init__(self, *chunks: bytes) -> None:
        self.chunks = list(chunks)
        self.now = 0.0

    def read(self, _: int) -> bytes:
        self.now += 1.0
        return self.chunks.pop(0) if self.chunks else b""


def _hear(line: Line, seconds: float, until: Callable[[str], bool] | None = None) -> str:
    return listen(line, seconds=seconds, clock=lambda: line.now, until=until)  # type: ignore[arg-type]


def test_a_token_cut_by_the_wire_is_hidden() -> None:
    """Wherever one read ends and the next begins."""
    for cut in range(len(TOKEN)):
        line = Line(f"auth={TOKEN[:cut]}".encode(), f"{TOKEN[cut:]}\r\n".encode())
        assert _hear(line, 5) == f"auth={HIDDEN}\r\n"


@pytest.mark.parametrize(
    "sent",
    [
        f"\x1b[0;32m{TOKEN[:9]}\x1b[1m{TOKEN[9:]}\x1b[0m".encode(),
        f"{TOKEN[:20]}\x07{TOKEN[20:]}".encode(),
        TOKEN.encode("utf-16-le"),
        TOKEN.encode("utf-16-be"),
        f"{TOKEN[:5]}\x1b(B{TOKEN[5:]}".encode(),
    ],
)
def test_what_no_eye_sees_does_not_cut_a_token_in_two(sent: bytes) -> None:
    """Colours, bells, sixteen bits a letter, in whole or byte by byte: it is hidden, and nothing of
    it reaches the operator's terminal."""
    for chunks in ([sent], [sent[at : at + 1] for at in range(len(sent))]):
        assert _hear(Line(b"auth=", *chunks, b"\r\n\tok"), 999) == f"auth={HIDDEN}\r\n\tok"


def test_a_sequence_without_an_end_swallows_nothing() -> None:
    """Of a broken one only the escape goes."""
    assert _hear(Line(b"a\x1b[" + b"1" * 20, b"\nz\x1b"), 9) == "a[" + "1" * 20 + "\nz"


def test_a_character_cut_by_the_wire_is_whole() -> None:
    """UTF-8 across reads; what is none becomes a mark, not an error."""
    assert _hear(Line("ä".encode()[:1], "ä".encode()[1:] + b"\xff"), 5) == "ä\ufffd"


def test_it_ends_at_the_word_or_at_the_time() -> None:
    """Not one read later."""
    line = Line(*[b"line\n"] * 9)
    assert _hear(line, 9, lambda text: text.count("line") == 3) == "line\n" * 3
    assert _hear(line, 2) == "line\n" * 2


def test_a_unit_that_never_stops_talking_does_not_fill_the_memory() -> None:
    """The last words are kept; they are the ones that tell."""
    text = _hear(Line(*[b"boot loop " * 1000] * 30, b"the end"), 40)
    assert len(text) <= _KEPT + len("the end")
    assert text.endswith("the end")
