"""An emulated AVR board with a real boot loader, for a real avrdude: ``avr/board.c`` behind Python.

Built on first use, with what ``.ci/debian-packages`` names; a test that uses it is marked
``needs_debian(*NEEDED)``. ATmegaBOOT and the Mega's stk500v2 are Debian's own files. Its optiboot
is not usable: the rebuilt one (arduino-core-avr 1.8.7+dfsg-1~deb12u1) has 532 bytes for a section
of 512, and its version word overwrites the code. So it is built here, from the source in that
package, with two optimizations switched off; that makes 500 bytes.
"""

import hashlib
import os
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

SOURCE = Path(__file__).parent / "avr" / "board.c"
FIRMWARE = Path(__file__).parents[2] / "fixtures" / "firmware" / "avr"
_DEBIAN = Path("/usr/share/arduino/hardware/arduino/avr/bootloaders")
NEEDED = (
    "avrdude",
    "avr-gcc",
    "gcc",
    "pkg-config",
    "/usr/include/simavr/sim_avr.h",
    "/usr/lib/avr/include/avr/io.h",
    str(_DEBIAN / "optiboot" / "optiboot.c"),
)
_READY_S = 20


@dataclass(frozen=True, slots=True)
class Bootloader:
    """A boot loader on its chip. Addresses and sizes in bytes."""

    name: str
    mcu: str
    address: int
    """Where the fuses let every reset start."""
    hex: str | None
    """Debian's file; None: built here."""
    programmer: str
    """avrdude's ``-c``."""
    part: str
    """avrdude's ``-p``."""
    baud: int
    flash: int
    eeprom: int
    page: int


BOOTLOADERS = {
    row.name: row
    for row in (
        Bootloader(
            "optiboot", "atmega328p", 0x7E00, None, "arduino", "m328p", 115200, 0x8000, 1024, 128
        ),
        Bootloader(
            "atmegaboot", "atmega328p", 0x7800, "atmega/ATmegaBOOT_168_atmega328.hex",
            "arduino", "m328p", 57600, 0x8000, 1024, 128,
        ),
        Bootloader(
            "stk500v2", "atmega2560", 0x3E000, "stk500v2/stk500boot_v2_mega2560.hex",
            "wiring", "m2560", 115200, 0x40000, 4096, 256,
        ),
    )
}  # fmt: skip
Name = Literal["optiboot", "atmegaboot", "stk500v2"]


def firmware(mcu: str) -> bytes:
    """The application fixture for ``mcu``, Intel HEX."""
    return (FIRMWARE / f"{mcu}.hex").read_bytes()


def pieces(text: bytes) -> dict[int, bytes]:
    """Runs of an Intel HEX file by address, a later record over an earlier one."""
    content: dict[int, int] = {}
    base = 0
    for line in text.split():
        record = bytes.fromhex(line[1:].decode())
        size, low, kind = record[0], int.from_bytes(record[1:3], "big"), record[3]
        data = record[4 : 4 + size]
        if kind == 0:
            content.update(enumerate(data, base + low))
        elif kind in {2, 4}:
            base = int.from_bytes(data, "big") << (4 if kind == 2 else 16)
    runs: dict[int, bytearray] = {}
    start = -1
    for address in sorted(content):
        if start < 0 or address != start + len(runs[start]):
            start = address
            runs[start] = bytearray()
        runs[start].append(content[address])
    return {address: bytes(run) for address, run in runs.items()}


def to_hex(runs: dict[int, bytes]) -> bytes:
    """An Intel HEX file, written line by line."""
    lines = []

    def record(kind: int, low: int, data: bytes) -> None:
        body = bytes([len(data), low >> 8, low & 0xFF, kind]) + data
        lines.append(":" + (body + bytes([-sum(body) & 0xFF])).hex().upper())

    for start, data in runs.items():
        for at in range(0, len(data), 16):
            address = start + at
            if at == 0 or address % 0x10000 < 16:
                record(4, 0, (address >> 16).to_bytes(2, "big"))
            record(0, address & 0xFFFF, data[at : at + 16])
    record(1, 0, b"")
    return "".join(f"{line}\n" for line in lines).encode()


def _run(*command: str | Path) -> str:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, (command, done.stderr)
    return done.stdout


@cache
def _tools() -> Path:
    """A folder with ``board`` and ``optiboot.hex``, made once per version of the sources."""
    optiboot = _DEBIAN / "optiboot" / "optiboot.c"
    digest = hashlib.sha256(
        SOURCE.read_bytes() + optiboot.read_bytes() + Path(__file__).read_bytes()
    )
    folder = Path(tempfile.gettempdir()) / f"eol-avr-{os.getuid()}-{digest.hexdigest()[:16]}"
    folder.mkdir(mode=0o700, exist_ok=True)
    assert folder.stat().st_uid == os.getuid(), folder
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        work = Path(scratch)
        if not (folder / "board").exists():
            libraries = _run("pkg-config", "--cflags", "--libs", "simavr").split()
            _run("gcc", "-std=gnu11", "-O2", "-Wall", "-Wextra", "-Wshadow",
                 "-o", work / "board", SOURCE, *libraries)  # fmt: skip
            (work / "board").replace(folder / "board")  # at once: others may build the same
        if not (folder / "optiboot.hex").exists():
            _build_optiboot(optiboot, work)
            (work / "optiboot.hex").replace(folder / "optiboot.hex")
    return folder


def _build_optiboot(source: Path, work: Path) -> None:
    """As the package's Makefile does for ``atmega328``, but small enough for its section."""
    _run("avr-gcc", "-mmcu=atmega328p", "-Os", "-DF_CPU=16000000L", "-DBAUD_RATE=115200",
         "-DLED_START_FLASHES=3", "-fno-tree-scev-cprop", "-fno-move-loop-invariants",
         "-nostartfiles", "-nostdlib", "-Wl,--relax", "-Wl,--section-start=.text=0x7e00",
         "-Wl,--section-start=.version=0x7ffe", "-o", work / "optiboot.elf", source)  # fmt: skip
    _run("avr-objcopy", "-j", ".text", "-j", ".version",
         "--set-section-flags", ".version=alloc,load", "-O", "ihex",
         work / "optiboot.elf", work / "optiboot.hex")  # fmt: skip
    (code, version) = pieces((work / "optiboot.hex").read_bytes()).items()
    assert code[0] + len(code[1]) <= 0x7FFE, "optiboot is too large for its section"
    assert version[0] == 0x7FFE


class AvrBoard:
    """A board whose memories live in ``folder``: who opens that folder again has the same unit.

    Opening ``port`` resets it, as DTR does on an Arduino.
    """

    def __init__(self, folder: Path, bootloader: Name = "optiboot", *, link: Path | None = None):
        """``link``: where the port stands; two units in turn on one link are one slot."""
        self.bootloader = BOOTLOADERS[bootloader]
        self._flash, self._eeprom = folder / "flash.bin", folder / "eeprom.bin"
        self._console, self._log = folder / "console.txt", folder / "board.log"
        self._link = link or folder / "tty"
        self._process: subprocess.Popen[str] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        if not self._flash.exists():
            self._flash.write_bytes(b"\xff" * self.bootloader.flash)
            self._eeprom.write_bytes(b"\xff" * self.bootloader.eeprom)
            name = self.bootloader.hex
            self.burn((_DEBIAN / name if name else _tools() / "optiboot.hex").read_bytes())

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def port(self) -> str:
        """What a program opens."""
        return str(self._link)

    @property
    def arguments(self) -> list[str]:
        """How avrdude reaches it."""
        row = self.bootloader
        return ["-c", row.programmer, "-p", row.part, "-b", str(row.baud), "-P", self.port]

    def start(self) -> None:
        """Power on; what the folder holds is the unit."""
        row = self.bootloader
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [_tools() / "board", row.mcu, hex(row.address), self._flash, self._eeprom,
                 self._console, self._link],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
            )  # fmt: skip
        assert self._process.stdout is not None
        answer = self._process.stdout.readline()
        assert answer.startswith("ready "), self._log.read_text()

    def stop(self) -> None:
        """Power off, gently."""
        if self._process is not None and self._process.poll() is None:
            self._process.communicate("quit\n", timeout=_READY_S)
        self._process = None

    def kill(self) -> None:
        """As ``kill -9`` does; ``start`` brings the same unit back."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.communicate()
        self._process = None

    def _tell(self, command: str) -> None:
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(command + "\n")
        process.stdin.flush()
        answer = process.stdout.readline().strip()
        assert answer == "ok", (command, answer, self._log.read_text())

    def reset(self) -> None:
        """Pull the reset line."""
        self._tell("reset")

    def power(self) -> None:
        """Off and on again; ends ``hang`` and a power cut."""
        self._tell("power")

    def hang(self) -> None:
        """Its clock stops: it answers nothing, whoever resets it, until ``resume``."""
        self._tell("hang")

    def resume(self) -> None:
        """End ``hang`` where it stood."""
        self._tell("resume")

    def without_reset(self) -> None:
        """The reset line is broken: opening the port resets nothing any more."""
        self._tell("dtr 0")

    def drop(self, count: int) -> None:
        """The cable is pulled after ``count`` more bytes from the host; ``plug`` puts it back."""
        self._tell(f"drop {count}")

    def plug(self) -> None:
        """A new pseudo terminal at the same path."""
        self._tell("plug")

    def unplug(self) -> None:
        """The port is gone."""
        self._tell("unplug")

    def cut(self, count: int) -> None:
        """The power fails after ``count`` more storing acts, until ``power``.

        A page erased, a page written and an EEPROM byte written are one each.
        """
        self._tell(f"cut {count}")

    def flip(self, address: int, bit: int = 0) -> None:
        """A worn cell: this bit comes out wrong whenever its page is written, until ``mend``."""
        self._tell(f"flip {address} {bit}")

    def mend(self) -> None:
        """End ``flip``, ``cut`` and ``drop``."""
        self._tell("mend")

    def flash(self) -> bytes:
        """All of its flash, the boot loader too."""
        return self._flash.read_bytes()

    def eeprom(self) -> bytes:
        """All of its EEPROM."""
        return self._eeprom.read_bytes()

    def burn(self, text: bytes) -> None:
        """Put an Intel HEX file into flash from outside, as an in-system programmer would."""
        with self._flash.open("r+b") as flash:
            for address, run in pieces(text).items():
                flash.seek(address)
                flash.write(run)
        assert self._flash.stat().st_size == self.bootloader.flash, "past the end of flash"

    def burn_eeprom(self, offset: int, data: bytes) -> None:
        """Put bytes into EEPROM from outside."""
        assert offset + len(data) <= self.bootloader.eeprom
        with self._eeprom.open("r+b") as eeprom:
            eeprom.seek(offset)
            eeprom.write(data)

    def console(self) -> str:
        """What the application said, from its greeting on, since the last reset."""
        said = self._console.read_bytes().decode("ascii", errors="replace")
        return said[said.rindex("FW ") :] if "FW " in said else ""

    def wait_for(self, text: str, timeout_s: float = 30) -> str:
        """Until the application has said ``text``; all it said."""
        deadline = time.monotonic() + timeout_s
        while text not in (said := self.console()):
            assert time.monotonic() < deadline, (text, said)
            time.sleep(0.02)
        return said
