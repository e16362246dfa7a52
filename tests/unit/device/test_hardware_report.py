"""`tests/hardware` on a unit, as somebody runs it who has one: the contract, and its report."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from eol_inject.sim import manage

ROOT = Path(__file__).resolve().parents[3]
MAC = "60:55:f9:0a:0b:0c"

Start = Callable[..., str]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts one unit with these options; its URL."""
    made: list[str] = []

    def begin(*options: str, mac: str = MAC) -> str:
        made.append("&".join((f"sim://esp32c3?mac={mac}&dir={tmp_path}&id=bench", *options)))
        manage.start(made[0])
        return made[0]

    yield begin
    for url in made:
        manage.stop(url)


def on(url: str, out: Path, *options: str) -> tuple[int, dict[str, Any]]:
    """Exit code and report of a run."""
    done = subprocess.run(
        [
            sys.executable, "-m", "pytest", "tests/hardware", "--port", url, "--chip", "esp32c3",
            "--report", str(out), *options,
        ],
        cwd=ROOT, capture_output=True, check=False, timeout=110, text=True,
        env={name: value for name, value in os.environ.items() if "PYTEST" not in name},
    )  # fmt: skip
    assert out.exists(), done.stdout[-2000:]
    return done.returncode, json.loads(out.read_text())


@pytest.mark.parametrize("destructive", [False, True])
def test_the_report_says_which_facts_held(
    tmp_path: Path, start: Start, *, destructive: bool
) -> None:
    """Each fact with its outcome and time, the unit without its number; exit code of pytest."""
    out = tmp_path / "report.json"
    code, report = on(start(), out, *(["--destructive"] if destructive else []))
    assert (code, report["counts"]["failed"]) == (0, 0), report["facts"]
    assert report["counts"]["passed"] == sum(one["outcome"] == "passed" for one in report["facts"])
    wrote = any("written" in one["fact"] or "erase" in one["test"] for one in report["facts"])
    assert wrote == destructive
    assert report["unit"]["chip"] == "esp32c3"
    assert report["unit"]["maker"] == "60:55:f9"
    assert "0a:0b:0c" not in out.read_text()
    assert all(one["fact"] and one["seconds"] >= 0 for one in report["facts"])


@pytest.mark.parametrize("way", ["socket", "rfc2217", "usb"])
def test_every_way_to_a_unit_can_be_tried(tmp_path: Path, start: Start, way: str) -> None:
    """A port server without lines or with them, and the chip's own USB; writing, too."""
    options = []
    if way == "usb":
        url, options = start("usb=1"), ["--before", "usb-reset"]
    else:
        listening = manage.listen(start("boot=download"))
        found = listening.socket if way == "socket" else listening.rfc2217
        assert found is not None
        url = found
    code, report = on(url, tmp_path / "report.json", "--destructive", *options)
    assert (code, report["counts"]["failed"]) == (0, 0), report["facts"]
    assert report["unit"]["port_kind"] == ("sim" if way == "usb" else way)


def test_what_failed_is_told_without_the_units_number(tmp_path: Path, start: Start) -> None:
    """Errors name the unit; the report is for strangers."""
    out = tmp_path / "report.json"
    code, report = on(start(mac="01:00:5e:0a:0b:0c"), out)
    assert code == 1
    assert any("(MAC)" in one["why"] for one in report["facts"])
    assert "0a:0b:0c" not in out.read_text()
