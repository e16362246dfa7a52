"""The shipped AVR profiles with a real avrdude and real boot loaders, through the whole command
line; judged by the boards' memories and by what their application says."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from eol_inject import resources
from eol_inject.device.programmer.port_lock import PortLock
from tests.line.conftest import RealDesk
from tests.support.avr_board import NEEDED, AvrBoard, Name, firmware

pytestmark = pytest.mark.needs_debian(*NEEDED)
UNO, NANO, MEGA = "atmega328p-optiboot", "atmega328p-eeprom", "atmega2560-stk500v2"
BOOTLOADER: dict[str, Name] = {UNO: "optiboot", NANO: "atmegaboot", MEGA: "stk500v2"}


@pytest.fixture
def board(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[AvrBoard]:
    """A powered board; a Nano has its firmware already, as its profile wants it."""
    profile = getattr(request, "param", UNO)
    made = AvrBoard(tmp_path / "board", BOOTLOADER[profile])
    if profile == NANO:
        made.burn(firmware("atmega328p"))
    with made:
        yield made


def own(desk: RealDesk, **changes: str) -> str:
    """The Uno's profile with text replaced (old=new), as a file."""
    text = (resources.folder("profiles") / f"{UNO}.toml").read_text("utf-8")
    text = text.replace("../fixtures", str(resources.folder("fixtures")))
    for change in changes.values():
        old, new = change.split(" -> ")
        assert old in text, old
        text = text.replace(old, new)
    path = desk.folder / "own.toml"
    path.write_text(text, "utf-8")
    return str(path)


def tokens_of(desk: RealDesk, board: AvrBoard) -> set[str]:
    """Tokens anywhere in the board."""
    return desk.tokens_in(board.flash() + board.eeprom())


@pytest.mark.parametrize(
    ("board", "profile"), [(UNO, UNO), (NANO, NANO), (MEGA, MEGA)], indirect=["board"]
)
def test_a_board_gets_its_token_and_says_so(desk: RealDesk, board: AvrBoard, profile: str) -> None:
    """Written, read back, started; the label is its own; a second pass finds it done."""
    told = desk.run(board.port, "SN000001", profile)
    assert told.code == 0, told
    assert (told.unit["proof"], told.unit["state"]) == ("read_back", "closed")
    (token,) = tokens_of(desk, board)
    memory = board.eeprom() if profile == NANO else board.flash()
    assert token.encode() in memory
    board.reset()
    said = board.wait_for("ready")
    line = "eeprom token" if profile == NANO else "token"
    assert f"\n{line}: {token}\r" in said
    assert token not in json.dumps(told.out)
    assert desk.run(board.port, "SN000001", profile).error == "ledger.unit_closed"
    (label,) = (desk.folder / "labels").glob("*.png")
    assert label.stem == "SN000001"


def test_only_the_page_with_the_token_is_written_where_the_firmware_is_there(
    desk: RealDesk, board: AvrBoard
) -> None:
    """`inject`: everything else is golden before and after; another firmware is refused."""
    profile = own(desk, mode='mode = "flash" -> mode = "inject"')
    assert desk.run(board.port, "SN000001", profile).error == "verify.not_golden"
    board.burn(firmware("atmega328p"))
    before = board.flash()
    told = desk.run(board.port, "SN000001", profile)
    assert told.code == 0, told
    (token,) = tokens_of(desk, board)
    assert board.flash() == before[:0x110] + token.encode() + before[0x130:]


def test_a_board_without_read_back_is_proved_by_its_own_word(
    desk: RealDesk, tmp_path: Path
) -> None:
    """`reply`: a chip that tells who it is, and a firmware that says once it has a token."""
    profile = own(
        desk,
        serial="serial = 'SN[0-9]{6}' -> proof = \"reply\"",
        uid="|1e 95 0f)' -> |1e 95 0f)', 'signature = 0x(?P<uid>[0-9a-f]+)'",
        read="\nread = -> \n# read = ",
    )
    with AvrBoard(tmp_path / "board") as board:
        told = desk.run(board.port, "", profile)
        assert told.code == 0, told
        assert told.unit["proof"] == "reply"
        assert len(tokens_of(desk, board)) == 1
        log = desk.type("unit", "show", "1e950f", "--log").out
        assert not any(token in json.dumps(log) for token in desk.line.pool)
        assert "token: [hidden]" in json.dumps(log)


def test_a_power_cut_in_the_write_is_told_and_mended(desk: RealDesk, board: AvrBoard) -> None:
    """The unit is half written; avrdude is ended in time. Its number alone does not go on, a lead
    does; and it is the same token."""
    profile = own(desk, limit="timeout_s = 30 -> timeout_s = 4")
    board.cut(5)
    told = desk.run(board.port, "SN000001", profile)
    assert (told.code, told.unit["state"]) == (3, "writing"), told
    assert told.error in {"device.programmer_hung", "device.no_sync"}
    board.power()
    board.mend()
    assert tokens_of(desk, board) == set()  # the page of the region was erased, not yet written
    told = desk.run(board.port, "SN000001", profile)
    assert (told.code, told.error) == (1, "verify.serial_alone"), told
    pin = desk.admin()
    for act in ("quarantine", "clear"):
        assert desk.type("unit", act, "SN000001", "--reason", "seen", *pin).code == 0
    told = desk.run(board.port, "SN000001", profile)
    assert told.code == 0, told
    assert len(tokens_of(desk, board)) == 1


def test_a_worn_cell_puts_the_board_aside(desk: RealDesk, board: AvrBoard) -> None:
    """A bit of the region does not keep: unit bad, no label, nothing of the token is told."""
    board.flip(0x114, 3)
    told = desk.run(board.port, "SN000001", UNO)
    assert (told.code, told.error) == (1, "verify.memory_differs"), told
    assert not list((desk.folder / "labels").glob("*.png"))
    assert not any(token[:8] in json.dumps(told.out) for token in desk.line.pool)


def test_a_silent_board_and_a_missing_port_are_the_stations(
    desk: RealDesk, board: AvrBoard
) -> None:
    """Nothing is reserved; the sentence says what to do with the hands."""
    profile = own(desk, tries="attempts=2 -> attempts=1")
    board.hang()
    told = desk.run(board.port, "SN000001", profile)
    assert (told.code, told.error) == (3, "device.no_sync"), told
    board.resume()
    told = desk.run(desk.folder / "ttyNONE", "SN000001", profile)
    assert (told.code, told.error) == (3, "device.slot_empty")


def test_the_wrong_chip_is_not_written(desk: RealDesk, board: AvrBoard) -> None:
    """The Mega's profile and an Uno: refused by its signature, before anything is reserved."""
    before = board.flash()
    profile = own(desk, sign="0x1e950f|1e 95 0f -> 0x1e9801", chip='"m328p" -> "m328pb"')
    told = desk.run(board.port, "SN000001", profile)
    assert (told.code, told.error) == (1, "device.other_chip"), told
    assert board.flash() == before


def test_a_port_that_another_program_holds_is_left_alone(desk: RealDesk, board: AvrBoard) -> None:
    """avrdude itself would go on beside it; we look first, and say who it is."""
    holder = "import sys, time; port = open(sys.argv[1], 'rb', buffering=0); print(flush=True); "
    command = [sys.executable, "-c", holder + "time.sleep(60)", board.port]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        told = desk.run(board.port, "SN000001", UNO)
        other.kill()
    assert (told.code, told.error) == (3, "device.port_busy"), told
    assert str(other.pid) in told.out["error"]["text"]
    assert desk.run(board.port, "SN000001", UNO).code == 0


def test_two_stations_on_one_port_do_not_mix(desk: RealDesk, board: AvrBoard) -> None:
    """A second one of our own programs is told while the first is at work."""
    lock = PortLock(board.port)
    lock.take()
    told = desk.run(board.port, "SN000001", UNO)
    assert (told.code, told.error) == (3, "device.port_busy"), told
    lock.release()
    assert desk.run(board.port, "SN000001", UNO).code == 0
