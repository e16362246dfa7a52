"""`tests/hardware` on a unit, as somebody runs it who has one: the contract, and its report."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from eol_inject.sim import manage

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("destructive", [False, True])
def test_the_report_says_which_facts_held(tmp_path: Path, *, destructive: bool) -> None:
    """Each fact with its outcome and time, the unit without its number; exit code of pytest."""
    url = f"sim://esp32c3?mac=60:55:f9:0a:0b:0c&dir={tmp_path}&id=bench"
    out = tmp_path / "report.json"
    writing = ["--destructive"] if destructive else []
    try:
        done = subprocess.run(
            [
                sys.executable, "-m", "pytest", "tests/hardware", "--port", url, "--chip",
                "esp32c3", "--report", str(out), *writing,
            ],
            cwd=ROOT, capture_output=True, check=False, timeout=100, text=True,
            env={name: value for name, value in os.environ.items() if "PYTEST" not in name},
        )  # fmt: skip
    finally:
        manage.stop(url)
    assert done.returncode == 0, done.stdout[-2000:]
    report = json.loads(out.read_text())
    assert report["counts"]["failed"] == 0
    assert report["counts"]["passed"] == sum(one["outcome"] == "passed" for one in report["facts"])
    wrote = any("written" in one["fact"] or "erase" in one["test"] for one in report["facts"])
    assert wrote == destructive
    assert report["unit"]["chip"] == "esp32c3"
    assert report["unit"]["maker"] == "60:55:f9"
    assert "0a:0b:0c" not in out.read_text()
    assert all(one["fact"] and one["seconds"] >= 0 for one in report["facts"])
