"""Erasing and programming, as the ROM and the stub do it.

The ROM erases everything at FLASH_BEGIN and programs before it replies. The stub replies first,
then erases just ahead of what it programs: an interrupted write leaves the rest untouched.
"""

import zlib
from dataclasses import dataclass
from struct import Struct, unpack
from typing import Final

from eol_inject.chips import SECTOR
from eol_inject.sim.faults import Phase
from eol_inject.sim.ops import Rom, Stub
from eol_inject.sim.stay import Answer, Stay, rom_error, stub_error
from eol_inject.sim.sums import xor_bytes
from eol_inject.sim.timing import BLOCK

_FOUR: Final = Struct("<IIII")


@dataclass(slots=True)
class _Job:
    """One FLASH_BEGIN until its end; flash addresses."""

    at: int
    end: int
    erased_to: int
    inflate: "zlib._Decompress | None"
    encrypted: bool
    """The chip encrypts what it programs."""
    expected: int = 0
    """Sequence number of the next block."""


class Writer:
    """The commands that change the flash."""

    def __init__(self, stay: Stay) -> None:
        self._stay = stay
        self._job: _Job | None = None
        self._late_error = 0
        """What the stub found after its reply; told with the next one."""

    def begin(self, data: bytes, _check: int) -> Answer:
        """FLASH_BEGIN."""
        return self._begin(data, None)

    def begin_deflated(self, data: bytes, _check: int) -> Answer:
        """FLASH_DEFL_BEGIN."""
        return self._begin(data, zlib.decompressobj())

    def _begin(self, data: bytes, inflate: "zlib._Decompress | None") -> Answer:
        size, _blocks, _block, address = _FOUR.unpack_from(data)
        stay = self._stay
        if stay.model.is_esp8266:
            stay.board.registers.attached = True  # its ROM has no command of its own for this
        if size and (refusal := stay.unreachable(address, size)):
            return refusal
        self._late_error = 0
        encrypted = any(data[_FOUR.size :])
        self._job = _Job(address, address + size, address // SECTOR * SECTOR, inflate, encrypted)
        if stay.is_stub or not size:
            return Answer()
        if stay.model.is_esp8266:
            size = _esp8266_erases(address, size)
        self._erase(address, size)
        self._job.erased_to = self._job.end + SECTOR
        return Answer(before_s=stay.timing.erase(address, size))

    def data(self, data: bytes, check: int) -> Answer:
        """FLASH_DATA and FLASH_DEFL_DATA."""
        size, number, _, _ = _FOUR.unpack_from(data)
        payload = data[_FOUR.size :]
        good = len(payload) == size and xor_bytes(payload) == check & 0xFF
        if self._stay.is_stub:
            return self._stub_data(payload, size, good=good)
        job = self._job
        if job is None or number != job.expected or len(payload) != size:
            self._job = None
            return rom_error(Rom.INVALID)
        if not good:
            self._job = None  # from now on every block is answered 0105 (devices.md 5)
            return rom_error(Rom.BAD_CHECKSUM)
        spent = self._write(job, payload)
        if self._late_error:
            self._job = None
            return rom_error(Rom.DEFLATE)
        return Answer(before_s=spent)

    def _stub_data(self, payload: bytes, size: int, *, good: bool) -> Answer:
        if self._job is None:
            return stub_error(Stub.NOT_IN_FLASH_MODE)
        if len(payload) != size:
            return stub_error(Stub.BAD_DATA_LENGTH)
        if not good:
            return stub_error(Stub.BAD_CHECKSUM)
        if self._late_error:
            return stub_error(self._late_error)
        return Answer(after_s=self._write(self._job, payload))

    def _write(self, job: _Job, payload: bytes) -> float:
        """Program one block; gives the seconds it takes."""
        stay = self._stay
        job.expected += 1
        if job.inflate is not None:
            try:
                payload = job.inflate.decompress(payload)
            except zlib.error:
                self._late_error = Stub.INFLATE
                return 0.0
        room = job.end - job.at
        if stay.is_stub and len(payload) > room:
            if job.inflate is not None:
                self._late_error = Stub.TOO_MUCH_DATA
            payload = payload[:room]  # the last plain block is padded
        begun, size = job.at, len(payload)
        spent = stay.timing.program(size) + self._erase_ahead(job, begun + size)
        job.at += size
        stay.step(Phase.WRITE, size, lambda a, b: self._program(job, begun + a, payload[a:b]))
        return spent

    def _program(self, job: _Job, address: int, data: bytes) -> None:
        board = self._stay.board
        board.flash.program(address, board.crypt(address, data) if job.encrypted else data)

    def _erase_ahead(self, job: _Job, need: int) -> float:
        """A sector, or a 64 KiB block where one fits, at a time."""
        spent = 0.0
        while job.erased_to < min(need, job.end):
            begun = job.erased_to
            size = BLOCK if begun % BLOCK == 0 and job.end - begun >= BLOCK else SECTOR
            self._erase(begun, size)
            job.erased_to += size
            spent += self._stay.timing.erase(begun, size)
        return spent

    def _erase(self, address: int, size: int) -> None:
        def erase(begin: int, end: int) -> None:
            if end > begin:
                self._stay.board.flash.erase(address + begin, end - begin)

        self._stay.step(Phase.ERASE, size, erase)

    def end(self, _data: bytes, _check: int) -> Answer:
        """FLASH_END and FLASH_DEFL_END.

        The stub answers and stays, also when it is asked to restart (devices.md 3).
        """
        job, self._job = self._job, None
        if not self._stay.is_stub:
            return Answer(then=self._stay.host.restart)
        if self._late_error:
            return stub_error(self._late_error)
        if job is not None and job.inflate is not None and job.at < job.end:
            return stub_error(Stub.NOT_ENOUGH_DATA)
        return Answer()

    def erase_flash(self, _data: bytes, _check: int) -> Answer:
        """ERASE_FLASH."""
        size = self._stay.board.flash.size
        self._erase(0, size)
        return Answer(before_s=self._stay.timing.erase(0, size))

    def erase_region(self, data: bytes, _check: int) -> Answer:
        """ERASE_REGION."""
        address, size = unpack("<II", data)
        if address % SECTOR or size % SECTOR:
            return stub_error(Stub.BAD_ALIGNMENT)
        self._erase(address, size)
        return Answer(before_s=self._stay.timing.erase(address, size))


def _esp8266_erases(address: int, size: int) -> int:
    """Bytes the ESP8266 ROM really erases: it counts the sectors up to the next block twice.

    Source: the workaround in esptool's ``ESP8266ROM.get_erase_size``.
    """
    sectors = -(-size // SECTOR)
    head = 16 - address // SECTOR % 16
    return (sectors + min(head, sectors)) * SECTOR
