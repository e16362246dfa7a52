"""The serial loader of the chip: mask ROM and flasher stub, command by command.

Sources: esptool 5.6.0 ``loader.py`` (what it sends and accepts), Espressif "Serial Protocol"
(packets, ROM error codes), the stub's error codes from its published ``stub_flasher.h``. A stub
that is uploaded is believed to be esptool's: it is not executed, its manners are.
"""

import hashlib
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from eol_inject.chips import SECTOR
from eol_inject.sim import slip
from eol_inject.sim.board import Board
from eol_inject.sim.faults import FAULTS, Act, Fault, FaultBox, Phase
from eol_inject.sim.models import Model
from eol_inject.sim.ops import (
    DOWNLOAD_LOCK_OPS,
    ESP8266_ROM_OPS,
    ROM_OPS,
    STUB_LENGTHS,
    STUB_OPS,
    Op,
    Rom,
    Stub,
)
from eol_inject.sim.sums import xor_bytes
from eol_inject.sim.timing import BLOCK, Timing

_HEAD: Final = struct.Struct("<BBHI")
_SYNC_VALUE: Final = 0x55201207
"""What the ROM leaves in the value field of a sync reply; the stub says 0, which tells them apart."""
_SYNC_REPLIES: Final = 8
_ROM_FLASH_SIZE: Final = 2 * 1024 * 1024
"""What the ROM believes in until SPI_SET_PARAMS."""


class Host(Protocol):
    """What the loader needs of the machine around it."""

    board: Board
    baud: int

    def send(self, data: bytes, at: float) -> None:
        """Put bytes on the wire, not before ``at``."""

    def change_baud(self, baud: int) -> None:
        """From the next byte on."""

    def restart(self) -> None:
        """Leave the loader for the application."""

    def strike(self, fault: Fault) -> None:
        """Let a fault take effect."""


class _Struck(Exception):  # noqa: N818  (not an error: the way out of a command that a fault ended)
    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.row.name)
        self.fault = fault


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command gives back, and how long it took before and keeps on after the reply."""

    value: int = 0
    body: bytes = b""
    status: int = 0
    reason: int = 0
    before_s: float = 0.0
    after_s: float = 0.0
    then: Callable[[], None] | None = None
    silent: bool = False


def _rom_error(reason: int) -> Answer:
    return Answer(status=1, reason=reason)


def _stub_error(code: int) -> Answer:
    return Answer(status=code)


@dataclass(slots=True)
class _Writing:
    """One FLASH_BEGIN until its end."""

    at: int
    end: int
    erased_to: int
    inflate: "zlib._Decompress | None"
    expected: int = 0
    """Sequence number of the next block."""


@dataclass(slots=True)
class _Reading:
    """One READ_FLASH of the stub until its digest."""

    address: int
    size: int
    block: int
    window: int
    sent: int = 0
    acked: int = 0


class Loader:
    """One stay in the download mode, from reset to reset."""

    def __init__(self, host: Host, model: Model, timing: Timing, faults: FaultBox) -> None:
        self._host = host
        self._model = model
        self._timing = timing
        self._faults = faults
        self._slip = slip.Decoder()
        self.is_stub = False
        self.phase: Phase | None = None
        self._busy_until = 0.0
        self._start = 0.0
        self._writing: _Writing | None = None
        self._reading: _Reading | None = None
        self._ram: list[tuple[int, int]] = []
        self._flash_limit: int | None = None if model.is_esp8266 else _ROM_FLASH_SIZE
        self._late_error: int = 0
        self._handlers: dict[int, Callable[[bytes, int], Answer]] = {
            Op.SYNC: self._sync,
            Op.READ_REG: self._read_reg,
            Op.WRITE_REG: self._write_reg,
            Op.MEM_BEGIN: self._mem_begin,
            Op.MEM_DATA: self._mem_data,
            Op.MEM_END: self._mem_end,
            Op.FLASH_BEGIN: self._flash_begin,
            Op.FLASH_DATA: self._flash_data,
            Op.FLASH_END: self._flash_end,
            Op.FLASH_DEFL_BEGIN: self._flash_begin_deflated,
            Op.FLASH_DEFL_DATA: self._flash_data,
            Op.FLASH_DEFL_END: self._flash_end,
            Op.SPI_SET_PARAMS: self._set_params,
            Op.SPI_ATTACH: self._attach,
            Op.READ_FLASH_SLOW: self._read_slow,
            Op.CHANGE_BAUDRATE: self._change_baud,
            Op.SPI_FLASH_MD5: self._md5,
            Op.GET_SECURITY_INFO: self._security,
            Op.ERASE_FLASH: self._erase_flash,
            Op.ERASE_REGION: self._erase_region,
            Op.READ_FLASH: self._read_flash,
            Op.RUN_USER_CODE: self._run_user_code,
        }

    # -- packets ---------------------------------------------------------------------------

    def receive(self, data: bytes, now: float) -> None:
        """Bytes from the host, at the right baud rate."""
        for packet in self._slip.feed(data):
            self._start = max(now, self._busy_until) + self._timing.command_s
            try:
                if self._reading is not None:
                    self._acknowledge(packet)
                else:
                    self._command(packet)
            except _Struck as struck:
                self._host.strike(struck.fault)
                return

    def _command(self, packet: bytes) -> None:
        if len(packet) < _HEAD.size or packet[0] != 0:
            return
        _, op, size, check = _HEAD.unpack_from(packet)
        data = packet[_HEAD.size :]
        if op not in self._allowed():
            self._refuse(op)
            return
        if len(data) != size or not self._fits(op, data):
            answer = _stub_error(Stub.BAD_DATA_LENGTH) if self.is_stub else _rom_error(Rom.INVALID)
        else:
            answer = self._handlers[op](data, check)
        if not answer.silent:
            self._reply(op, answer)
        ready = self._start + answer.before_s
        self._busy_until = ready + answer.after_s
        if answer.then is not None:
            answer.then()

    def _allowed(self) -> frozenset[int]:
        if self.is_stub:
            return STUB_OPS
        if self._model.is_esp8266:
            return ESP8266_ROM_OPS
        if self._host.board.secure_download:
            return DOWNLOAD_LOCK_OPS
        if not self._model.security_bytes:
            return ROM_OPS - {Op.GET_SECURITY_INFO}
        return ROM_OPS

    def _fits(self, op: int, data: bytes) -> bool:
        lengths = STUB_LENGTHS.get(op)
        return not self.is_stub or lengths is None or len(data) in lengths

    def _reply(self, op: int, answer: Answer) -> None:
        tail = bytes((answer.status, answer.reason))
        if not self.is_stub and not self._model.is_esp8266:
            tail += b"\0\0"
        body = answer.body + tail
        packet = slip.encode(_HEAD.pack(1, op, len(body), answer.value) + body)
        times = _SYNC_REPLIES if op == Op.SYNC else 1
        self._host.send(packet * times, self._start + answer.before_s)

    def _refuse(self, op: int) -> None:
        """A command that does not exist: the ROM complains eight times, not naming the command."""
        if self.is_stub:
            self._reply(op, _stub_error(Stub.NOT_IMPLEMENTED))
            return
        tail = bytes((1, Rom.INVALID)) if self._model.is_esp8266 else bytes((1, Rom.INVALID, 0, 0))
        packet = slip.encode(_HEAD.pack(1, 0, len(tail), _SYNC_VALUE) + tail)
        self._host.send(packet * _SYNC_REPLIES, self._start)

    def _step(self, phase: Phase, size: int, effect: Callable[[int, int], None]) -> None:
        """Do ``effect(from, to)`` for ``size`` bytes of ``phase``, unless a fault comes between."""
        self.phase = phase
        hit = self._faults.crossing(phase, size, self._host.baud)
        if hit is None:
            effect(0, size)
            return
        fault, good = hit
        effect(0, good)
        if fault.row.act is not Act.SWAP:
            raise _Struck(fault)
        self._host.strike(fault)
        effect(good, size)

    # -- identity, registers, RAM ------------------------------------------------------------

    def _sync(self, _data: bytes, _check: int) -> Answer:
        if self._faults.gate("no_sync"):
            return Answer(silent=True)
        self._step(Phase.SYNC, 1, _nothing)
        return Answer(value=0 if self.is_stub else _SYNC_VALUE)

    def _read_reg(self, data: bytes, _check: int) -> Answer:
        (address,) = struct.unpack("<I", data)
        board = self._host.board
        value = board.registers.read(address)
        if board.registers.ends_identity(address):
            self._step(Phase.IDENTIFY, len(board.mac), _nothing)
        elif board.registers.is_mac(address):
            self.phase = Phase.IDENTIFY
        return Answer(value=value)

    def _write_reg(self, data: bytes, _check: int) -> Answer:
        for at in range(0, len(data) - 15, 16):
            address, value, mask, _delay_us = struct.unpack_from("<IIII", data, at)
            self._host.board.registers.write(address, value, mask)
        return Answer()

    def _security(self, _data: bytes, _check: int) -> Answer:
        board = self._host.board
        flags = board.secure_boot << 0 | board.secure_download << 2
        body = struct.pack("<IB7B", flags, 1 if board.flash_encryption else 0, *[0] * 7)
        if self._model.security_bytes == 20:  # noqa: PLR2004  (the longer of the two layouts)
            body += struct.pack("<II", self._model.chip.image_chip_id or 0, 0)
        return Answer(body=body)

    def _mem_begin(self, data: bytes, _check: int) -> Answer:
        size, _blocks, _block, address = struct.unpack("<IIII", data)
        if not self._ram or self._ram[-1] != (address, size):
            self._ram.append((address, size))
        return Answer()

    def _mem_data(self, data: bytes, check: int) -> Answer:
        payload = data[16:]
        if xor_bytes(payload) != check & 0xFF:
            return _stub_error(Stub.BAD_CHECKSUM) if self.is_stub else _rom_error(Rom.BAD_CHECKSUM)
        self._step(Phase.STUB, len(payload), _nothing)
        return Answer()

    def _mem_end(self, data: bytes, _check: int) -> Answer:
        stay, entry = struct.unpack("<II", data)
        if stay and not entry:
            return Answer()
        inside = any(address <= entry < address + size for address, size in self._ram)
        return Answer(then=self._start_stub if inside else self._host.restart)

    def _start_stub(self) -> None:
        board = self._host.board
        locked = board.secure_boot and self._model.name == "esp32c3"  # esptool: "not supported"
        if locked or self._faults.gate("stub_fail"):
            self._host.strike(Fault(FAULTS["hang"]))
            return
        self.is_stub = True
        self._flash_limit = None
        board.registers.attached = True
        self._host.send(slip.encode(b"OHAI"), self._start)

    # -- writing -----------------------------------------------------------------------------

    def _flash_begin(self, data: bytes, _check: int) -> Answer:
        return self._begin(data, None)

    def _flash_begin_deflated(self, data: bytes, _check: int) -> Answer:
        return self._begin(data, zlib.decompressobj())

    def _begin(self, data: bytes, inflate: "zlib._Decompress | None") -> Answer:
        size, _blocks, _block, address = struct.unpack_from("<IIII", data)
        board = self._host.board
        if self._model.is_esp8266:
            board.registers.attached = True
        if not self.is_stub and size and (refusal := self._unreachable(address, size)):
            return refusal
        self._late_error = 0
        self._writing = _Writing(address, address + size, address // SECTOR * SECTOR, inflate)
        if self.is_stub or not size:
            return Answer()  # the stub erases as it writes
        if self._model.is_esp8266:
            size = _esp8266_erases(address, size)
        self._step(Phase.ERASE, size, lambda a, b: self._erase(address + a, b - a))
        self._writing.erased_to = self._writing.end + SECTOR
        return Answer(before_s=self._timing.erase(address, size))

    def _flash_data(self, data: bytes, check: int) -> Answer:
        size, number, _, _ = struct.unpack_from("<IIII", data)
        payload = data[16:]
        writing = self._writing
        if self.is_stub:
            if writing is None:
                return _stub_error(Stub.NOT_IN_FLASH_MODE)
            if len(payload) != size:
                return _stub_error(Stub.BAD_DATA_LENGTH)
            if xor_bytes(payload) != check & 0xFF:
                return _stub_error(Stub.BAD_CHECKSUM)
            if self._late_error:
                return _stub_error(self._late_error)
            return Answer(after_s=self._write(writing, payload))
        if writing is None or number != writing.expected or len(payload) != size:
            self._writing = None
            return _rom_error(Rom.INVALID)
        if xor_bytes(payload) != check & 0xFF:
            self._writing = None  # from now on every block is answered 0105 (devices.md 5)
            return _rom_error(Rom.BAD_CHECKSUM)
        spent = self._write(writing, payload)
        if self._late_error:
            self._writing = None
            return _rom_error(Rom.DEFLATE)
        return Answer(before_s=spent)

    def _write(self, writing: _Writing, payload: bytes) -> float:
        """Program one block; gives the seconds it takes. Trouble shows with the next block."""
        writing.expected += 1
        if writing.inflate is not None:
            try:
                payload = writing.inflate.decompress(payload)
            except zlib.error:
                self._late_error = Stub.INFLATE
                return 0.0
        if self.is_stub and len(payload) > writing.end - writing.at:
            if writing.inflate is not None:
                self._late_error = Stub.TOO_MUCH_DATA
            payload = payload[: writing.end - writing.at]
        begun, size = writing.at, len(payload)
        spent = self._timing.program(size) + self._erase_ahead(writing, begun + size)
        writing.at += size
        self._host.board.written_plain = True
        self._step(
            Phase.WRITE,
            size,
            lambda a, b: self._host.board.flash.program(begun + a, payload[a:b]),
        )
        return spent

    def _erase_ahead(self, writing: _Writing, need: int) -> float:
        """The stub erases just before it writes, a 64 KiB block where one fits."""
        spent = 0.0
        while writing.erased_to < min(need, writing.end):
            begun = writing.erased_to
            size = BLOCK if begun % BLOCK == 0 and writing.end - begun >= BLOCK else SECTOR
            self._step(Phase.ERASE, size, lambda a, b, at=begun: self._erase(at + a, b - a))  # type: ignore[misc]
            writing.erased_to += size
            spent += self._timing.erase(begun, size)
        return spent

    def _erase(self, address: int, size: int) -> None:
        if size > 0:
            self._host.board.flash.erase(address, size)

    def _flash_end(self, data: bytes, _check: int) -> Answer:
        writing, self._writing = self._writing, None
        if self.is_stub:
            # the stub answers and stays, also when asked to restart (devices.md 3)
            if self._late_error:
                return _stub_error(self._late_error)
            if writing is not None and writing.inflate is not None and writing.at < writing.end:
                return _stub_error(Stub.NOT_ENOUGH_DATA)
            return Answer()
        return Answer(then=self._host.restart)

    def _erase_flash(self, _data: bytes, _check: int) -> Answer:
        flash = self._host.board.flash
        self._step(Phase.ERASE, flash.size, lambda a, b: self._erase(a, b - a))
        return Answer(before_s=self._timing.erase(0, flash.size))

    def _erase_region(self, data: bytes, _check: int) -> Answer:
        address, size = struct.unpack("<II", data)
        if address % SECTOR or size % SECTOR:
            return _stub_error(Stub.BAD_ALIGNMENT)
        self._step(Phase.ERASE, size, lambda a, b: self._erase(address + a, b - a))
        return Answer(before_s=self._timing.erase(address, size))

    # -- reading -----------------------------------------------------------------------------

    def _read_slow(self, data: bytes, _check: int) -> Answer:
        pointer = self._model.stub_by_read_pointer
        if pointer is not None and self._host.board.registers.read(pointer):
            return Answer(silent=True, then=self._start_stub)
        address, size = struct.unpack("<II", data)
        if refusal := self._unreachable(address, size, Rom.READ_FAILED):
            return refusal
        if size > 64:  # noqa: PLR2004  (the ROM's own limit)
            return _rom_error(Rom.READ_TOO_LONG)
        self._step(Phase.READ, size, _nothing)
        return Answer(body=self._host.board.flash.read(address, size).ljust(64, b"\0"))

    def _read_flash(self, data: bytes, _check: int) -> Answer:
        address, size, block, window = struct.unpack("<IIII", data)
        self._reading = _Reading(address, size, block, window)
        return Answer(then=self._stream)

    def _acknowledge(self, packet: bytes) -> None:
        reading = self._reading
        if reading is None or len(packet) != 4:  # noqa: PLR2004  (one u32)
            return
        (reading.acked,) = struct.unpack("<I", packet)
        self._stream()

    def _stream(self) -> None:
        reading = self._reading
        if reading is None:
            return
        flash = self._host.board.flash
        while (
            reading.sent < reading.size
            and reading.sent - reading.acked < reading.window * reading.block
        ):
            size = min(reading.block, reading.size - reading.sent)
            frame = slip.encode(flash.read(reading.address + reading.sent, size))
            reading.sent += size
            ready = self._start + size * self._timing.read_byte_s
            self._step(
                Phase.READ,
                size,
                lambda a, b, frame=frame, size=size, ready=ready: self._host.send(  # type: ignore[misc]
                    frame[a : len(frame) if b == size else b], ready
                ),
            )
        if reading.acked >= reading.size:
            self._reading = None
            digest = hashlib.md5(
                flash.read(reading.address, reading.size), usedforsecurity=False
            ).digest()
            self._host.send(slip.encode(digest), self._start)

    def _md5(self, data: bytes, _check: int) -> Answer:
        address, size, _, _ = struct.unpack("<IIII", data)
        if refusal := self._unreachable(address, size, Rom.READ_FAILED):
            return refusal
        self._step(Phase.MD5, 1, _nothing)
        content = self._host.board.flash.read(address, size)
        digest = hashlib.md5(content, usedforsecurity=False)
        if self._faults.gate("wrong_md5"):
            digest.update(b"wrong")
        body = digest.digest() if self.is_stub else digest.hexdigest().encode()
        return Answer(body=body, before_s=size * self._timing.md5_byte_s)

    # -- the rest ----------------------------------------------------------------------------

    def _attach(self, _data: bytes, _check: int) -> Answer:
        self._host.board.registers.attached = True
        return Answer()

    def _set_params(self, data: bytes, _check: int) -> Answer:
        _, size, *_ = struct.unpack("<IIIIII", data)
        if not self.is_stub:
            self._flash_limit = size
        return Answer()

    def _change_baud(self, data: bytes, _check: int) -> Answer:
        baud, _old = struct.unpack("<II", data)
        return Answer(then=lambda: self._host.change_baud(baud))

    def _run_user_code(self, _data: bytes, _check: int) -> Answer:
        return Answer(silent=True, then=self._host.restart)

    def _unreachable(self, address: int, size: int, reason: int = 0x06) -> Answer | None:
        """Why the ROM does not get at this piece of flash, if it does not."""
        attached = self._host.board.registers.attached
        if self.is_stub or (
            attached and (self._flash_limit is None or address + size <= self._flash_limit)
        ):
            return None
        return _rom_error(reason)


def _nothing(_from: int, _to: int) -> None:
    """The effect of a step that only has to be passed."""


def _esp8266_erases(address: int, size: int) -> int:
    """Bytes the ESP8266 ROM really erases: it counts the sectors up to the next block twice.

    Source: the workaround in esptool's ``ESP8266ROM.get_erase_size``.
    """
    sectors = -(-size // SECTOR)
    head = 16 - address // SECTOR % 16
    return (sectors + min(head, sectors)) * SECTOR
