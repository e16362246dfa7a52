"""Which port is in a slot's place, on layouts that lines have."""

import pytest

from eol_inject.device.inventory import Seen, Where, port_at, snapshot
from eol_inject.errors import StationError

# Locations as pyserial makes them from Linux's sysfs: `1-4.2`, and `1-4.2:1.0` where one USB device
# has several interfaces (serial/tools/list_ports_linux.py).
QUAD = tuple(
    Seen(f"/dev/ttyUSB{n}", f"1-3:1.{n}", "0403:6011", "FT4X7Q", "Quad RS232-HS") for n in range(4)
)
CH340 = (
    Seen("/dev/ttyUSB4", "1-4.1", "1a86:7523", "", "USB Serial"),
    Seen("/dev/ttyUSB5", "1-4.2", "1a86:7523", "", "USB Serial"),
)
TWINS = (
    Seen("/dev/ttyUSB6", "2-1", "10c4:ea60", "0001", "CP2102"),
    Seen("/dev/ttyUSB7", "2-2", "10c4:ea60", "0001", "CP2102"),
)


def test_each_port_of_a_quad_is_a_place_of_its_own():
    """Four slots behind one USB device, by their interfaces."""
    for number in range(4):
        assert port_at(Where(location=f"1-3:1.{number}"), QUAD) == f"/dev/ttyUSB{number}"


def test_a_quad_without_its_interface_is_ambiguous():
    """Which of the four? Nobody guesses."""
    with pytest.raises(StationError) as refused:
        port_at(Where(location="1-3"), QUAD)
    assert refused.value.code == "device.place_ambiguous"
    assert "/dev/ttyUSB3" in str(refused.value)


def test_bridges_without_serial_numbers_are_told_apart_by_place():
    """CH340: every one of them is the same to the system."""
    assert port_at(Where(location="1-4.2"), CH340) == "/dev/ttyUSB5"


def test_bridges_with_one_serial_number_are_ambiguous():
    """Factory-set CP2102s all say 0001."""
    with pytest.raises(StationError) as refused:
        port_at(Where(serial_number="0001"), TWINS)
    assert refused.value.code == "device.place_ambiguous"
    assert port_at(Where(location="2-2"), TWINS) == "/dev/ttyUSB7"


def test_a_unit_that_is_its_own_usb_device_keeps_its_place_under_another_name():
    """USB-JTAG re-enumerates at every reset: ttyACM0, then ttyACM3; the socket stays."""
    place = Where(location="1-1.4")
    before = (Seen("/dev/ttyACM0", "1-1.4:1.0", "303a:1001", "60:55:F9:00:00:01", "JTAG"),)
    after = (Seen("/dev/ttyACM3", "1-1.4:1.0", "303a:1001", "60:55:F9:00:00:02", "JTAG"),)
    assert (port_at(place, before), port_at(place, ()), port_at(place, after)) == (
        "/dev/ttyACM0", None, "/dev/ttyACM3",
    )  # fmt: skip


def test_a_hub_in_another_socket_leaves_the_slot_empty():
    """`1-4.2` became `1-5.2`: no slot silently moves to a neighbour's port."""
    moved = tuple(
        Seen(one.port, one.location.replace("1-4", "1-5"), one.bridge, "", "") for one in CH340
    )
    assert port_at(Where(location="1-4.2"), moved) is None


def test_a_place_is_not_the_beginning_of_another():
    """`1-4.1` is not `1-4.10`."""
    far = (Seen("/dev/ttyUSB9", "1-4.10", "1a86:7523", "", ""),)
    assert port_at(Where(location="1-4.1"), far) is None


def test_a_port_by_name_is_there_or_not(tmp_path):
    """A URL is asked when it is opened; a name has to be listed, or to exist."""
    link = tmp_path / "fixture-1"
    assert port_at(Where(url="COM7"), ()) is None
    assert port_at(Where(url="COM7"), (Seen("COM7", "", "", "", ""),)) == "COM7"
    assert port_at(Where(url="socket://h:1"), ()) == "socket://h:1"
    assert port_at(Where(url=str(link)), ()) is None
    link.touch()
    assert port_at(Where(url=str(link)), ()) == str(link)


@pytest.mark.parametrize("times", [1, 99])
def test_a_unit_unplugged_while_the_ports_are_listed(monkeypatch, times):
    """pyserial 3.5 reads None where its line of /sys is gone, and makes a number of it. The ports
    are listed anew; where that never goes well the station is told so."""
    from serial.tools import list_ports

    asked = []

    def comports():
        asked.append(1)
        return [] if len(asked) > times else int(None)

    monkeypatch.setattr(list_ports, "comports", comports)
    if times == 1:
        assert snapshot() == ()
        return
    with pytest.raises(StationError) as told:
        snapshot()
    assert told.value.code == "device.ports_unlisted"


@pytest.mark.parametrize("where", [Where(), Where(location=":1.0"), Where(location=" ")])
def test_a_place_that_names_nothing_is_no_port(where):
    """Not even the one port that is in no USB place: that of the computer's own board."""
    assert port_at(where, (Seen("/dev/ttyS0", "", "", "", ""),)) is None
