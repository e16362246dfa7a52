"""The project's own source, parsed: what the laws look at."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "eol_inject"


@dataclass(frozen=True, slots=True)
class Import:
    """One imported module; ``top`` when it runs as soon as the importing module does.

    ``typing`` when only a type checker ever follows it.
    """

    module: str
    names: tuple[str, ...]
    line: int
    top: bool
    relative: bool
    typing: bool = False


@dataclass(frozen=True, slots=True)
class Module:
    """One file of ``eol_inject``."""

    name: str
    path: Path
    tree: ast.Module

    @property
    def place(self) -> str:
        """The first part under the package: a stage's folder, or a leaf's own name."""
        return self.name.split(".")[1] if "." in self.name else ""

    @property
    def where(self) -> str:
        """Path as a person would say it."""
        return str(self.path.relative_to(ROOT))

    def imports(self) -> Iterator[Import]:
        """Every import, wherever it stands; those under ``if TYPE_CHECKING`` count as not top."""
        yield from _imports(self.tree.body, top=True)


@cache
def modules() -> tuple[Module, ...]:
    """All of ``eol_inject``."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        if "__pycache__" in path.parts:
            continue
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found.append(Module(name, path, ast.parse(path.read_text(encoding="utf-8"), str(path))))
    return tuple(found)


def _imports(body: list[ast.stmt], *, top: bool) -> Iterator[Import]:
    for node in body:
        match node:
            case ast.Import(names=names):
                for alias in names:
                    yield Import(alias.name, (), node.lineno, top=top, relative=False)
            case ast.ImportFrom(module=module, names=names, level=level):
                yield Import(
                    module or "",
                    tuple(alias.name for alias in names),
                    node.lineno,
                    top=top,
                    relative=level > 0,
                )
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                for found in _imports(node.body, top=False):
                    yield replace(found, typing=True)
                yield from _imports(node.orelse, top=top)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                yield from _imports(node.body, top=False)
            case _:
                for part in ("body", "orelse", "finalbody", "handlers", "cases"):
                    for child in getattr(node, part, []):
                        if isinstance(child, ast.stmt):
                            yield from _imports([child], top=top)
                        else:
                            yield from _imports(child.body, top=top)
