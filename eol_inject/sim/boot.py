"""From reset to the application's first lines, as the console shows it.

ROM banner, bootloader header, partition table, choice of the application, checksum and hash: the
checks and messages of ESP-IDF's second-stage bootloader and of the ESP8266's. Own code over the
flash bytes, so that what ``image`` sealed is judged by somebody else.
"""

import binascii
import hashlib
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from eol_inject.chips import SECTOR
from eol_inject.sim import firmware
from eol_inject.sim.board import Board
from eol_inject.sim.console import Config
from eol_inject.sim.faults import Phase
from eol_inject.sim.sums import xor_bytes

_TABLE: Final = 0x8000
_ENTRY: Final = struct.Struct("<2sBBII16sI")
_V1_MAGIC: Final = 0xE9
_V2_MAGIC: Final = 0xEA
_SEGMENTS: Final = 16
_NEVER_BOOT: Final = (3, 4)
"""otadata states INVALID and ABORTED (ESP-IDF ``esp_ota_img_states_t``)."""
CONSOLE_BAUD: Final = 115200
PHASE: Final = Phase.BOOT


@dataclass(frozen=True, slots=True)
class Console:
    """What one start says: the ROM's lines, then the rest, each at its baud rate."""

    rom: str
    rom_baud: int
    rest: str
    runs: bool
    """Whether an application was started; otherwise the chip starts over."""


class _Refused(Exception):  # noqa: N818  (a line on the console, not an error of ours)
    pass


@dataclass(frozen=True, slots=True)
class _Partition:
    kind: int
    subtype: int
    offset: int
    size: int
    label: str


def boot(board: Board, *, reason: str, leak: bool = False, crash: bool = False) -> Console:
    """Start ``board`` from its flash. ``reason`` is the ROM's reset reason."""
    model = board.model
    if model.is_esp8266:
        rom = f"\r\n{model.banner}{model.flash_boot}\r\n\r\n"
    else:
        rom = f"{model.banner}\r\n\r\nrst:{reason},boot:{model.flash_boot}\r\n"
    lines: list[str] = []
    runs = True
    try:
        start = _esp8266 if model.is_esp8266 else _esp32
        lines += start(board, lines, leak=leak)
    except _Refused as refused:
        lines += [str(line) for line in refused.args]
        runs = False
    if runs and crash:
        lines += ["Guru Meditation Error: Core  0 panic'ed (LoadProhibited).", "Rebooting..."]
        runs = False
    return Console(rom, model.rom_baud, "".join(f"{line}\r\n" for line in lines), runs)


def download(board: Board, reason: str) -> Console:
    """What the ROM says when it waits for the host."""
    model = board.model
    if model.is_esp8266:
        return Console(f"\r\n{model.banner}{model.download_boot}\r\n\r\n", model.rom_baud, "", True)
    text = (
        f"{model.banner}\r\n\r\nrst:{reason},boot:{model.download_boot}\r\nwaiting for download\r\n"
    )
    return Console(text, model.rom_baud, "", True)


# -- what a running application keeps -----------------------------------------------------


def product(board: Board) -> str:
    """The firmware's own type, as its ``blnkinf`` says; empty where it has none."""
    flash = board.read_decrypted(0, board.flash.size)
    at = flash.find(b"blnkinf\0")
    words = flash[at : at + 512].split(b"\0") if at >= 0 else []
    pairs = dict(zip(words[1::2], words[2::2], strict=False))
    return pairs.get(b"fw-type", b"").decode("ascii", "replace")


def stored(board: Board) -> str:
    """The token in its NVS; empty for none."""
    offset, size = _nvs(board)
    return firmware.nvs_token(board.flash.read(offset, size)).decode("ascii", "replace")


def store(board: Board, config: Config, *, classic: bool) -> None:
    """Configure, or with no token erase: a new NVS as the one Edgent or the other keeps it."""
    offset, size = _nvs(board)
    board.flash.erase(offset, size)
    if not config.auth:
        return
    if classic:
        kept: dict[str, str | bytes] = {
            "config": firmware.config_of(config.auth, config.host, config.ssid, config.password)
        }
    else:
        kept = {"auth": config.auth, "host": config.host}
    board.flash.program(offset, firmware.nvs_of(kept, size))


def _nvs(board: Board) -> tuple[int, int]:
    try:
        table = _partitions(board)
    except _Refused:
        table = []
    found = next((part for part in table if (part.kind, part.subtype) == (1, 2)), None)
    return (found.offset, found.size) if found else (0x9000, 0x5000)


# -- ESP32 family --------------------------------------------------------------------------


def _esp32(board: Board, said: list[str], *, leak: bool) -> list[str]:
    head = board.read_decrypted(board.model.chip.bootloader_address, 24)
    if head[0] != _V1_MAGIC:
        raise _Refused(f"invalid header: 0x{int.from_bytes(head[:4], 'little'):08x}")
    said += ["entry 0x" + head[4:8][::-1].hex(), "I (29) boot: simulated 2nd stage bootloader"]
    table = _partitions(board)
    nvs = next((part for part in table if (part.kind, part.subtype) == (1, 2)), None)
    for part in _order(board, table):
        try:
            image = _checked(board, part.offset, part.size)
        except _Refused as refused:
            said += [str(line) for line in refused.args]
            continue
        said.append(f"I (61) boot: Loaded app from partition at offset 0x{part.offset:x}")
        config = board.flash.read(nvs.offset, nvs.size) if nvs else b"\xff" * 2 * SECTOR
        return firmware.start(image, config).lines(leak=leak)
    raise _Refused("E (98) boot: No bootable app partitions in the partition table")


def _partitions(board: Board) -> list[_Partition]:
    parts = []
    raw = board.read_decrypted(_TABLE, 0xC00)
    for at in range(0, len(raw), _ENTRY.size):
        magic, kind, subtype, offset, size, label, _flags = _ENTRY.unpack_from(raw, at)
        if magic == b"\xeb\xeb":
            said = raw[at + 16 : at + 32]
            if hashlib.md5(raw[:at], usedforsecurity=False).digest() != said:
                raise _Refused(
                    "E (45) flash_parts: incorrect MD5 in partition table",
                    "E (46) boot: load partition table error!",
                )
            break
        if magic != b"\xaa\x50":
            break
        name = label.split(b"\0")[0].decode("ascii", "replace")
        parts.append(_Partition(kind, subtype, offset, size, name))
    if not parts:
        first = int.from_bytes(raw[:2], "little")
        raise _Refused(
            f"E (45) flash_parts: partition 0 invalid magic number 0x{first:x}",
            "E (46) boot: Failed to verify partition table",
            "E (47) boot: load partition table error!",
        )
    return parts


def _order(board: Board, table: list[_Partition]) -> Iterator[_Partition]:
    """Applications as the bootloader tries them: the chosen, those before, those after."""
    factory = next((part for part in table if (part.kind, part.subtype) == (0, 0)), None)
    slots = sorted(
        (part for part in table if part.kind == 0 and part.subtype & 0xF0 == 0x10),  # noqa: PLR2004
        key=lambda part: part.subtype,
    )
    chosen = _ota_choice(board, table, len(slots))
    if chosen is None:
        if factory:
            yield factory
        yield from slots
        return
    yield from reversed(slots[: chosen + 1])
    if factory:
        yield factory
    yield from slots[chosen + 1 :]


def _ota_choice(board: Board, table: list[_Partition], slots: int) -> int | None:
    """Index of the slot that otadata names; None where it names none."""
    part = next((part for part in table if (part.kind, part.subtype) == (1, 0)), None)
    if part is None or not slots:
        return None
    best = 0
    for sector in (0, 1):
        raw = board.read_decrypted(part.offset + sector * SECTOR, 32)
        number, state, check = struct.unpack("<I20xII", raw)
        valid = number != 0xFFFFFFFF and check == zlib.crc32(raw[:4], 0xFFFFFFFF)  # noqa: PLR2004
        if valid and state not in _NEVER_BOOT:
            best = max(best, number)
    return (best - 1) % slots if best else None


def _checked(board: Board, offset: int, size: int) -> bytes:
    """The image at ``offset`` once it passed every check of ``esp_image_verify``."""
    raw = board.read_decrypted(offset, size)
    if raw[0] != _V1_MAGIC:
        raise _Refused(
            f"E (88) esp_image: image at 0x{offset:x} has invalid magic byte"
            " (nothing flashed here?)"
        )
    (chip_id,) = struct.unpack_from("<H", raw, 12)
    if chip_id != board.model.chip.image_chip_id:
        raise _Refused(
            f"E (88) boot_comm: mismatch chip ID, expected {board.model.chip.image_chip_id}, "
            f"found {chip_id}"
        )
    end = _summed(raw, 24, f"E (90) esp_image: image at 0x{offset:x} ")
    if raw[23]:
        if hashlib.sha256(raw[:end]).digest() != raw[end : end + 32]:
            raise _Refused("E (92) esp_image: Image hash failed - image is corrupt")
        end += 32
    return raw[:end]


def _summed(raw: bytes, at: int, where: str, base: int = 0) -> int:
    """Walk the segments from ``at`` and judge the checksum; gives the offset behind it."""
    count = raw[base + 1]
    if not 0 < count <= _SEGMENTS:
        raise _Refused(f"{where}has invalid segment count {count}")
    total = xor_bytes(b"")
    for number in range(count):
        _load, length = struct.unpack_from("<II", raw, at)
        at += 8
        if at + length + 16 > len(raw):
            raise _Refused(f"{where}segment {number} length 0x{length:x} exceeds the partition")
        total = xor_bytes(raw[at : at + length], total)
        at += length
    end = at // 16 * 16 + 15
    if raw[end] != total:
        raise _Refused(
            f"E (91) esp_image: Checksum failed. Calculated 0x{total:x} read 0x{raw[end]:x}"
        )
    return end + 1


# -- ESP8266 -------------------------------------------------------------------------------


def _esp8266(board: Board, said: list[str], *, leak: bool) -> list[str]:
    """A version 2 image at 0x1000 behind a boot image, or a version 1 image at 0."""
    flash = board.flash
    if flash.read(0, 1)[0] != _V1_MAGIC:
        raise _Refused("ets_main.c ")
    first = flash.read(0, flash.size)
    try:
        end = _summed(first, 8, "")
    except _Refused as refused:
        raise _Refused("csum err", "ets_main.c ") from refused
    image = first[:end]
    if first[SECTOR] == _V2_MAGIC:
        image = _version2(first[SECTOR:])
    elif first[SECTOR] == _V1_MAGIC and end <= SECTOR:
        image = first[SECTOR : SECTOR + _summed(first[SECTOR:], 8, "")]
    said.append("simulated start")
    eeprom = flash.read(flash.size - 5 * SECTOR, SECTOR)
    # code in the mapped flash follows the v1 image without a header: search there too
    mapped = image if first[SECTOR] == _V2_MAGIC else image + first[0x10000:]
    return firmware.start(mapped, eeprom).lines(leak=leak)


def _version2(raw: bytes) -> bytes:
    """The image at 0x1000: mapped part, second header, segments, checksum, CRC-32."""
    load, length = struct.unpack_from("<II", raw, 8)
    second = 8 if load else 16 + length
    if second + 16 > len(raw) or raw[second] != _V1_MAGIC:
        raise _Refused("rf cal sector: error", "second boot: no image at 0x1000")
    end = _summed(raw, second + 8, "", second)
    (said,) = struct.unpack_from("<I", raw, end)
    crc = binascii.crc32(raw[:end])
    crc = crc ^ 0xFFFFFFFF if crc & 0x80000000 else crc + 1
    if said != crc:
        raise _Refused(f"second boot: CRC failed. Calculated 0x{crc:08x} read 0x{said:08x}")
    return raw[: end + 4]
