"""The device contract, protocol half: what every implementation of a unit has to satisfy.

Run against ``sim://``, against a peer written by others, and against real units
(``tests/hardware``). The tests change the scratch sectors of the unit and nothing else.
"""

import hashlib
import random
from dataclasses import dataclass, field
from typing import Any

import pytest

from eol_inject.chips import SECTOR
from eol_inject.device import Device, Identity, Security, open_device
from eol_inject.device.spec import DeviceSpec
from eol_inject.errors import StationError, UnitError, UsageError
from eol_inject.unit import Identifier, Unit

TOKEN = b"Zq4Rk9-fT_2mXw7Lc0Vb5NpJ8yHs3DgE"
STRANGER = Unit(Identifier("mac", "02:00:00:00:00:01"))


@dataclass
class Peer:
    """A unit to test with."""

    chip: str
    url: str
    scratch: int = 0x3F0000
    """Address of four sectors that may be lost."""
    before: str = "default-reset"
    """How the chip is brought into its loader; see ``DeviceSpec``."""
    log: list[str] = field(default_factory=list)
    """The public lines of all sessions."""
    _session: Device | None = None

    def spec(self, **changes: Any) -> DeviceSpec:
        """A profile's device table for this unit."""
        own = {"chip": self.chip, "before": self.before, "deadline_s": 60.0}
        return DeviceSpec(**{**own, **changes})

    def open(self, **changes: Any) -> Device:
        """A session of the test's own."""
        self.close()
        return open_device(self.url, self.spec(**changes), log=self.log.append)

    def session(self) -> Device:
        """The session that most tests share: a connection takes longer than what they do in it."""
        if self._session is None:
            self._session = self.open()
        return self._session

    def close(self) -> None:
        """End the shared session."""
        if self._session is not None:
            self._session.close()
            self._session = None


def sector(seed: int) -> bytes:
    """4096 bytes that nothing else holds; they compress."""
    return random.Random(seed).randbytes(64) * (SECTOR // 64)


def noise(seed: int) -> bytes:
    """4096 bytes that do not compress."""
    return random.Random(seed).randbytes(SECTOR)


def md5(data: bytes) -> str:
    """As the chip gives it."""
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


class Identifies:
    """Who is there: changes nothing on the unit."""

    def test_a_unit_tells_who_it_is(self, peer: Peer) -> None:
        """Chip, BASE MAC, flash size, and that nothing protects it."""
        found = peer.session().identify()
        assert found.chip == peer.chip
        assert found.unit.primary.kind == "mac"
        assert found.flash_size in {1 << bits for bits in range(18, 28)}
        assert found.security == Security()
        assert (found.revision == "") == (peer.chip == "esp8266")
        assert found.notes == ()

    def test_it_stays_the_same_in_and_between_sessions(self, peer: Peer) -> None:
        """Identity is the unit's, not the session's."""
        first = peer.session().identify()
        assert peer.session().identify() == first
        with peer.open() as device:
            assert device.identify() == first

    def test_a_profile_for_another_chip_stops_at_once(self, peer: Peer) -> None:
        """``wrong_chip`` names both, and is the unit's fault."""
        other = "esp32s3" if peer.chip != "esp32s3" else "esp32c3"
        with peer.open(chip=other) as device, pytest.raises(UnitError) as caught:
            device.identify()
        assert caught.value.code == "device.wrong_chip"
        assert caught.value.params == {"expected": other, "found": peer.chip}

    def test_a_module_with_another_flash_stops_at_once(self, peer: Peer) -> None:
        """The product needs what the profile says, not more and not less."""
        with peer.open(flash_size=3 << 20) as device, pytest.raises(UnitError) as caught:
            device.identify()
        assert caught.value.code == "device.wrong_flash_size"

    def test_a_read_begins_and_ends_anywhere(self, peer: Peer) -> None:
        """Reading is not bound to sectors, and agrees with itself and with the chip's hash."""
        device = peer.session()
        whole = device.read(peer.scratch, 3 * SECTOR)
        assert device.read(peer.scratch + 4095, 4098) == whole[4095 : 4095 + 4098]
        assert device.md5(peer.scratch + 1, 5000) == md5(whole[1:5001])

    def test_a_session_may_begin_with_a_start_of_the_application(self, peer: Peer) -> None:
        """Nobody has to call ``identify`` first, and after ``boot`` the next call resets again."""
        with peer.open() as device:
            assert isinstance(device.boot(listen_s=0.01, baud=115200), str)
            assert len(device.read(0, 16)) == 16


class Writes:
    """What is written is there, and nothing else has changed."""

    @pytest.fixture
    def known(self, peer: Peer) -> Identity:
        """Scratch sectors with known content 0, 1, 2, 3."""
        device = peer.session()
        identity = device.identify()
        content = b"".join(sector(number) for number in range(4))
        if device.md5(peer.scratch, len(content)) != md5(content):
            device.write(identity.unit, [(peer.scratch, content)])
        return identity

    def _content(self, peer: Peer) -> list[int | str]:
        """Which of the known sectors stands where."""
        data = peer.session().read(peer.scratch, 4 * SECTOR)
        names: dict[bytes, int | str] = {b"\xff" * SECTOR: "ff"}
        for number in range(10):
            names |= {sector(number): number, noise(number): f"noise {number}"}
        parts = [data[at : at + SECTOR] for at in range(0, len(data), SECTOR)]
        return [names.get(part, "?") for part in parts]

    def test_written_sectors_are_read_back_and_their_neighbours_are_untouched(
        self, peer: Peer, known: Identity
    ) -> None:
        """Two of four, given in the wrong order."""
        device = peer.session()
        device.write(
            known.unit, [(peer.scratch + 3 * SECTOR, sector(7)), (peer.scratch + SECTOR, sector(5))]
        )
        assert device.md5(peer.scratch + SECTOR, SECTOR) == md5(sector(5))
        assert self._content(peer) == [0, 5, 2, 7]

    def test_what_does_not_compress_arrives_too(self, peer: Peer, known: Identity) -> None:
        """A run of text before a run of noise, in one call."""
        peer.session().write(
            known.unit, [(peer.scratch, sector(9)), (peer.scratch + 2 * SECTOR, noise(2))]
        )
        assert self._content(peer)[:3] == [9, 1, "noise 2"]

    def test_erased_sectors_are_ff_and_their_neighbours_are_untouched(
        self, peer: Peer, known: Identity
    ) -> None:
        """Erasing is by sector, too."""
        peer.session().erase(known.unit, peer.scratch + SECTOR, SECTOR)
        assert self._content(peer) == [0, "ff", 2, 3]

    def test_progress_grows_to_the_total(self, peer: Peer, known: Identity) -> None:
        """In bytes, over all runs of one call."""
        told: list[tuple[int, int]] = []
        peer.session().write(
            known.unit,
            [(peer.scratch, sector(4)), (peer.scratch + 2 * SECTOR, sector(6))],
            lambda done, total: told.append((done, total)),
        )
        assert {total for _, total in told} == {2 * SECTOR}
        assert told == sorted(told)
        assert told[-1] == (2 * SECTOR, 2 * SECTOR)
        told.clear()
        peer.session().read(
            peer.scratch, 2 * SECTOR, lambda done, total: told.append((done, total))
        )
        assert told[-1] == (2 * SECTOR, 2 * SECTOR)

    def test_another_unit_than_the_named_one_is_not_written(
        self, peer: Peer, known: Identity
    ) -> None:
        """``unit_changed``, before the first byte; the station's fault, nobody is judged."""
        with pytest.raises(StationError) as caught:
            peer.session().write(STRANGER, [(peer.scratch, sector(4))])
        assert caught.value.code == "device.unit_changed"
        assert caught.value.params == {"was": str(STRANGER), "now": str(known.unit)}
        with pytest.raises(StationError) as caught:
            peer.session().erase(STRANGER, peer.scratch, SECTOR)
        assert caught.value.code == "device.unit_changed"
        assert self._content(peer) == [0, 1, 2, 3]

    def test_half_sectors_are_refused_before_the_first_byte(
        self, peer: Peer, known: Identity
    ) -> None:
        """The rest of the sector would be erased silently."""
        device = peer.session()
        for act in (
            lambda: device.write(known.unit, [(peer.scratch + 4, sector(4))]),
            lambda: device.write(known.unit, [(peer.scratch, sector(4)[256:])]),
            lambda: device.erase(known.unit, peer.scratch, 256),
        ):
            with pytest.raises(UsageError) as caught:
                act()
            assert caught.value.code == "device.not_whole_sectors"
        assert self._content(peer) == [0, 1, 2, 3]

    def test_what_would_end_behind_the_flash_is_refused_before_the_first_byte(
        self, peer: Peer, known: Identity
    ) -> None:
        """Also the blocks before it are not written."""
        with pytest.raises(UnitError) as caught:
            peer.session().write(
                known.unit, [(peer.scratch, sector(4)), (known.flash_size, sector(5))]
            )
        assert caught.value.code == "device.flash_too_small"
        assert self._content(peer) == [0, 1, 2, 3]

    def test_nothing_of_the_data_is_told_anywhere(
        self, peer: Peer, known: Identity, capfd: pytest.CaptureFixture[str]
    ) -> None:
        """Not in the session's log, not on stdout, not on stderr."""
        secret = (b"\xe9\x01" + TOKEN + b"\0" + TOKEN) + sector(7)[67:]
        peer.session().write(known.unit, [(peer.scratch, secret)])
        assert peer.session().read(peer.scratch, SECTOR) == secret
        assert capfd.readouterr() == ("", "")
        log = "\n".join(peer.log)
        assert "wrote 4096 bytes" in log
        assert TOKEN.decode()[:12] not in log
        assert md5(secret) not in log
