"""Who else has a port open, where the operating system tells (Linux: ``/proc``)."""

import os
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
    found = [
        Holder(int(folder.name), _name(folder))
        for folder in proc.glob("[0-9]*")
        if int(folder.name) != own and _has_open(folder / "fd", target)
    ]
    return tuple(sorted(found, key=lambda holder: holder.pid))


def _has_open(fds: Path, target: str) -> bool:
    try:
        return any(os.path.realpath(fd) == target for fd in fds.iterdir())
    except OSError:
        return False


def _name(folder: Path) -> str:
    try:
        return (folder / "comm").read_text(encoding="utf-8", errors="replace").strip() or "?"
    except OSError:
        return "?"
