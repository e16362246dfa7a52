"""Every error that can be raised has its sentence, and every sentence is used."""

import ast
import re
from collections.abc import Iterator
from functools import cache

from eol_inject.errors import EolError, Exit, texts
from eol_inject.events import Outcome, Stage
from tests.support.source import Module, modules

TABLES = {*(stage.value for stage in Stage), "profile", "station"}
_CODE = re.compile(rf"({'|'.join(sorted(TABLES))})\.[a-z0-9_]+")
_FILE_ENDINGS = {"csv", "db", "html", "json", "key", "md", "pdf", "png", "py", "toml", "zip"}
_ERRORS = {"UsageError", "UnitError", "StationError", "RecordError", "StoppedError"}


def _raised() -> Iterator[tuple[Module, ast.Call, str]]:
    """Calls of an error class with a literal code, and the code; ``*`` where it is put together."""
    for module in modules():
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in _ERRORS and node.args:
                match node.args[0]:
                    case ast.Constant(value=str(code)):
                        yield module, node, code
                    case ast.JoinedStr(values=[ast.FormattedValue(), ast.Constant(value=str(end))]):
                        yield module, node, f"*{end}"


@cache
def _literals() -> set[str]:
    """Every text in the code that looks like a code."""
    return {
        node.value
        for module in modules()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and _CODE.fullmatch(node.value)
        and node.value.split(".")[1] not in _FILE_ENDINGS
    }


def _known() -> dict[str, dict[str, str]]:
    return {
        f"{stage}.{name}": text for stage, table in texts().items() for name, text in table.items()
    }


def test_every_code_in_the_code_has_a_text() -> None:
    """No person ever reads a bare dotted code."""
    assert {code for _, _, code in _raised() if code[0] != "*"} - set(_known()) == set()
    assert _literals() - set(_known()) == set()


def test_every_text_is_used() -> None:
    """A sentence that nothing can say is taken out."""
    ends = tuple(code[1:] for _, _, code in _raised() if code[0] == "*")
    unused = set(_known()) - _literals()
    assert {code for code in unused if not code.endswith(ends)} == set()


def test_every_text_is_one_sentence_with_a_hint() -> None:
    """The text says what happened, the hint what to do; both end like sentences."""
    for code, entry in _known().items():
        assert set(entry) <= {"text", "hint"}, code
        assert entry["text"][-1] in ".?!:}", code
        assert entry.get("hint"), f"{code} says what happened, but not what to do"


def test_every_placeholder_is_filled_where_the_error_is_raised() -> None:
    """Nobody reads ``{port}`` in braces: each raise gives what its sentences name."""
    wrong = []
    for module, call, code in _raised():
        if code not in _known() or any(keyword.arg is None for keyword in call.keywords):
            continue
        named = set(re.findall(r"\{([a-z_]+)\}", " ".join(_known()[code].values())))
        missing = named - {keyword.arg for keyword in call.keywords}
        if missing:
            wrong.append(f"{module.where}:{call.lineno} {code} leaves {sorted(missing)}")
    assert wrong == []


def test_a_code_begins_with_the_stage_that_raises_it() -> None:
    """``device.no_sync`` is raised in ``device/``: the first word tells where to look."""
    stages = {stage.value for stage in Stage} - {"report"}
    wrong = [
        f"{module.where}:{call.lineno} raises {code}"
        for module, call, code in _raised()
        if module.place in stages and code[0] != "*" and code.split(".")[0] != module.place
    ]
    assert wrong == []


def test_outcomes_exit_codes_and_error_classes_are_one_to_one() -> None:
    """Each error class has its exit code, each exit code its outcome, and back."""
    assert {Outcome.of(code).exit for code in Exit} == set(Exit)
    assert {outcome.exit for outcome in Outcome} == set(Exit)
    classes = {
        kind.exit for kind in EolError.__subclasses__() if kind.__module__ == EolError.__module__
    }
    assert classes == set(Exit) - {Exit.PASS}
