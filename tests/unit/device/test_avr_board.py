"""A real avrdude against real boot loaders on emulated AVRs, and what the units hold then.

Facts that the way over an external programmer is built on; none of our own code runs here.
"""

import fcntl
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import serial

from tests.support.avr_board import NEEDED, AvrBoard, Name, firmware, pieces, to_hex

pytestmark = pytest.mark.needs_debian(*NEEDED)

TOKEN = b"Avr_0123456789abcdefghijklmnop-9"
BLANK = b"\xff" * 32
MAGIC = b"eol-avr-token-1:"
STORED = b"TOK1\x20" + TOKEN
EEPROM_AT = 16


@pytest.fixture
def board(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[AvrBoard]:
    """A running board, ``optiboot`` or the indirect parameter; its application is the fixture."""
    with AvrBoard(tmp_path, getattr(request, "param", "optiboot")) as started:
        started.burn(firmware(started.bootloader.mcu))
        yield started


def avrdude(
    board: AvrBoard, *arguments: str, stdin: bytes = b"", fds: tuple[int, ...] = ()
) -> subprocess.CompletedProcess[bytes]:
    """One call."""
    return subprocess.run(
        ["avrdude", *board.arguments, *arguments],
        check=False, input=stdin, capture_output=True, pass_fds=fds, timeout=60,
    )  # fmt: skip


def good(
    board: AvrBoard, *arguments: str, stdin: bytes = b"", fds: tuple[int, ...] = ()
) -> subprocess.CompletedProcess[bytes]:
    """One call that ends with 0."""
    done = avrdude(board, *arguments, stdin=stdin, fds=fds)
    assert done.returncode == 0, done.stderr
    return done


@contextmanager
def left_alone(board: AvrBoard, *arguments: str, stdin: bytes) -> Iterator[subprocess.Popen[bytes]]:
    """One call that gets no answer any more; it is ended afterwards."""
    with tempfile.TemporaryFile() as given:
        given.write(stdin)
        given.seek(0)
        process = subprocess.Popen(
            ["avrdude", *board.arguments, *arguments], stdin=given, stderr=subprocess.DEVNULL
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def until(true: Callable[[], bool]) -> None:
    """Wait for something that happens on the board."""
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def region(board: AvrBoard, token: bytes = TOKEN) -> dict[int, bytes]:
    """The region's page with ``token`` in it, by its address."""
    ((start, image),) = pieces(firmware(board.bootloader.mcu)).items()
    at = start + image.index(MAGIC)
    assert at % board.bootloader.page == 0
    return {at: (MAGIC + token).ljust(board.bootloader.page, b"\xff")}


def patched(board: AvrBoard) -> bytes:
    """The whole application with a token, in one run from address 0."""
    ((start, image),) = pieces(firmware(board.bootloader.mcu)).items()
    assert start == 0
    return to_hex({0: image.replace(MAGIC + BLANK, MAGIC + TOKEN)})


def says(*, flash: str = "blank", eeprom: str = "blank") -> str:
    """The end of what the application prints."""
    return f"\r\ntoken: {flash}\r\neeprom token: {eeprom}\r\nready\r\n"


@pytest.mark.parametrize(
    ("board", "signature"),
    [("optiboot", "1e950f"), ("atmegaboot", "1e950f"), ("stk500v2", "1e9801")],
    indirect=["board"],
)
def test_a_unit_is_identified_and_then_starts(board: AvrBoard, signature: str) -> None:
    """The boot loader answers with its chip; what follows is the application, by its own words."""
    done = good(board)
    assert f"device signature = 0x{signature}".encode() in done.stderr
    assert board.wait_for("ready").endswith(says())


@pytest.mark.parametrize("board", ["optiboot", "atmegaboot"], indirect=True)
def test_one_page_is_patched_and_nothing_else(board: AvrBoard) -> None:
    """On ATmega328P ``-D`` and a page's HEX on standard input change this page alone."""
    before = board.flash()
    page = region(board)
    ((at, content),) = page.items()
    good(board, "-D", "-U", "flash:w:-:i", stdin=to_hex(page))
    assert board.flash() == before[:at] + content + before[at + len(content) :]
    assert board.wait_for("ready").endswith(says(flash=TOKEN.decode()))


def test_a_part_of_a_page_keeps_the_rest(board: AvrBoard) -> None:
    """avrdude reads what it was not given; two pieces far apart are two pages."""
    before = bytearray(board.flash())
    ((at, _),) = region(board).items()
    good(board, "-D", "-U", "flash:w:-:i", stdin=to_hex({at + 16: TOKEN, 0x1010: b"far"}))
    before[at + 16 : at + 48] = TOKEN
    before[0x1010:0x1013] = b"far"
    assert board.flash() == before


def test_a_region_is_blanked_again(board: AvrBoard) -> None:
    """With ``-D`` avrdude cuts no trailing FF off; without it a blank page would not be written."""
    board.burn(to_hex(region(board)))
    good(board, "-D", "-U", "flash:w:-:i", stdin=to_hex(region(board, BLANK)))
    assert board.wait_for("ready").endswith(says())


def test_the_boot_loader_cannot_be_written(board: AvrBoard) -> None:
    """An Arduino's lock bits: an image that covers the boot loader does not verify."""
    before = board.flash()
    done = avrdude(board, "-D", "-U", "flash:w:-:i", stdin=to_hex({0x7E80: b"over"}))
    assert (done.returncode, b"verification mismatch" in done.stderr) == (1, True)
    assert board.flash() == before


def test_a_whole_memory_is_read_to_standard_output(board: AvrBoard) -> None:
    """``-qq`` leaves nothing else on it; ``-A`` keeps trailing FF."""
    done = good(board, "-qq", "-A", "-U", "flash:r:-:r")
    assert done.stdout == board.flash()


@pytest.mark.parametrize("board", ["optiboot", "stk500v2"], indirect=True)
def test_a_part_of_flash_is_read_by_the_terminal(board: AvrBoard) -> None:
    """``dump`` is the one way to read less than everything."""
    ((at, content),) = region(board).items()
    board.burn(to_hex({at: content}))
    done = good(board, "-qq", "-t", stdin=f"dump flash {at:#x} 64\nquit\n".encode())
    row = re.compile(r"^[0-9a-f]+ ((?:  ?[0-9a-f]{2}){16})  \|", re.MULTILINE)
    rows = row.findall(done.stdout.decode())
    assert bytes.fromhex("".join(rows)) == content[:64]


def test_several_images_go_in_as_memory_files(board: AvrBoard) -> None:
    """An anonymous file by its descriptor's path is a file; a pipe is refused there."""
    page = to_hex(region(board))
    held = os.memfd_create("page")
    os.write(held, page)
    path = f"/proc/self/fd/{held}"
    good(board, "-D", "-U", f"flash:w:{path}:i", "-U", f"flash:v:{path}:i", fds=(held,))
    os.close(held)
    done = avrdude(board, "-D", "-U", "flash:w:/dev/stdin:i", stdin=page)
    assert done.returncode == 1
    assert b"not a regular or character file" in done.stderr


def test_optiboot_writes_eeprom_into_flash(board: AvrBoard) -> None:
    """It ignores the kind of memory: the application is destroyed, and a read shows flash."""
    before = board.flash()
    done = avrdude(board, "-U", "eeprom:w:-:i", stdin=to_hex({EEPROM_AT: STORED}))
    assert done.returncode == 1
    assert b"verification mismatch" in done.stderr
    assert board.eeprom() == b"\xff" * 1024
    assert board.flash()[:128] != before[:128]
    assert good(board, "-qq", "-A", "-U", "eeprom:r:-:r").stdout == board.flash()[:1024]


@pytest.mark.parametrize("board", ["atmegaboot"], indirect=True)
def test_atmegaboot_writes_and_reads_eeprom(board: AvrBoard) -> None:
    """The application finds the token where avrdude put it."""
    good(board, "-U", "eeprom:w:-:i", stdin=to_hex({EEPROM_AT: STORED}))
    assert board.eeprom()[EEPROM_AT:].startswith(STORED)
    assert good(board, "-qq", "-A", "-U", "eeprom:r:-:r").stdout == board.eeprom()
    assert board.wait_for("ready").endswith(says(eeprom=TOKEN.decode()))


@pytest.mark.parametrize("board", ["stk500v2"], indirect=True)
def test_a_mega_takes_a_whole_image(board: AvrBoard) -> None:
    """From address 0, without holes, in one call: the token is in it, and the application runs."""
    good(board, "-D", "-U", "flash:w:-:i", stdin=patched(board))
    assert board.wait_for("ready").endswith(says(flash=TOKEN.decode()))


@pytest.mark.parametrize("board", ["stk500v2"], indirect=True)
def test_a_page_patched_on_a_mega_destroys_its_application(board: AvrBoard) -> None:
    """Its boot loader erases page after page from 0, whatever page it is told to write.

    The region was FF, so its page comes out right, and avrdude's verify and exit code are well.
    """
    ((at, content),) = region(board).items()
    good(board, "-D", "-U", "flash:w:-:i", stdin=to_hex({at: content}))
    assert board.flash()[at : at + 256] == content
    assert board.flash()[:256] == b"\xff" * 256


@pytest.mark.parametrize("board", ["stk500v2"], indirect=True)
def test_a_second_token_on_a_mega_mixes_with_the_first(board: AvrBoard) -> None:
    """A page of its own is not erased before it is written; the whole image puts all right."""
    board.burn(to_hex(region(board, TOKEN[::-1])))
    ((at, content),) = region(board).items()
    done = avrdude(board, "-D", "-U", "flash:w:-:i", stdin=to_hex({at: content}))
    assert (done.returncode, b"verification mismatch" in done.stderr) == (1, True)
    mixed = bytes(old & new for old, new in zip(TOKEN[::-1], TOKEN, strict=True))
    assert board.flash()[at + 16 : at + 48] == mixed
    good(board, "-D", "-U", "flash:w:-:i", stdin=patched(board))
    assert board.wait_for("ready").endswith(says(flash=TOKEN.decode()))


@pytest.mark.parametrize("board", ["stk500v2"], indirect=True)
def test_a_mega_writes_eeprom_but_reads_it_elsewhere(board: AvrBoard) -> None:
    """Reads come from the doubled address: avrdude says mismatch, the application has its token."""
    done = avrdude(board, "-U", "eeprom:w:-:i", stdin=to_hex({EEPROM_AT: STORED}))
    assert done.returncode == 1
    assert b"verification mismatch" in done.stderr
    assert board.eeprom()[EEPROM_AT:].startswith(STORED)
    read = good(board, "-qq", "-A", "-U", "eeprom:r:-:r").stdout
    assert read[:24] == board.eeprom()[:8] + board.eeprom()[16:24] + board.eeprom()[32:40]
    assert board.wait_for("ready").endswith(says(eeprom=TOKEN.decode()))


def test_an_exit_code_of_0_proves_nothing(board: AvrBoard) -> None:
    """An option it does not know, or an error at its terminal: 0 all the same."""
    assert b"Usage: avrdude" in good(board, "-T", "dump flash 0 16").stderr
    assert b"not defined" in good(board, "-qq", "-t", stdin=b"dump nothing 0 16\n").stderr


def test_a_wrong_chip_and_a_missing_port_are_1(board: AvrBoard) -> None:
    """What it says tells them apart."""
    done = avrdude(board, "-p", "m2560")
    assert (done.returncode, b"expected signature for" in done.stderr) == (1, True)
    board.unplug()
    done = avrdude(board)
    assert (done.returncode, b"cannot open port" in done.stderr) == (1, True)
    board.plug()
    good(board)


def test_it_minds_no_lock(board: AvrBoard) -> None:
    """A port that another program holds, as pyserial does, is opened all the same."""
    with serial.Serial(board.port, exclusive=True) as held:
        with Path(board.port).open("rb", buffering=0) as other, pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        good(board)
        assert held.is_open


def test_a_silent_unit_takes_six_seconds_an_attempt(board: AvrBoard) -> None:
    """Ten attempts unless told otherwise."""
    board.hang()
    done = avrdude(board, "-x", "attempts=1")
    assert (done.returncode, b"attempt 1 of 1: not in sync" in done.stderr) == (1, True)
    board.power()
    good(board)


def test_a_wrong_baud_rate_is_no_sync(board: AvrBoard) -> None:
    """At half the boot loader's rate nothing is understood."""
    done = avrdude(board, "-b", "57600", "-x", "attempts=1")
    assert (done.returncode, b"not in sync" in done.stderr) == (1, True)
    good(board)


def test_a_pulled_cable_is_never_noticed(board: AvrBoard) -> None:
    """It reads nothing, again and again: whoever started it has to end it."""
    board.drop(1000)
    with left_alone(board, "-D", "-U", "flash:w:-:i", stdin=patched(board)) as still:
        until(lambda: not Path(board.port).exists())
        time.sleep(2)
        assert still.poll() is None
    board.plug()
    good(board, "-D", "-U", "flash:w:-:i", stdin=patched(board))
    assert board.wait_for("ready").endswith(says(flash=TOKEN.decode()))


def test_a_worn_cell_fails_the_verify(board: AvrBoard) -> None:
    """The message shows the byte: what avrdude says of a token's page is secret, too."""
    ((at, _),) = region(board).items()
    board.flip(at + 17, 1)
    done = avrdude(board, "-D", "-U", "flash:w:-:i", stdin=to_hex(region(board)))
    assert done.returncode == 1
    assert f"device 0x{TOKEN[1] ^ 2:02x} != input 0x{TOKEN[1]:02x}".encode() in done.stderr
    board.mend()
    good(board, "-D", "-U", "flash:w:-:i", stdin=to_hex(region(board)))


def test_a_power_cut_leaves_a_page_erased(board: AvrBoard) -> None:
    """Between erase and write; powered again, the same page is written anew."""
    board.burn(to_hex(region(board, TOKEN[::-1])))
    ((at, content),) = region(board).items()
    board.cut(1)
    with left_alone(board, "-D", "-U", "flash:w:-:i", stdin=to_hex({at: content})):
        until(lambda: board.flash()[at : at + 128] == b"\xff" * 128)
    board.power()
    assert board.flash()[at : at + 128] == b"\xff" * 128
    good(board, "-D", "-U", "flash:w:-:i", stdin=to_hex({at: content}))
    assert board.wait_for("ready").endswith(says(flash=TOKEN.decode()))


@pytest.mark.parametrize("board", ["atmegaboot"], indirect=True)
def test_a_power_cut_leaves_half_a_token_in_eeprom(board: AvrBoard) -> None:
    """Byte by byte; the application calls that damaged, and the same call puts it right."""
    write = to_hex({EEPROM_AT: STORED})
    board.cut(20)
    with left_alone(board, "-U", "eeprom:w:-:i", stdin=write):
        until(lambda: board.eeprom()[EEPROM_AT + 19] == STORED[19])
    board.power()
    assert board.eeprom()[EEPROM_AT:].startswith(STORED[:20] + b"\xff")
    assert board.wait_for("ready").endswith(says(eeprom="damaged"))
    good(board, "-U", "eeprom:w:-:i", stdin=write)
    assert board.wait_for("ready").endswith(says(eeprom=TOKEN.decode()))


def test_two_units_come_to_one_port_in_turn(tmp_path: Path) -> None:
    """A slot: the link leads to who was started last, and outlives the one before."""
    link = tmp_path / "slot"
    with AvrBoard(tmp_path / "second", "optiboot", link=link) as second:
        second.burn(firmware("atmega328p"))
        second.stop()
        with AvrBoard(tmp_path / "first", "optiboot", link=link) as first:
            second.start()
            first.stop()
            good(second, "-D", "-U", "flash:w:-:i", stdin=to_hex(region(second)))
        assert second.wait_for("ready").endswith(says(flash=TOKEN.decode()))
        assert MAGIC not in first.flash()


def test_a_unit_outlives_its_killed_emulation(board: AvrBoard) -> None:
    """Its memories are files: the next one with this folder is the same unit."""
    good(board, "-D", "-U", "flash:w:-:i", stdin=to_hex(region(board)))
    held = board.flash()
    board.kill()
    board.start()
    assert board.flash() == held
    assert board.wait_for("ready").endswith(says(flash=TOKEN.decode()))


def test_the_application_answers_and_opening_resets_it(board: AvrBoard) -> None:
    """A console client sees the start from the greeting on, and a '?' brings the same again."""
    board.wait_for("ready")  # the start that nobody sees
    with serial.Serial(board.port, 115200, timeout=30) as line:
        greeting = line.read_until(b"ready\r\n")
        assert greeting.startswith(b"FW eol-avr-demo 1.0.0\r\nmcu: atmega328p\r\n")
        line.write(b"?")
        assert line.read_until(b"ready\r\n") == greeting


def test_four_boards_run_side_by_side(tmp_path: Path) -> None:
    """Each keeps to its own folder and port."""
    kinds: tuple[Name, ...] = ("optiboot", "atmegaboot", "stk500v2", "optiboot")
    with ExitStack() as stack:
        boards = [
            stack.enter_context(AvrBoard(tmp_path / str(number), kind))
            for number, kind in enumerate(kinds)
        ]
        with ThreadPoolExecutor(len(boards)) as pool:
            list(pool.map(lambda b: good(b, "-D", "-U", "flash:w:-:i", stdin=patched(b)), boards))
        for each in boards:
            assert each.wait_for("ready").endswith(says(flash=TOKEN.decode()))
