"""Flash of a connected ESP chip: read, hash, write, erase. The chip is asked, never trusted."""

import hashlib
from collections.abc import Callable
from typing import Any, Final

from eol_inject.chips import SECTOR
from eol_inject.device.esp_lib import FatalError, ReadingsDifferError, cmds
from eol_inject.device.packing import PACKER
from eol_inject.device.runs import Run
from eol_inject.errors import UnitError
from eol_inject.events import ByteProgress

_KEEP: Final = {"flash_freq": "keep", "flash_mode": "keep", "flash_size": "keep"}
"""Never let esptool change an image header: the bytes on the chip are the bytes we hash.

esptool ignores keywords it does not know without a word, so these three are all we pass; a test
compares them with its signature.
"""

_HASH_DIFFERS: Final = ("MD5 of file does not match", "written flash region is empty")


def read(
    esp: Any,
    address: int,
    size: int,
    progress: ByteProgress | None,
    *,
    proved: str | None = None,
) -> bytes:
    """``size`` bytes from ``address``, confirmed by the chip's MD5 or by a second reading.

    The MD5 that the stub sends behind them covers the answer, not the question: with one bit of the
    address damaged on its way, the right bytes of the wrong place would arrive. The ROM loader
    sends none at all. ``proved``: the MD5 that the chip gave of these bytes when it wrote them; it
    is asked again only where they are others. Raises ``ReadingsDifferError``.
    """
    report = None if progress is None else (lambda done, total, _: progress(done, total))
    data = bytes(esp.read_flash(address, size, report))
    found = _md5(data)
    if found == proved or found == md5(esp, address, size):
        return data
    if bytes(esp.read_flash(address, size, None)) != data:
        raise ReadingsDifferError
    return data


def md5(esp: Any, address: int, size: int) -> str:
    """MD5 that the chip makes of its own flash, hex."""
    return str(esp.flash_md5sum(address, size)).lower()


def write(esp: Any, run: Run, part: Callable[[float], None], note: Callable[[str], None]) -> str:
    """One run of whole sectors, erased, written and hashed by the chip; its MD5.

    The short way sends what was compressed once for all units; where the stub does not take it, or
    there is none, or compressing gains nothing, esptool's own way does the same. ``part`` is told
    the fraction that is sent, before each block: what it raises stops the write there.

    Raises ``UnitError("device.md5_mismatch")`` with the address of the first sector that differs.
    """
    packed = PACKER.pack(run.pieces) if esp.IS_STUB and run.pieces else run.data
    if len(packed) < len(run.data) and _begun(esp, run, len(packed), note):
        _send(esp, run, packed, part)
        return require_hash(esp, run)
    return _ordinarily(esp, run)


def _begun(esp: Any, run: Run, size: int, note: Callable[[str], None]) -> bool:
    """Whether the stub takes a compressed run; nothing is written before its first block."""
    try:
        esp.flash_defl_begin(len(run.data), size, run.address)
    except FatalError:
        note("the short way to write was refused, took esptool's own")
        return False
    return True


def _send(esp: Any, run: Run, packed: bytes, part: Callable[[float], None]) -> None:
    size = int(esp.FLASH_WRITE_SIZE)
    patience = _LEAST_S + _WRITE_S_PER_MB * len(run.data) / 1e6
    for number, at in enumerate(range(0, len(packed), size)):
        part(at / len(packed))
        esp.flash_defl_block(packed[at : at + size], number, timeout=patience)
    # The stub answers a block before it is in the flash; this is answered once the last one is.
    esp.flash_defl_finish(reboot=False, timeout=patience)


_LEAST_S: Final = 3.0
_WRITE_S_PER_MB: Final = 40.0
"""How long a stub may erase and program: esptool's own ERASE_WRITE_TIMEOUT_PER_MB."""


def _ordinarily(esp: Any, run: Run) -> str:
    """esptool's own way. A call of its own for each run: one part that cannot be compressed would
    switch compression off for all that follow in the same call."""
    differs = False
    try:
        cmds.write_flash(esp, [(run.address, bytes(run.data))], **_KEEP)
    except FatalError as error:
        if not any(piece in str(error) for piece in _HASH_DIFFERS):
            raise
        differs = True  # judged below, by a hash that we compare and an address that we name
    proved = require_hash(esp, run)
    if differs:
        raise mismatch(run.address)
    return proved


def write_encrypted(esp: Any, run: Run) -> None:
    """One run of whole sectors that the chip encrypts while it programs them: esptool's own way.

    What stands there afterwards only the chip can read. Its MD5 tells no more than that something
    does, and that it is not the plain text.

    Raises ``UnitError`` with ``device.written_plain`` or ``device.md5_mismatch``.
    """
    cmds.write_flash(esp, [(run.address, bytes(run.data))], encrypt=True, **_KEEP)
    found = md5(esp, run.address, len(run.data))
    if found == _md5(run.data):
        raise UnitError("device.written_plain", address=f"{run.address:#x}")
    if found == _md5(b"\xff" * len(run.data)):
        raise mismatch(run.address)


def require_hash(esp: Any, run: Run) -> str:
    """The MD5 of ``run``; ``UnitError("device.md5_mismatch")`` where the chip gives another."""
    wanted = _md5(run.data)
    for _ in range(2):  # asked again before a unit is judged by one damaged answer
        if md5(esp, run.address, len(run.data)) == wanted:
            return wanted
    for offset in range(0, len(run.data), SECTOR):
        if md5(esp, run.address + offset, SECTOR) != _md5(run.data[offset : offset + SECTOR]):
            raise mismatch(run.address + offset)
    raise mismatch(run.address)


def erase(esp: Any, address: int, size: int) -> None:
    """Whole sectors to FF, proved by the chip's MD5."""
    cmds.erase_region(esp, address, size)
    require_hash(esp, Run(address, b"\xff" * size))


def mismatch(address: int) -> UnitError:
    """The chip holds something else than was written."""
    return UnitError("device.md5_mismatch", address=f"{address:#x}")


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()
