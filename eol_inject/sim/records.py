"""The meeting place: a folder only its owner can read, with one record per running unit.

A record says where the server listens and holds the cookie that opens it. The server holds the
lock beside it for life, so a record without a held lock is stale.
"""

import json
import os
import stat
import threading
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from eol_inject.sim.locks import try_lock


class UnsafeFolder(Exception):  # noqa: N818  (a finding; the client turns it into an error with a code)
    """The folder belongs to somebody else, or others can get in."""


@dataclass(frozen=True, slots=True)
class Record:
    """One running unit."""

    id: str
    pid: int
    port: int
    cookie: str
    chip: str
    mac: str
    url: str
    rfc2217: int = 0
    """TCP port of the RFC 2217 listener; 0 = none."""
    socket: int = 0
    """TCP port of the raw listener; 0 = none."""


_LOOKING = threading.Lock()


def default_folder() -> Path:
    """In the user's runtime folder: gone after a restart, as the units are."""
    with _LOOKING:  # slots open their ports in threads, and warning filters belong to all of them
        return _default_folder()


@cache
def _default_folder() -> Path:
    import warnings

    import platformdirs

    with warnings.catch_warnings():
        # no XDG_RUNTIME_DIR (cron, containers): the fallback does, since `checked` looks at it
        warnings.simplefilter("ignore")
        return platformdirs.user_runtime_path("eol-inject") / "sim"


def checked(folder: Path) -> Path:
    """Make the folder where needed; refuse one that others own or read."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise UnsafeFolder(str(folder))
    if hasattr(os, "getuid") and (found.st_uid != os.getuid() or found.st_mode & 0o077):
        raise UnsafeFolder(str(folder))
    return folder


def lock_path(folder: Path, name: str) -> Path:
    """What the server of ``name`` holds."""
    return folder / f"{name}.lock"


def record_path(folder: Path, name: str) -> Path:
    """Where the server of ``name`` says how to reach it."""
    return folder / f"{name}.json"


def publish(folder: Path, record: Record) -> None:
    """Write the record at one stroke, readable for the owner only."""
    fresh = folder / f".{record.id}.{record.pid}"
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(asdict(record), file)
    fresh.replace(record_path(folder, record.id))


def read(folder: Path, name: str) -> Record | None:
    """The record of ``name``; None where there is none, or it is half of one."""
    try:
        return Record(**json.loads(record_path(folder, name).read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def withdraw(folder: Path, name: str) -> None:
    """Remove the record and the lock file; only for the holder of the lock."""
    record_path(folder, name).unlink(missing_ok=True)
    try:
        lock_path(folder, name).unlink(missing_ok=True)
    except PermissionError:  # Windows keeps open files; the next server takes this one over
        return


def living(folder: Path) -> list[Record]:
    """Records of running servers; stale ones are removed on the way."""
    if not folder.is_dir():
        return []
    found = []
    for path in sorted(folder.glob("*.json")):
        name = path.name.removesuffix(".json")
        lock = try_lock(lock_path(folder, name))
        if lock is None:
            record = read(folder, name)
            if record is not None:
                found.append(record)
            continue
        withdraw(folder, name)
        lock.close()
    return found
