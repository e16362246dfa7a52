"""An external programmer that can be made to fail in every way; a unit is a folder.

``python toy_programmer.py UNIT VERB [MEMORY] [ADDRESS SIZE] [FILE]``: memories are the files
``flash`` and ``eeprom`` in the folder UNIT, beside them what is to go wrong (``fault``: a verb and
a fault), the chip's ``uid`` where it has one, and ``asked``, the verbs so far. Real programmers
cannot be made to hang, lie or tear; those are tested with a real one elsewhere.
"""

import sys
import time
from pathlib import Path

SIZES = {"flash": 4096, "eeprom": 512}
PAGE = 64


def main(unit: Path, verb: str, *rest: str) -> int:
    """One run of the program; its exit code."""
    fault = (unit / "fault").read_text() if (unit / "fault").exists() else ""
    when, _, what = fault.partition(" ")
    what = what if when == verb else ""
    with (unit / "asked").open("a") as asked:
        asked.write(f"{' '.join((verb, *rest))}\n")
    if what in ENDS:
        code, said = ENDS[what]
        sys.stderr.write(said)
        time.sleep(60 if what == "hang" else 0)
        return code
    if what == "slow":
        time.sleep(0.5)
    until = time.monotonic() + 60  # whoever told it to wait may have died
    while what == "wait" and not (unit / "go").exists() and time.monotonic() < until:
        time.sleep(0.02)
    match verb:
        case "identify":
            uid = (unit / "uid").read_text().strip() if (unit / "uid").exists() else ""
            sys.stdout.write(f"toy 1.2: signature 0x600D uid {uid}\n")
            return 0
        case "write":
            return write(unit, *rest, what=what)
        case "terminal":
            _, memory, address, size = sys.stdin.readline().split()
            sys.stdout.write("toy> dump\n")
            return read(unit, "read", memory, address, size)
        case _:
            return read(unit, verb, *rest)


ENDS = {
    "hang": (0, ""),
    "sync": (1, "toy: programmer is not responding\n"),
    "quiet_sync": (0, "toy: programmer is not responding\n"),
    "chip": (1, "toy: signature 0xBAD, expected 0x600D\n"),
    "silent": (0, ""),
    "die": (3, "toy: cannot go on\nfirst differs at 0x41 0x42\n"),
}
"""Fault → exit code and what it says, with nothing done."""


def write(unit: Path, memory: str, *file: str, what: str) -> int:
    """From its standard input, or a file."""
    source = Path(file[0]).read_bytes() if file else sys.stdin.buffer.read()
    store(unit, memory, parsed(source), torn=what == "tear")
    if what == "mismatch":
        sys.stderr.write("toy: verification error, first mismatch at byte 0x41\n")
        return 1
    return 5 if what == "late" else 0


def read(unit: Path, verb: str, memory: str, *rest: str) -> int:
    """To its standard output, or a file; all of it, or an address and a size."""
    address, size = (int(rest[0], 0), int(rest[1])) if len(rest) > 1 else (0, SIZES[memory])
    data = content(unit, memory)[address : address + size]
    text = data if verb == "read_bin" else dumped(address, data)
    if len(rest) in {1, 3}:
        Path(rest[-1]).write_bytes(text)
    else:
        sys.stdout.buffer.write(text)
    return 0


def content(unit: Path, memory: str) -> bytes:
    """All of a memory; FF where nothing was ever written."""
    path = unit / memory
    return path.read_bytes() if path.exists() else b"\xff" * SIZES[memory]


def store(unit: Path, memory: str, pieces: dict[int, int], *, torn: bool) -> None:
    """Written page by page; torn: the power goes after half of it."""
    whole = bytearray(content(unit, memory))
    for count, (address, byte) in enumerate(sorted(pieces.items())):
        if torn and count > len(pieces) // 2:
            break
        whole[address] = byte
    (unit / memory).write_bytes(whole)


def parsed(text: bytes) -> dict[int, int]:
    """Intel HEX, data records only: small memories need no others."""
    found: dict[int, int] = {}
    for line in text.decode("ascii").split():
        raw = bytes.fromhex(line[1:])
        if raw[3] == 0:
            found |= {int.from_bytes(raw[1:3], "big") + n: b for n, b in enumerate(raw[4:-1])}
    return found


def dumped(address: int, data: bytes) -> bytes:
    """Lines of an address, sixteen bytes, and what they look like."""
    lines = []
    for at in range(0, len(data), 16):
        row = data[at : at + 16]
        shown = "".join(chr(b) if 32 <= b < 127 else "." for b in row)
        lines.append(f"{address + at:04x}  {row[:8].hex(' ')}  {row[8:].hex(' ')}  |{shown}|")
    return ("\n".join(lines) + "\n").encode()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), *sys.argv[2:]))
