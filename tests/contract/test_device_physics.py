"""The physics half of the device contract, on the simulation: faults, lines, pace, protections.

Each row of the line's failures that concerns a unit or its port ends in one code, with a flash
that holds what it should, and leaves a unit that the next session can work with.
"""

import hashlib
import itertools
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.register_assert_rewrite("tests.support.device_contract")

from esptool.loader import StubMixin  # noqa: E402

from eol_inject import chips  # noqa: E402
from eol_inject.chips import SECTOR  # noqa: E402  # after the rewrite is registered
from eol_inject.device import Device, Identity, Security, open_device, watch_loader  # noqa: E402
from eol_inject.device import esp_lib as lib  # noqa: E402
from eol_inject.device.spec import DeviceSpec  # noqa: E402
from eol_inject.errors import EolError, StationError, UnitError, UsageError  # noqa: E402
from eol_inject.sim import faults, manage, slip  # noqa: E402
from eol_inject.sim.faults import FaultBox, Phase  # noqa: E402
from tests.support import firmware  # noqa: E402
from tests.support.device_contract import TOKEN, Peer, md5, noise, sector  # noqa: E402
from tests.support.device_pace import hurried  # noqa: E402

BIG = b"".join(noise(number) for number in range(16))
"""64 KiB that do not compress: four packets of the stub on the wire."""
BLANK = b"\xff" * SECTOR

Maker = Callable[..., Peer]


@pytest.fixture(scope="module", autouse=True)
def _hurry() -> Iterator[None]:
    """esptool waits for real chips; a simulated one needs less."""
    with hurried():
        yield


@pytest.fixture
def unit(tmp_path: Path) -> Iterator[Maker]:
    """Makes new units: ``unit("esp32", "secure_boot=1", faults=("no_sync",))``."""
    folder = tmp_path / "sim"
    folder.mkdir(mode=0o700)
    made: list[str] = []

    def make(chip: str = "esp32c3", *options: str, faults: tuple[str, ...] = ()) -> Peer:
        url = f"sim://{chip}?" + "&".join(
            [
                f"dir={folder}",
                f"id=u{len(made)}",
                "idle=60",
                *options,
                *(f"fault={f}" for f in faults),
            ]
        )
        made.append(url)
        return Peer(chip, url)

    yield make
    for url in made:
        manage.stop(url)


def fails(act: Callable[[], Any], code: str, kind: type[EolError] = StationError) -> EolError:
    """``act`` ends with this code, judged by this side; its sentence is complete."""
    with pytest.raises(EolError) as caught:
        act()
    assert (caught.value.code, type(caught.value)) == (code, kind)
    assert "{" not in f"{caught.value} {caught.value.hint}"
    assert TOKEN.decode() not in f"{caught.value} {caught.value.params}"
    return caught.value


def works_again(peer: Peer, *, seed: int = 42) -> None:
    """A new session writes and reads as if nothing had been."""
    with peer.open() as device:
        identity = device.identify()
        device.write(identity.unit, [(peer.scratch, sector(seed))])
        assert device.read(peer.scratch, SECTOR) == sector(seed)


# ── the port ────────────────────────────────────────────────────────────────────────────────────


def test_a_second_session_on_one_port_is_refused(unit: Maker) -> None:
    """Two programs on one wire garble each other; the first one keeps it."""
    peer = unit()
    with peer.open() as device:
        error = fails(lambda: open_device(peer.url, peer.spec()), "device.port_busy")
        assert "process" in str(error)
        device.identify()


def test_a_unit_that_is_not_plugged_in_has_no_port(unit: Maker) -> None:
    """As a real port: the name is gone."""
    peer = unit()
    manage.start(peer.url)
    manage.unplug(peer.url)
    fails(peer.open, "device.port_missing")


def test_a_port_that_goes_away_between_two_calls_is_lost(unit: Maker) -> None:
    """Not a hang, not a chip that is silent."""
    peer = unit()
    device = peer.open()
    device.identify()
    manage.unplug(peer.url)
    fails(lambda: device.read(0, 16), "device.port_lost")
    device.close()
    manage.replug(peer.url)
    works_again(peer)


# ── reset and sync ──────────────────────────────────────────────────────────────────────────────


def test_resets_that_miss_are_repeated(unit: Maker) -> None:
    """Boards without a capacitor at EN miss half of them."""
    with unit(faults=("flaky_reset=2",)).open(attempts=3) as device:
        device.identify()


def test_resets_that_keep_missing_end_with_what_hands_can_do(unit: Maker) -> None:
    """Bounded attempts; the chip is heard starting its application, so BOOT is to be held."""
    peer = unit(faults=("flaky_reset=9",))
    with peer.open(attempts=2) as device:
        error = fails(device.identify, "device.wrong_boot_mode")
    assert "BOOT" in error.hint


def test_a_chip_that_never_answers_ends_with_what_hands_can_do(unit: Maker) -> None:
    """``no_sync``; in bounded time, and the port can be used again at once."""
    peer = unit(faults=("no_sync",))
    began = time.monotonic()
    with peer.open(attempts=1) as device:
        error = fails(device.identify, "device.tx_down")
        fails(device.identify, "device.tx_down")
    assert "TX" in error.hint
    assert time.monotonic() - began < 8
    manage.set_faults(peer.url)
    works_again(peer)


def test_a_fast_first_baud_rate_falls_back_to_the_safe_one(unit: Maker) -> None:
    """Recorded, so that the profile can be corrected."""
    for rate in (460800, 921600):
        with unit().open(first_baud=rate) as device:
            assert device.identify().notes == ()
        with unit(faults=("flip@sync=0.5,above=200000",)).open(first_baud=rate) as device:
            assert device.identify().notes == (f"no sync at {rate} baud, tried 115200",)


def test_nothing_is_said_faster_than_the_profile_allows(unit: Maker) -> None:
    """A wire that bears no more is not tried with more, not even for the first sync."""
    with unit(faults=("flip=0.5,above=230401",)).open(baud=230400) as device:
        identity = device.identify()
        assert (identity.baud, identity.notes) == (230400, ())


# ── presence ────────────────────────────────────────────────────────────────────────────────────


def test_a_unit_is_reset_by_the_first_look_and_greeted_by_the_others(unit: Maker) -> None:
    """It waits in its loader; let go, it runs its application."""
    peer = unit()
    manage.start(peer.url)
    watch = watch_loader(peer.url, peer.spec())
    assert watch.look()
    resets = manage.status(peer.url).resets
    assert [watch.look() for _ in range(5)] == [True] * 5
    assert (manage.status(peer.url).resets, manage.status(peer.url).mode) == (resets, "loader")
    watch.close()
    _runs_application(peer)
    works_again(peer)


def test_a_unit_that_has_left_is_not_there_and_comes_back(unit: Maker) -> None:
    """Gone with its port, gone from behind a bridge that stays, and back."""
    peer = unit()
    manage.start(peer.url)
    watch = watch_loader(peer.url, peer.spec())
    assert watch.look()
    manage.unplug(peer.url)
    assert [watch.look(), watch.look()] == [False, False]
    manage.replug(peer.url)
    assert watch.look()
    manage.set_faults(peer.url, "no_sync")
    assert [watch.look(), watch.look()] == [False, False]
    manage.set_faults(peer.url)
    assert watch.look()
    watch.close()


def test_a_chip_that_will_be_refused_is_there_as_well(unit: Maker) -> None:
    """The cycle says what is wrong with it; an operator would wait for ever for one not seen."""
    for peer in (unit("esp32"), unit("esp32c3", "secure_download=1")):
        watch = watch_loader(peer.url, peer.spec(chip="esp32c3"))
        assert [watch.look(), watch.look()] == [True, True]
        watch.close()


# ── stub ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("chip", ["esp32", "esp32c3"])
def test_without_the_stub_the_rom_loader_does_it_once_and_says_so(unit: Maker, chip: str) -> None:
    """One unit in fifty: identity, reading, hashing, writing and erasing all work, only slower."""
    peer = unit(chip, faults=("stub_fail=1",))
    with peer.open() as device:
        identity = device.identify()
        assert identity.notes == ("the stub did not start, used the ROM loader",)
        assert identity.flash_size == 4 << 20
        device.write(identity.unit, [(peer.scratch, sector(1)), (peer.scratch + SECTOR, noise(1))])
        assert device.read(peer.scratch, 100) == sector(1)[:100]
        device.erase(identity.unit, peer.scratch, SECTOR)
    assert manage.peek(peer.url, peer.scratch, 2 * SECTOR) == BLANK + noise(1)


@pytest.mark.parametrize("chip", ["esp32", "esp32c3", "esp8266"])
def test_a_stub_that_is_damaged_on_its_way_is_sent_slower(unit: Maker, chip: str) -> None:
    """The loader bore the rate for short questions only; the stub itself bears it."""
    peer = unit(chip, faults=("flip@stub=0.001,x1,above=460800",))
    with peer.open() as device:
        identity = device.identify()
        assert identity.notes == ("the stub did not arrive at 921600 baud, tried 115200",)
        assert identity.baud == 921600
        device.write(identity.unit, [(peer.scratch, noise(1))])
        assert device.read(peer.scratch, SECTOR) == noise(1)


def test_an_esp8266_gets_its_stub_once_more(unit: Maker) -> None:
    """Its ROM can neither read nor hash flash."""
    with unit("esp8266", faults=("stub_fail=1",)).open() as device:
        assert device.identify().notes == ("the stub did not start, sent it again",)


def test_an_esp8266_without_a_stub_is_given_up(unit: Maker) -> None:
    """After the second try; unjudged."""
    with unit("esp8266", faults=("stub_fail=5",)).open() as device:
        fails(device.identify, "device.stub_failed")


# ── pace ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("above", "baud"), [(921600, 460800), (460800, 230400), (230400, 115200)])
def test_a_rate_that_damages_bytes_is_stepped_down(unit: Maker, above: int, baud: int) -> None:
    """Once or more, down the ladder, each step recorded; then it works."""
    peer = unit(faults=(f"flip=0.05,above={above}",))
    with peer.open() as device:
        identity = device.identify()
        assert identity.baud == baud
        assert identity.notes[-1].endswith(f"stepped down to {baud}")
        device.write(identity.unit, [(peer.scratch, noise(3))])
        assert device.read(peer.scratch, SECTOR) == noise(3)


def test_a_rate_that_fails_only_under_load_is_stepped_down_while_reading(unit: Maker) -> None:
    """Short answers come through, a long one does not; nothing was written yet."""
    peer = unit(faults=("flip@read=0.01,above=460801",))
    with peer.open() as device:
        assert device.identify().baud == 921600
        assert device.read(0, 16 * SECTOR) == BLANK * 16
        assert device.identify().baud == 460800


def test_the_slowest_rate_has_nothing_below_it(unit: Maker) -> None:
    """Damage at every rate is the wire's fault: unjudged."""
    with unit(faults=("flip@read=0.01",)).open(baud=230400) as device:
        device.identify()
        fails(lambda: device.read(0, 16 * SECTOR), "device.garbled")


# ── what was proved ─────────────────────────────────────────────────────────────────────────────


def test_a_sector_read_back_is_what_was_written_last(unit: Maker) -> None:
    """What the chip proved of an earlier write, or in an earlier session, says nothing of it."""
    peer = unit()
    with peer.open() as device:
        known = device.identify().unit
        device.write(known, [(peer.scratch, noise(1)), (peer.scratch + SECTOR, noise(2))])
        device.write(known, [(peer.scratch, noise(3))])
        assert device.read(peer.scratch, 2 * SECTOR) == noise(3) + noise(2)
        device.erase(known, peer.scratch, SECTOR)
        assert device.read(peer.scratch, SECTOR) == BLANK
        manage.poke(peer.url, peer.scratch + SECTOR, noise(4))
        assert device.read(peer.scratch + SECTOR, SECTOR) == noise(4)


# ── faults inside a write ───────────────────────────────────────────────────────────────────────


def _interrupted(
    peer: Peer, code: str, kind: type[EolError] = StationError, **spec: Any
) -> EolError:
    """Writing ``BIG`` ends with ``code``; the session's identity was known before."""
    with peer.open(**spec) as device:
        identity = device.identify()
        return fails(lambda: device.write(identity.unit, [(peer.scratch, BIG)]), code, kind)


@pytest.mark.parametrize("chip", ["esp32", "esp32c3", "esp8266"])
def test_unplugged_in_the_middle_of_a_write(unit: Maker, chip: str) -> None:
    """The port is lost at once; the same unit can be written again."""
    peer = unit(chip, faults=("unplug@write:20000,x1,back=0.05",))
    _interrupted(peer, "device.port_lost")
    time.sleep(0.1)
    works_again(peer)


def test_a_unit_that_comes_back_by_itself_is_not_written_on(unit: Maker) -> None:
    """esptool would reconnect after a second and carry on by itself."""
    peer = unit(faults=("unplug@write:20000,x1,back=0.01",))
    _interrupted(peer, "device.port_lost")
    assert manage.peek(peer.url, peer.scratch + 8 * SECTOR, 8 * SECTOR) != BIG[8 * SECTOR :]


def test_swapped_in_the_middle_of_a_write_the_other_unit_stays_clean(unit: Maker) -> None:
    """Plain esptool writes the whole image into the other unit and returns success."""
    peer = unit(faults=("swap_unplug@write:20000,x1",))
    _interrupted(peer, "device.port_lost")
    assert manage.peek(peer.url, peer.scratch, len(BIG), board="other") == BLANK * 16


def test_plain_esptool_does_write_into_the_other_unit(unit: Maker) -> None:
    """What the test above guards against is real: without our two switches it happens."""
    peer = unit(faults=("swap_unplug@write:20000,x1",))
    with peer.open() as device:
        device.identify()
        esp = device._link._esp  # type: ignore[attr-defined]
        del esp.WRITE_FLASH_ATTEMPTS
        lib.cmds.write_flash(esp, [(peer.scratch, BIG)])
    assert manage.peek(peer.url, peer.scratch, len(BIG), board="other") == BIG


def test_the_sealed_line_alone_keeps_the_other_unit_clean(unit: Maker) -> None:
    """Should a new esptool rename its switch, the port still cannot be reopened in a write."""
    peer = unit(faults=("swap_unplug@write:20000,x1",))
    with peer.open() as device:
        identity = device.identify()
        esp = device._link._esp  # type: ignore[attr-defined]
        del esp.WRITE_FLASH_ATTEMPTS
        fails(lambda: device.write(identity.unit, [(peer.scratch, BIG)]), "device.port_lost")
    assert manage.peek(peer.url, peer.scratch, len(BIG), board="other") == BLANK * 16


def test_swapped_without_a_gap_no_verdict_falls_on_either_unit(unit: Maker) -> None:
    """The hash differs, but it is another unit's: the identity is asked before anyone is judged."""
    error = _interrupted(unit(faults=("swap@write:20000,x1",)), "device.unit_changed")
    assert error.params["was"] != error.params["now"]


def test_swapped_between_identity_and_write_neither_unit_is_changed(unit: Maker) -> None:
    """The identity is read again just before the first byte."""
    peer = unit(faults=("swap@identify:7,x1",))
    with peer.open() as device:
        identity = device.identify()
        fails(lambda: device.write(identity.unit, [(peer.scratch, BIG)]), "device.unit_changed")
    boards: tuple[manage.Which, ...] = ("first", "other")
    for board in boards:
        assert manage.peek(peer.url, peer.scratch, len(BIG), board=board) == BLANK * 16


def test_swapped_right_before_the_first_byte_it_is_noticed_after_the_last(unit: Maker) -> None:
    """No look before the write can be late enough; the one after it tells."""
    peer = unit()
    with peer.open() as device:
        identity = device.identify()
        manage.set_faults(peer.url, "swap@identify,x1")
        fails(lambda: device.write(identity.unit, [(peer.scratch, BIG)]), "device.unit_changed")


def test_swapped_after_the_boot_check_it_is_noticed_before_the_label(unit: Maker) -> None:
    """One session knows one unit."""
    peer = unit(faults=("swap@identify:7,x1",))
    with peer.open() as device:
        first = device.identify()
        device.boot(listen_s=0.01, baud=115200)
        error = fails(device.identify, "device.unit_changed")
    assert error.params["was"] == str(first.unit)


@pytest.mark.parametrize(
    ("fault", "deadline_s", "code"),
    [
        ("hang@write:20000", 3.0, "device.deadline"),
        ("power_cut@write:20000,x1", 20.0, "device.no_answer"),
    ],
)
def test_a_chip_that_falls_silent_in_a_write_is_given_up(
    unit: Maker, fault: str, deadline_s: float, code: str
) -> None:
    """In bounded time, unjudged; after a reset it works again."""
    peer = unit(faults=(fault,))
    _interrupted(peer, code, deadline_s=deadline_s)
    manage.set_faults(peer.url)
    works_again(peer)


@pytest.mark.parametrize(
    "fault", ["mute@identify:9", "mute@read:2000", "hang@read:4096", "mute@md5:5"]
)
def test_a_chip_that_dies_in_the_middle_of_its_answer_is_silent_not_noisy(
    unit: Maker, fault: str
) -> None:
    """Half an answer looks like a damaged one; asked again, a damaged line answers, a dead chip
    does not."""
    peer = unit(faults=(fault,))
    with peer.open(baud=115200) as device:

        def work() -> None:
            device.identify()
            device.read(peer.scratch, 2 * SECTOR)

        fails(work, "device.no_answer")
    manage.set_faults(peer.url)
    works_again(peer)


def test_a_chip_that_dies_in_the_middle_of_answering_a_write_is_silent(unit: Maker) -> None:
    """Its own token stays with it; it is not the cable's fault."""
    peer = unit(faults=("mute@write:13",))
    _interrupted(peer, "device.no_answer")
    manage.set_faults(peer.url)
    works_again(peer)


def test_an_answer_whose_end_got_lost_is_damage(unit: Maker) -> None:
    """It breaks off just so, but the chip is there: the wire is to blame, and may be slower."""
    answer = slip.encode(bytes(8) + bytes.fromhex(md5(BLANK)) + bytes(2))
    lost = faults.parse("drop@md5=1")
    seed = next(
        seed
        for seed in itertools.count(1)
        if FaultBox([lost], seed).noise(Phase.MD5, answer, 0) == answer[:-1]
    )
    peer = unit("esp32c3", f"seed={seed}", faults=("drop@md5=1",))
    with peer.open(baud=115200) as device:
        device.identify()
        fails(lambda: device.md5(peer.scratch, SECTOR), "device.garbled")
        assert device.md5(peer.scratch, SECTOR) == md5(BLANK)


def test_a_brown_out_while_erasing_is_no_verdict_on_the_flash(unit: Maker) -> None:
    """The supply is to blame; the chip's words in the middle of the protocol tell it."""
    peer = unit(faults=("brownout@erase,x1",))
    with peer.open(deadline_s=20) as device:
        identity = device.identify()
        fails(lambda: device.erase(identity.unit, peer.scratch, SECTOR), "device.no_answer")
    manage.set_faults(peer.url)
    works_again(peer)


def test_a_hash_that_differs_fails_the_unit(unit: Maker) -> None:
    """The chip's own MD5, compared by us; the address is named."""
    peer = unit(faults=("wrong_md5",))
    error = _interrupted(peer, "device.md5_mismatch", UnitError)
    assert error.params["address"] == f"{peer.scratch:#x}"


@pytest.mark.parametrize("chip", ["esp32", "esp32c3", "esp8266"])
def test_a_bad_sector_is_named(unit: Maker, chip: str) -> None:
    """The first sector that does not keep its bytes, in the middle of a run."""
    peer = unit(chip, faults=("bad_sector@0x3f5000",))
    error = _interrupted(peer, "device.md5_mismatch", UnitError)
    assert error.params["address"] == "0x3f5000"


# ── protections ─────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def stubs(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Every loader that was about to get a stub."""
    sent: list[object] = []
    monkeypatch.setattr(lib.cmds, "run_stub", sent.append)
    return sent


@pytest.mark.parametrize("chip", ["esp32", "esp32c3"])
@pytest.mark.parametrize(
    ("found", "code"),
    [
        (Security(flash_encryption=True), "device.flash_encrypted"),
        (Security(secure_boot=True), "device.secure_boot"),
        (Security(flash_encryption=True, secure_boot=True), "device.flash_encrypted"),
    ],
)
def test_a_protected_chip_is_known_and_refused_before_anything_is_sent(
    unit: Maker, chip: str, found: Security, code: str, stubs: list[object]
) -> None:
    """Its identity is read for the record; no stub, no reading, no writing."""
    peer = unit(
        chip, f"flash_encryption={found.flash_encryption:d}", f"secure_boot={found.secure_boot:d}"
    )
    with peer.open() as device:
        identity = device.identify()
        assert (identity.security, identity.flash_size) == (found, 0)
        fails(identity.security.refuse_if_secured, code, UnitError)
        for act in (
            lambda: device.read(0, 16),
            lambda: device.md5(0, 16),
            lambda: device.write(identity.unit, [(peer.scratch, sector(1))]),
            lambda: device.erase(identity.unit, peer.scratch, SECTOR),
        ):
            fails(act, code, UnitError)
    assert stubs == []
    assert manage.peek(peer.url, peer.scratch, SECTOR) == BLANK


def test_secure_download_mode_is_refused_with_its_own_reason(
    unit: Maker, stubs: list[object]
) -> None:
    """In that mode the chip does not even tell its MAC."""
    with unit("esp32c3", "secure_download=1").open() as device:
        fails(device.identify, "device.secure_download", UnitError)
        fails(lambda: device.read(0, 16), "device.secure_download", UnitError)
    assert stubs == []


@pytest.mark.parametrize("mac", ["00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:01"])
def test_an_identity_that_names_no_unit_is_refused(unit: Maker, mac: str) -> None:
    """Empty, placeholder and multicast MACs, before anything is reserved."""
    with unit("esp32c3", f"mac={mac}").open() as device:
        fails(device.identify, "device.bad_identity", UnitError)


# ── starting the application ────────────────────────────────────────────────────────────────────


def _flashed(peer: Peer, device: Device) -> Identity:
    """The shipped ESP32-C3 firmware with a token in its region, on the unit."""
    identity = device.identify()
    image = bytearray(firmware.merged())
    image += b"\xff" * (-len(image) % SECTOR)
    device.write(identity.unit, [(0, bytes(image))])
    return identity


def test_the_application_is_heard_after_a_reset(unit: Maker) -> None:
    """Its text from the first line on; what proves the reset."""
    peer = unit()
    with peer.open() as device:
        _flashed(peer, device)
        text = device.boot(listen_s=2.0, baud=115200, until=lambda text: "region:" in text)
        assert text.startswith("ESP-ROM:esp32c3")
        assert "[fixture] region: blank" in text
        assert device.identify().chip == "esp32c3"


def test_listening_ends_when_the_words_came_and_no_later_than_asked(unit: Maker) -> None:
    """A silent unit costs ``listen_s``; a talking one only as long as it talks."""
    peer = unit(faults=("silent_boot",))
    with peer.open() as device:
        began = time.monotonic()
        assert device.boot(listen_s=0.3, baud=115200) == ""
        assert 0.3 <= time.monotonic() - began < 1.5
        manage.set_faults(peer.url)
        began = time.monotonic()
        assert "rst:" in device.boot(listen_s=20, baud=115200, until=lambda text: "rst:" in text)
        assert time.monotonic() - began < 5


def test_a_unit_that_is_listened_to_keeps_its_lease_until_that_is_lost(unit: Maker) -> None:
    """The longest wait of a cycle; a station whose unit was taken over ends it at once."""
    peer = unit(faults=("silent_boot",))
    signs: list[float] = []

    def sign() -> None:
        signs.append(time.monotonic())
        if len(signs) > before + 5:
            raise StationError("ledger.lease_lost", slot="1")

    before = 10**9
    with open_device(peer.url, peer.spec(), waiting=sign) as device:
        device.identify()
        before = len(signs)
        fails(lambda: device.boot(listen_s=1000, baud=115200), "ledger.lease_lost")
        before = 10**9


def test_the_console_has_a_baud_rate_of_its_own(unit: Maker) -> None:
    """An ESP8266's ROM speaks at 74880; at another rate its first words are noise."""
    peer = unit("esp8266")
    with peer.open() as device:
        device.identify()
        assert "rst cause" in device.boot(listen_s=0.2, baud=74880)
        assert "rst cause" not in device.boot(listen_s=0.2, baud=115200)


def _with_token(application: bytes) -> bytes:
    """The image with ``TOKEN`` in its region, checksum and hash repaired (esp.md)."""
    image = bytearray(application)
    at = image.index(b"blnkopt\0") + 8
    values = b"ssid\0\0pass\0\0auth\0" + TOKEN + b"\0host\0\0port\0\0\0"
    image[at : at + len(values)] = values
    check, end = 0xEF, 24
    for _ in range(image[1]):
        size = int.from_bytes(image[end + 4 : end + 8], "little")
        for byte in image[end + 8 : end + 8 + size]:
            check ^= byte
        end += 8 + size
    end |= 15
    image[end] = check
    image[end + 1 : end + 33] = hashlib.sha256(image[: end + 1]).digest()
    return bytes(image)


def test_a_token_that_the_firmware_prints_is_hidden(unit: Maker) -> None:
    """A test firmware prints its token; the log that is kept does not have it."""
    peer = unit("esp32c3", "leak=1")
    manage.start(peer.url)
    manage.poke(peer.url, 0, firmware.merged())
    manage.poke(peer.url, 0x10000, _with_token(firmware.app("esp32c3")))
    with peer.open() as device:
        text = device.boot(listen_s=0.3, baud=115200)
    assert "[fixture] token: [hidden]" in text
    assert TOKEN.decode() not in text


def _runs_application(peer: Peer) -> None:
    """The chip needs a moment after its reset line is let go."""
    end = time.monotonic() + 2
    while manage.status(peer.url).mode != "application":
        assert time.monotonic() < end


def test_a_closed_session_leaves_the_application_running(unit: Maker) -> None:
    """A unit that leaves the slot is not stuck in its loader; also after an error."""
    peer = unit()
    with peer.open() as device:
        device.identify()
    _runs_application(peer)
    with peer.open() as device:
        identity = device.identify()
        with pytest.raises(UsageError):
            device.write(identity.unit, [(1, BLANK)])
    _runs_application(peer)


# ── time and threads ────────────────────────────────────────────────────────────────────────────


def test_the_deadline_ends_a_session_wherever_it_is(unit: Maker) -> None:
    """Also where esptool would still wait for minutes; the port is free again."""
    peer = unit(faults=("hang@read:4096",))
    began = time.monotonic()
    with peer.open(deadline_s=3.0) as device:
        device.identify()
        fails(lambda: device.read(0, 64 * SECTOR), "device.deadline")
        fails(device.identify, "device.deadline")
    assert time.monotonic() - began < 8
    manage.set_faults(peer.url)
    works_again(peer)


def test_four_units_in_four_threads_do_not_disturb_each_other(unit: Maker) -> None:
    """Each gets its own bytes; one fault touches one unit."""
    peers = [unit("esp32c3", f"mac=a0:76:4e:52:00:{n:02x}") for n in range(3)]
    peers.append(unit("esp32c3", "mac=a0:76:4e:52:00:99", faults=("unplug@write:20000",)))
    ended: dict[str, str] = {}

    def work(number: int, peer: Peer) -> None:
        try:
            with peer.open() as device:
                identity = device.identify()
                device.write(identity.unit, [(peer.scratch, noise(number) * 8)])
                ended[peer.url] = str(identity.unit)
        except EolError as error:
            ended[peer.url] = error.code

    threads = [threading.Thread(target=work, args=pair) for pair in enumerate(peers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [ended[peer.url] for peer in peers] == [
        *(f"a0:76:4e:52:00:{n:02x}" for n in range(3)),
        "device.port_lost",
    ]
    for number, peer in enumerate(peers[:3]):
        assert manage.peek(peer.url, peer.scratch, 8 * SECTOR) == noise(number) * 8


# ── every chip ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("chip", sorted(chips.CHIPS))
def test_a_session_takes_any_chip_of_the_table(unit: Maker, chip: str) -> None:
    """A profile names the chip; the rest is found out, up to a sector read back."""
    peer = unit(chip)
    with peer.open() as device:
        identity = device.identify()
        assert (identity.chip, identity.flash_size) == (chip, 4 << 20)
        device.write(identity.unit, [(peer.scratch, noise(1))])
        assert device.read(peer.scratch, SECTOR) == noise(1)
    assert manage.peek(peer.url, peer.scratch, SECTOR) == noise(1)


@pytest.mark.parametrize("chip", sorted(set(chips.CHIPS) - {"esp8266"}))
def test_the_protections_of_every_chip_are_known(unit: Maker, chip: str) -> None:
    """Where each keeps them; an ESP8266 has none, an ESP32 no Secure Download Mode."""
    for option in ("secure_boot", "flash_encryption"):
        with unit(chip, f"{option}=1").open() as device:
            assert device.identify().security == Security(**{option: True})
    if chip != "esp32e22":
        with unit(chip, "flash_encryption=1", "release=1").open() as device:
            found = device.identify().security
        assert found == Security(flash_encryption=True, encryption_locked=True)
    if chip != "esp32":
        with unit(chip, "secure_download=1").open() as device:
            fails(device.identify, "device.secure_download", UnitError)


def test_a_chip_that_only_the_installed_esptool_knows_is_worked_on(
    unit: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new esptool brings a class; nothing of ours has to change, and without a stub for it the
    ROM loader does the work."""
    known = lib.CHIP_DEFS["esp32c3"]
    newer = type("ESP32X9ROM", (known,), {"CHIP_NAME": "ESP32-X9"})
    newer.STUB_CLASS = type("ESP32X9StubLoader", (StubMixin, newer), {})
    images = lib.cmds.LoadFirmwareImage
    monkeypatch.setattr(lib.cmds, "LoadFirmwareImage", lambda _, data: images("esp32c3", data))
    monkeypatch.setitem(lib.CHIP_DEFS, "esp32x9", newer)
    monkeypatch.setattr(chips, "CHIPS", dict(chips.CHIPS))
    peer = unit("esp32c3")
    with peer.open(chip="esp32x9") as device:
        identity = device.identify()
        assert identity.chip == "esp32x9"
        assert identity.notes == ("esptool brings no stub for this chip, used the ROM loader",)
        device.write(identity.unit, [(peer.scratch, sector(1))])
        assert device.read(peer.scratch, SECTOR) == sector(1)


# ── other ways to the same unit ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("chip", ["esp32c3", "esp32s3", "esp32c6"])
def test_a_unit_on_its_own_usb_is_reset_its_own_way(unit: Maker, chip: str) -> None:
    """`before = "usb-reset"`: identified, written, read back and started, without a UART bridge."""
    peer = unit(chip, "usb=1")
    with peer.open(before="usb-reset") as device:
        identity = device.identify()
        assert identity.notes == ()
        device.write(identity.unit, [(peer.scratch, noise(1))])
        assert device.read(peer.scratch, SECTOR) == noise(1)
        assert "USB_UART_CHIP_RESET" in device.boot(listen_s=0.5, baud=115200)
        assert device.identify().unit == identity.unit
    assert manage.peek(peer.url, peer.scratch, SECTOR) == noise(1)


def test_the_other_wirings_reset_does_not_reach_the_loader(unit: Maker) -> None:
    """Each kind of port needs its own; with the wrong one the application starts."""
    for usb, before in ((1, "default-reset"), (0, "usb-reset")):
        with unit("esp32c3", f"usb={usb}").open(attempts=1, before=before) as device:
            with pytest.raises(StationError) as caught:
                device.identify()
            assert caught.value.code in {"device.no_sync", "device.wrong_boot_mode"}


@pytest.mark.filterwarnings("ignore:set(Daemon|Name)")  # pyserial 3.5's rfc2217 handler
@pytest.mark.parametrize("way", ["socket", "rfc2217"])
def test_a_unit_behind_a_network_port_is_the_same_unit(unit: Maker, way: str) -> None:
    """Over TCP, without lines or with them; over plain TCP the baud rate stays."""
    peer = unit("esp32c3", "boot=download")
    listening = manage.listen(peer.url)
    url = listening.rfc2217 if way == "rfc2217" else listening.socket
    assert url is not None
    with open_device(url, peer.spec(baud=460800)) as device:
        identity = device.identify()
        assert str(identity.unit) == listening.mac
        assert identity.baud == (460800 if way == "rfc2217" else 115200)
        device.write(identity.unit, [(peer.scratch, noise(1))])
        assert device.read(peer.scratch, SECTOR) == noise(1)
    assert manage.peek(peer.url, peer.scratch, SECTOR) == noise(1)


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="only POSIX has pseudo-terminals")
def test_a_real_port_without_a_chip_names_whoever_else_has_it_open() -> None:
    """A modem manager that talks to the chip looks like a chip that does not answer."""
    ours, port = os.openpty()
    try:
        path = os.ttyname(port)
        with subprocess.Popen(
            [sys.executable, "-c", "import time; time.sleep(60)"], stdin=port
        ) as other:
            device = open_device(path, DeviceSpec(chip="esp32", attempts=1))
            error = fails(device.identify, "device.port_busy")
            assert f"process {other.pid}" in str(error)
            device.close()
            other.kill()
        device = open_device(path, DeviceSpec(chip="esp32", attempts=1))
        fails(device.identify, "device.no_sync")
        device.close()
    finally:
        os.close(ours)
        os.close(port)
