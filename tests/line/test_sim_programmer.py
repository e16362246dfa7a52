"""Training for products behind a programmer: made-up units, judged by their memories."""

import io
import subprocess
import sys

import pytest
from intelhex import IntelHex

from eol_inject import resources
from eol_inject.sim.programmer import FAULTS
from tests.line.conftest import LOT, Line, RealDesk, Told

SHIPPED = "sim-programmer"


def port(line: Line, name: str, fault: str = "") -> str:
    """A unit of that name."""
    folder = line.folder / "units"
    return f"sim://programmer?id={name}&dir={folder}" + (f"&fault={fault}" if fault else "")


def memory(line: Line, name: str) -> bytes:
    """What its flash holds."""
    path = line.folder / "units" / f"programmer-{name}" / "flash"
    return path.read_bytes() if path.exists() else b""


def tokens(line: Line, name: str) -> set[str]:
    """Which tokens of the pool."""
    return {token for token in line.pool if token.encode() in memory(line, name)}


def run(line: Line, where: str, profile: str = SHIPPED) -> Told:
    """One cycle."""
    return line.type(
        "run", "--once", "--profile", profile, "--port", where, "--lot", LOT,
        "--printer", str(line.folder / "labels"),
    )  # fmt: skip


def test_units_are_made_for_training(line: Line) -> None:
    """Each gets a token of its own and the label that goes with it; done is done; QA reads them."""
    for name in ("1", "2"):
        told = run(line, port(line, name))
        assert (told.code, told.unit["proof"]) == (0, "read_back"), told
    held = [tokens(line, name) for name in ("1", "2")]
    assert [len(one) for one in held] == [1, 1]
    assert held[0] != held[1]
    assert set(line.labels().values()) == {line.pool[token] for one in held for token in one}
    assert run(line, port(line, "1")).error == "ledger.unit_closed"
    told = line.type("verify", "--profile", SHIPPED, "--port", port(line, "2"))
    assert (told.code, told.out["holding"]) == (0, "own")


@pytest.mark.parametrize(
    ("fault", "code", "error", "then"),
    [
        ("no_answer", 3, "device.no_sync", ""),
        ("torn_write", 3, "device.no_sync", ""),
        ("bad_cell", 1, "verify.memory_differs", "verify.memory_differs"),
    ],
)
def test_what_can_go_wrong_can_be_trained(
    line: Line, fault: str, code: int, error: str, then: str
) -> None:
    """The same unit goes on with its own token once the fault is gone, unless its memory is bad."""
    assert fault in FAULTS
    told = run(line, port(line, "1", fault))
    assert (told.code, told.error) == (code, error), told
    assert line.labels() == {}
    assert run(line, port(line, "1")).error == then
    assert len(tokens(line, "1")) == 1
    counts = line.type("tokens", "status").out["counts"]
    assert sum(row["count"] for row in counts if row["state"] != "available") == 1


def test_made_up_units_and_real_ledgers_never_meet(line: Line, desk: RealDesk) -> None:
    """Not by the port, not by the profile: neither a made-up unit on a production ledger, nor a
    real programmer on a training ledger."""
    assert desk.run(port(line, "1"), "", SHIPPED).error == "ledger.simulated_on_production"
    real = line.folder / "real"
    real.mkdir()
    assert desk.run(real, "", SHIPPED).error == "device.programmer_port"
    text = (resources.folder("profiles") / f"{SHIPPED}.toml").read_text("utf-8")
    text = text.replace("../fixtures", str(resources.folder("fixtures")))
    other = line.folder / "other.toml"
    other.write_text(text.replace('"sim-programmer"', '"true"'), "utf-8")
    assert run(line, port(line, "1"), str(other)).error == "device.programmer_port"
    assert run(line, str(real), str(other)).error == "ledger.real_on_training"
    mixed = text.replace('["sim-programmer", "{port}", "write"', '["true", "{port}", "write"')
    other.write_text(mixed, "utf-8")
    told = run(line, port(line, "1"), str(other))
    assert (told.code, told.error) == (2, "profile.invalid")
    other.write_text(f"{text}\n[boot]\nexpect = 'x'\n", "utf-8")
    assert run(line, port(line, "1"), str(other)).error == "profile.invalid"
    assert memory(line, "1") == b""


def test_a_shared_folder_is_no_place_for_units(line: Line) -> None:
    """Their memories hold tokens: others may not read them."""
    folder = line.folder / "units"
    folder.mkdir(mode=0o755)
    folder.chmod(0o755)
    assert run(line, port(line, "1")).code == 3
    assert list(folder.iterdir()) == []


def test_a_damaged_hex_file_is_refused_and_nothing_is_written(line: Line) -> None:
    """Extended addresses are taken; one wrong digit is not."""
    made = IntelHex()
    made.frombytes(b"low", offset=0x100)
    made.frombytes(b"high", offset=0x2FFFE)
    text = io.StringIO()
    made.write_hex_file(text)
    (line.folder / "units").mkdir(mode=0o700)
    command = [sys.executable, "-m", "eol_inject.sim.programmer", port(line, "1"), "write", "flash"]
    bad = text.getvalue().replace("6C6F77", "6C6F78")
    done = subprocess.run(command, input=bad, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "sim-programmer: this is no Intel HEX\n")
    assert not (line.folder / "units" / "programmer-1" / "flash").exists()
    subprocess.run(command, input=text.getvalue(), text=True, check=True)
    held = memory(line, "1")
    assert (held[0x100:0x103], held[0x2FFFE:]) == (b"low", b"high")
