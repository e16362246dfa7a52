"""A known AuthToken goes through real runs of the command, and is in the unit and nowhere else.

Each run is a process of its own with a home, a temporary and a working folder of its own, so that
everything it leaves behind is under one roof. What is searched is proved in ``test_canary.py``.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from eol_inject.sim import manage
from tests.support.canary import Canary, Sighting, Watch
from tests.support.source import ROOT

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/environ").exists(), reason="watches processes through /proc"
)

AUTH = "-c4NaryT0ken_forTheHunt-" + "9x8Z7yQ1"
CLAIM = "sqr_" + "Q7wErTyU10pAsDfGh" + "_kLzXcVbNm12-3q"
FLASH = 4 * 1024 * 1024


@dataclass
class Home:
    """One user's machine, as far as a run can tell."""

    folder: Path
    port: str
    canary: Canary = field(default_factory=lambda: Canary(AUTH))
    said: list[bytes] = field(default_factory=list)
    seen: list[Sighting] = field(default_factory=list)
    samples: int = 0

    def command(self, *args: str) -> list[str]:
        """The argument list of one command on this machine's training ledger."""
        return [sys.executable, "-m", "eol_inject", *args]

    @property
    def environment(self) -> dict[str, str]:
        """Only what this machine has."""
        names = {
            "HOME": "", "TMPDIR": "tmp", "XDG_RUNTIME_DIR": "run", "XDG_DATA_HOME": "data",
            "XDG_CONFIG_HOME": "config", "XDG_CACHE_HOME": "cache", "XDG_STATE_HOME": "state",
        }  # fmt: skip
        own = {name: str(self.folder / path) for name, path in names.items()}
        return {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path), **own}

    def run(self, *args: str, stdin: bytes = b"") -> int:
        """Run a command to its end, watched."""
        with Watch(self.canary) as watch:
            done = subprocess.run(
                self.command(*args),
                input=stdin, capture_output=True, cwd=self.folder / "desk", env=self.environment,
                check=False,
            )  # fmt: skip
        self._heard(done.stdout + done.stderr, watch)
        return done.returncode

    def run_until(self, line: bytes, *args: str) -> None:
        """Run a command and kill it, without a chance to clean up, once it says ``line``."""
        said = b""
        with (
            Watch(self.canary) as watch,
            subprocess.Popen(
                self.command(*args),
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                cwd=self.folder / "desk", env=self.environment,
            ) as child,
        ):  # fmt: skip
            assert child.stderr is not None
            while line not in said:
                heard = child.stderr.readline()
                assert heard, said
                said += heard
            child.send_signal(signal.SIGKILL)
            said += child.stderr.read()
        assert child.returncode == -signal.SIGKILL
        self._heard(said, watch)

    def _heard(self, said: bytes, watch: Watch) -> None:
        self.said.append(said)
        self.seen += watch.seen
        self.samples += watch.samples

    def everywhere(self) -> list[Sighting]:
        """Every sighting so far: files, streams, argument lists, environments."""
        streams = self.canary.in_bytes(b"\n".join(self.said), "output")
        return [*self.seen, *streams, *self.canary.in_folders([self.folder])]

    def import_canary(self) -> None:
        """The one token of the pool, from standard input: no file holds it."""
        source = f"Device Token,QR Token\n{AUTH},{CLAIM}+1\n".encode()
        code = self.run(
            "tokens", "import", "-", "--training", "--profile", "esp32c3-blnkopt", "--lot", "L",
            stdin=source,
        )  # fmt: skip
        assert code == 0, self.said

    def line(self, port: str) -> tuple[str, ...]:
        """The arguments of one cycle."""
        return (
            "run", "--once", "--training", "--profile", "esp32c3-blnkopt", "--lot", "L",
            "--port", port, "--printer", (self.folder / "labels").as_uri(), "--json", "--events",
        )  # fmt: skip

    def holds_the_token(self) -> bool:
        """Whether the unit's flash has it: otherwise there was nothing to leak."""
        return AUTH.encode() in manage.peek(self.port, 0, FLASH)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    for name in ("tmp", "run", "desk"):
        (tmp_path / name).mkdir(mode=0o700)
    port = f"sim://esp32c3?mac=60:55:f9:00:0c:01&dir={tmp_path / 'run' / 'units'}"
    yield Home(tmp_path, port)
    manage.stop(port)


def test_after_success_the_token_is_in_the_unit_and_nowhere_else(home: Home) -> None:
    """Ledger, its log, labels, reports, output, temporary files, processes: nothing."""
    home.import_canary()
    assert home.run(*home.line(home.port)) == 0, home.said
    for command in (
        ("verify", "--profile", "esp32c3-blnkopt", "--port", home.port, "--training"),
        ("unit", "show", "60:55:f9:00:0c:01", "--training", "--json"),
        ("report", "units", "--training", "--json"),
        ("tokens", "status", "--training"),
    ):
        assert home.run(*command) == 0, home.said
    assert home.holds_the_token()
    assert list(home.folder.glob("labels/*.pdf"))
    assert home.samples > 20
    assert home.everywhere() == []


def test_what_a_console_is_told_is_in_the_unit_and_nowhere_else(home: Home) -> None:
    """A firmware that echoes, and logs its WiFi password and token when it starts, also broken over
    lines: the boot log is kept, and holds neither."""
    typed = "c4nary of \\the WiFi-9x8Z7yQ1"
    password = Canary(typed)
    firmware = ROOT / "fixtures" / "firmware" / "esp32c3"
    parts = (("boot", 0), ("partitions", 0x8000), ("app", 0x10000))
    images = "".join(f"&image={firmware}_{name}.bin@{address:#x}" for name, address in parts)
    home.port = f"{home.port}{images}&console=classic&leak=1"
    profile = home.folder / "desk" / "own.toml"
    shipped = (ROOT / "profiles" / "esp32c3-classic-edgent-console.toml").read_text("utf-8")
    profile.write_text(f"{shipped}\n[boot]\nexpect = 'Ready'\n", "utf-8")
    source = f"Device Token,QR Token,WiFi,WiFi password\n{AUTH},{CLAIM}+1,plant,{typed}\n"
    code = home.run(
        "tokens", "import", "-", "--training", "--profile", str(profile), "--lot", "L",
        stdin=source.encode(),
    )  # fmt: skip
    assert code == 0, home.said
    args = [str(profile) if arg == "esp32c3-blnkopt" else arg for arg in home.line(home.port)]
    assert home.run(*args) == 0, home.said
    assert home.run("unit", "show", "60:55:f9:00:0c:01", "--training", "--log", "--json") == 0
    assert b"Blynk cloud: [hidden]" in home.said[-1], "nothing was said that could be hidden"
    assert home.holds_the_token()
    assert home.everywhere() == []
    assert password.in_folders([home.folder]) == []
    assert password.in_bytes(b"\n".join(home.said), "output") == []


def test_rework_and_keeping_the_ledger_leave_the_token_nowhere(home: Home) -> None:
    """Rework by a scanned label, backup, export, check, support bundle; and the PIN as little."""
    home.import_canary()
    assert home.run(*home.line(home.port)) == 0, home.said
    pin, why = Canary("the-pin-of-ada-4711"), ("--reason", "why", "--operator", "Ada")
    training = ("--training", "--json")
    for command, typed in (
        (("ledger", "people", "add", "Ada", "--role", "admin", "--new-pin-file", "-"), ""),
        (("unit", "quarantine", "-", *why, "--pin-file", "-"), f"]Q1{CLAIM}+1\n"),
        (("unit", "clear", "-", *why, "--pin-file", "-"), f"{CLAIM}+1\n"),
        (("tokens", "revoke", "-", *why, "--pin-file", "-"), f"{CLAIM}+1\n"),
        (("tokens", "todo"), ""),
        (("ledger", "backup", "backup.db"), ""),
        (("ledger", "export", "tokens.csv", "--format", "csv"), ""),
        (("ledger", "check", "--anchor", "anchors"), ""),
        (("support", "bundle", "bundle.zip"), ""),
    ):
        stdin = f"{typed}the-pin-of-ada-4711\n".encode()
        assert home.run(*command, *training, stdin=stdin) == 0, home.said
    assert home.everywhere() == []
    assert pin.in_folders([home.folder]) == []
    assert pin.in_bytes(b"\n".join(home.said), "output") == []


@pytest.mark.parametrize("fault", ["unplug@write:40960,x1", "wrong_md5", "swap@write:40960,x1"])
def test_after_a_fault_the_token_is_nowhere_but_in_the_unit(home: Home, fault: str) -> None:
    """What stops in the middle of a write tells why, in a code and a sentence without a value."""
    home.import_canary()
    code = home.run(*home.line(f"{home.port}&fault={fault}"))
    answer = json.loads(home.said[-1].splitlines()[0])
    assert code in (1, 3), home.said
    assert answer["error"]["code"].split(".")[0] in ("device", "verify"), answer
    assert home.everywhere() == []


def test_after_sigkill_the_token_is_nowhere_but_in_the_unit(home: Home) -> None:
    """Killed while it writes: no temporary file, no log of SQLite's, no half-made label tells."""
    home.import_canary()
    home.run_until(b'"step": "read_back"', *home.line(f"{home.port}&fault=hang@read,x1"))
    assert home.holds_the_token()
    assert home.everywhere() == []
    assert home.run(*home.line(home.port)) == 0, home.said
    assert home.everywhere() == []


def test_a_source_file_is_the_only_file_that_holds_the_token(home: Home) -> None:
    """An export that was kept is found, so the search reaches this far; and no copy of it."""
    source = home.folder / "desk" / "export.csv"
    source.write_text(f"Device Token,QR Token\n{AUTH},{CLAIM}+1\n")
    args = ("tokens", "import", str(source), "--training", "--profile", "esp32c3-blnkopt")
    assert home.run(*args, "--lot", "L", "--keep-source") == 0, home.said
    assert {sighting.place for sighting in home.everywhere()} == {str(source)}
    assert home.run(*args, "--lot", "L", "--delete-source") == 0, home.said
    assert home.everywhere() == []


def test_a_refused_source_does_not_show_its_tokens(home: Home) -> None:
    """A bad row is named by its number; neither it nor its neighbours are quoted."""
    bad = f"Device Token,QR Token\n{AUTH},{CLAIM}+1\n{AUTH},{CLAIM[:-1]}X+1\n".encode()
    for source in (bad, bad[:-20], bad.replace(b",", b";")[:60], b"\x00" + bad):
        home.run(
            "tokens", "import", "-", "--training", "--profile", "esp32c3-blnkopt", "--lot", "L",
            "--json", stdin=source,
        )  # fmt: skip
    assert home.everywhere() == []
