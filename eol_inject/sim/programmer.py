"""A simulated programmer, ``sim-programmer`` in a profile, and the units behind it.

``python -m eol_inject.sim.programmer PORT VERB …`` with a PORT of ``sim://programmer?id=NAME``:

- ``identify`` says what the chip is, and its uid;
- ``read MEMORY ADDRESS SIZE`` gives bytes on standard output;
- ``write MEMORY`` takes Intel HEX on standard input.

A unit is a folder in the simulated units' meeting place, or in ``dir=``: its memories are files, FF
where nothing was written. It is born when it is first asked, and gone with the folder. ``fault=``
says what goes wrong with it.
"""

import io
import secrets
import sys
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

from intelhex import IntelHex, IntelHexError

from eol_inject.sim import records

CHIP: Final = "programmer"
"""What stands in a URL in place of a chip."""
FAULTS: Final = ("no_answer", "torn_write", "bad_cell")
"""The chip does not answer; the power goes in the middle of a write; a bit does not keep."""


class _Wrong(Exception):  # noqa: N818  (a sentence and an exit code, as any program has)
    """It cannot be done."""


def main(port: str, verb: str, *rest: str) -> int:
    """One run of the programmer; its exit code."""
    try:
        unit, fault = _unit(port)
        if fault == "no_answer":
            raise _Wrong("the chip is not responding")
        match verb, rest:
            case "identify", ():
                sys.stdout.write(f"simulated chip, uid {_uid(unit)}\n")
            case "read", (memory, address, size):
                start = int(address, 0)
                sys.stdout.buffer.write(_content(unit / memory, start + int(size))[start:])
            case "write", (memory,):
                _write(unit / memory, _pieces(sys.stdin.buffer.read()), fault)
            case _:
                raise _Wrong(f"cannot {verb} like that")
    except (_Wrong, ValueError, OSError, records.UnsafeFolder) as error:
        sys.stderr.write(f"sim-programmer: {error}\n")
        return 1
    return 0


def _unit(port: str) -> tuple[Path, str]:
    """Its folder, and what is wrong with it."""
    parts = urlsplit(port)
    options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    name, fault = options.pop("id", ""), options.pop("fault", "")
    folder = Path(options.pop("dir", "") or records.default_folder())
    if parts.scheme != "sim" or parts.netloc != CHIP or not name.isalnum() or options:
        raise _Wrong(f"no unit is called {port}; sim://{CHIP}?id=NAME, and dir=, fault=")
    if fault and fault not in FAULTS:
        raise _Wrong(f"no such fault; known: {', '.join(FAULTS)}")
    return records.checked(records.checked(folder.absolute()) / f"{CHIP}-{name}"), fault


def _uid(unit: Path) -> str:
    """Made up when the unit is born."""
    path = unit / "uid"
    if not path.exists():
        path.write_text(secrets.token_hex(8).upper(), encoding="ascii")
    return path.read_text(encoding="ascii")


def _content(memory: Path, size: int) -> bytes:
    """The first ``size`` bytes."""
    held = memory.read_bytes() if memory.exists() else b""
    return held[:size].ljust(size, b"\xff")


def _write(memory: Path, pieces: dict[int, int], fault: str) -> None:
    """Each byte where it belongs; all others stay."""
    held = memory.read_bytes() if memory.exists() else b""
    whole = bytearray(held.ljust(max(pieces, default=-1) + 1, b"\xff"))
    torn = fault == "torn_write"
    for address, byte in list(pieces.items())[: len(pieces) // 2 if torn else None]:
        whole[address] = byte
    if fault == "bad_cell":
        whole[min(pieces)] ^= 1
    memory.write_bytes(whole)
    if torn:
        raise _Wrong("the chip is not responding any more")


def _pieces(text: bytes) -> dict[int, int]:
    """Address → byte of an Intel HEX file."""
    found = IntelHex()
    try:
        found.loadhex(io.StringIO(text.decode("ascii")))
    except (IntelHexError, ValueError) as error:
        raise _Wrong("this is no Intel HEX") from error
    return {address: found[address] for address in found.addresses()}


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
