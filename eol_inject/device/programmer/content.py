"""The bytes a programmer takes and gives: Intel HEX, plain bytes, or a dump in text."""

import io
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Literal

from eol_inject.errors import StationError

Blocks = Sequence[tuple[int, bytes]]
"""(address, bytes), in any order, none overlapping; may hold the token."""

ERASED: Final = b"\xff"
"""What stands where nothing was written: flash and EEPROM alike."""

_DUMP: Final = re.compile(
    r"^\s*(?:0x)?([0-9A-Fa-f]{1,8})[ \t:]+((?:[0-9A-Fa-f]{2}[ \t-]+){0,15}[0-9A-Fa-f]{2})"
    r"(?:[ \t]*$|[ \t]+\|)",
    re.MULTILINE,
)
"""A line of a dump: its address, up to 16 bytes, and perhaps what they look like behind a bar."""


def encode(blocks: Blocks, form: Literal["hex", "bin", "dump"]) -> bytes:
    """What is handed to the programmer. ``bin`` begins at the lowest address, gaps are erased."""
    if form == "hex":
        from intelhex import IntelHex

        made = IntelHex()
        for address, data in blocks:
            made.frombytes(data, offset=address)
        out = io.StringIO()
        made.write_hex_file(out, byte_count=16)
        return out.getvalue().encode("ascii")
    start, end = extent(blocks)
    whole = bytearray(ERASED * (end - start))
    for address, data in blocks:
        whole[address - start : address - start + len(data)] = data
    return bytes(whole)


def decode(
    data: bytes, form: Literal["hex", "bin", "dump"], *, start: int, size: int, program: str
) -> bytes:
    """``size`` bytes from address ``start``; what is not told was never written.

    ``bin`` begins at ``start``. Raises ``StationError("device.programmer_output")`` where it is not
    what it should be; the bytes themselves are not repeated.
    """
    if form == "bin":
        if len(data) > size:
            raise _strange(program, f"{len(data)} bytes instead of {size}")
        return data.ljust(size, ERASED)
    return (
        _from_hex(data, start, size, program)
        if form == "hex"
        else (_from_dump(data, start, size, program))
    )


def _from_hex(data: bytes, start: int, size: int, program: str) -> bytes:
    from intelhex import IntelHex, IntelHexError

    read = IntelHex()
    try:
        read.loadhex(io.StringIO(data.decode("ascii")))
    except (IntelHexError, ValueError):
        raise _strange(program, "no Intel HEX") from None
    if not data.strip():
        raise _strange(program, "nothing")
    read.padding = ERASED[0]
    return bytes(read.tobinstr(start=start, size=size))


def _from_dump(data: bytes, start: int, size: int, program: str) -> bytes:
    whole = bytearray(ERASED * size)
    told: set[int] = set()
    for line in _DUMP.finditer(data.decode("utf-8", "replace")):
        at = int(line[1], 16) - start
        for number, digits in enumerate(re.findall(r"[0-9A-Fa-f]{2}", line[2])):
            if 0 <= at + number < size:
                whole[at + number] = int(digits, 16)
                told.add(at + number)
    if len(told) < size:
        raise _strange(program, f"{len(told)} bytes instead of {size}")
    return bytes(whole)


def _strange(program: str, why: str) -> StationError:
    return StationError("device.programmer_output", program=program, why=why)


def extent(blocks: Blocks) -> tuple[int, int]:
    """First address, and the one behind the last."""
    return (
        min(address for address, _ in blocks),
        max(address + len(data) for address, data in blocks),
    )


@dataclass(frozen=True, slots=True)
class MemoryFile:
    """A file that has no name on any disk, and that nobody but its owner can open."""

    number: int
    """Its descriptor, for the program to inherit."""

    @property
    def path(self) -> str:
        """How the program that inherited it calls it."""
        return f"/dev/fd/{self.number}"

    def content(self) -> bytes:
        """All of it, as it is now."""
        with os.fdopen(os.dup(self.number), "rb") as file:
            file.seek(0)
            return file.read()


@contextmanager
def memory_file(content: bytes = b"") -> Iterator[MemoryFile]:
    """A file with ``content``, gone once this ends.

    Raises ``StationError("device.no_memory_file")`` where the system has none (Linux has).
    """
    if sys.platform != "linux":
        raise StationError("device.no_memory_file")
    number = os.memfd_create("eol-inject", os.MFD_CLOEXEC)
    try:
        os.fchmod(number, 0o600)
        with os.fdopen(os.dup(number), "wb") as file:
            file.write(content)
        yield MemoryFile(number)
    finally:
        os.close(number)
