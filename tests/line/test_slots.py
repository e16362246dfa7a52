"""Several slots at once, judged by the units' flash and the labels."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from eol_inject.cli import answer, run
from eol_inject.cli.scanners import TypedLines
from eol_inject.device import inventory
from eol_inject.device.holders import holders
from eol_inject.device.inventory import Seen
from eol_inject.sim import manage
from eol_inject.sim.printer import SimPrinter
from eol_inject.station import presence
from eol_inject.station.stop import Stop
from tests.line.conftest import LOT, PRODUCT, Line, Told, Unit

if TYPE_CHECKING:
    from typing_extensions import Buffer

PROFILE = "esp32c3-blnkopt"
ENDINGS = [signal.SIGINT, *(() if sys.platform == "win32" else (signal.SIGTERM, signal.SIGHUP))]


def run_all(
    line: Line, *units: Unit, ports: tuple[str, ...] = (), more: tuple[str, ...] = ()
) -> Told:
    """One turn of every slot."""
    urls = ports or tuple(unit.url for unit in units)
    return line.type(
        "run", "--once", "--profile", PROFILE, "--lot", LOT, *more,
        *(part for url in urls for part in ("--port", url)),
        "--printer", str(line.folder / "labels"),
    )  # fmt: skip


def test_four_slots_work_at_once_and_each_unit_gets_its_own(line: Line) -> None:
    """Four units, four tokens, four labels; each record names its slot."""
    units = [line.unit() for _ in range(4)]
    told = run_all(line, *units)
    assert told.code == 0, told
    assert {one["slot"]: one["unit"] for one in told.out["units"]} == {
        str(number): unit.mac for number, unit in enumerate(units, 1)
    }
    assert len(line.labels()) == 4
    assert {len(unit.tokens(line.pool)) for unit in units} == {1}
    line.judge()
    assert line.type("ledger", "check").code == 0


@pytest.mark.parametrize("fault", ["unplug@write:4096", "hang@write:4096", "swap@write:8192"])
def test_a_fault_in_one_slot_never_touches_another(line: Line, fault: str) -> None:
    """Two pass beside one that fails; the run's exit code is the worst."""
    units = [line.unit() for _ in range(3)]
    ports = (units[0].url, f"{units[1].url}&fault={fault}", units[2].url)
    told = run_all(line, ports=ports)
    assert told.code == 3
    outcome = {one["slot"]: one["verdict"] for one in told.out["units"]}
    assert (outcome["1"], outcome["2"], outcome["3"]) == ("pass", "station_bad", "pass")
    assert set(line.labels()) == {units[0].mac.replace(":", ""), units[2].mac.replace(":", "")}
    line.judge()


def test_each_result_names_its_slot_where_there_are_several(line: Line) -> None:
    """Hands have to find the unit that stopped; one slot needs no name."""
    good, bad = line.unit(), line.unit()
    ports = ("--port", good.url, "--slot", "left")
    more = ("--port", f"{bad.url}&fault=busy", "--slot", "right")
    common = (
        "run", "--once", "--profile", PROFILE, "--lot", LOT, "--station", "S1", "--operator", "Ada",
        "--printer", str(line.folder / "labels"), *line.options[1:],
    )  # fmt: skip
    line.read_output()
    assert answer.run([*common, *ports, *more]) == 3
    heads = [text for text in line.read_output().splitlines() if "→" not in text]
    assert sorted(text.split()[:3] for text in heads) == [
        ["left", "PASS", good.mac], ["right", "STOP", "(no"],
    ]  # fmt: skip
    assert answer.run([*common, *ports]) == 1
    assert line.read_output().startswith("DONE")


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="only POSIX has pseudo-terminals")
def test_an_enter_pressed_during_the_work_starts_no_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    """The verdict would be gone before anybody looked at it."""
    ours, theirs = os.openpty()

    def asked(_: str) -> None:
        os.write(ours, b"seen\n")

    with os.fdopen(theirs, "r") as keyboard:
        monkeypatch.setattr(sys, "stdin", keyboard)
        monkeypatch.setattr(run, "tell", asked)
        turns = run.units(once=False, stdin=sys.stdin, several=True)
        assert next(turns) == ""
        os.write(ours, b"\nearly\n")
        assert next(turns) == "seen"
    os.close(ours)


def test_a_station_file_says_what_is_where(line: Line, tmp_path: Path) -> None:
    """Slots by URL, profile and lot from the file; an empty slot says so and harms nothing."""
    here, there = line.unit(), line.unit()
    station = tmp_path / "station.toml"
    station.write_text(
        f'schema = 1\nprofile = "{PROFILE}"\nlot = "{LOT}"\n'
        f'[[slots]]\nname = "left"\nurl = "{here.url}"\n'
        f'[[slots]]\nname = "right"\nurl = "{there.url}"\n'
        '[[slots]]\nname = "far"\nlocation = "99-7.3"\n'
    )
    told = line.type(
        "run", "--once", "--station-file", str(station), "--printer", str(line.folder / "labels")
    )
    by_slot = {one["slot"]: one for one in told.out["units"]}
    assert (by_slot["left"]["unit"], by_slot["right"]["unit"]) == (here.mac, there.mac)
    assert by_slot["far"]["error"]["code"] == "device.slot_empty"
    assert told.code == 3
    line.judge()


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("schema = 1\n[[slots]]\nname='1'\nlocatoin='1-2'\n", "station.unknown_key", "location"),
        ("schema = 1\n[[slots]]\nname='1'\n", "station.invalid", "give one of"),
        ("schema = 1\n[[slots]]\nname='1'\nurl='a'\n[[slots]]\nname='1'\nurl='b'\n",
         "station.invalid", "are called 1"),
        ("schema = 1\n[[slots]]\nname='1'\nurl='a'\n[[slots]]\nname='2'\nurl='a'\n",
         "station.invalid", "two slots are in one place, a"),
        ("schema = 1\n[[slots]]\nname='1'\nurl=''\n", "station.invalid", "slots"),
        ("schema = 1\n[[slots]]\nname='1'\nlocation=''\n", "station.invalid", "slots"),
        ("schema = 1\n[[slots]]\nname='1'\nlocation=':1.0'\n", "station.invalid", "names no"),
        ("schema = 1\n[[slots]]\nname='1'\nserial_number=' '\n", "station.invalid", "names no"),
        (("schema = 1\n[[slots]]\nname='1'\nlocation='1-2'\n"
         "[[slots]]\nname='2'\nlocation='1-2:1.0'\n"), "station.invalid", "lies in that of"),
        (("schema = 1\n[[slots]]\nname='1'\nurl='/dev/null'\n"
         "[[slots]]\nname='2'\nurl='/dev/../dev/null'\n"), "station.invalid", "lies in that"),
        ("schema = ", "station.not_toml", ""),
        (None, "station.unreadable", ""),
    ],
)  # fmt: skip
def test_a_bad_station_file_is_refused_with_the_place(
    line: Line, tmp_path: Path, text: str | None, code: str, said: str
) -> None:
    """Before anything is opened."""
    path = tmp_path / "bad.toml"
    if text is not None:
        path.write_text(text)
    told = line.type("run", "--station-file", str(path))
    assert (told.code, told.error) == (2, code)
    assert said in told.out["error"]["text"] + told.out["error"]["hint"]


@pytest.mark.parametrize(
    ("args", "said"),
    [(("--port", "sim://a", "--port", "sim://a"), "one port: sim://a"),
     (("--port", "sim://a", "--slot", "1", "--slot", "2"), "a --slot name of its own"),
     (("--port", ""), "--port is empty"), (("--port", "a", "--port", " "), "--port is empty"),
     ((), "Missing option"), (("--slot", "1"), "Missing option")],
)  # fmt: skip
def test_slots_that_make_no_sense_are_a_usage_error(
    line: Line, args: tuple[str, ...], said: str
) -> None:
    """Two slots on one port, more names than ports, no port at all; an empty one, as of a variable
    that is not set, is never the first port that the system lists."""
    told = line.type("run", "--profile", PROFILE, "--lot", LOT, *args)
    assert (told.code, told.error) == (2, "report.usage")
    assert said in told.out["error"]["text"]


def test_slots_share_a_printer_one_label_at_a_time(line: Line, tmp_path: Path) -> None:
    """Three units at once, one printer, one scanner: each waits for its turn, none is refused, and
    each label is scanned while its own unit waits."""
    units = [line.unit() for _ in range(3)]
    scans, waiting = [], []

    with SimPrinter(tmp_path / "zpl") as printer:
        starting = start(
            line, "--once", "--printer", printer.url, "--scanner", "tty",
            *(part for one in units for part in ("--port", one.url)),
        )  # fmt: skip
        with starting as child:
            assert child.stdin is not None
            assert child.stderr is not None
            for text in child.stderr:
                event = json.loads(text) if text.startswith("{") else {}
                if event.get("event") == "Waiting" and event["question"] == "scan_label":
                    waiting.append(event["slot"])
                    code = line.pool[held(units[int(event["slot"]) - 1], line)]
                    scans.append(code)
                    child.stdin.write(f"{code}\n")
                    child.stdin.flush()
            out, _ = child.communicate(timeout=60)
    assert [one["verdict"] for one in json.loads(out)["units"]] == ["pass"] * 3, out
    assert len(set(scans)) == 3
    assert sorted(waiting) == ["1", "2", "3"]
    line.judge()


def held(unit: Unit, line: Line) -> str:
    """The one token in its flash."""
    (token,) = unit.tokens(line.pool)
    return token


@contextmanager
def start(line: Line, *args: str) -> "Iterator[subprocess.Popen[str]]":
    """The real program, in a process of its own, which does not outlive its test."""
    with subprocess.Popen(
        [
            sys.executable, "-m", "eol_inject", "run", "--profile", PROFILE, "--lot", LOT, *args,
            *line.options, "--station", "S1", "--operator", "Ada", "--events",
            *([] if "--printer" in args else ["--printer", str(line.folder / "labels")]),
        ],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as child:  # fmt: skip
        try:
            yield child
        finally:
            child.kill()


def listens(child: "subprocess.Popen[str]", tty: str) -> None:
    """Wait until the program has opened its scanner: what was scanned before is thrown away."""
    while not any(holder.pid == child.pid for holder in holders(tty)):
        assert child.poll() is None, "the program ended first"
        time.sleep(0.05)
    time.sleep(0.3)


def wait_for(child: "subprocess.Popen[str]", event: str, step: str, *, slots: int = 1) -> None:
    """Until so many slots have told of that event."""
    assert child.stderr is not None
    seen: set[str] = set()
    while len(seen) < slots:
        line = child.stderr.readline()
        assert line, "the program ended first"
        if line.startswith("{"):
            told = json.loads(line)
            if (told["event"], told.get("step")) == (event, step):
                seen.add(told["slot"])


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_first_ctrl_c_lets_units_under_work_finish(line: Line, ending: signal.Signals) -> None:
    """Two slots in the middle of their writes: both units are finished and labelled; exit 130. So
    does a computer that shuts down, or a terminal that is closed."""
    units = [line.unit("esp32c3", "timing=real") for _ in range(2)]
    with start(line, *(part for one in units for part in ("--port", one.url))) as child:
        wait_for(child, "Progress", "write", slots=2)
        child.send_signal(ending)
        out, _ = child.communicate(timeout=60)
    assert child.returncode == 130
    assert [one["verdict"] for one in json.loads(out)["units"]] == ["pass", "pass"]
    assert len(line.labels()) == 2
    line.judge()


class Pressing(io.RawIOBase):
    """A terminal at which Ctrl-C is pressed while the first line is being written to it."""

    def __init__(self) -> None:
        self.shown = ""

    def writable(self) -> bool:
        return True

    def write(self, data: "Buffer", /) -> int:
        if not self.shown:
            signal.raise_signal(signal.SIGINT)
        self.shown += bytes(data).decode()
        return len(bytes(data))


def test_a_ctrl_c_in_the_middle_of_a_line_breaks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The line is whole, and what Ctrl-C means is told after it."""
    terminal = Pressing()
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(io.BufferedWriter(terminal)))
    stop = Stop()
    with run._in_two_steps(stop):
        answer.tell("[1] write 0.10 s")
    assert stop.wanted()
    assert terminal.shown.splitlines() == [
        "[1] write 0.10 s", "Finishing what is under work; Ctrl-C again lets go at once.",
    ]  # fmt: skip


@pytest.mark.skipif(sys.platform == "win32", reason="there is no hang-up")
def test_a_computer_that_shuts_down_lets_units_finish(line: Line) -> None:
    """It ends the program and hangs up its terminal, at once and again: no second Ctrl-C."""
    unit = line.unit("esp32c3", "timing=real")
    with start(line, "--port", unit.url, "--once") as child:
        wait_for(child, "Progress", "write")
        for ending in (signal.SIGTERM, signal.SIGHUP) * 2:
            child.send_signal(ending)
        out, _ = child.communicate(timeout=60)
    assert child.returncode == 130
    assert [one["verdict"] for one in json.loads(out)["units"]] == ["pass"]
    line.judge()


def test_the_second_ctrl_c_lets_go_and_the_units_go_on_later(line: Line) -> None:
    """In the middle of their writes; nothing is lost, each passes with the same token."""
    units = [line.unit("esp32c3", "timing=real") for _ in range(2)]
    with start(line, *(part for one in units for part in ("--port", one.url))) as child:
        wait_for(child, "Progress", "write", slots=2)
        child.send_signal(signal.SIGINT)
        time.sleep(0.2)
        child.send_signal(signal.SIGINT)
        out, _ = child.communicate(timeout=60)
    assert child.returncode == 130
    assert {one["verdict"] for one in json.loads(out)["units"]} == {"interrupted"}
    assert line.labels() == {}
    for unit in units:
        manage.set_faults(unit.url)
        again = line.run(unit, port=f"{unit.url}".replace("timing=real", "timing=off"))
        assert (again.code, again.unit["resumed"]) == (0, True)
    counts = line.type("tokens", "status").out["counts"]
    assert sum(row["count"] for row in counts if row["state"] != "available") == 2
    line.judge()


def test_a_scan_of_a_slots_name_starts_it(line: Line, tmp_path: Path) -> None:
    """Two slots, a scanner on a port: the scanned one works, the other waits; strays do nothing."""
    import pty
    import tty

    text = Path(line.profile()).read_text() + "\n[presence]\nkind = 'scan'\n"
    profile = tmp_path / "scanned.toml"
    profile.write_text(text)
    units = [line.unit(), line.unit()]
    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    ports = [part for one in units for part in ("--port", one.url)]
    names = ["--slot", "left", "--slot", "right"]
    args = (*ports, *names, "--profile", str(profile), "--scanner", os.ttyname(theirs))
    with start(line, *args) as child:
        listens(child, os.ttyname(theirs))
        os.write(ours, b"middle\r")
        time.sleep(0.3)
        os.write(ours, b"right\r")
        wait_for(child, "CycleEnded", None)  # type: ignore[arg-type]  # a verdict has no step
        child.send_signal(signal.SIGINT)
        out, _ = child.communicate(timeout=30)
    os.close(ours)
    os.close(theirs)
    (done,) = json.loads(out)["units"]
    assert (done["slot"], done["unit"], done["verdict"]) == ("right", units[1].mac, "pass")


def test_a_scanner_that_types_starts_slots(line: Line, tmp_path: Path) -> None:
    """A pipe stands for the keyboard: two slots by their names, one after the other; the run ends
    with its input."""
    text = Path(line.profile()).read_text() + "\n[presence]\nkind = 'scan'\n"
    profile = tmp_path / "scanned.toml"
    profile.write_text(text)
    units = [line.unit(), line.unit()]
    ports = [part for one in units for part in ("--port", one.url)]
    names = ["--slot", "left", "--slot", "right"]
    with start(line, *ports, *names, "--profile", str(profile), "--scanner", "tty") as child:
        assert child.stdin is not None
        for name in ("middle", "right", "left"):
            child.stdin.write(f"{name}\n")
            child.stdin.flush()
            if name != "middle":
                wait_for(child, "CycleEnded", None)  # type: ignore[arg-type]  # a verdict has none
        out, _ = child.communicate(timeout=30)
    done = json.loads(out)["units"]
    assert [(one["slot"], one["unit"]) for one in done] == [
        ("right", units[1].mac), ("left", units[0].mac),
    ]  # fmt: skip
    assert child.returncode == 0
    line.judge()


def test_once_waits_for_its_unit_where_units_are_noticed(line: Line, tmp_path: Path) -> None:
    """Nothing is in the slot at first; once the unit is there it is done, and the run ends."""
    text = Path(line.profile()).read_text() + "\n[presence]\nkind = 'usb'\ndebounce_s = 0.1\n"
    profile = tmp_path / "present.toml"
    profile.write_text(text)
    unit = line.unit()
    manage.start(unit.url)
    manage.unplug(unit.url)
    with start(line, "--once", "--port", unit.url, "--profile", str(profile)) as child:
        time.sleep(2.5)
        assert child.poll() is None
        manage.replug(unit.url)
        out, _ = child.communicate(timeout=30)
    (done,) = json.loads(out)["units"]
    assert (done["unit"], done["verdict"], child.returncode) == (unit.mac, "pass", 0)


def test_a_port_that_comes_back_under_another_name_is_found_by_its_place(
    line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cable comes off in the middle of the write, and the system gives the port another name:
    the slot is the place, so the same unit goes on with its own token."""
    unit = line.unit()
    first, second = f"{unit.url}&fault=unplug@write:8192,x1", unit.url

    def listed() -> tuple[Seen, ...]:
        return (Seen(names.pop(0) if len(names) > 1 else names[0], "1-4.2", "", "", ""),)

    names = [first, second]
    monkeypatch.setattr(inventory, "snapshot", listed)
    station = tmp_path / "station.toml"
    station.write_text('schema = 1\n[[slots]]\nname = "left"\nlocation = "1-4.2"\n')
    args = (
        "run", "--once", "--profile", PROFILE, "--lot", LOT, "--station-file", str(station),
        "--printer", str(line.folder / "labels"),
    )  # fmt: skip
    told = line.type(*args)
    assert (told.code, told.error) == (3, "device.port_lost")
    told = line.type(*args)
    assert (told.code, told.unit["resumed"]) == (0, True), told
    assert len(unit.tokens(line.pool)) == 1
    line.judge()


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="only POSIX has pseudo-terminals")
def test_a_real_port_that_another_program_holds_is_named(line: Line) -> None:
    """Through the whole command line, on a ledger for real ports; nothing is reserved."""
    ledger = ("--ledger", f"sqlite:///{line.folder / 'real.db'}", "--key-file",
              str(line.folder / "real.key"))  # fmt: skip
    source = next(line.folder.glob("tokens-*.csv"))
    command = [sys.executable, "-m", "eol_inject"]
    done = subprocess.run(
        [*command, "tokens", "import", str(source), "--product", PRODUCT, "--lot", LOT, *ledger],
        capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    ours, theirs = os.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(60)"], stdin=theirs
    ) as other:
        done = subprocess.run(
            [*command, "run", "--once", "--profile", PROFILE, "--lot", LOT, "--json",
             "--port", os.ttyname(theirs), "--printer", str(line.folder / "labels"), *ledger],
            stdin=subprocess.DEVNULL, capture_output=True, check=False, close_fds=True,
        )  # fmt: skip
        other.kill()
    os.close(ours)
    os.close(theirs)
    told = json.loads(done.stdout)
    assert (done.returncode, told["error"]["code"]) == (3, "device.port_busy"), told
    assert f"process {other.pid}" in told["error"]["text"]
    assert told["units"][0]["state"] is None


def test_scans_cannot_start_slots_without_a_scanner_that_can_be_asked(
    line: Line, tmp_path: Path
) -> None:
    """Told before anything is touched."""
    text = Path(line.profile()).read_text() + "\n[presence]\nkind = 'scan'\n"
    profile = tmp_path / "scanned.toml"
    profile.write_text(text)
    told = line.type(
        "run", "--profile", str(profile), "--lot", LOT, "--port", line.unit().url,
        "--printer", str(line.folder / "labels"),
    )  # fmt: skip
    assert (told.code, told.error) == (2, "station.no_scanner")


def test_a_finished_unit_that_is_polled_is_left_in_peace(line: Line, tmp_path: Path) -> None:
    """One reset when its cycle is over, and no other while it waits to be taken out; then the next
    one is done. Who stops the run leaves the unit running."""
    text = Path(line.profile()).read_text() + "\n[presence]\nkind = 'poll'\ndebounce_s = 0.1\n"
    profile = tmp_path / "polled.toml"
    profile.write_text(text)
    unit = line.unit()
    manage.start(unit.url)
    with start(line, "--port", unit.url, "--profile", str(profile)) as child:
        wait_for(child, "CycleEnded", None)  # type: ignore[arg-type]  # a verdict has no step
        until(lambda: manage.status(unit.url).mode == "loader")
        resets = manage.status(unit.url).resets
        time.sleep(1.5)
        assert manage.status(unit.url).resets == resets
        manage.unplug(unit.url)
        time.sleep(2.5)
        manage.swap(unit.url)
        wait_for(child, "CycleEnded", None)  # type: ignore[arg-type]  # the neighbour's
        until(lambda: manage.status(unit.url).mode == "loader")
        child.send_signal(signal.SIGINT)
        out, _ = child.communicate(timeout=30)
    done = json.loads(out)["units"]
    assert [one["verdict"] for one in done] == ["pass", "pass"]
    assert done[0]["unit"] == unit.mac != done[1]["unit"]
    until(lambda: manage.status(unit.url).mode == "application")


def until(true: Callable[[], bool]) -> None:
    """Wait for it; not for ever."""
    for _ in range(200):
        if true():
            return
        time.sleep(0.1)
    raise AssertionError


def test_units_come_and_leave_by_themselves(line: Line, tmp_path: Path) -> None:
    """Presence: each unit once; the same one left in its slot is not done again; swapped, the next
    one is."""
    text = Path(line.profile()).read_text() + "\n[presence]\nkind = 'usb'\ndebounce_s = 0.1\n"
    profile = tmp_path / "present.toml"
    profile.write_text(text)
    unit = line.unit()
    manage.start(unit.url)
    with start(line, "--port", unit.url, "--profile", str(profile)) as child:
        wait_for(child, "CycleEnded", None)  # type: ignore[arg-type]  # a verdict has no step
        time.sleep(0.5)
        manage.unplug(unit.url)
        time.sleep(0.6)
        manage.swap(unit.url)
        wait_for(child, "CycleEnded", None)  # type: ignore[arg-type]  # the neighbour's
        time.sleep(0.3)
        child.send_signal(signal.SIGINT)
        out, _ = child.communicate(timeout=30)
    done = json.loads(out)["units"]
    assert [one["verdict"] for one in done] == ["pass", "pass"]
    assert done[0]["unit"] == unit.mac
    assert done[1]["unit"] != unit.mac
    assert child.returncode == 130


def present(line: Line, kind: str) -> str:
    """The product, its units noticed that way."""
    text = Path(line.profile()).read_text() + f"\n[presence]\nkind = '{kind}'\ndebounce_s = 0.1\n"
    path = line.folder / f"{kind}.toml"
    path.write_text(text)
    return str(path)


def test_once_without_a_start_is_no_pass(line: Line) -> None:
    """The scanner's input ends before anything was scanned: no unit was made, so exit 3."""
    unit = line.unit()
    with start(
        line, "--once", "--port", unit.url, "--profile", present(line, "scan"), "--scanner", "tty"
    ) as child:
        out, _ = child.communicate("", timeout=30)
    (done,) = json.loads(out)["units"]
    assert (child.returncode, done["error"]["code"]) == (3, "station.not_called")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_slot_that_a_defect_ends_is_no_pass(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its look breaks in a way that nobody thought of: the other slot makes its unit, and the run
    says which one was lost."""
    units = [line.unit() for _ in range(2)]
    ordinary = presence._opens

    def looks(port: str) -> bool:
        return 1 // (port != units[0].url) and ordinary(port)

    monkeypatch.setattr(presence, "_opens", looks)
    told = line.type(
        "run", "--once", "--profile", present(line, "usb"), "--lot", LOT,
        *(part for one in units for part in ("--port", one.url)),
        "--printer", str(line.folder / "labels"),
    )  # fmt: skip
    by_slot = {one["slot"]: one for one in told.out["units"]}
    assert (told.code, by_slot["1"]["error"]["code"]) == (3, "station.slot_lost")
    assert by_slot["2"]["verdict"] == "pass"


def plain(line: Line, *args: str) -> list[str]:
    """The real program, as people start it: one line an event, one line a unit."""
    options = [option for option in line.options if option != "--json"]
    return [
        sys.executable, "-m", "eol_inject", "run", "--once", "--profile", PROFILE, "--lot", LOT,
        *args, *options, "--station", "S1", "--printer", str(line.folder / "labels"),
    ]  # fmt: skip


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is full")
@pytest.mark.parametrize("slots", [1, 2])
@pytest.mark.parametrize("closed", [True, False])
def test_nobody_hears_the_progress_and_the_units_pass(line: Line, slots: int, closed: bool) -> None:
    """A full disk behind ``2>``, or no standard error at all: no unit is to blame."""
    units = [line.unit() for _ in range(slots)]
    command = plain(line, *(part for one in units for part in ("--port", one.url)))
    where = "2>&-" if closed else "2>/dev/full"
    done = subprocess.run(
        ["/bin/sh", "-c", f'exec "$@" {where}', "sh", *command],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout.count("PASS")) == (0, slots), done
    assert "identify" not in done.stdout
    assert len(line.labels()) == slots
    line.judge()


@pytest.mark.parametrize(("to", "code"), [("pipe", 0), ("full", 3)])
def test_nobody_reads_the_results_and_the_units_are_finished(
    line: Line, to: str, code: int
) -> None:
    """``| head`` ended, or the disk is full: the slower slot goes on to its end all the same."""
    units = [line.unit(), line.unit("esp32c3", "timing=real")]
    command = plain(line, *(part for one in units for part in ("--port", one.url)))
    where = "| true" if to == "pipe" else ">/dev/full"
    codes = line.folder / "code"
    subprocess.run(
        ["/bin/sh", "-c", f'("$@"; echo $? >{codes}) {where}', "sh", *command],
        # buffered, as people have it: what could not be written is tried once more at the exit
        env={name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"},
        stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    until = time.monotonic() + 60
    while not codes.exists() and time.monotonic() < until:
        time.sleep(0.1)
    assert int(codes.read_text()) == code
    assert len(line.labels()) == 2
    line.judge()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is full")
def test_lost_results_are_told_beside_another_verdict(line: Line) -> None:
    """Exit code 1 says that a unit was finished before, and nothing about the disk."""
    command = [one for one in plain(line, "--port", line.unit().url) if one != "--once"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command, input="\n", stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 1, done
    assert "The answer could not be written" in done.stderr


def test_a_unit_put_in_while_the_label_is_scanned_is_not_taken_for_the_last_one(
    line: Line, tmp_path: Path
) -> None:
    """The operator takes the unit out to stick its label on, puts the next one in, then scans: the
    verdict was the first one's, and the next one gets a cycle of its own (line-failures 17)."""
    unit = line.unit()
    manage.start(unit.url)
    product = present(line, "usb")
    with (
        SimPrinter(tmp_path / "zpl") as printer,
        start(
            line, "--port", unit.url, "--profile", product, "--printer", printer.url,
            "--scanner", "tty",
        ) as child,
    ):  # fmt: skip
        assert child.stdin is not None
        wait_for(child, "Waiting", None)  # type: ignore[arg-type]  # a question has no step
        code = line.pool[held(unit, line)]
        manage.unplug(unit.url)
        time.sleep(1)
        manage.swap(unit.url)
        time.sleep(1)
        child.stdin.write(f"{code}\n")
        child.stdin.flush()
        wait_for(child, "CycleEnded", None)  # type: ignore[arg-type]  # a verdict has none either
        wait_for(child, "UnitKnown", None)  # type: ignore[arg-type]  # the neighbour's
        child.kill()


@contextmanager
def scans_start(line: Line, *units: Unit) -> "Iterator[tuple[subprocess.Popen[str], int]]":
    """A run whose slots ``a``, ``b``, … are started by what is written to that descriptor."""
    import pty
    import tty

    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    name = os.ttyname(theirs)
    slots = [
        part
        for slot, one in zip("abc", units, strict=False)
        for part in ("--port", one.url, "--slot", slot)
    ]
    with start(line, *slots, "--profile", present(line, "scan"), "--scanner", name) as child:
        listens(child, name)
        yield child, ours
    with suppress(OSError):  # a test may have pulled it
        os.close(ours)
    os.close(theirs)


def stopped(child: "subprocess.Popen[str]") -> list[str]:
    """The verdicts until Ctrl-C."""
    time.sleep(2)
    child.send_signal(signal.SIGINT)
    out, _ = child.communicate(timeout=30)
    return [one["verdict"] for one in json.loads(out)["units"]]


def test_a_scanner_that_reads_twice_does_not_take_the_verdict_away(line: Line) -> None:
    """The slot's name is read a second time while its unit is under work: one unit, one verdict."""
    with scans_start(line, line.unit(), line.unit()) as (child, scanner):
        os.write(scanner, b"a\r")
        wait_for(child, "UnitKnown", None)  # type: ignore[arg-type]  # no step
        os.write(scanner, b"a\r")
        assert stopped(child) == ["pass"]


def test_a_scanner_that_is_pulled_between_units_is_named(line: Line) -> None:
    """It starts the slots, so each ends with that reason: no defect of the program's."""
    with scans_start(line, line.unit(), line.unit()) as (child, scanner):
        os.write(scanner, b"a\r")
        wait_for(child, "CycleEnded", None)  # type: ignore[arg-type]  # a verdict has no step
        os.close(scanner)
        out, err = child.communicate(timeout=30)
    told = [(one["slot"], (one["error"] or {}).get("code")) for one in json.loads(out)["units"]]
    assert child.returncode == 3
    assert told[0] == ("a", None)
    assert sorted(told[1:]) == [("a", "label.scanner_gone"), ("b", "label.scanner_gone")]
    assert "Error\n" not in err


def test_a_label_starts_no_slot(line: Line) -> None:
    """Scanned once more after the verdict, it is no new unit."""
    with scans_start(line, line.unit()) as (child, scanner):
        os.write(scanner, b"go\r")
        wait_for(child, "CycleEnded", None)  # type: ignore[arg-type]  # a verdict has no step
        os.write(scanner, next(iter(line.pool.values())).encode() + b"\r")
        assert stopped(child) == ["pass"]


@pytest.mark.parametrize("slots", [1, 2])
def test_the_second_ctrl_c_also_ends_the_wait_for_a_scan(
    line: Line, tmp_path: Path, slots: int
) -> None:
    """A scanner that types, and nobody scans: exit 130, on record, and nothing breaks at the end;
    the unit that was labelled waits for its scan next time."""
    units = [line.unit() for _ in range(slots)]
    with (
        SimPrinter(tmp_path / "zpl") as printer,
        start(
            line, "--once", "--printer", printer.url, "--scanner", "tty",
            *(part for one in units for part in ("--port", one.url)),
        ) as child,
    ):  # fmt: skip
        wait_for(child, "Waiting", None)  # type: ignore[arg-type]  # a question has no step
        child.send_signal(signal.SIGINT)
        time.sleep(0.3)
        child.send_signal(signal.SIGINT)
        assert child.wait(timeout=30) == 130
        assert child.stdout is not None
        verdicts = [one["verdict"] for one in json.loads(child.stdout.read())["units"]]
    assert verdicts == ["interrupted"] * slots


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="only POSIX has pseudo-terminals")
@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_terminal_that_has_gone_is_the_end_of_what_is_typed() -> None:
    """Its window was closed: nobody waits for a scan for ever."""
    ours, theirs = os.openpty()
    with os.fdopen(theirs, encoding="utf-8") as stdin:
        typed = TypedLines(stdin)
        os.write(ours, b"left\n")
        assert typed.readline(10) == "left\n"
        os.close(ours)
        assert typed.readline(10) == ""
        assert typed.ended
