"""When a unit has come, and when it has left."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eol_inject.device import ports
from eol_inject.device.inventory import Seen, Where
from eol_inject.device.spec import PresenceSpec
from eol_inject.errors import StationError
from eol_inject.station.presence import Change, Gate, Slot, looker


class Watched:
    """A unit that answers from the second look on."""

    def __init__(self, port):
        self.port, self.looks, self.closed = port, 0, False

    def look(self):
        self.looks += 1
        return self.looks > 1

    def close(self):
        self.closed = True


LOOKS = st.lists(st.tuples(st.booleans(), st.floats(0.01, 1.0)), max_size=60)


@given(LOOKS, st.floats(0.05, 1.0))
def test_changes_alternate_and_each_was_steady(looks, debounce_s):
    """Came, left, came, …; and no change without that look for the whole debounce time before."""
    gate, now, changes, history = Gate(debounce_s), 0.0, [], []
    for there, pause in looks:
        now += pause
        history.append((now, there))
        change = gate.look(there, now)
        if change is None:
            continue
        changes.append(change)
        steady = [seen for at, seen in history if at >= now - debounce_s]
        assert set(steady) == {there}
        assert gate.there == there
    wanted = [Change.CAME, Change.LEFT] * len(changes)
    assert changes == wanted[: len(changes)]


def test_a_contact_that_bounces_is_no_unit():
    """Ten changes within the debounce time: nothing came."""
    gate = Gate(0.3)
    assert {gate.look(number % 2 == 0, number * 0.02) for number in range(10)} == {None}


@pytest.mark.parametrize(("kind", "line"), [("cts", "cts"), ("dsr", "dsr"), ("dcd", "cd")])
@pytest.mark.parametrize("up", [True, False])
def test_a_switch_is_read_without_resetting_anything(monkeypatch, kind, line, up):
    """The line of the fixture's switch, on a port whose own lines stay down."""

    class Port(SimpleNamespace):
        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.closed = True

    opened = Port(**{"cts": False, "dsr": False, "cd": False, line: up}, closed=False)
    monkeypatch.setattr(ports, "open_quiet", lambda _: opened)
    seen = (Seen("/dev/ttyUSB0", "1-1", "", "", ""),)
    slot = Slot("1", Where(location="1-1"))
    look = looker(slot, PresenceSpec(kind=kind), ports=lambda: seen, watch=Watched)
    assert look() is up
    assert opened.closed


def test_an_empty_or_doubtful_place_has_no_unit(monkeypatch):
    """No port, two ports, or one that does not open: nothing is there to start with."""
    slot = Slot("1", Where(location="1-1"))
    one = Seen("/dev/ttyUSB0", "1-1", "", "", "")

    def refuse(_):
        raise StationError("device.port_missing", port="x")

    monkeypatch.setattr(ports, "open_quiet", refuse)
    for there in ((), (one, one), (one,)):
        look = looker(slot, PresenceSpec(kind="cts"), ports=lambda t=there: t, watch=Watched)
        assert look() is False


def test_poll_asks_the_unit_itself():
    """A bridge that is always there says nothing of the unit behind it. One watch asks for as long
    as the port is the same, and lets it go when the port is another, or somebody else's."""
    slot = Slot("1", Where(location="1-1"))
    names = iter(["/dev/ttyUSB0"] * 3 + ["/dev/ttyUSB1", None, "/dev/ttyUSB1"])
    watches: list[Watched] = []

    def watch(port):
        watches.append(Watched(port))
        return watches[-1]

    def seen():
        name = next(names)
        return () if name is None else (Seen(name, "1-1", "", "", ""),)

    look = looker(slot, PresenceSpec(kind="poll"), ports=seen, watch=watch)
    assert [look() for _ in range(6)] == [False, True, True, False, False, False]
    look.close()
    assert [(one.port, one.looks, one.closed) for one in watches] == [
        ("/dev/ttyUSB0", 3, True), ("/dev/ttyUSB1", 1, True), ("/dev/ttyUSB1", 1, True),
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["usb", "cts"])
def test_a_port_that_goes_away_under_the_look_is_no_unit(monkeypatch, kind):
    """Opened, and gone before its line could be read: nothing is there, and nothing breaks."""

    class Gone:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        @property
        def cts(self):
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(ports, "open_quiet", lambda _: Gone())
    seen = (Seen("/dev/ttyUSB0", "1-1", "", "", ""),)
    slot = Slot("1", Where(location="1-1"))
    look = looker(slot, PresenceSpec(kind=kind), ports=lambda: seen, watch=Watched)
    assert look() is (kind == "usb")
