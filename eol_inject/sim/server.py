"""The process of one unit: ``python -m eol_inject.sim.server --unit NAME``.

Started by the port that first names the unit, with everything it has to know on its standard
input; says one line of JSON on its standard output, lets go of its parent and lives until nobody
has been there for a while. Flash lives in its memory only. Imports little: it has to start fast.
"""

import hmac
import json
import os
import secrets
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from eol_inject.sim import faults, records
from eol_inject.sim.calls import Calls
from eol_inject.sim.frames import Kind, Unpacker, pack
from eol_inject.sim.locks import try_lock
from eol_inject.sim.loop import Loop
from eol_inject.sim.machine import Config, Machine
from eol_inject.sim.timing import TIMINGS

_TICK_S: Final = 2.0
"""How often an idle server looks whether it is still wanted."""
_HELLO_S: Final = 5.0
"""A connection that says nothing is dropped after this."""


class Connection:
    """One TCP connection: not yet known, the port's holder, or a caller of ``manage``."""

    def __init__(self, server: "Server", sock: socket.socket) -> None:
        self.sock = sock
        self.role = ""
        self.pid = 0
        self._server = server
        self._unpacker = Unpacker()
        self._out = bytearray()
        self._hang_up = False
        self.open = True
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        server.loop.reader(sock, self.read)

    def read(self) -> bool:
        """Take some of what is there, and say whether there was any; an end or nonsense closes."""
        try:
            data = self.sock.recv(262144)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            self.close()
            return False
        try:
            for kind, payload in self._unpacker.feed(data):
                self._server.frame(self, kind, payload)
        except ValueError:
            self.close()
        return True

    def send(self, kind: Kind, payload: bytes = b"") -> None:
        """Queue one frame and send what goes out now."""
        if not self.open:
            return
        self._out += pack(kind, payload)
        self._write()

    def refuse(self, **why: object) -> None:
        """Say why not, and hang up."""
        self.send(Kind.REFUSED, json.dumps(why).encode())
        self.hang_up()

    def hang_up(self) -> None:
        """Close once everything is out."""
        self._hang_up = True
        self._write()

    def close(self) -> None:
        """Close now."""
        if not self.open:
            return
        self.open = False
        self._server.loop.reader(self.sock, None)
        self._server.loop.writer(self.sock, None)
        self.sock.close()
        self._server.closed(self)

    def _write(self) -> None:
        try:
            while self._out:
                sent = self.sock.send(self._out)
                del self._out[:sent]
        except BlockingIOError:
            self._server.loop.writer(self.sock, self._write)
            return
        except OSError:
            self.close()
            return
        self._server.loop.writer(self.sock, None)
        if self._hang_up:
            self.close()


class Server:
    """Brings the machine, its port and its callers together."""

    def __init__(self, birth: dict[str, Any], folder: Path, listener: socket.socket) -> None:
        self.loop = Loop()
        self.folder = folder
        self.birth = birth
        self.cookie = secrets.token_hex(16)
        self._listener = listener
        self._holder: Connection | None = None
        self._connections: set[Connection] = set()
        self.declared: list[str] = birth["faults"]
        self._idle_s: float = birth["idle"]
        self._left_at = time.monotonic()
        self.machine = Machine(_config(birth), self)
        self._calls = Calls(self)
        self.record = records.Record(
            birth["id"],
            os.getpid(),
            listener.getsockname()[1],
            self.cookie,
            birth["chip"],
            birth["mac"],
            birth["url"],
        )
        listener.setblocking(False)
        self.loop.reader(listener, self._accept)

    def publish(self, rfc2217: int = 0, socket: int = 0) -> None:
        """Say where we are, and the TCP ports of listeners."""
        self.record = replace(self.record, pid=os.getpid(), rfc2217=rfc2217, socket=socket)
        records.publish(self.folder, self.record)

    def run(self) -> None:
        """Until told to stop or nobody came for a while."""
        self._tick()
        self.loop.run()

    def close(self) -> None:
        """Hang up on everybody."""
        for connection in list(self._connections):
            connection.close()
        self._listener.close()

    # -- what the machine sees ---------------------------------------------------------------

    def now(self) -> float:
        """The loop's clock."""
        return self.loop.now()

    def call_at(self, when: float, act: Callable[[], None]) -> None:
        """The loop's timers."""
        self.loop.call_at(when, act)

    def deliver(self, data: bytes) -> None:
        """To the port's holder, if there is one."""
        if self._holder is not None:
            self._holder.send(Kind.DATA, data)

    def unplugged(self) -> None:
        """Tell the holder and hang up."""
        holder, self._holder = self._holder, None
        if holder is not None:
            holder.send(Kind.GONE)
            holder.hang_up()

    def listening(self) -> bool:
        """Whether the port is open."""
        return self._holder is not None

    # -- connections -------------------------------------------------------------------------

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except OSError:
            return
        connection = Connection(self, sock)
        self._connections.add(connection)

        def unknown() -> None:
            if not connection.role:
                connection.close()

        self.loop.call_at(self.now() + _HELLO_S, unknown)

    def closed(self, connection: Connection) -> None:
        """A connection ended."""
        self._connections.discard(connection)
        self._left_at = time.monotonic()
        if connection is self._holder:
            self._holder = None
            self.machine.closed()

    def frame(self, connection: Connection, kind: Kind, payload: bytes) -> None:
        """One frame of a connection."""
        if not connection.role:
            self._hello(connection, kind, payload)
        elif connection.role == "control":
            if kind is Kind.CALL:
                connection.send(Kind.RESULT, self._calls.run(payload))
        elif connection is self._holder:
            self._port(connection, kind, payload)

    def _port(self, connection: Connection, kind: Kind, payload: bytes) -> None:
        if kind is Kind.DATA:
            self.machine.receive(payload)
        elif kind is Kind.LINES:
            self.machine.set_lines(dtr=bool(payload[0] & 1), rts=bool(payload[0] & 2))
        elif kind is Kind.BAUD:
            self.machine.host_baud = int.from_bytes(payload, "little")
        elif kind is Kind.FLUSH:
            connection.send(Kind.FLUSHED)

    def _hello(self, connection: Connection, kind: Kind, payload: bytes) -> None:
        wish = json.loads(payload) if kind is Kind.HELLO else {}
        if not hmac.compare_digest(str(wish.get("cookie", "")), self.cookie):
            connection.close()
            return
        connection.pid = wish["pid"]
        if wish["role"] == "control":
            connection.role = "control"
            connection.send(Kind.WELCOME, b"{}")
            return
        differing = [
            name for name, value in wish.get("born", {}).items() if value != self.birth[name]
        ]
        if wish.get("chip", self.birth["chip"]) != self.birth["chip"]:
            differing.append("chip")
        if wish.get("mac", self.birth["mac"]) != self.birth["mac"]:
            differing.append("mac")
        if differing:
            connection.refuse(why="differs", options=differing)
            return
        self._settle(wish)
        self._open(connection)

    def _settle(self, wish: dict[str, Any]) -> None:
        """Take over what the URL says about a running unit."""
        live = wish.get("live", {})
        if "timing" in live:
            self.machine.timing = TIMINGS[live["timing"]]
        if "leak" in live:
            self.machine.leak = live["leak"]
        self._idle_s = live.get("idle", self._idle_s)
        declared = wish.get("faults")
        if declared is not None and declared != self.declared:
            self.declared = declared
            self.machine.rearm([faults.parse(text) for text in declared])

    def _open(self, connection: Connection) -> None:
        holder = self._holder
        while holder is not None and holder.open and holder.read():
            pass  # a killed holder's end may be waiting behind its last bytes
        if self._holder is not None:
            connection.refuse(why="busy", holder=self._holder.pid)
        elif self.machine.faults.gate("busy"):
            connection.refuse(why="busy", holder=0)
        elif not self.machine.plugged:
            connection.refuse(why="unplugged")
        else:
            connection.role = "port"
            self._holder = connection
            self.machine.opened()
            connection.send(Kind.WELCOME, b"{}")

    def _tick(self) -> None:
        """End when idle for too long, or when the meeting place is gone."""
        alone = not any(one.role == "port" for one in self._connections)
        idle = time.monotonic() - self._left_at
        if alone and (
            idle > self._idle_s or not records.record_path(self.folder, self.record.id).exists()
        ):
            self.loop.stop()
            return
        self.loop.call_at(self.now() + min(_TICK_S, max(self._idle_s, 0.05)), self._tick)


def _config(birth: dict[str, Any]) -> Config:
    return Config(
        chip=birth["chip"],
        mac=bytes.fromhex(birth["mac"]),
        flash_size=birth["flash"],
        images=tuple((address, Path(path).read_bytes()) for path, address in birth["images"]),
        secure_boot=birth["secure_boot"],
        flash_encryption=birth["flash_encryption"],
        release=birth["release"],
        secure_download=birth["secure_download"],
        boot_held=birth["boot"],
        seed=birth["seed"],
        timing=birth["timing"],
        leak=birth["leak"],
        console=birth["console"],
        echo=birth["echo"],
        cloud=birth["cloud"],
        usb=birth["usb"],
        faults=[faults.parse(text) for text in birth["faults"]],
    )


def _say(**what: object) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def _let_go() -> None:
    """Keep nothing of the parent: streams, terminal, working folder, core dumps."""
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    os.close(null)
    os.chdir("/")
    try:
        import resource
    except ImportError:  # Windows
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main() -> int:
    """Serve one unit. Exit code 0, also where another server was faster."""
    birth = json.loads(sys.stdin.readline())
    folder = Path(birth["folder"])
    lock = try_lock(records.lock_path(folder, birth["id"]))
    if lock is None:
        _say(state="exists")
        return 0
    listener = socket.create_server(("127.0.0.1", 0))
    server = Server(birth, folder, listener)
    if hasattr(os, "fork") and os.fork():
        os._exit(0)  # the starter waits for us; its child is the server, and nobody's zombie
    server.publish()
    _say(state="ready")
    _let_go()
    try:
        server.run()
    finally:
        records.withdraw(folder, birth["id"])
        lock.close()
        server.close()  # last: who asked us to stop waits for this, and then finds nothing left
    return 0


if __name__ == "__main__":
    sys.exit(main())
