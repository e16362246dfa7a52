"""Reading and hashing the flash: 64 bytes at a time by the ROM, streamed by the stub."""

import hashlib
from dataclasses import dataclass
from struct import unpack
from typing import Final

from eol_inject.sim import slip
from eol_inject.sim.faults import Phase
from eol_inject.sim.ops import Rom
from eol_inject.sim.stay import Answer, Stay, nothing, rom_error

_ROM_BLOCK: Final = 64
_ACKNOWLEDGEMENT: Final = 4


@dataclass(slots=True)
class _Stream:
    """One READ_FLASH until its digest."""

    address: int
    size: int
    block: int
    sent: int = 0
    acked: int = 0


class Reader:
    """The commands that read; while a stream runs, packets are acknowledgements."""

    def __init__(self, stay: Stay) -> None:
        self._stay = stay
        self._stream: _Stream | None = None

    @property
    def streaming(self) -> bool:
        """Whether the next packet is an acknowledgement."""
        return self._stream is not None

    def slow(self, data: bytes, _check: int) -> Answer:
        """READ_FLASH_SLOW."""
        address, size = unpack("<II", data)
        if refusal := self._stay.unreachable(address, size, Rom.READ_FAILED):
            return refusal
        if size > _ROM_BLOCK:
            return rom_error(Rom.READ_TOO_LONG)
        self._stay.step(Phase.READ, size, nothing)
        return Answer(body=self._stay.board.flash.read(address, size).ljust(_ROM_BLOCK, b"\0"))

    def stream(self, data: bytes, _check: int) -> Answer:
        """READ_FLASH: the data follow the reply.

        One block at a time, whatever the host asks for: both stubs do so (esp-flasher-stub,
        ``s_read_flash_post_process``).
        """
        address, size, block, _blocks = unpack("<IIII", data)
        self._stream = _Stream(address, size, block)
        return Answer(then=self._go_on)

    def acknowledge(self, packet: bytes) -> None:
        """How many bytes the host has so far; what cannot say so ends the stream."""
        stream = self._stream
        if stream is None:
            return
        if len(packet) != _ACKNOWLEDGEMENT:
            self._end(stream)
            return
        stream.acked = int.from_bytes(packet, "little")
        self._go_on()

    def _go_on(self) -> None:
        stream = self._stream
        if stream is None:
            return
        while stream.sent < stream.size and stream.sent <= stream.acked:
            size = min(stream.block, stream.size - stream.sent)
            at = stream.address + stream.sent
            stream.sent += size
            self._send_block(at, size)
        if stream.acked >= stream.size:
            self._end(stream)

    def _end(self, stream: _Stream) -> None:
        """The digest of what was sent."""
        self._stream = None
        digest = _md5(self._stay.board.flash.read(stream.address, stream.sent))
        self._stay.host.send(slip.encode(digest), self._stay.start)

    def _send_block(self, address: int, size: int) -> None:
        frame = slip.encode(self._stay.board.flash.read(address, size))
        ready = self._stay.start + size * self._stay.timing.read_byte_s

        def send(begin: int, end: int) -> None:
            if end > begin:
                self._stay.host.send(frame[begin : len(frame) if end == size else end], ready)

        self._stay.step(Phase.READ, size, send)

    def md5(self, data: bytes, _check: int) -> Answer:
        """SPI_FLASH_MD5: 16 bytes from the stub, 32 hex digits from the ROM."""
        address, size, _, _ = unpack("<IIII", data)
        if refusal := self._stay.unreachable(address, size, Rom.READ_FAILED):
            return refusal
        self._stay.step(Phase.MD5, 1, nothing)
        digest = _md5(self._stay.board.flash.read(address, size))
        if self._stay.faults.gate("wrong_md5"):
            digest = _md5(digest)
        body = digest if self._stay.is_stub else digest.hex().encode()
        return Answer(body=body, before_s=size * self._stay.timing.md5_byte_s)


def _md5(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).digest()
