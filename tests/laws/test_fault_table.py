"""The README's table of faults is true: every fault, every code and its exit code."""

import ast
import re

from eol_inject import errors
from eol_inject.errors import EolError, Exit, texts
from eol_inject.sim.faults import FAULTS, parse
from tests.support.source import ROOT, modules

_ROW = re.compile(
    r"^\| (?P<what>[^|]+) \| (?P<play>[^|]+) \| (?P<codes>[^|]+) \| (?P<exit>[^|]+) \|$"
)


def rows() -> list[tuple[list[str], list[str], set[int]]]:
    """Faults as they are armed, codes, and exit codes, row by row."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    part = text[text.index("### What goes wrong") : text.index("### Exit codes")]
    found = [match for line in part.splitlines() if (match := _ROW.match(line))]
    return [
        (
            re.findall(r"`([^`]+)`", one["play"]),
            re.findall(r"`([a-z]+\.[a-z0-9_]+)`", one["codes"]),
            {int(code) for code in re.findall(r"\d+", one["exit"])},
        )
        for one in found
        if "code" not in one["codes"].split()
    ]


def exits() -> dict[str, set[int]]:
    """Code → exit codes of the classes that it is raised with."""
    kinds = {
        name: kind
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, EolError) and kind is not EolError
    }
    found: dict[str, set[int]] = {}
    for module in modules():
        for node in ast.walk(module.tree):
            if not isinstance(node, ast.Call):
                continue
            names = [one.id for one in (node.func, *node.args) if isinstance(one, ast.Name)]
            codes = [
                one.value
                for one in node.args
                if isinstance(one, ast.Constant) and isinstance(one.value, str)
            ]
            for kind in (kinds[name] for name in names if name in kinds):
                for code in codes:
                    found.setdefault(code, set()).add(int(kind.exit))
    return found


def test_every_fault_that_can_be_played_stands_in_the_table() -> None:
    """And each example of it can be armed."""
    armed = [
        parse(play) for plays, _, _ in rows() for play in plays if not play.startswith("sim://")
    ]
    assert {fault.row.name for fault in armed} == set(FAULTS)


def test_every_code_has_its_sentence_and_the_exit_code_that_stands_there() -> None:
    """By the class that the code is raised with."""
    known = exits()
    for _, codes, exit_codes in rows():
        for code in codes:
            stage, _, name = code.partition(".")
            assert texts()[stage][name]["hint"], code
            # what the unit holds is raised from one table: tests/line/test_holdings.py has those
            if not code.startswith("verify.holds"):
                assert known.get(code, set()) & exit_codes, (code, known.get(code), exit_codes)
        assert exit_codes <= {int(code) for code in Exit}
    assert len(rows()) > 12
