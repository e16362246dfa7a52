"""Who else has a port open, where the operating system tells (Linux: ``/proc``)."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PROC: Final = Path("/proc")


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that has the port open."""

    pid: int
    name: str

    def __str__(self) -> str:
        return f"{self.name} (process {self.pid})"


def holders(device: str, *, proc: Path = PROC, own: int | None = None) -> tuple[Holder, ...]:
    """Every other process that has ``device`` open, as far as we may see it.

    Empty on systems without ``/proc``. Processes of other users hide their open files from
    everybody but root, and processes may end while we look: both are passed over, since a partial
    answer is still a name for the operator.
    """
    target = os.path.realpath(device)
    own = os.getpid() if own is None else own
    return tuple(one for one in _holders(target, os.path.realpath, proc) if one.pid != own)


def socket_holders(name: str, *, proc: Path = PROC) -> tuple[Holder, ...]:
    """Every process that has the abstract socket ``name`` (unix(7)), as far as we may see it."""
    try:
        lines = (proc / "net" / "unix").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ()
    rows = [line.split(maxsplit=_NAME_AT) for line in lines]
    nodes = [row[_NAME_AT - 1] for row in rows if row[_NAME_AT:] == [f"@{name}"]]
    return tuple(one for node in nodes for one in _holders(f"socket:[{node}]", os.readlink, proc))


_NAME_AT: Final = 7
"""Columns before a socket's name in ``/proc/net/unix``; the last of them is its inode (proc(5))."""


def _holders(target: str, resolve: Callable[[Path], str], proc: Path) -> list[Holder]:
    """Whoever has a descriptor that resolves to ``target``, by process id."""
    found = [
        Holder(int(folder.name), _name(folder))
        for folder in proc.glob("[0-9]*")
        if _has_open(folder / "fd", target, resolve)
    ]
    return sorted(found, key=lambda holder: holder.pid)


def _has_open(fds: Path, target: str, resolve: Callable[[Path], str]) -> bool:
    try:
        return any(resolve(fd) == target for fd in fds.iterdir())
    except OSError:
        return False


def _name(folder: Path) -> str:
    try:
        return (folder / "comm").read_text(encoding="utf-8", errors="replace").strip() or "?"
    except OSError:
        return "?"
