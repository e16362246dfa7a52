"""A whole line on one desk: ledger, tokens, profile, printer folder and simulated units.

Units are judged by their flash, read from their server behind the serial port's back, and by the
printed labels; never by what the ledger says of itself.
"""

import hashlib
import io
import itertools
import json
import random
import string
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import zxingcpp
from PIL import Image

from eol_inject import resources
from eol_inject.cli import answer
from eol_inject.errors import EolError
from eol_inject.sim import manage
from tests.support import postgres

PRODUCT = "TMPLsample01"
LOT = "L1"
FIRMWARE = resources.folder("fixtures") / "firmware"
BASE = {"esp32c3": 0x10000, "esp32": 0x10000, "esp8266": 0x1000}
BOOT = {"esp32c3": 0x0, "esp32": 0x1000, "esp8266": 0x0}
OUI = {"esp32c3": "60:55:f9", "esp32": "24:0a:c4", "esp8266": "5c:cf:7f"}
_serial = itertools.count(1)


@dataclass(frozen=True)
class Told:
    """What one command line said."""

    code: int
    out: dict[str, Any]

    @property
    def unit(self) -> dict[str, Any]:
        """The one unit of a ``run --once``."""
        (unit,) = self.out["units"]
        return dict(unit)

    @property
    def error(self) -> str:
        """The error's code; empty on a pass."""
        return self.out["error"]["code"] if self.out["error"] else ""


@dataclass
class Unit:
    """One simulated unit."""

    chip: str
    mac: str
    url: str

    def flash(self, address: int, size: int) -> bytes:
        """What its flash really holds."""
        return manage.peek(self.url, address, size)

    def digest(self) -> str:
        """SHA-256 over 4 MiB of its flash."""
        return hashlib.sha256(self.flash(0, 4 << 20)).hexdigest()

    def tokens(self, pool: dict[str, str]) -> set[str]:
        """Which tokens of ``pool`` stand anywhere in its flash."""
        content = self.flash(0, 4 << 20)
        return {token for token in pool if token.encode() in content}


@dataclass
class Line:
    """Everything a station has, and a way to type commands."""

    folder: Path
    read_output: Callable[[], str]
    pool: dict[str, str] = field(default_factory=dict)
    """AuthToken → claim code of every imported token."""
    units: list[Unit] = field(default_factory=list)
    ledger: str = ""
    """Its URL; empty: a file in ``folder``."""

    @property
    def options(self) -> list[str]:
        """What every command of this line is given."""
        ledger = self.ledger or f"sqlite:///{self.folder / 'ledger.db'}"
        return ["--json", "--ledger", ledger, "--key-file", str(self.folder / "ledger.key"),
                "--training"]  # fmt: skip

    def type(self, *args: str, station: str = "S1", operator: str = "Ada") -> Told:
        """One command with ``--json`` on this line's ledger."""
        self.read_output()
        code = answer.run([*args, *self.options, "--station", station, "--operator", operator])
        return Told(code, json.loads(self.read_output()))

    def import_tokens(self, count: int, *, lot: str = LOT, seed: int = 1) -> None:
        """Put fresh tokens into the pool, from a CSV on disk."""
        rng = random.Random(f"{lot}{seed}")
        letters = string.ascii_letters + string.digits + "-_"
        made = {
            "".join(rng.choices(letters, k=32)): "sqr_" + "".join(rng.choices(letters, k=32)) + "+1"
            for _ in range(count)
        }
        rows = ["Device Token,QR Token", *(f"{a},{c}" for a, c in made.items())]
        source = self.folder / f"tokens-{lot}-{seed}.csv"
        source.write_text("\n".join(rows) + "\n", encoding="utf-8")
        told = self.type("tokens", "import", str(source), "--product", PRODUCT, "--lot", lot)
        assert told.code == 0, told
        self.pool |= made

    def unit(self, chip: str = "esp32c3", *options: str) -> Unit:
        """A new unit on a port of its own; ``options`` of its URL."""
        number = next(_serial)
        mac = f"{OUI[chip]}:{number >> 16 & 255:02x}:{number >> 8 & 255:02x}:{number & 255:02x}"
        url = "&".join((f"sim://{chip}?mac={mac}&id={self.folder.name}-{number}", *options))
        unit = Unit(chip, mac, url)
        self.units.append(unit)
        return unit

    def golden_unit(self, chip: str = "esp32c3", *options: str) -> Unit:
        """A unit that has the common firmware already, as `inject` wants it."""
        images = [
            f"image={FIRMWARE / f'{chip}_boot.bin'}@{BOOT[chip]:#x}",
            f"image={FIRMWARE / f'{chip}_app.bin'}@{BASE[chip]:#x}",
        ]
        if chip != "esp8266":
            images.append(f"image={FIRMWARE / f'{chip}_partitions.bin'}@0x8000")
        return self.unit(chip, *images, *options)

    def profile(self, chip: str = "esp32c3", name: str = "own", **changes: str) -> str:
        """A copy of a shipped profile with text replaced (old=new), as a file."""
        text = (resources.folder("profiles") / f"{chip}-blnkopt.toml").read_text("utf-8")
        text = text.replace("../fixtures/firmware", str(FIRMWARE))
        for old, new in changes.items():
            before = {"mode": 'mode = "flash"', "stale_nvs": 'stale_nvs = "refuse"'}[old]
            assert before in text
            text = text.replace(before, f'{old} = "{new}"')
        path = self.folder / f"{name}.toml"
        path.write_text(text, encoding="utf-8")
        return str(path)

    def run(
        self, unit: Unit, *, profile: str = "", lot: str = LOT, port: str = "", station: str = "S1"
    ) -> Told:
        """One cycle."""
        return self.type(
            "run", "--once", "--profile", profile or f"{unit.chip}-blnkopt",
            "--port", port or unit.url, "--lot", lot, "--printer", str(self.folder / "labels"),
            station=station,
        )  # fmt: skip

    def labels(self) -> dict[str, str]:
        """Claim code on each printed PNG, by file stem."""
        found = {}
        for path in sorted((self.folder / "labels").glob("*.png")):
            with Image.open(path) as image:
                (code,) = zxingcpp.read_barcodes(image.convert("L"))
            found[path.stem] = code.text
        return found

    def judge(self) -> None:
        """No token on two units, no unit with two, each label on the unit that holds its token."""
        holders: dict[str, str] = {}
        for unit in self.units:
            try:
                held = unit.tokens(self.pool)
            except EolError:
                continue  # never started
            assert len(held) <= 1, f"{unit.mac} holds {len(held)} tokens"
            for token in held:
                assert token not in holders, f"{unit.mac} and {holders[token]} hold one token"
                holders[token] = unit.mac
        by_stem = {mac.replace(":", ""): token for token, mac in holders.items()}
        for stem, code in self.labels().items():
            assert code == self.pool[by_stem[stem.split("-")[0]]], f"label {stem} is another unit's"


@pytest.fixture
def line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Iterator[Line]:
    """A line with a training ledger and ten tokens."""
    made = Line(tmp_path, lambda: capfd.readouterr().out)
    made.import_tokens(10)
    yield made
    for unit in made.units:
        manage.stop(unit.url)


@pytest.fixture(scope="session")
def server(running_server: postgres.Server) -> postgres.Server:
    """A PostgreSQL server of our own."""
    return running_server


@pytest.fixture
def server_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], server: postgres.Server
) -> Iterator[Line]:
    """A line whose ledger is on that server."""
    name = f"line{next(_serial)}"
    url = server.create(name)
    made = Line(tmp_path, lambda: capfd.readouterr().out, ledger=url)
    made.import_tokens(10)
    yield made
    for unit in made.units:
        manage.stop(unit.url)
    server.drop(name)


Scanner = Callable[[str], None]


@pytest.fixture
def scan(monkeypatch: pytest.MonkeyPatch) -> Scanner:
    """What the next command reads on standard input, as a scanner types it."""

    def say(text: str) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))

    return say


class RealDesk:
    """A station for real ports, units that are folders, and serial numbers to scan."""

    def __init__(self, line: Line, patch: pytest.MonkeyPatch) -> None:
        self.line = line
        self.folder = line.folder
        self._patch = patch
        self.options = ["--ledger", f"sqlite:///{line.folder / 'real.db'}", "--key-file",
                        str(line.folder / "real.key"), "--json", "--station", "S1"]  # fmt: skip

    def type(self, *args: str, scans: str = "") -> Told:
        """One command on the production ledger; ``scans`` are typed."""
        self.line.read_output()
        self._patch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(scans.encode())))
        code = answer.run([*args, *self.options, "--operator", "Ada"])
        return Told(code, json.loads(self.line.read_output()))

    def run(self, port: Path | str, serial: str, product: str) -> Told:
        """One cycle."""
        return self.type(
            "run", "--profile", product, "--port", str(port), "--lot", LOT, "--once",
            "--printer", str(self.folder / "labels"), "--scanner", "tty", scans=f"{serial}\n",
        )  # fmt: skip

    def admin(self) -> tuple[str, ...]:
        """Ada may override guards; her PIN."""
        path = self.folder / "pin"
        path.write_text("271828\n")
        told = self.type(
            "ledger", "people", "add", "Ada", "--role", "admin", "--new-pin-file", str(path)
        )
        assert told.code == 0, told
        return ("--pin-file", str(path))

    def tokens_in(self, held: bytes) -> set[str]:
        """Tokens of the pool anywhere in ``held``."""
        return {token for token in self.line.pool if token.encode() in held}


@pytest.fixture
def desk(line: Line, monkeypatch: pytest.MonkeyPatch) -> RealDesk:
    """A production ledger with tokens."""
    made = RealDesk(line, monkeypatch)
    source = next(line.folder.glob("tokens-*.csv"))  # the production ledger takes the same file
    told = made.type("tokens", "import", str(source), "--product", PRODUCT, "--lot", LOT)
    assert told.code == 0, told
    return made
