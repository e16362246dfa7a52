"""A defect in the program tells places in the code, and no values."""

import json
import subprocess
import sys
import textwrap

from tests.support.source import ROOT

SECRET = "s3cret-" + "value"


def _python(code: str, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *args],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip


def _with_command(body: str, *args: str) -> subprocess.CompletedProcess[str]:
    """Run ``eol-inject ports`` with ``body`` as the command, told by ``main``."""
    code = f"""
        import sys
        import eol_inject.cli as cli
        from eol_inject.cli.lazy import Lazy
        from eol_inject.__main__ import main
        import click, types
        module = types.ModuleType("broken")
        sys.modules["broken"] = module
        @click.command()
        @click.option("--json", is_flag=True)
        def broken(json):
            {body}
        module.broken = broken
        cli.COMMANDS["ports"] = Lazy("broken:broken", "")
        sys.argv = ["eol-inject", "ports", *sys.argv[1:]]
        main()
    """
    return _python(code, *args)


def test_a_defect_says_where_and_not_what() -> None:
    """Exit code 3, type and places on stderr; the message may hold a secret and is left out."""
    done = _with_command(f"raise ValueError('{SECRET}')")
    assert done.returncode == 3
    assert "builtins.ValueError" in done.stderr
    assert "<string>" in done.stderr
    assert SECRET not in done.stdout + done.stderr


def test_ctrl_c_while_the_answer_is_written_tells_no_places() -> None:
    """Somebody pressed it once more: exit code 130 and nothing else."""
    code = """
        import eol_inject.__main__ as start
        def run(args):
            raise KeyboardInterrupt
        start.run = run
        start.main()
    """
    done = _python(code)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_a_defect_is_one_json_object_too() -> None:
    """A script that reads stdout is told in the same form."""
    done = _with_command(f"raise KeyError('{SECRET}')", "--json")
    answer = json.loads(done.stdout)
    assert answer["status"] == "station_bad"
    assert answer["error"]["code"] == "report.internal"
    assert SECRET not in done.stdout + done.stderr


def test_a_secret_in_an_answer_stops_the_command() -> None:
    """Nothing that is a Secret can be printed as JSON, not even as ``[secret]`` by accident."""
    body = (
        "from eol_inject.cli.answer import Answer; from eol_inject.unit import Secret; "
        f"return Answer(data={{'x': Secret('{SECRET}')}})"
    )
    done = _with_command(body, "--json")
    assert done.returncode == 3
    assert SECRET not in done.stdout + done.stderr


def test_ctrl_c_is_130_and_one_json_object() -> None:
    """Interrupted is no verdict on the unit."""
    done = _with_command("raise KeyboardInterrupt", "--json")
    assert done.returncode == 130
    assert json.loads(done.stdout)["status"] == "interrupted"


def test_a_crash_in_a_thread_tells_no_values_either() -> None:
    """Python's own hook for threads would print the message."""
    body = (
        "import threading; from eol_inject.cli.answer import Answer; "
        f"t = threading.Thread(target=lambda: int('{SECRET}')); t.start(); t.join(); "
        "return Answer()"
    )
    done = _with_command(body)
    assert "builtins.ValueError" in done.stderr
    assert SECRET not in done.stdout + done.stderr


def test_core_dumps_are_off() -> None:
    """A core file would hold every secret of the process."""
    body = (
        "import resource; from eol_inject.cli.answer import Answer; "
        "return Answer(lines=[str(resource.getrlimit(resource.RLIMIT_CORE))])"
    )
    assert _with_command(body).stdout == "(0, 0)\n"
