"""Imports point down only: the layout of ARCHITECTURE.md, enforced."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.support.source import Import, Module, modules

STAGES = {"tokens", "ledger", "image", "device", "verify", "label"}
LEAVES = {"unit", "events", "errors", "specs", "resources", "scan"}
"""Nouns and the little that everybody needs; ``chips`` only where chips are the subject."""

MAY_IMPORT: dict[str, set[str]] = {
    **dict.fromkeys(LEAVES, LEAVES),
    **{stage: {stage, *LEAVES} for stage in STAGES},
    "image": {"image", "chips", *LEAVES},
    "device": {"device", "chips", *LEAVES},
    "chips": set(),
    "sim": {"sim", "unit", "errors", "chips"},
    "report": LEAVES,
    "profiles": {"chips", *LEAVES},  # and the spec.py of each stage, see below
    "station": {"station", "profiles", "report", "chips", *STAGES, *LEAVES},
    "acts": {"acts", "station", "profiles", "report", "chips", *STAGES, *LEAVES},
    "cli": {"cli", "acts", "station", "profiles", "report", "chips", *STAGES, *LEAVES},
    "__main__": {"cli", *LEAVES},
}
MAY_IMPORT_SIM = {"eol_inject.cli.sim", "eol_inject.cli.demo"}
POSIX_ONLY = {"fcntl", "termios", "resource", "pwd", "grp", "tty", "pty"}
LOADED_LATE = {"eol_inject.cli.live_board"}
"""All of it is drawing with rich; `run` imports it only for several slots at a terminal."""

HEAVY = {
    "PIL", "aiohttp", "alembic", "cryptography", "esptool", "numpy", "pandas", "pydantic", "pyipp",
    "qrcode", "reportlab", "rich", "serial", "sqlalchemy", "zxingcpp",
}  # fmt: skip


def _own(module: Module) -> Iterator[tuple[Import, str]]:
    """Each import of our own package, with the dotted module it leads to."""
    for found in module.imports():
        if found.module == "eol_inject":
            for name in found.names:
                if name != "__version__":
                    yield found, f"eol_inject.{name}"
        elif found.module.startswith("eol_inject."):
            yield found, found.module


def test_each_folder_imports_only_what_stands_below_it() -> None:
    """No stage knows another, and nothing below the command line knows the simulator."""
    wrong = []
    for module in modules():
        if not module.place:
            continue
        for found, target in _own(module):
            place = target.split(".")[1]
            if place in MAY_IMPORT[module.place]:
                continue
            if module.name in MAY_IMPORT_SIM and place == "sim":
                continue
            if module.place == "profiles" and place in STAGES and target.endswith(".spec"):
                continue
            wrong.append(f"{module.where}:{found.line} imports {target}")
    assert wrong == []


def test_only_its_own_folder_reaches_behind_a_face() -> None:
    """Other folders import a package's face, its ``spec`` or a public module: never ``_name``."""
    wrong = [
        f"{module.where}:{found.line} imports {name}"
        for module in modules()
        for found, target in _own(module)
        for name in (*target.split("."), *found.names)
        if name.startswith("_") and not name.startswith("__")
    ]
    assert wrong == []


def test_imports_are_absolute() -> None:
    """A reader sees from the line itself where a name comes from."""
    wrong = [f"{m.where}:{i.line}" for m in modules() for i in m.imports() if i.relative]
    assert wrong == []


def test_no_import_cycle() -> None:
    """The modules' own imports, those that run at import time, form no cycle."""
    names = {module.name for module in modules()}
    graph: dict[str, set[str]] = {}
    for module in modules():
        edges = graph.setdefault(module.name, set())
        for found, target in _own(module):
            if not found.top:
                continue
            inner = {f"{target}.{name}" for name in found.names} & names
            edges |= inner or ({target} & names)
        edges.discard(module.name)
    done: set[str] = set()

    def walk(name: str, way: tuple[str, ...]) -> None:
        if name in way:
            pytest.fail(" → ".join((*way[way.index(name) :], name)))
        if name not in done:
            for target in graph.get(name, ()):
                walk(target, (*way, name))
            done.add(name)

    for name in graph:
        walk(name, ())


def test_only_the_esp_adapter_imports_esptool() -> None:
    """One adapter: what esptool changes is mended in one place."""
    wrong = [
        f"{module.where}:{found.line}"
        for module in modules()
        for found in module.imports()
        if found.module.split(".")[0] == "esptool"
        and not module.name.startswith("eol_inject.device.esp")
    ]
    assert wrong == []


def test_nothing_posix_only_is_imported_at_import_time() -> None:
    """Every module can be imported on Windows."""
    wrong = [
        f"{module.where}:{found.line} imports {found.module}"
        for module in modules()
        for found in module.imports()
        if found.top and found.module.split(".")[0] in POSIX_ONLY
    ]
    assert wrong == []


def _heavy_after(statement: str) -> list[str]:
    code = f"{statement}\nimport sys\nprint(*sorted(set(sys.modules) & {HEAVY!r}))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return done.stdout.split()


def test_help_imports_click_and_nothing_heavier() -> None:
    """``--help`` answers at once."""
    statement = (
        "import contextlib, io\nfrom eol_inject.cli.answer import run\n"
        "with contextlib.redirect_stdout(io.StringIO()): run(['--help'])"
    )
    assert _heavy_after(statement) == []


def test_no_module_of_the_command_line_imports_a_heavy_library() -> None:
    """``eol-inject tokens --help`` does not pay for pandas: libraries load where they are used."""
    names = [
        module.name
        for module in modules()
        if module.place == "cli" and module.name not in LOADED_LATE
    ]
    assert _heavy_after("".join(f"import {name}\n" for name in names)) == []
