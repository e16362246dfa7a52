"""What is read and written is believed only when the chip's own hash agrees."""

import hashlib
import random
from collections.abc import Callable

import pytest

from eol_inject.chips import SECTOR
from eol_inject.device import esp_flash
from eol_inject.device.esp_lib import FatalError, ReadingsDifferError
from eol_inject.device.packing import Piece
from eol_inject.device.runs import Run
from eol_inject.errors import UnitError

HERE, THERE = b"here" * 1024, b"elsewhere" * 455 + b"!"


class Loader:
    """A flash behind a wire that damages questions as a script says."""

    IS_STUB = False

    def __init__(self, flash: bytes, *, reads: list[bytes] | None = None) -> None:
        self.flash = flash
        self.reads = reads or []
        self.damaged_hashes = 0
        self.asked = 0

    def read_flash(self, address: int, size: int, _: Callable[..., None] | None) -> bytes:
        return self.reads.pop(0) if self.reads else self.flash[address : address + size]

    def flash_md5sum(self, address: int, size: int) -> str:
        self.asked += 1
        if self.asked <= self.damaged_hashes:
            return "0" * 32
        data = self.flash[address : address + size]
        return hashlib.md5(data, usedforsecurity=False).hexdigest().upper()


def test_bytes_of_another_place_are_not_believed() -> None:
    """The address was damaged on its way: the stub's hash of its answer is right, and so wrong."""
    with pytest.raises(ReadingsDifferError):
        esp_flash.read(Loader(HERE, reads=[THERE]), 0, SECTOR, None)


def test_a_damaged_hash_alone_does_not_refuse_what_was_read() -> None:
    """A second reading that says the same confirms it just as well."""
    loader = Loader(HERE)
    loader.damaged_hashes = 1
    assert esp_flash.read(loader, 0, SECTOR, None) == HERE


def test_what_the_chip_proved_when_it_wrote_is_not_asked_again() -> None:
    """Other bytes than those are asked about as ever."""
    proved = hashlib.md5(HERE, usedforsecurity=False).hexdigest()
    loader = Loader(HERE)
    assert esp_flash.read(loader, 0, SECTOR, None, proved=proved) == HERE
    assert loader.asked == 0
    assert esp_flash.read(Loader(THERE), 0, SECTOR, None, proved=proved) == THERE
    with pytest.raises(ReadingsDifferError):
        esp_flash.read(Loader(HERE, reads=[THERE]), 0, SECTOR, None, proved=proved)


def test_a_damaged_hash_does_not_fail_a_good_unit() -> None:
    """The chip is asked again before it is judged."""
    loader = Loader(HERE)
    loader.damaged_hashes = 1
    esp_flash.require_hash(loader, Run(0, HERE))


def test_the_first_sector_that_differs_is_named() -> None:
    """For the repair bench: where in the flash it is bad."""
    flash = HERE + HERE + THERE + HERE + THERE
    with pytest.raises(UnitError) as caught:
        esp_flash.require_hash(Loader(flash), Run(0, HERE * 5))
    assert caught.value.params["address"] == hex(2 * SECTOR)


@pytest.mark.parametrize("piece", esp_flash._HASH_DIFFERS)
def test_what_esptool_calls_different_is_different(
    piece: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where our own question finds nothing wrong: a flash that answers by its mood is bad."""

    def write(*_: object, **__: object) -> None:
        raise FatalError(f"{piece} in flash!")

    monkeypatch.setattr(esp_flash.cmds, "write_flash", write)
    with pytest.raises(UnitError) as caught:
        esp_flash.write(Loader(HERE), Run(0, HERE), lambda _: None, lambda _: None)
    assert (caught.value.code, caught.value.params["address"]) == ("device.md5_mismatch", "0x0")


def test_any_other_trouble_of_esptool_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is translated where all errors are."""

    def write(*_: object, **__: object) -> None:
        raise FatalError("No serial data received.")

    monkeypatch.setattr(esp_flash.cmds, "write_flash", write)
    with pytest.raises(FatalError):
        esp_flash.write(Loader(HERE), Run(0, HERE), lambda _: None, lambda _: None)


def test_a_stub_that_refuses_the_short_way_is_written_to_by_esptools_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Before a byte is written, and on record."""
    stub = Loader(HERE)
    stub.IS_STUB = True
    called, notes = [], []

    def refuse(*_: object) -> None:
        raise FatalError("(result was 0106: no such command)")

    monkeypatch.setattr(stub, "flash_defl_begin", refuse, raising=False)
    monkeypatch.setattr(esp_flash.cmds, "write_flash", lambda *_, **__: called.append(1))
    esp_flash.write(stub, Run(0, HERE, (Piece(HERE),)), lambda _: None, notes.append)
    assert called == [1]
    assert notes == ["the short way to write was refused, took esptool's own"]


def test_who_looks_on_can_stop_a_write_before_its_next_block() -> None:
    """A station that has lost its lease sends nothing more: what it raises is passed on at once."""
    data = random.Random(1).randbytes(200_000) + HERE * 200
    sent: list[int] = []

    class Stub(Loader):
        IS_STUB = True
        FLASH_WRITE_SIZE = 16384

        def flash_defl_begin(self, *_: object) -> None:
            """Taken."""

        def flash_defl_block(self, block: bytes, number: int, timeout: float) -> None:
            sent.append(number)

    class LeaseLost(Exception):  # noqa: N818  # a stand-in
        pass

    def part(fraction: float) -> None:
        if fraction > 0.3:
            raise LeaseLost

    with pytest.raises(LeaseLost):
        esp_flash.write(Stub(data), Run(0, data, (Piece(data),)), part, lambda _: None)
    assert sent == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("left", "code"),
    [(HERE, "device.written_plain"), (b"\xff" * SECTOR, "device.md5_mismatch"), (THERE, "")],
)
def test_what_was_to_be_encrypted_is_neither_the_plain_text_nor_nothing(
    monkeypatch: pytest.MonkeyPatch, left: bytes, code: str
) -> None:
    """All that can be told of it by its hash; the write itself is esptool's encrypted one."""
    asked: list[object] = []
    monkeypatch.setattr(
        esp_flash.cmds, "write_flash", lambda _, data, **how: asked.append((data, how["encrypt"]))
    )
    loader = Loader(left)
    if code:
        with pytest.raises(UnitError) as caught:
            esp_flash.write_encrypted(loader, Run(0, HERE))
        assert caught.value.code == code
    else:
        esp_flash.write_encrypted(loader, Run(0, HERE))
    assert asked == [([(0, HERE)], True)]
