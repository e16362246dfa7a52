"""A little RV32IM, enough to run a fixture's C code to its console output.

Source: RISC-V unprivileged specification, chapters RV32I and M. No interrupts, no CSRs, no
compressed instructions (the fixtures are built without), no timing.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

WORD = 0xFFFFFFFF


class TrapError(Exception):
    """An access to nowhere, or an instruction that is none."""


def signed(value: int, bits: int = 32) -> int:
    """``value`` read as two's complement."""
    return value - (1 << bits) if value >> (bits - 1) & 1 else value


@dataclass
class Machine:
    """Memory by ranges, 32 registers, and registers of hardware where no memory is."""

    entry: int
    on_write: Callable[[int, int], None]
    """Called with address and value of a store to a peripheral."""
    on_read: Callable[[int], int] = lambda _address: 0
    ranges: list[tuple[int, bytearray]] = field(default_factory=list)
    registers: list[int] = field(default_factory=lambda: [0] * 32)

    def __post_init__(self) -> None:
        self.pc = self.entry

    def load(self, address: int, data: bytes) -> None:
        """Map ``data`` at ``address``."""
        self.ranges.append((address, bytearray(data)))

    def run(self, steps: int) -> None:
        """Execute until the code jumps to itself, ``steps`` instructions at most."""
        for _ in range(steps):
            before = self.pc
            self._step()
            if self.pc == before:
                return
        raise TrapError(f"still running after {steps} instructions at {self.pc:#x}")

    def _place(self, address: int) -> tuple[bytearray, int] | None:
        for start, memory in self.ranges:
            if start <= address < start + len(memory):
                return memory, address - start
        return None

    def _read(self, address: int, size: int) -> int:
        place = self._place(address)
        if place is None:
            if address >> 28 != 6:
                raise TrapError(f"read of {address:#x} at {self.pc:#x}")
            return self.on_read(address)
        memory, at = place
        return int.from_bytes(memory[at : at + size], "little")

    def _write(self, address: int, value: int, size: int) -> None:
        place = self._place(address)
        if place is None:
            if address >> 28 != 6:
                raise TrapError(f"write of {address:#x} at {self.pc:#x}")
            self.on_write(address, value)
            return
        memory, at = place
        memory[at : at + size] = (value & ((1 << 8 * size) - 1)).to_bytes(size, "little")

    def _step(self) -> None:
        code = self._read(self.pc, 4)
        x = self.registers
        opcode, rd, f3 = code & 0x7F, code >> 7 & 31, code >> 12 & 7
        a, b, f7 = x[code >> 15 & 31], x[code >> 20 & 31], code >> 25
        immediate, result, following = signed(code >> 20, 12), None, self.pc + 4
        match opcode:
            case 0x37 | 0x17:
                result = (code & 0xFFFFF000) + (self.pc if opcode == 0x17 else 0)
            case 0x6F:
                jump = code >> 31 << 20 | code & 0xFF000 | code >> 9 & 0x800 | code >> 20 & 0x7FE
                result, following = following, self.pc + signed(jump, 21)
            case 0x67:
                result, following = following, a + immediate & ~1
            case 0x63:
                if self._branches(f3, a, b):
                    jump = (
                        code >> 31 << 12 | code << 4 & 0x800 | code >> 20 & 0x7E0 | code >> 7 & 0x1E
                    )
                    following = self.pc + signed(jump, 13)
            case 0x03:
                size = 1 << (f3 & 3)
                value = self._read(a + immediate & WORD, size)
                result = value if f3 & 4 else signed(value, 8 * size)
            case 0x23:
                offset = signed(f7 << 5 | rd, 12)
                self._write(a + offset & WORD, b, 1 << f3)
            case 0x13:
                shift = f3 in {1, 5}
                result = self._alu(
                    f3, a, code >> 20 & 31 if shift else immediate, shift and f7 == 32
                )
            case 0x33:
                work = self._multiply if f7 == 1 else self._alu
                result = work(f3, a, b, f7 == 32)
            case _:
                raise TrapError(f"instruction {code:#010x} at {self.pc:#x}")
        if result is not None and rd:
            x[rd] = result & WORD
        self.pc = following & WORD

    @staticmethod
    def _branches(f3: int, a: int, b: int) -> bool:
        taken = (a == b, None, None, None, signed(a) < signed(b), None, a < b, None)[f3 & 6]
        if taken is None:
            raise TrapError(f"branch {f3}")
        return taken != bool(f3 & 1)

    @staticmethod
    def _alu(f3: int, a: int, b: int, alternative: bool) -> int:
        b &= WORD
        match f3:
            case 0:
                return a - b if alternative else a + b
            case 1:
                return a << (b & 31)
            case 2:
                return int(signed(a) < signed(b))
            case 3:
                return int(a < b)
            case 4:
                return a ^ b
            case 5:
                return (signed(a) if alternative else a) >> (b & 31)
            case 6:
                return a | b
            case _:
                return a & b

    @staticmethod
    def _multiply(f3: int, a: int, b: int, _alternative: bool) -> int:
        match f3:
            case 0:
                return a * b
            case 1:
                return signed(a) * signed(b) >> 32
            case 2:
                return signed(a) * b >> 32
            case 3:
                return a * b >> 32
            case 5:
                return a // b if b else WORD
            case 7:
                return a % b if b else a
        up, down = signed(a), signed(b)
        quotient = (abs(up) // abs(down) * (1 if up * down >= 0 else -1)) if down else -1
        return quotient if f3 == 4 else up - quotient * down if down else up
