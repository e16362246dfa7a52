"""TCP doors to a unit's port, for programs that know no ``sim://``: RFC 2217, and raw bytes.

They run in the unit's own process and open its port like everybody else, so a unit is held by one
at a time, and a reset over RFC 2217 is as slow as it is in life.
"""

import contextlib
import socket
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from eol_inject.sim.protocol_sim import Serial
    from eol_inject.sim.server import Server


def listen(server: "Server") -> dict[str, Any]:
    """Open both doors once, and say where they are."""
    if not server.record.rfc2217:
        import site

        site.main()  # the server starts without site-packages; pyserial lives there

        from eol_inject.sim import client

        client.use_folder(server.folder)
        doors = {
            "rfc2217": _door(server, _serve_rfc2217),
            "socket": _door(server, _serve_raw),
        }
        server.publish(**doors)
    return {"rfc2217": server.record.rfc2217, "socket": server.record.socket}


def _door(server: "Server", serve: Callable[[socket.socket, "Serial"], None]) -> int:
    """Listen on a free TCP port; every caller gets a thread of his own."""
    listener = socket.create_server(("127.0.0.1", 0))

    def visit(caller: socket.socket) -> None:
        from serial.serialutil import SerialException

        from eol_inject.sim.protocol_sim import Serial

        # an end on either side ends the visit; there is nobody here to tell
        with caller, contextlib.suppress(SerialException, OSError):
            port = Serial()
            port.port = _own_url(server)
            port.baudrate = 115200
            port.timeout = 0.05
            port.dtr = port.rts = False
            port.open()
            try:
                serve(caller, port)
            finally:
                port.close()

    def accept() -> None:
        while True:
            caller, _ = listener.accept()
            caller.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=visit, args=(caller,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return int(listener.getsockname()[1])


def _own_url(server: "Server") -> str:
    """This unit with the faults that are declared now, so that opening it changes nothing."""
    birth = server.birth
    faults = "".join(f"&fault={quote(fault)}" for fault in server.declared)
    return f"sim://{birth['chip']}?mac={birth['mac']}&id={birth['id']}{faults}"


def _serve_raw(caller: socket.socket, port: "Serial") -> None:
    _forward(caller, port, caller.sendall)
    while data := caller.recv(65536):
        port.write(data)


def _serve_rfc2217(caller: socket.socket, port: "Serial") -> None:
    from serial.rfc2217 import PortManager

    writing = threading.Lock()

    class Wire:
        """What the manager sends through: its own thread and the reader's share the socket."""

        def write(self, data: bytes) -> None:
            """All of it."""
            with writing:
                caller.sendall(data)

    wire = Wire()
    manager = PortManager(port, wire)  # type: ignore[arg-type]  # the stubs name one class of port
    _forward(caller, port, lambda data: wire.write(data.replace(b"\xff", b"\xff\xff")))
    while data := caller.recv(65536):
        plain = b"".join(manager.filter(data))
        if plain:
            port.write(plain)


def _forward(caller: socket.socket, port: "Serial", send: Callable[[bytes], None]) -> None:
    """Carry what the unit says to the caller, in a thread, until either ends."""
    from serial.serialutil import SerialException

    def carry() -> None:
        with contextlib.suppress(SerialException, OSError):
            while port.is_open:
                data = port.read(max(1, port.in_waiting))
                if data:
                    send(data)
        with contextlib.suppress(OSError):
            caller.shutdown(socket.SHUT_RDWR)

    threading.Thread(target=carry, daemon=True).start()
