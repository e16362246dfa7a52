"""Every command explains itself, in its help and in the README."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest

from eol_inject.cli import COMMANDS, root
from eol_inject.errors import Exit
from tests.support.source import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


def _walk(path: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command, info_name=path)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from _walk(f"{path} {name}", inner)


ALL = list(_walk("eol-inject", root))


@pytest.mark.parametrize("name", COMMANDS)
def test_the_table_says_what_the_command_says(name: str) -> None:
    """The help line kept in the table, so that ``--help`` imports nothing, is the command's own."""
    entry = COMMANDS[name]
    command = entry.load()
    assert command.name == name
    assert (command.help or "").split("\n\n")[0].replace("\n", " ").startswith(entry.help)


def test_every_command_and_option_has_help() -> None:
    """Nobody has to read source to use an option."""
    bare = [path for path, command in ALL if not command.help]
    for path, command in ALL:
        bare += [
            f"{path} {parameter.opts[0]}"
            for parameter in command.params
            if isinstance(parameter, click.Option) and not parameter.help
        ]
    assert bare == []


def test_every_command_stands_in_the_readme() -> None:
    """A command that the README does not name does not exist for its user."""
    assert [path for path, _ in ALL if f"`{path}" not in README] == []


def test_every_option_stands_in_the_readme() -> None:
    """The README's reference names each option of each command, and none that is not there."""
    have = {
        option
        for _, command in ALL
        for parameter in command.params
        if isinstance(parameter, click.Option)
        for option in parameter.opts
        if option.startswith("--")
    }
    assert {option for option in have if f"`{option}" not in README} == set()


def test_the_readme_names_no_command_that_is_not_there() -> None:
    """Documentation of commands that were dropped or renamed fails here."""
    known = {path for path, _ in ALL}
    leaves = {path for path, command in ALL if not isinstance(command, click.Group)}
    for line in re.findall(r"eol-inject(?: [a-z][a-z-]*)+", README):
        words = line.split()
        named = " ".join(words[:2]) if " ".join(words[:2]) in leaves else " ".join(words[:3])
        assert named in known, f"the README names `{line}`"


def test_the_readme_explains_every_exit_code() -> None:
    """The table of exit codes is complete."""
    for code in Exit:
        assert re.search(rf"^\| *`?{code.value}`? *\|", README, re.MULTILINE), code


def test_every_command_that_answers_can_answer_in_json() -> None:
    """Scripts can use every command."""
    silent = [
        path
        for path, command in ALL
        if not isinstance(command, click.Group)
        and not any("--json" in parameter.opts for parameter in command.params)
    ]
    assert silent == []


def _run(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "eol_inject", *args],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_bad_usage_is_one_json_object_and_exit_code_2() -> None:
    """Click's own complaints follow the same form as ours."""
    done = _run("tokens", "import", "--json")
    answer = json.loads(done.stdout)
    assert done.returncode == Exit.USAGE
    assert answer["status"] == "usage"
    assert answer["error"]["code"] == "report.usage"
    assert set(answer["error"]) == {"code", "text", "hint"}


def test_a_mistyped_command_names_the_nearest() -> None:
    """A slip of the finger costs one look."""
    done = _run("tokns")
    assert done.returncode == Exit.USAGE
    assert "Did you mean 'tokens'?" in done.stderr
    assert done.stdout == ""


def test_a_token_pasted_in_the_wrong_place_is_not_repeated() -> None:
    """Click repeats what it did not expect; what is shaped like a token is masked first."""
    token = "Zq3-" + "k9_Fh2" * 4 + "wX7a"
    for args in (("ports", token), (token,), ("ports", f"--{token}"), ("ports", "--json", token)):
        done = _run(*args)
        assert done.returncode == Exit.USAGE
        assert token not in done.stdout + done.stderr


def test_help_survives_a_reader_that_goes() -> None:
    """``eol-inject --help | head -1`` ends in silence, not in a traceback or a verdict."""
    with subprocess.Popen(
        [sys.executable, "-m", "eol_inject", "--help"],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as child:  # fmt: skip
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdout.close()
        assert child.stderr.read() == b""
        assert child.wait() == Exit.INTERRUPTED
