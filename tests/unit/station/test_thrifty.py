"""Flash known by the chip's own MD5: one question for what needs no more."""

import hashlib

from eol_inject.chips import SECTOR
from eol_inject.station.content import Stretch, Thrifty

NVS, SIZE = 0x9000, 5 * SECTOR


class Unit:
    """A device's flash; counts what it is asked."""

    def __init__(self) -> None:
        self.flash = bytearray(b"\xff" * 0x20000)
        self.hashed: list[tuple[int, int]] = []
        self.wire = 0

    def md5(self, address: int, size: int) -> str:
        self.hashed.append((address, size))
        data = self.flash[address : address + size]
        return hashlib.md5(data, usedforsecurity=False).hexdigest().upper()

    def read(self, address: int, size: int) -> bytes:
        self.wire += size
        return bytes(self.flash[address : address + size])


def _flash(unit: Unit, *known: Stretch) -> Thrifty:
    return Thrifty(unit, known, [(NVS, SIZE)])  # type: ignore[arg-type]  # only reads and hashes


def test_what_is_erased_together_is_asked_about_together() -> None:
    """A store of five sectors: one question, and no byte over the wire."""
    unit = Unit()
    flash = _flash(unit)
    for at in range(NVS, NVS + SIZE, SECTOR):
        assert flash.read(at, 64) == b"\xff" * 64
    assert (unit.hashed, unit.wire) == ([(NVS, SIZE)], 0)


def test_a_store_in_use_is_asked_about_sector_by_sector() -> None:
    """What is in use comes over the wire, and nothing else of it."""
    unit = Unit()
    unit.flash[NVS + SECTOR] = 0xFE
    flash = _flash(unit)
    for at in range(NVS, NVS + SIZE, SECTOR):
        assert flash.read(at, 64) == bytes(unit.flash[at : at + 64])
    assert len(unit.hashed) == 6
    assert unit.wire == 64


def test_known_bytes_are_served_only_where_the_chip_says_that_they_stand() -> None:
    """Asked once; a unit that holds something else is read."""
    unit = Unit()
    unit.flash[:SECTOR] = b"\x5a" * SECTOR
    known = Stretch.of(0, b"\x5a" * SECTOR)
    flash = _flash(unit, known)
    assert flash.read(16, 4) == flash.read(0, 4) == b"\x5a" * 4
    assert (unit.hashed, unit.wire) == ([(0, SECTOR)], 0)
    unit.flash[0] = 0
    assert _flash(unit, known).read(0, 4) == b"\0\x5a\x5a\x5a"
    assert unit.wire == 4
