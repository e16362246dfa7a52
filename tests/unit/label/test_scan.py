"""Scanner input: wrapping taken off, streams cut, misreadings explained, nothing shown."""

import string
from typing import Any

import pytest
import serial
from hypothesis import given
from hypothesis import strategies as st

from eol_inject.errors import StationError
from eol_inject.scan import (
    LAYOUTS,
    Diagnosis,
    Misread,
    Reading,
    SerialScanner,
    Splitter,
    diagnose,
    open_scanner,
    unwrap,
)
from eol_inject.unit import ClaimCode

ALPHABET = string.ascii_letters + string.digits + "_-"
US = string.ascii_lowercase + string.ascii_uppercase + string.digits + "-_+"
CODES = st.builds(
    lambda token, org: f"sqr_{token}" + (f"+{org}" if org else ""),
    st.text(ALPHABET, min_size=32, max_size=32),
    st.integers(0, 999_999),
)
WITH_ORG = CODES.filter(lambda code: "+" in code)


class Clock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@given(CODES, st.sampled_from(["", "]Q1", "]Q3"]), st.sampled_from(["", "\r", "\n", "\r\n", "\t"]))
def test_every_wrapping_comes_off(code: str, aim: str, suffix: str) -> None:
    """AIM identifier, STX, ETX and any suffix, in every combination."""
    for raw in (aim + code + suffix, f"\x02{aim}{code}\x03{suffix}"):
        reading = unwrap(raw)
        assert reading.claim == ClaimCode.parse(code)
        assert reading.symbology == aim


@given(st.lists(CODES, min_size=1, max_size=5), st.sampled_from(["\r", "\n", "\r\n", "\t", "\x03"]),
       st.data())  # fmt: skip
def test_a_stream_is_cut_wherever_it_is_chopped(
    codes: list[str], end: str, data: st.DataObject
) -> None:
    """However the bytes arrive, each reading comes out once and whole."""
    stream = "".join(code + end for code in codes)
    splitter, got = Splitter(Clock()), []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        got += splitter.feed(stream[:size])
        stream = stream[size:]
    assert [reading.text for reading in got] == codes


def test_silence_ends_a_reading_without_suffix() -> None:
    """120 ms after its last character a reading is complete, not before."""
    clock = Clock()
    splitter = Splitter(clock)
    assert splitter.feed("sqr_abc") == []
    clock.now = 0.11
    assert splitter.idle() == []
    clock.now = 0.13
    assert [reading.text for reading in splitter.idle()] == ["sqr_abc"]
    assert splitter.idle() == []
    splitter.feed("one")
    clock.now = 1.0
    assert [reading.text for reading in splitter.feed("two\r")] == ["one", "two"]


def test_noise_without_end_is_dropped() -> None:
    """A line that never stops neither fills the memory nor hides the next reading."""
    splitter = Splitter(Clock())
    for _ in range(100):
        assert splitter.feed("x" * 100) == []
    assert [reading.text for reading in splitter.feed("\rsqr_abc\r")][-1] == "sqr_abc"


def test_a_reading_never_shows_itself() -> None:
    """It may be a claim code, or an AuthToken that somebody scanned from a screen."""
    assert "secret" not in repr(Reading("sqr_secret", "]Q1"))


@given(CODES)
def test_a_whole_code_needs_no_diagnosis(code: str) -> None:
    """What can be compared is compared."""
    assert diagnose(Reading(code)) is None


@given(WITH_ORG)
def test_caps_lock_is_recognised(code: str) -> None:
    """Swapped case throughout is a key on the keyboard, not a damaged label."""
    assert diagnose(Reading(code.swapcase())) == Diagnosis(Misread.CAPS_LOCK)


@pytest.mark.parametrize("layout", LAYOUTS)
@given(code=WITH_ORG)
def test_a_keyboard_layout_is_recognised(layout: str, code: str) -> None:
    """``_`` as ``?`` and swapped letters are told as the layout that makes them."""
    typed = code.translate(str.maketrans(dict(zip(US, LAYOUTS[layout], strict=True))))
    for expected in (None, ClaimCode.parse(code)):
        diagnosis = diagnose(Reading(typed), expected)
        assert diagnosis is not None
        assert diagnosis.misread is Misread.LAYOUT
        assert layout in diagnosis.layouts


def test_german_is_told_from_spanish_by_the_code_that_was_expected() -> None:
    """Both turn the underscore into a question mark; only one swaps y and z."""
    code = "sqr_yzyzyzyzyzyzyzyzyzyzyzyzyzyzyzyz+1"
    typed = code.translate(str.maketrans(dict(zip(US, LAYOUTS["German"], strict=True))))
    assert typed == "sqr?zyzyzyzyzyzyzyzyzyzyzyzyzyzyzyzy`1"
    assert diagnose(Reading(typed), ClaimCode.parse(code)) == Diagnosis(Misread.LAYOUT, ("German",))


@pytest.mark.parametrize(
    ("text", "misread"),
    [
        ("Zq3-9xW_bT7mK2cR8vLpN4sD6fHjY0aE", Misread.AUTH_TOKEN),
        ("sqr_gCCsLSydh3d0Arm", Misread.CUT_SHORT),
        ("sqr_gCCsLSydh3d0ArmZj50l9zr79JXVooBR+", Misread.CUT_SHORT),
        ("4006381333931", Misread.NO_CLAIM_CODE),
        ("", Misread.NO_CLAIM_CODE),
        ("http://example.com/", Misread.NO_CLAIM_CODE),
    ],
)
def test_other_texts_are_told_apart(text: str, misread: Misread) -> None:
    """A secret, half a code, and the bar code of the carton are three different mistakes."""
    assert diagnose(Reading(text)) == Diagnosis(misread)


def test_a_serial_scanner_gives_its_readings() -> None:
    """Two codes in one burst are two readings; then nothing until the time is over."""
    port = serial.serial_for_url("loop://", timeout=0.01)
    scanner = SerialScanner("loop://", port)
    port.write(b"]Q1one\r\n\x02two\x03")
    assert [scanner.read(1.0), scanner.read(1.0)] == [Reading("one", "]Q1"), Reading("two")]
    assert scanner.read(0.05) is None
    scanner.close()


def test_a_look_in_the_middle_of_a_scan_does_not_cut_it() -> None:
    """Somebody looks now and then; a scan of which the first character has come is waited for, and
    one that never ends is ended by silence."""
    now = [0.0]

    class Slow:
        """Each read takes 50 ms and finds what has come by then."""

        def __init__(self, *texts: bytes) -> None:
            self.texts = list(texts)
            self.in_waiting = 0

        def read(self, _: int) -> bytes:
            now[0] += 0.05
            return self.texts.pop(0) if self.texts else b""

    port: Any = Slow(b"", b"r", b"ight\r", b"", b"half")
    scanner = SerialScanner("COM7", port, clock=lambda: now[0])
    looks = []
    for _ in range(5):
        looks.append(scanner.read(0.0))
        now[0] += 0.25
    assert looks == [None, Reading("right"), None, Reading("half"), None]


def test_a_scanner_that_is_not_there_is_a_station_error() -> None:
    """It is found before the cycle begins."""
    with pytest.raises(StationError) as caught:
        open_scanner("/dev/there-is-no-such-port")
    assert caught.value.code == "label.scanner_gone"


def test_a_scanner_that_is_pulled_out_is_a_station_error() -> None:
    """Pulled out in mid-wait, its name stands in the message."""

    class Gone:
        in_waiting = 0

        def read(self, _: int) -> bytes:
            raise serial.SerialException("device disconnected")

    port: Any = Gone()
    with pytest.raises(StationError, match="device disconnected"):
        SerialScanner("COM7", port).read(1.0)


def test_opening_throws_old_readings_away() -> None:
    """A code that was scanned before the unit came belongs to another unit."""
    scanner = open_scanner("loop://")
    assert scanner.read(0.0) is None
    scanner.close()
