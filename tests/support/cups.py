"""A real CUPS of the tests' own: started, used and removed by them, on the loopback address only.

Its port is a free one (never 631), all its folders are its own, and it knows no queue but those
that a test adds.
"""

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_START_S = 20
_CONF = """\
Listen 127.0.0.1:{port}
LogLevel info
Browsing No
WebInterface No
DefaultShared No
DefaultAuthType None
JobRetryInterval 1
MaxJobTime 60
<Location />
  Order allow,deny
  Allow from 127.0.0.1
</Location>
<Policy default>
  JobPrivateAccess default
  JobPrivateValues default
  <Limit Cancel-Job Send-Document Hold-Job Release-Job Set-Job-Attributes>
    Require user @OWNER @SYSTEM
    Order deny,allow
  </Limit>
  <Limit All>
    Order deny,allow
  </Limit>
</Policy>
"""
"""As Debian's file has it, but that queues may be added without a password."""
_FILES = """\
ServerRoot {folder}/etc
CacheDir {folder}/cache
StateDir {folder}/state
RequestRoot {folder}/spool
TempDir {folder}/spool/tmp
AccessLog {folder}/access_log
ErrorLog {folder}/error_log
PageLog {folder}/page_log
FileDevice Yes
"""


class Cups:
    """A running ``cupsd`` and the commands that look after its queues."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # filters run as another user than root
        folder.chmod(0o755)
        for name in ("etc/ppd", "cache", "state", "spool/tmp"):
            (folder / name).mkdir(parents=True)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        (folder / "cupsd.conf").write_text(_CONF.format(port=self.port))
        (folder / "cups-files.conf").write_text(_FILES.format(folder=folder))
        self.process = subprocess.Popen(
            ["cupsd", "-f", "-c", folder / "cupsd.conf", "-s", folder / "cups-files.conf"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    @property
    def server(self) -> str:
        """As CUPS' own commands take it after ``-h``."""
        return f"127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """What the scheduler logged, for a failing test."""
        path = self.folder / "error_log"
        return path.read_text(errors="replace") if path.exists() else ""

    def wait(self) -> None:
        """Until it takes connections."""
        deadline = time.monotonic() + _START_S
        while True:
            assert self.process.poll() is None, self.log
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                assert time.monotonic() < deadline, self.log
                time.sleep(0.02)
            else:
                return

    def command(self, program: str, *arguments: str) -> str:
        """Run one of CUPS' commands against this server; what it said."""
        done = subprocess.run(
            [program, "-h", self.server, *arguments],
            check=False, capture_output=True, text=True, timeout=30,
        )  # fmt: skip
        assert done.returncode == 0, (program, arguments, done.stderr, self.log[-3000:])
        return done.stdout

    def add(self, queue: str, device: str, *options: str, model: str = "raw") -> str:
        """A new queue that takes jobs; its URL for the label stage."""
        self.command("lpadmin", "-p", queue, "-E", "-v", device, "-m", model, *options)
        return f"cups://{self.server}/{queue}"

    def jobs(self, which: str = "not-completed") -> list[str]:
        """The ids of the jobs that still wait, or of all (``all``), as ``queue-number``."""
        return [line.split()[0] for line in self.command("lpstat", "-W", which, "-o").splitlines()]

    def stop(self) -> None:
        """Stop it; its children go with it."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


@contextmanager
def running() -> Iterator[Cups]:
    """A started server; it and its folders are gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="cups", dir="/tmp"))
    cups = Cups(folder)
    try:
        cups.wait()
        yield cups
    finally:
        cups.stop()
        shutil.rmtree(folder, ignore_errors=True)
