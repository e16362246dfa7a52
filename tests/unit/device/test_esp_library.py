"""esptool as we load it: settings pinned, silent, no dumps, no keyword it would ignore."""

import inspect
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from eol_inject.device import esp_flash, esp_lib
from eol_inject.device.esp_link import NOT_STARTED
from eol_inject.errors import StationError
from tests.support.source import ROOT

STRAY = "[esptool]\ntimeout = 99\nconnect_attempts = 1\ncustom_reset_sequence = D0|W9\n"


def _run(code: str, folder: Path, **env: str) -> str:
    """What a fresh interpreter prints for ``code``, started in ``folder``."""
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "HOME": str(folder), **env},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stderr == ""
    return ran.stdout.strip()


@pytest.mark.parametrize("name", ["esptool.cfg", "setup.cfg", "tox.ini"])
def test_a_stray_settings_file_changes_nothing(tmp_path: Path, name: str) -> None:
    """Neither in the working directory nor in the home folder."""
    (tmp_path / name).write_text(STRAY)
    code = (
        "from eol_inject.device.esp_lib import loader, check_settings\n"
        "check_settings()\n"
        "print(dict(loader.cfg), loader.DEFAULT_TIMEOUT, loader.DEFAULT_CONNECT_ATTEMPTS)"
    )
    assert _run(code, tmp_path) == "{} 3 7"


def test_the_stations_own_variable_changes_nothing_and_comes_back(tmp_path: Path) -> None:
    """Settings of the adapter are the adapter's; the environment of others is theirs."""
    mine = tmp_path / "mine.cfg"
    mine.write_text(STRAY)
    code = (
        "import os\n"
        "from eol_inject.device.esp_lib import loader\n"
        "print(dict(loader.cfg), os.environ['ESPTOOL_CFGFILE'])"
    )
    assert _run(code, tmp_path, ESPTOOL_CFGFILE=str(mine)) == f"{{}} {mine}"
    code = "import os; import eol_inject.device.esp_lib; print('ESPTOOL_CFGFILE' in os.environ)"
    assert _run(code, tmp_path) == "False"


def test_settings_that_came_before_us_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where another library imported esptool first, in a folder with such a file."""
    monkeypatch.setattr(esp_lib.loader, "cfg", {"timeout": "99"})
    with pytest.raises(StationError) as caught:
        esp_lib.check_settings()
    assert caught.value.code == "device.esptool_settings"
    assert "timeout" in str(caught.value)


def test_the_face_of_the_package_loads_neither_esptool_nor_pyserial(tmp_path: Path) -> None:
    """``--help`` must not pay for a serial port."""
    code = (
        "import sys, eol_inject.device\n"
        "print([name for name in ('esptool', 'serial', 'rich') if name in sys.modules])"
    )
    assert _run(code, tmp_path) == "[]"


def test_esptool_says_nothing_whatever_it_wants_to_say(capfd: pytest.CaptureFixture[str]) -> None:
    """Not on stdout, not on stderr, not by the warning it bound at import."""
    from esptool.logger import log

    for say in (log.print, log.note, log.warn, log.warning, log.err, log.error, log.debug):
        say("AuthToken Zq4Rk9")
    log.stage()
    log.set_verbosity("verbose")
    with log.progress(total=4) as bar:
        bar.update(2)
    esp_lib.reset.ResetStrategy.print_once("Chip was NOT reset.")
    assert capfd.readouterr() == ("", "")


def test_a_port_that_cannot_reset_becomes_a_note_of_its_own_session() -> None:
    """esptool goes on after that warning; who reads the record should know."""
    notes: list[str] = []
    with esp_lib.hearing(esp_lib.Ear(notes.append)):
        esp_lib.reset.ResetStrategy.print_once("Chip was NOT reset. Setting RTS/DTR lines is not")
    esp_lib.reset.ResetStrategy.print_once("Chip was NOT reset.")
    assert notes == ["the port could not reset the chip"]


def test_no_dump_is_ever_formatted() -> None:
    """esptool formats a hex dump of every packet, also with tracing off."""
    assert str(esp_lib.loader.HexFormatter(b"AuthToken")) == ""


def test_every_keyword_we_pass_is_one_that_esptool_knows() -> None:
    """It ignores unknown keywords without a word."""
    known = inspect.signature(esp_lib.cmds.write_flash).parameters
    assert set(esp_flash._KEEP) <= {
        name for name, kind in known.items() if kind.kind is kind.POSITIONAL_OR_KEYWORD
    }


def test_esptool_still_knows_the_keyword_for_encrypted_writes() -> None:
    """It is among those that esptool ignores where it does not know them: a plain write."""
    assert 'kwargs.get("encrypt"' in inspect.getsource(esp_lib.cmds.write_flash)


def test_esptool_still_reconnects_inside_a_write_unless_told_not_to() -> None:
    """If the attribute goes, so does our switch: then this adapter has to be looked at again."""
    assert esp_lib.loader.ESPLoader.WRITE_FLASH_ATTEMPTS == 2
    assert "esp.WRITE_FLASH_ATTEMPTS" in inspect.getsource(esp_lib.cmds.write_flash)


def test_the_words_we_listen_for_are_still_esptools() -> None:
    """A hash that differs, a port without lines and a silent stub have no type of their own."""
    for piece in esp_flash._HASH_DIFFERS:
        assert piece in inspect.getsource(esp_lib.cmds.write_flash)
    assert "Chip was NOT reset" in inspect.getsource(esp_lib.reset)
    assert NOT_STARTED in inspect.getsource(esp_lib.loader)


def test_tracing_is_off_by_default() -> None:
    """Tracing dumps all data; the adapter passes ``trace_enabled=False`` and never sets it."""
    default = inspect.signature(esp_lib.cmds.detect_chip).parameters["trace_enabled"].default
    assert default is False


def test_a_value_counts_when_two_readings_agree() -> None:
    """Answers of the loader carry no checksum: one flipped bit in a MAC is another unit."""
    assert esp_lib.agreed(lambda: 5) == 5
    settling = iter([1, 2, 2])
    assert esp_lib.agreed(lambda: next(settling)) == 2
    changing = iter([1, 2, 3])
    with pytest.raises(esp_lib.ReadingsDifferError):
        esp_lib.agreed(lambda: next(changing))


class Registers(dict[int, int]):
    """What esptool asks of a loader to reach a register; keeps what went over the wire."""

    ESP_CMDS = esp_lib.loader.ESPLoader.ESP_CMDS

    def __init__(self) -> None:
        super().__init__()
        self.wire: list[tuple[int, bytes]] = []
        self.refuses: set[int] = set()

    def check_command(
        self, _words: str, op: int, data: bytes = b"", *, timeout: float = 3
    ) -> int | None:
        self.wire.append((op, data))
        if op in self.refuses:
            raise esp_lib.FatalError("Failed to write target memory (result was C000)")
        if op == self.ESP_CMDS["READ_REG"]:
            return self.get(struct.unpack("<I", data)[0], 0)
        for address, value, mask, _ in struct.iter_unpack("<IIII", data):
            self[address] = self.get(address, 0) & ~mask | value & mask
        return None

    def read_reg(self, address: int, timeout: float = 3) -> int | None:
        return self.check_command("", self.ESP_CMDS["READ_REG"], struct.pack("<I", address))

    def write_reg(self, address: int, value: int) -> None:
        raise NotImplementedError


def test_register_writes_go_out_together_and_before_the_next_read() -> None:
    """In their order: the flash is asked by registers, and each command is a round trip."""
    esp = Registers()
    with esp_lib.writes_together(esp):
        esp.write_reg(1, 10)
        esp.write_reg(2, 20)
        esp.write_reg(1, 11)
        assert esp.wire == []
        assert esp.read_reg(1) == 11
        esp.write_reg(3, 30)
    assert (esp[2], esp[3]) == (20, 30)
    assert [len(data) for _, data in esp.wire] == [48, 4, 16]
    with pytest.raises(NotImplementedError):
        esp.write_reg(1, 12)


def test_a_word_that_never_changes_is_read_once() -> None:
    """For the length of one question, and no longer."""
    esp = Registers()
    with esp_lib.each_word_once(esp):
        assert (esp.read_reg(1), esp.read_reg(1), esp.read_reg(2)) == (0, 0, 0)
    esp.read_reg(1)
    assert [data[0] for _, data in esp.wire] == [1, 2, 1]


def test_a_chip_that_refuses_several_writes_at_once_is_asked_esptools_own_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Recorded; a chip that does not answer at all is not taken for one."""

    class Stub(Registers):
        IS_STUB = True
        CHIP_DETECT_MAGIC_REG_ADDR = 0x40001000

        def flash_id(self, cache: bool = True) -> int:
            if not cache:
                self.write_reg(1, 1)
                self.write_reg(2, 2)
                self.read_reg(1)
            return 0x1640EF

    attached: list[Any] = []
    monkeypatch.setattr(esp_lib.cmds, "attach_flash", attached.append)
    monkeypatch.setattr(esp_lib.cmds, "detect_flash_size", lambda _: "4MB")
    notes: list[str] = []
    esp = Stub()
    assert esp_lib.flash_bytes(esp, 4 << 20, notes.append) == 4 << 20
    assert (attached, notes) == ([], [])
    esp.refuses = {esp.ESP_CMDS["WRITE_REG"]}
    assert esp_lib.flash_bytes(esp, 4 << 20, notes.append) == 4 << 20
    assert attached == [esp]
    assert notes == ["the short way to ask the flash failed, took esptool's own"]
    esp.refuses |= {esp.ESP_CMDS["READ_REG"]}
    with pytest.raises(esp_lib.FatalError):
        esp_lib.flash_bytes(esp, 4 << 20, notes.append)


def test_secure_boot_is_looked_for_again_only_where_it_was_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """esptool decides by it how, and whether, a stub is started."""

    class Rom:
        def get_secure_boot_enabled(self) -> int:
            return 1 << 20

    monkeypatch.setattr(esp_lib.cmds, "run_stub", lambda esp: esp.get_secure_boot_enabled())
    assert esp_lib.run_stub(Rom(), signed=True) == 1 << 20
    assert esp_lib.run_stub(Rom(), signed=False) is False
