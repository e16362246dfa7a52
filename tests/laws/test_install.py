"""What is installed works as the clone does: from a wheel, and in place."""

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from tests.support.source import ROOT


def _run(*args: str | Path, cwd: Path) -> str:
    done = subprocess.run(args, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _pip(python: Path, *args: str | Path) -> None:
    quiet = ("--quiet", "--disable-pip-version-check", "--no-deps", "--no-index")
    _run(sys.executable, "-m", "pip", "--python", python, "install", *quiet, *args, cwd=ROOT)


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    """A new virtual environment's bin folder: our libraries by a path file, our own code not."""
    folder = tmp_path / "fresh"
    venv.create(folder, symlinks=os.name != "nt")
    names = {"base": str(folder), "platbase": str(folder)}
    site = Path(sysconfig.get_path("purelib", vars=names))
    site.joinpath("libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return Path(sysconfig.get_path("scripts", vars=names))


def _works(scripts: Path, cwd: Path) -> str:
    """Run the installed command from another folder; returns where the package was found."""
    help_text = _run(scripts / "eol-inject", "--help", cwd=cwd)
    assert "Commands:" in help_text
    profiles = json.loads(_run(scripts / "eol-inject", "profile", "list", "--json", cwd=cwd))
    shipped = {path.stem for path in (ROOT / "profiles").glob("*.toml")}
    assert shipped
    assert shipped <= {entry["name"] for entry in profiles["profiles"]}
    code = "import eol_inject; print(eol_inject.__file__)"
    return _run(scripts / "python", "-c", code, cwd=cwd).strip()


def test_the_wheel_works_from_any_folder(fresh: Path, tmp_path: Path) -> None:
    """Built, installed beside nothing of the clone, and run elsewhere: profiles come with it."""
    _run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path, cwd=ROOT)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    for folder in ("profiles", "label_templates", "fixtures"):
        assert any(name.startswith(f"eol_inject/_data/{folder}/") for name in names), folder
    assert "eol_inject/texts/en.toml" in names
    _pip(fresh / "python", wheel)
    assert Path(_works(fresh, tmp_path)).is_relative_to(tmp_path)


def test_the_editable_install_works_from_any_folder(fresh: Path, tmp_path: Path) -> None:
    """``pip install -e .``, as contributors do: profiles are found at the top of the clone."""
    _pip(fresh / "python", "--no-build-isolation", "--editable", ROOT)
    assert Path(_works(fresh, tmp_path)) == ROOT / "eol_inject" / "__init__.py"
