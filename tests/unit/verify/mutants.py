"""Breaks code on purpose: one small change of a module's source, live for the length of a test."""

import ast
import copy
import inspect
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

_SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE,
    ast.GtE: ast.Gt, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.BitXor: ast.BitOr, ast.BitAnd: ast.BitOr,
    ast.Mult: ast.Add, ast.And: ast.Or, ast.Or: ast.And,
}  # fmt: skip


def mutants(module: ModuleType) -> Iterator[tuple[str, str]]:
    """(what was changed, the whole changed source) for every place that can be changed."""
    tree = ast.parse(inspect.getsource(module))
    endless = {
        id(n) for loop in ast.walk(tree) if isinstance(loop, ast.While) for n in ast.walk(loop)
    }
    for number, node in enumerate(ast.walk(tree)):
        if id(node) in endless:
            continue  # a changed condition could loop for ever
        for name, changed in _changes(node):
            other = copy.deepcopy(tree)
            target = list(ast.walk(other))[number]
            for key, value in changed.items():
                setattr(target, key, value)
            where = f"{module.__name__}:{getattr(node, 'lineno', '?')}"
            yield f"{where} {name}", ast.unparse(ast.fix_missing_locations(other))


def _changes(node: ast.AST) -> Iterator[tuple[str, dict[str, Any]]]:
    match node:
        case ast.Constant(value=bool() | None):
            return
        case ast.Constant(value=int(number)):
            yield f"{number} + 1", {"value": number + 1}
            yield f"{number} - 1", {"value": number - 1}
        case ast.Constant(value=bytes(data)) if data:
            yield f"{data!r} begins with another byte", {"value": bytes([data[0] ^ 1]) + data[1:]}
            yield f"{data!r} is shorter", {"value": data[:-1]}
        case ast.Constant(value=str(text)) if text and " " not in text:
            yield (
                f"{text!r} begins with another letter",
                {"value": chr(ord(text[0]) ^ 1) + text[1:]},
            )
        case ast.Compare(ops=[operation]) if type(operation) in _SWAPS:
            yield "comparison", {"ops": [_SWAPS[type(operation)]()]}
        case ast.BinOp(op=operation) | ast.AugAssign(op=operation) if type(operation) in _SWAPS:
            yield "operator", {"op": _SWAPS[type(operation)]()}
        case ast.BoolOp(op=operation):
            yield "and/or", {"op": _SWAPS[type(operation)]()}
        case ast.IfExp(body=body, orelse=orelse):
            yield "if/else expression", {"body": orelse, "orelse": body}


@contextmanager
def living(changes: dict[ModuleType, str]) -> Iterator[None]:
    """The modules run the changed sources; every name bound to the old objects follows.

    Whatever the changed source raises while it is loaded comes out of here.
    """
    packages = tuple({name.__name__.rpartition(".")[0].split(".")[1] for name in changes})
    family = [
        module
        for name, module in sys.modules.items()
        if any(name.startswith(f"eol_inject.{package}") for package in packages)
    ]
    saved = [(module, dict(vars(module))) for module in family]
    try:
        for module, source in changes.items():
            old = dict(vars(module))
            exec(compile(source, module.__name__, "exec"), vars(module))  # noqa: S102  # our own source
            _rebind(family, old, vars(module))
        yield
    finally:
        for module, names in saved:
            vars(module).clear()
            vars(module).update(names)


def _rebind(family: list[ModuleType], old: dict[str, Any], new: dict[str, Any]) -> None:
    """``from a import b`` made copies of a's names: point them to the new objects."""
    fresh = {
        id(value): new[name]
        for name, value in old.items()
        if getattr(value, "__module__", None) == old["__name__"] and new.get(name) is not value
    }
    for module in family:
        for name, value in list(vars(module).items()):
            if id(value) in fresh:
                vars(module)[name] = fresh[id(value)]
