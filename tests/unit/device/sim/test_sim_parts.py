"""The simulation's codecs and its flash, each for itself."""

from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eol_inject.chips import SECTOR
from eol_inject.errors import UsageError
from eol_inject.sim import faults, slip, url
from eol_inject.sim.faults import Act, FaultBox, Phase
from eol_inject.sim.flash import Flash
from eol_inject.sim.frames import Kind, Unpacker, pack
from eol_inject.sim.sums import xor_bytes
from eol_inject.sim.timing import BLOCK, REAL


def _cut(data: bytes, sizes: list[int]) -> list[bytes]:
    pieces = []
    for size in sizes:
        pieces.append(data[:size])
        data = data[size:]
    return [*pieces, data]


@given(st.lists(st.binary(min_size=1)), st.lists(st.integers(0, 9)))
def test_slip_gives_back_every_packet_however_it_is_cut(
    packets: list[bytes], cuts: list[int]
) -> None:
    """Packets survive escaping and arrive whole from any pieces."""
    decoder = slip.Decoder()
    stream = b"".join(slip.encode(packet) for packet in packets)
    assert [got for piece in _cut(stream, cuts) for got in decoder.feed(piece)] == packets


@given(st.lists(st.tuples(st.sampled_from(Kind), st.binary())), st.lists(st.integers(0, 9)))
def test_frames_come_out_in_order_however_they_are_cut(
    frames: list[tuple[Kind, bytes]], cuts: list[int]
) -> None:
    """The multiplexed stream keeps order and content."""
    unpacker = Unpacker()
    stream = b"".join(pack(kind, payload) for kind, payload in frames)
    assert [got for piece in _cut(stream, cuts) for got in unpacker.feed(piece)] == frames


def test_a_frame_that_is_none_of_ours_is_refused() -> None:
    """A stranger on the TCP port is told apart at once."""
    with pytest.raises(ValueError, match="too long"):
        Unpacker().feed(b"GET / HTTP/1.1\r\n")


@given(st.binary())
def test_the_folded_checksum_is_the_bytewise_one(data: bytes) -> None:
    """Folding in halves gives what XOR byte by byte gives."""
    assert xor_bytes(data) == reduce(lambda total, byte: total ^ byte, data, 0xEF)


@given(st.integers(0, 3 * SECTOR), st.binary(max_size=300), st.binary(max_size=300))
def test_programming_only_clears_bits(address: int, first: bytes, second: bytes) -> None:
    """A second program without an erase gives the AND of both."""
    flash = Flash(4 * SECTOR)
    flash.program(address, first)
    flash.program(address, second)
    longest = max(len(first), len(second))
    expected = [
        a & b
        for a, b in zip(first.ljust(longest, b"\xff"), second.ljust(longest, b"\xff"), strict=True)
    ]
    assert flash.read(address, longest) == bytes(expected)


def test_an_erase_takes_whole_sectors() -> None:
    """Erasing one byte sets its 4 KiB to FF and no other."""
    flash = Flash(4 * SECTOR)
    flash.load(0, b"\0" * flash.size)
    flash.erase(SECTOR + 10, 1)
    assert flash.read(0, flash.size) == b"\0" * SECTOR + b"\xff" * SECTOR + b"\0" * 2 * SECTOR


def test_addresses_wrap_at_the_size_of_the_chip() -> None:
    """As on the real bus: a small flash shows itself again behind its end."""
    flash = Flash(2 * SECTOR)
    flash.load(0, b"begin")
    assert flash.read(2 * SECTOR, 5) == b"begin"


def test_a_bad_sector_never_holds_what_was_programmed() -> None:
    """Whoever reads it back sees the difference, after every erase again."""
    flash = Flash(4 * SECTOR, lambda sector: sector == SECTOR)
    for _ in range(2):
        flash.erase(0, 4 * SECTOR)
        flash.program(0, b"\x55" * 4 * SECTOR)
        assert flash.read(SECTOR, SECTOR) != b"\x55" * SECTOR
        assert flash.read(0, SECTOR) == flash.read(2 * SECTOR, SECTOR) == b"\x55" * SECTOR


def test_erasing_is_quicker_by_blocks() -> None:
    """64 KiB blocks where they fit, sectors at both ends."""
    assert REAL.erase(BLOCK - SECTOR, BLOCK + 2 * SECTOR) == pytest.approx(
        2 * REAL.erase_sector_s + REAL.erase_block_s
    )


# -- URLs ----------------------------------------------------------------------------------


def test_a_url_names_its_unit_by_chip_and_mac() -> None:
    """However the MAC is written, and whatever options follow, it is the same unit."""
    one = url.parse("sim://esp32c3?mac=A0:76:4E:00:00:01")
    two = url.parse("sim://ESP32C3?mac=a0764e000001&fault=no_sync&leak=1")
    assert one.id == two.id == "esp32c3-a0764e000001"
    assert one.mac_text == "a0:76:4e:00:00:01"
    assert url.parse("sim://esp32c3?id=left").id == "left"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("sim://esp99", "device.sim_chip"),
        ("sim://", "device.sim_chip"),
        ("sim://esp32/path", "device.sim_url"),
        ("http://esp32", "device.sim_url"),
        ("sim://esp32?mac=4A:33:54:68:K9:F1", "device.sim_mac"),
        ("sim://esp32?mac=12", "device.sim_mac"),
        ("sim://esp32?colour=red", "device.sim_option"),
        ("sim://esp32?flash=3MB", "device.sim_value"),
        ("sim://esp32?flash=big", "device.sim_value"),
        ("sim://esp32?idle=-1", "device.sim_value"),
        ("sim://esp32?console=mine", "device.sim_value"),
        ("sim://esp32?cloud=nine", "device.sim_value"),
        ("sim://esp32?mac=a0764e000001&mac=a0764e000002", "device.sim_value"),
        ("sim://esp32?id=../x", "device.sim_value"),
        ("sim://esp32?secure_download=1", "device.sim_value"),
        ("sim://esp8266?secure_boot=1", "device.sim_value"),
        ("sim://esp32?image=nowhere.bin@0", "device.sim_image"),
        ("sim://esp32?image=nowhere.bin", "device.sim_value"),
        ("sim://esp32?fault=fire", "device.sim_fault"),
        ("sim://esp32?fault=unplug@lunch", "device.sim_fault"),
        ("sim://esp32?fault=bad_sector", "device.sim_fault"),
        ("sim://esp32?fault=unplug@write,often", "device.sim_fault"),
        ("sim://esp32?fault=drop=lots", "device.sim_fault"),
    ],
)
def test_a_wrong_url_is_refused_with_its_reason(text: str, code: str) -> None:
    """Each mistake has its own sentence."""
    with pytest.raises(UsageError) as caught:
        url.parse(text)
    assert caught.value.code == code
    assert "{" not in str(caught.value)
    assert "{" not in caught.value.hint


def test_identities_that_name_no_unit_can_be_simulated() -> None:
    """All zero, all FF, multicast: line-failures 2 needs units that have them."""
    for mac in ("000000000000", "ffffffffffff", "01005e000001"):
        assert url.parse(f"sim://esp32?mac={mac}").mac.hex() == mac


# -- faults --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(faults.FAULTS))
def test_every_fault_can_be_written_down(name: str) -> None:
    """Each row parses by its name alone, but for the one that needs an address."""
    fault = faults.parse(f"{name}@0x9123" if name == "bad_sector" else name)
    assert fault.row.name == name
    assert fault.row.text
    if fault.row.act is Act.CELL:
        assert fault.address == 0x9000


def test_a_fault_says_where_when_and_how_often() -> None:
    """``unplug@write:4096,x1,back=0.5,above=460800`` means all of that."""
    fault = faults.parse("unplug@read:0x1000,x1,back=0.5,above=460800")
    assert (fault.phase, fault.after, fault.times) == (Phase.READ, 4096, 1)
    assert (fault.back_s, fault.above) == (0.5, 460800)


def test_an_event_happens_at_its_byte_and_as_often_as_it_says() -> None:
    """Once a session, until it is used up; bytes count from the last reset."""
    box = FaultBox([faults.parse("hang@write:100,x2")], seed=1)
    assert box.crossing(Phase.WRITE, 64, 115200) is None
    hit = box.crossing(Phase.WRITE, 64, 115200)
    assert hit is not None
    assert hit[1] == 36
    assert box.crossing(Phase.WRITE, 64, 115200) is None
    box.new_session()
    assert box.crossing(Phase.WRITE, 64, 115200) is None
    assert box.crossing(Phase.WRITE, 64, 115200) is not None
    box.new_session()
    assert box.crossing(Phase.WRITE, 500, 115200) is None
    assert box.fired == {"hang": 2}


def test_noise_is_the_same_for_the_same_seed() -> None:
    """A failing run can be repeated."""
    data = bytes(10_000)
    spoiled = [
        FaultBox([faults.parse("flip=0.001")], seed=seed).noise(None, data, 115200)
        for seed in (7, 7, 8)
    ]
    assert spoiled[0] == spoiled[1] != spoiled[2]
    assert 0 < sum(byte != 0 for byte in spoiled[0]) < 50


def test_noise_above_a_baud_rate_spares_the_slower_ones() -> None:
    """What a station that steps down its baud rate has to find."""
    box = FaultBox([faults.parse("flip=0.5,above=460800")], seed=1)
    assert box.noise(None, bytes(100), 460800 - 1) == bytes(100)
    assert box.noise(None, bytes(100), 921600) != bytes(100)


def test_dropped_bytes_are_gone_once() -> None:
    """``drop=3`` loses three bytes, one time."""
    box = FaultBox([faults.parse("drop=3")], seed=1)
    assert len(box.noise(None, bytes(100), 1)) == 97
    assert len(box.noise(None, bytes(100), 1)) == 100
