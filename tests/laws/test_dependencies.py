"""What is imported is declared, what is declared is used, and each says why."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions

from tests.support.source import ROOT, modules

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
NAMED_IN_TEXT = {"psycopg": "the driver in SQLAlchemy's URL"}
"""Distributions that no import statement names, and where they are named instead."""


def _names(requirements: list[str]) -> set[str]:
    return {_normal(re.split(r"[\[<>=!~; ]", text)[0]) for text in requirements}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _declared() -> set[str]:
    """What an installation brings, its extras for users included; not what only tests need."""
    extras = PROJECT["optional-dependencies"]
    return _names(PROJECT["dependencies"]).union(
        *(_names(needs) for name, needs in extras.items() if name != "dev")
    )


def _imported() -> dict[str, str]:
    """Distribution → one place that imports it."""
    of = packages_distributions()
    found = {}
    for module in modules():
        for one in module.imports():
            top = one.module.split(".")[0]
            if top == "eol_inject" or top in sys.stdlib_module_names or one.typing:
                continue
            for distribution in of.get(top, [top]):
                found[_normal(distribution)] = f"{module.where}:{one.line}"
    return found


def test_every_imported_library_is_declared() -> None:
    """A fresh installation has everything that some command will import."""
    missing = {name: where for name, where in _imported().items() if name not in _declared()}
    assert missing == {}


def test_every_declared_library_is_used() -> None:
    """A dependency that nothing imports costs every station an installation."""
    literals = {
        word
        for module in modules()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        for word in re.findall(r"[a-z0-9]+", node.value)
    }
    named = {name for name in NAMED_IN_TEXT if name in literals}
    assert _declared() - set(_imported()) - named == set()


def test_every_dependency_has_its_reason_beside_it() -> None:
    """Who wonders whether it is still needed reads why it came."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    project = text[text.index("dependencies = [") : text.index("[project.scripts]")]
    lines = [line for line in project.splitlines() if line.startswith('  "')]
    assert len(lines) > 20
    assert [line for line in lines if not re.search(r'",\s+# \S', line)] == []
