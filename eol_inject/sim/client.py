"""How a port or ``manage`` reaches a unit's server, and starts one that does not run."""

import json
import os
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from eol_inject.errors import StationError, UsageError
from eol_inject.sim import records
from eol_inject.sim.frames import Kind, Unpacker, pack
from eol_inject.sim.url import SimUrl

_START_S: Final = 15.0
"""A server is up in a tenth of a second; a loaded machine gets time."""
_ANSWER_S: Final = 10.0


class _Place:
    """The folder that this process uses unless a URL names one."""

    folder: Path | None = None


def use_folder(folder: Path | None) -> None:
    """Meet units in ``folder`` from now on, in this process; None = the default one."""
    _Place.folder = folder


def folder_of(unit: SimUrl | None) -> Path:
    """Where ``unit`` is met. Raises ``StationError("device.sim_folder")``."""
    folder = (unit.directory if unit else None) or _Place.folder or records.default_folder()
    try:
        return records.checked(folder.absolute())
    except (records.UnsafeFolder, OSError) as error:
        raise StationError("device.sim_folder", folder=str(folder), why=str(error)) from error


class Refused(Exception):  # noqa: N818  (an answer; the port turns it into what a real port says)
    """The server said no: ``busy`` (with the holder's pid) or ``unplugged``."""

    def __init__(self, why: str, holder: int = 0) -> None:
        super().__init__(why)
        self.why = why
        self.holder = holder


@dataclass(frozen=True, slots=True)
class Link:
    """An open, welcomed connection, and the bytes that already came behind the welcome."""

    sock: socket.socket
    unpacker: Unpacker
    frames: list[tuple[Kind, bytes]]


def reach(unit: SimUrl, role: str) -> Link:
    """Connect to the unit's server; start one where none runs.

    Raises ``Refused``, ``UsageError("device.sim_differs")``, ``StationError("device.sim_start")``.
    """
    folder = folder_of(unit)
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        record = records.read(folder, unit.id)
        link = _greet(record, role, unit.wishes(), unit.id) if record else None
        if link is not None:
            return link
        if _spawn(unit, folder) == "exists":
            time.sleep(0.01)  # another program's server is on its way up, or down
    raise StationError("device.sim_start", unit=unit.id, why="it did not answer in time")


def reach_running(folder: Path, name: str) -> Link | None:
    """Connect to a unit that runs, as ``manage``; None where it does not."""
    record = records.read(folder, name)
    return _greet(record, "control", {}, name) if record else None


def _greet(record: records.Record, role: str, wishes: dict[str, object], name: str) -> Link | None:
    try:
        sock = socket.create_connection(("127.0.0.1", record.port), timeout=_ANSWER_S)
    except OSError:
        return None
    hello = {"cookie": record.cookie, "role": role, "pid": os.getpid(), **wishes}
    unpacker = Unpacker()
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(pack(Kind.HELLO, json.dumps(hello).encode()))
        frames: list[tuple[Kind, bytes]] = []
        while not frames:
            data = sock.recv(65536)
            if not data:
                raise ConnectionResetError
            frames = unpacker.feed(data)
    except (OSError, ValueError):
        sock.close()  # a stale record, and somebody else on that TCP port
        return None
    (kind, payload), *rest = frames
    if kind is Kind.WELCOME:
        return Link(sock, unpacker, rest)
    sock.close()
    answer: dict[str, Any] = json.loads(payload)
    if answer["why"] == "differs":
        raise UsageError("device.sim_differs", unit=name, options=", ".join(answer["options"]))
    raise Refused(answer["why"], answer.get("holder", 0))


def _spawn(unit: SimUrl, folder: Path) -> str:
    """Start the server; gives ``ready``, or ``exists`` where another was faster."""
    root = Path(__file__).parents[2]
    # -S: site-packages cost more to set up than all the rest of the start; -E, an empty
    # environment and a fixed working folder: the server finds this package and inherits nothing
    command = [sys.executable, "-E", "-s", "-S", "-m", "eol_inject.sim.server", "--unit", unit.id]
    birth = json.dumps({**unit.birth(), "folder": str(folder)}) + "\n"
    detached = (
        {"start_new_session": True}
        if os.name != "nt"
        else {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.DETACHED_PROCESS}  # type: ignore[attr-defined,unused-ignore]
    )
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=_bare_environment(),
        cwd=root,
        text=True,
        **detached,
    )
    try:
        said, wrong = _first_line(process, birth)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise StationError("device.sim_start", unit=unit.id, why="it hangs") from None
    try:
        return str(json.loads(said)["state"])
    except (ValueError, KeyError):
        why = wrong.strip().splitlines()[-1] if wrong.strip() else "it ended at once"
        raise StationError("device.sim_start", unit=unit.id, why=why) from None


def _first_line(process: "subprocess.Popen[str]", birth: str) -> tuple[str, str]:
    if os.name != "nt":  # the process we started ends as soon as its child serves
        return process.communicate(birth, timeout=_START_S)
    if process.stdin is None or process.stdout is None:
        raise AssertionError("started with pipes")
    process.stdin.write(birth)
    process.stdin.close()
    said = process.stdout.readline()
    process.stdout.close()
    process.returncode = 0  # it lives on by design: no warning about a child left behind
    return said, ""


def _bare_environment() -> dict[str, str]:
    """Nothing; on Windows sockets need to know where the system is."""
    return {"SYSTEMROOT": os.path.expandvars("%SystemRoot%")} if os.name == "nt" else {}
