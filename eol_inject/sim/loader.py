"""The serial loader of the chip, mask ROM and flasher stub: packets, identity, RAM, the stub.

Sources: esptool 5.6.0 ``loader.py`` (what it sends and accepts), Espressif "Serial Protocol"
(packets, ROM error codes). A stub that is uploaded is believed to be esptool's: it is not
executed, its manners are.
"""

from collections.abc import Callable
from struct import Struct, pack, unpack, unpack_from
from typing import Final

from eol_inject.sim import slip
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
from eol_inject.sim.reading import Reader
from eol_inject.sim.stay import Answer, Host, Stay, Struck, nothing, rom_error, stub_error
from eol_inject.sim.sums import xor_bytes
from eol_inject.sim.timing import Timing
from eol_inject.sim.writing import Writer

_HEAD: Final = Struct("<BBHI")
_SYNC_VALUE: Final = 0x20120707
"""In the value field of the ROM's sync reply (seen in traces); the stub says 0: told apart."""
_REPEATED: Final = 8
"""Replies to a sync, and to a command that does not exist (esptool, ``command``)."""
_WITH_CHIP_ID: Final = 20
"""Length of the longer security information."""


class Loader:
    """Takes packets and answers them, from reset to reset."""

    def __init__(self, host: Host, model: Model, timing: Timing, faults: FaultBox) -> None:
        self._stay = stay = Stay(host, model, timing, faults)
        self._slip = slip.Decoder()
        self._busy_until = 0.0
        self._ram: list[tuple[int, int]] = []
        self._leaving: Fault | None = None
        """A swap that waits until the identity has been read, however often that is done."""
        writer = Writer(stay)
        self._reader = reader = Reader(stay)
        self._handlers: dict[int, Callable[[bytes, int], Answer]] = {
            Op.SYNC: self._sync,
            Op.READ_REG: self._read_reg,
            Op.WRITE_REG: self._write_reg,
            Op.GET_SECURITY_INFO: self._security,
            Op.CHANGE_BAUDRATE: self._change_baud,
            Op.MEM_BEGIN: self._mem_begin,
            Op.MEM_DATA: self._mem_data,
            Op.MEM_END: self._mem_end,
            Op.RUN_USER_CODE: self._run_user_code,
            Op.SPI_ATTACH: self._attach,
            Op.SPI_SET_PARAMS: self._set_params,
            Op.FLASH_BEGIN: writer.begin,
            Op.FLASH_DATA: writer.data,
            Op.FLASH_END: writer.end,
            Op.FLASH_DEFL_BEGIN: writer.begin_deflated,
            Op.FLASH_DEFL_DATA: writer.data,
            Op.FLASH_DEFL_END: writer.end,
            Op.ERASE_FLASH: writer.erase_flash,
            Op.ERASE_REGION: writer.erase_region,
            Op.READ_FLASH_SLOW: self._read_slow,
            Op.READ_FLASH: reader.stream,
            Op.SPI_FLASH_MD5: reader.md5,
        }

    @property
    def phase(self) -> Phase | None:
        """What the last command was about."""
        return self._stay.phase

    # -- packets -----------------------------------------------------------------------------

    def receive(self, data: bytes, now: float) -> None:
        """Bytes from the host, at the right baud rate."""
        stay = self._stay
        for packet in self._slip.feed(data):
            stay.start = max(now, self._busy_until) + stay.timing.command_s
            try:
                if self._reader.streaming:
                    self._reader.acknowledge(packet)
                else:
                    self._command(packet)
            except Struck as struck:
                stay.host.strike(struck.fault)
                return

    def _command(self, packet: bytes) -> None:
        if len(packet) < _HEAD.size or packet[0] != 0:
            return
        _, op, size, check = _HEAD.unpack_from(packet)
        data = packet[_HEAD.size :]
        self._leave(op, data)
        if op not in self._allowed():
            self._refuse(op)
            return
        if len(data) == size and self._fits(op, data):
            answer = self._handlers[op](data, check)
        elif self._stay.is_stub:
            answer = stub_error(Stub.BAD_DATA_LENGTH)
        else:
            answer = rom_error(Rom.INVALID)
        if not answer.silent:
            self._reply(op, answer)
        self._busy_until = self._stay.start + answer.before_s + answer.after_s
        if answer.then is not None:
            answer.then()

    def _allowed(self) -> frozenset[int]:
        if self._stay.is_stub:
            return STUB_OPS
        if self._stay.model.is_esp8266:
            return ESP8266_ROM_OPS
        if self._stay.board.secure_download:
            return DOWNLOAD_LOCK_OPS
        if not self._stay.model.security_bytes:
            return ROM_OPS - {Op.GET_SECURITY_INFO}
        return ROM_OPS

    def _fits(self, op: int, data: bytes) -> bool:
        lengths = STUB_LENGTHS.get(op)
        return not self._stay.is_stub or lengths is None or len(data) in lengths

    def _reply(self, op: int, answer: Answer) -> None:
        body = answer.body + self._tail(answer.status, answer.reason)
        packet = slip.encode(_HEAD.pack(1, op, len(body), answer.value) + body)
        times = _REPEATED if op == Op.SYNC else 1
        self._stay.host.send(packet * times, self._stay.start + answer.before_s)

    def _tail(self, status: int, reason: int) -> bytes:
        """Status bytes: the newer ROMs send two more, reserved."""
        reserved = b"" if self._stay.is_stub or self._stay.model.is_esp8266 else b"\0\0"
        return bytes((status, reason)) + reserved

    def _refuse(self, op: int) -> None:
        """A command that does not exist: the ROM complains eight times and names none."""
        if self._stay.is_stub:
            self._reply(op, stub_error(Stub.NOT_IMPLEMENTED))
            return
        tail = self._tail(1, Rom.INVALID)
        packet = slip.encode(_HEAD.pack(1, 0, len(tail), _SYNC_VALUE) + tail)
        self._stay.host.send(packet * _REPEATED, self._stay.start)

    # -- identity and registers --------------------------------------------------------------

    def _sync(self, _data: bytes, _check: int) -> Answer:
        if self._stay.faults.gate("no_sync"):
            return Answer(silent=True)
        self._stay.step(Phase.SYNC, 1, nothing)
        return Answer(value=0 if self._stay.is_stub else _SYNC_VALUE)

    def _read_reg(self, data: bytes, _check: int) -> Answer:
        (address,) = unpack("<I", data)
        board = self._stay.board
        value = board.registers.read(address)
        if board.registers.ends_identity(address):
            self._identified(len(board.mac))
        elif board.registers.is_mac(address):
            self._stay.phase = Phase.IDENTIFY
        return Answer(value=value)

    def _identified(self, size: int) -> None:
        """A whole MAC was read."""
        stay = self._stay
        stay.phase = Phase.IDENTIFY
        hit = stay.faults.crossing(Phase.IDENTIFY, size, stay.host.baud)
        if hit is None:
            return
        if hit[0].row.act not in (Act.SWAP, Act.SWAP_UNPLUG):
            raise Struck(hit[0])
        self._leaving = hit[0]

    def _leave(self, op: int, data: bytes) -> None:
        """Swap now if one is waiting, and this is not the MAC once more."""
        fault = self._leaving
        if fault is None:
            return
        registers = self._stay.board.registers
        if op == Op.READ_REG and registers.is_mac(int.from_bytes(data, "little")):
            return
        self._leaving = None
        if fault.row.act is not Act.SWAP:
            raise Struck(fault)
        self._stay.host.strike(fault)

    def _write_reg(self, data: bytes, _check: int) -> Answer:
        for at in range(0, len(data) - 15, 16):
            address, value, mask, _delay_us = unpack_from("<IIII", data, at)
            self._stay.board.registers.write(address, value, mask)
        return Answer()

    def _security(self, _data: bytes, _check: int) -> Answer:
        board = self._stay.board
        flags = board.secure_boot << 0 | board.secure_download << 2
        body = pack("<IB7B", flags, 1 if board.flash_encryption else 0, *[0] * 7)
        if self._stay.model.security_bytes == _WITH_CHIP_ID:
            body += pack("<II", self._stay.model.chip.image_chip_id or 0, 0)
        return Answer(body=body)

    def _change_baud(self, data: bytes, _check: int) -> Answer:
        baud, _old = unpack("<II", data)
        return Answer(then=lambda: self._stay.host.change_baud(baud))

    # -- RAM and the stub --------------------------------------------------------------------

    def _mem_begin(self, data: bytes, _check: int) -> Answer:
        size, _blocks, _block, address = unpack("<IIII", data)
        self._ram.append((address, size))
        self._stay.phase = Phase.STUB  # the bytes that follow are already its
        return Answer()

    def _mem_data(self, data: bytes, check: int) -> Answer:
        payload = data[16:]
        if xor_bytes(payload) != check & 0xFF:
            wrong = stub_error(Stub.BAD_CHECKSUM), rom_error(Rom.BAD_CHECKSUM)
            return wrong[0 if self._stay.is_stub else 1]
        self._stay.step(Phase.STUB, len(payload), nothing)
        return Answer()

    def _mem_end(self, data: bytes, _check: int) -> Answer:
        stay, entry = unpack("<II", data)
        if stay and not entry:
            return Answer()
        inside = any(address <= entry < address + size for address, size in self._ram)
        return Answer(then=self._start_stub if inside else self._stay.host.restart)

    def _start_stub(self) -> None:
        stay = self._stay
        locked = stay.board.secure_boot and stay.model.name == "esp32c3"  # esptool, ``run_stub``
        if locked or stay.faults.gate("stub_fail"):
            stay.host.strike(Fault(FAULTS["hang"]))
            return
        stay.is_stub = True
        stay.board.registers.attached = True
        stay.host.send(slip.encode(b"OHAI"), stay.start)

    def _read_slow(self, data: bytes, check: int) -> Answer:
        pointer = self._stay.model.stub_by_read_pointer
        if pointer is not None and self._stay.board.registers.read(pointer):
            return Answer(silent=True, then=self._start_stub)
        return self._reader.slow(data, check)

    def _run_user_code(self, _data: bytes, _check: int) -> Answer:
        return Answer(silent=True, then=self._stay.host.restart)

    # -- the flash chip ----------------------------------------------------------------------

    def _attach(self, _data: bytes, _check: int) -> Answer:
        self._stay.board.registers.attached = True
        return Answer()

    def _set_params(self, data: bytes, _check: int) -> Answer:
        _, size, *_ = unpack("<IIIIII", data)
        self._stay.flash_limit = size
        return Answer()
