"""Rules about the source itself that no linter knows."""

import ast
import re
import subprocess

import pytest

from tests.support.source import ROOT, modules

MAY_REVEAL = {
    "eol_inject/unit.py": "defines it",
    "eol_inject/device/console_line.py": "puts token and secret fields into the console's lines",
    "eol_inject/device/masking.py": "takes a unit's secrets out of what its console said",
    "eol_inject/image/values.py": "puts token and secret fields into the region's bytes",
    "eol_inject/ledger/vault.py": "encrypts and fingerprints",
    "eol_inject/ledger/people.py": "hashes a PIN",
    "eol_inject/ledger/exporting.py": "gives secrets to an engineer who said why, on record first",
    "eol_inject/cli/places.py": "parses the keys that the environment gave",
    "eol_inject/verify/regions.py": "compares two readings of the region",
    "eol_inject/verify/blnkopt.py": "judges the shape of what it read",
    "eol_inject/label/render.py": "draws the claim code and compares what the finished bitmap says",
}
"""Module → why it needs a secret's bytes. A new line here is a decision, not a formality."""


def _calls(name: str) -> list[str]:
    """Where something called ``name`` is called, as ``file:line``."""
    found = []
    for module in modules():
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Call):
                called = node.func
                last = (
                    called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
                )
                if last == name:
                    found.append(f"{module.where}:{node.lineno}")
    return found


def test_only_the_ledger_proves() -> None:
    """``Proven`` is built in ``ledger/`` alone, so a label cannot come from anywhere else."""
    calls = _calls("Proven")
    assert [call for call in calls if not call.startswith("eol_inject/ledger/")] == []


def test_secrets_are_revealed_only_where_their_bytes_are_needed() -> None:
    """Every module that calls ``reveal()`` stands in the list above, with its reason."""
    using = {call.split(":")[0] for call in _calls("reveal")}
    assert using - set(MAY_REVEAL) == set()
    assert set(MAY_REVEAL) - using - {"eol_inject/unit.py"} == set(), (
        "no longer needed: take it out"
    )


MAY_TOUCH_THE_ENVIRONMENT = {
    "eol_inject/device/esp_lib.py": "pins ESPTOOL_CFGFILE while esptool is imported, then restores",
    "eol_inject/sim/programmer.py": "is a program of its own, called as a profile's commands say",
}
"""Module → why settings as arguments are not enough."""


def test_nothing_below_the_command_line_prints_or_reads_the_environment() -> None:
    """Results are told by ``cli/answer.py``; settings come in as arguments."""
    wrong = []
    for module in modules():
        if module.place in {"cli", "__main__"} or module.where in MAY_TOUCH_THE_ENVIRONMENT:
            continue
        for node in ast.walk(module.tree):
            match node:
                case ast.Call(func=ast.Name(id="print" | "input")):
                    wrong.append(f"{module.where}:{node.lineno}")
                case ast.Attribute(value=ast.Name(id="os"), attr="environ" | "getenv"):
                    wrong.append(f"{module.where}:{node.lineno}")
                case ast.Attribute(value=ast.Name(id="sys"), attr="argv"):
                    wrong.append(f"{module.where}:{node.lineno}")
    assert wrong == []


def test_every_module_is_short_and_says_what_it_is() -> None:
    """A module has one subject, told in its first line; past 500 lines it has two."""
    wrong = []
    for module in modules():
        lines = len(module.path.read_text(encoding="utf-8").splitlines())
        if lines > 500:
            wrong.append(f"{module.where}: {lines} lines")
        if module.tree.body and not ast.get_docstring(module.tree):
            wrong.append(f"{module.where}: no docstring")
    assert wrong == []


def test_no_broad_except_but_in_the_two_places() -> None:
    """Errors become outcomes in the cycle and in the command line, nowhere else."""
    allowed = {"eol_inject/cli/answer.py", "eol_inject/station/cycle.py"}
    wrong = []
    for module in modules():
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ExceptHandler) and module.where not in allowed:
                last = node.body[-1]
                if isinstance(last, ast.Raise) and last.exc is None:
                    continue  # tidies up and passes everything on
                caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
                names = {getattr(kind, "id", "") for kind in caught if kind is not None}
                if node.type is None or names & {"Exception", "BaseException"}:
                    wrong.append(f"{module.where}:{node.lineno}")
    assert wrong == []


def test_no_file_names_a_machine_it_was_made_on() -> None:
    """A clone works in any folder, so no file holds an absolute path of somebody's machine."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if listed.returncode:
        pytest.skip("not a git clone: an unpacked source archive has no list of its files")
    # put together here so that this file does not find itself
    machine = re.compile("|".join(("/" + "work/", "/tmp" + "/prep", "/" + "root/")))
    wrong = []
    for name in listed.stdout.splitlines():
        try:
            text = (ROOT / name).read_text(encoding="utf-8")
        except (UnicodeDecodeError, FileNotFoundError):
            continue
        wrong += [f"{name}: {found.group()}" for found in machine.finditer(text)]
    assert wrong == []
