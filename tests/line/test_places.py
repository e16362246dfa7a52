"""Where keys come from: a file, the environment, and never out of nothing for a ledger that is."""

import contextlib
import io
import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from eol_inject.cli import answer
from tests.line.conftest import LOT, PRODUCT, Line
from tests.support import postgres


def test_keys_in_the_environment_are_used_and_taken_out_of_it(
    line: Line, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """No program that we start inherits them, and nothing repeats them."""
    text = ";".join((line.folder / "ledger.key").read_text("ascii").splitlines()[1:])
    ledger = ["--ledger", f"sqlite:///{line.folder / 'ledger.db'}"]
    monkeypatch.setenv("EOL_INJECT_KEY", text)
    assert answer.run(["tokens", "lots", *ledger]) == 0
    assert "EOL_INJECT_KEY" not in os.environ
    assert answer.run(["tokens", "lots", *ledger]) == 3
    assert "key file" in capfd.readouterr().err
    monkeypatch.setenv("EOL_INJECT_KEY", text.replace("=", "-"))
    assert answer.run(["tokens", "lots", *ledger]) == 2
    said = capfd.readouterr()
    assert "the environment" in said.err
    assert text.partition(" = ")[2][:20] not in said.err + said.out


def test_a_server_s_ledger_is_not_opened_with_new_keys(server_line: Line) -> None:
    """A second station brings the first one's key file; new keys are not left behind."""
    (source,) = server_line.folder.glob("tokens-*.csv")
    key = server_line.folder / "ledger.key"
    kept = key.rename(server_line.folder / "kept.key")
    told = server_line.type("tokens", "import", str(source), "--product", PRODUCT, "--lot", LOT)
    assert (told.code, told.error) == (3, "ledger.key_missing")
    assert not key.exists()
    kept.rename(key)
    told = server_line.type("tokens", "import", str(source), "--product", PRODUCT, "--lot", LOT)
    assert (told.code, told.out["known"]) == (0, 10)


def test_a_station_works_as_a_user_who_cannot_rewrite_the_log(
    server_line: Line, server: postgres.Server
) -> None:
    """The owner permits the user; the user's station runs units and cannot touch an event."""
    with server.connect() as conn:
        conn.execute("DROP ROLE IF EXISTS station7")
        conn.execute("CREATE ROLE station7 LOGIN")
    assert server_line.type("ledger", "permit", "station7").code == 0
    server_line.ledger = server_line.ledger.replace("line@", "station7@")
    assert server_line.run(server_line.unit()).code == 0
    with (
        psycopg.connect(server_line.ledger, autocommit=True) as conn,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        conn.execute("UPDATE event SET operator = 'Eve'")
    server_line.judge()


def test_an_installation_without_the_driver_says_so(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    """psycopg is an extra: what to install is told, not where the import failed."""
    monkeypatch.setitem(sys.modules, "psycopg", None)
    line.ledger = "postgresql://nobody@localhost/nowhere"
    told = line.type("tokens", "lots")
    assert (told.code, told.error) == (2, "ledger.no_driver")


def test_a_password_in_the_url_is_told_to_nobody(
    line: Line, server: postgres.Server, capfd: pytest.CaptureFixture[str]
) -> None:
    """Neither in an answer nor in an error; better put it into a pgpass file."""
    url = server.url("nowhere").replace("line@", "line:opensesame@")
    told = answer.run(["tokens", "lots", "--ledger", url, "--key-file",
                       str(line.folder / "ledger.key"), "--json"])  # fmt: skip
    said = capfd.readouterr()
    assert told == 3
    assert "opensesame" not in said.out + said.err


def test_a_pin_is_typed_without_echo(line: Line) -> None:
    """At a terminal the PIN is asked for, and does not appear on it."""
    pin = line.folder / "pin"
    pin.write_text("sesame-4711\n", "utf-8")
    add = ("ledger", "people", "add", "Ada", "--role", "admin", "--new-pin-file", str(pin))
    assert line.type(*add).code == 0
    unit = line.unit()
    assert line.run(unit).code == 0
    keyboard, terminal = pytest.importorskip("pty").openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "eol_inject", "unit", "reinject", unit.mac, "--reason", "erased",
         *line.options, "--station", "S1", "--operator", "Ada"],
        stdin=terminal, stdout=subprocess.PIPE, stderr=terminal, start_new_session=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    ) as child:  # fmt: skip
        os.close(terminal)
        said = read_until(keyboard, b"PIN of Ada: ")
        os.write(keyboard, b"sesame-4711\n")
        assert child.stdout is not None
        assert b'"state": "writing"' in child.stdout.read()
        assert child.wait() == 0
    # the other end is closed: Linux says so with an error
    with io.FileIO(keyboard) as rest, contextlib.suppress(OSError):
        said += rest.read(1000) or b""
    assert b"sesame" not in said


def read_until(handle: int, text: bytes) -> bytes:
    """Everything up to and with ``text``."""
    said = b""
    while text not in said:
        said += os.read(handle, 1)
    return said
