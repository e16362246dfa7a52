"""Every duration of the simulation, with its source: the only place with such numbers.

``off`` answers at once; ``real`` waits as the wire, the USB bridge and the flash would. Nothing
that only esptool sleeps (reset pulses, baud change) stands here: those sleeps are really slept.
"""

from dataclasses import dataclass
from typing import Final

from eol_inject.chips import SECTOR

BLOCK: Final = 64 * 1024
PAGE: Final = 256
USB_PACKET: Final = 62
"""Data bytes in one 64-byte FTDI packet (FTDI AN232B-04, section 3)."""

SAMPLE_IO0_S: Final = 0.005
"""IO0 is read this long after EN rises (ESP32 datasheet, "Strapping pins": a few ms at most)."""
SETTLE_S: Final = 0.25
"""Longest wait while the host holds DTR and RTS both: it sets them one after the other, and over
RFC 2217 some 50 ms lie between (devices.md 8)."""
BOOT_LOOP_S: Final = 0.4
"""From one failed start to the next (seen on the console of an ESP32 without a valid image)."""
POWER_BACK_S: Final = 0.05
"""A brown-out or power cut is over after this."""


@dataclass(frozen=True, slots=True)
class Timing:
    """How long things take, in seconds; all zero where nothing waits."""

    name: str
    wire: bool = False
    """Bytes take 10 bit times each, both ways."""
    round_trip_s: float = 0.0
    """Host scheduling and USB frames, once a reply (USB 2.0 full speed: 1 ms frames)."""
    latency_timer_s: float = 0.0
    """A reply shorter than one USB packet waits for it (FTDI: 16 ms; 1 ms as Linux allows)."""
    erase_sector_s: float = 0.0
    erase_block_s: float = 0.0
    program_page_s: float = 0.0
    md5_byte_s: float = 0.0
    read_byte_s: float = 0.0
    command_s: float = 0.0

    def erase(self, address: int, size: int) -> float:
        """Seconds for the sectors that are touched, in 64 KiB blocks where those fit."""
        if not self.erase_sector_s:
            return 0.0
        at = address // SECTOR * SECTOR
        end = -(-(address + size) // SECTOR) * SECTOR
        seconds = 0.0
        while at < end:
            if at % BLOCK == 0 and end - at >= BLOCK:
                seconds += self.erase_block_s
                at += BLOCK
            else:
                seconds += self.erase_sector_s
                at += SECTOR
        return seconds

    def program(self, size: int) -> float:
        """Seconds to program ``size`` bytes, page by page."""
        return -(-size // PAGE) * self.program_page_s


OFF: Final = Timing("off")

REAL: Final = Timing(
    "real",
    wire=True,
    round_trip_s=0.0005,
    latency_timer_s=0.001,  # Linux ftdi_sio "low_latency"; CP210x and CH340 are near it
    erase_sector_s=0.045,  # Winbond W25Q32JV, rev. I, 9.6: tSE typical
    erase_block_s=0.150,  # the same: tBE2 typical
    program_page_s=0.0004,  # the same: tPP typical
    md5_byte_s=1 / 6_000_000,  # esptool allows 8 s a megabyte; some 0.17 s a megabyte is usual
    read_byte_s=1 / 8_000_000,  # SPI at 40 MHz, dual: never what limits
    command_s=0.0001,
)

LATENCY16: Final = Timing(
    "latency16",
    wire=True,
    round_trip_s=REAL.round_trip_s,
    latency_timer_s=0.016,  # FTDI's default (AN232B-04)
    erase_sector_s=REAL.erase_sector_s,
    erase_block_s=REAL.erase_block_s,
    program_page_s=REAL.program_page_s,
    md5_byte_s=REAL.md5_byte_s,
    read_byte_s=REAL.read_byte_s,
    command_s=REAL.command_s,
)

TIMINGS: Final[dict[str, Timing]] = {timing.name: timing for timing in (OFF, REAL, LATENCY16)}
