"""What ``manage`` asks a running unit: look into its flash, change it, swap it, stop it."""

import json
import struct
from typing import TYPE_CHECKING, Any

from eol_inject.sim import faults
from eol_inject.sim.board import Board

if TYPE_CHECKING:
    from eol_inject.sim.server import Server


def join(head: dict[str, Any], data: bytes = b"") -> bytes:
    """Payload of a CALL or RESULT frame."""
    text = json.dumps(head).encode()
    return struct.pack("<I", len(text)) + text + data


def split(payload: bytes) -> tuple[dict[str, Any], bytes]:
    """The opposite of ``join``."""
    (length,) = struct.unpack_from("<I", payload)
    head: dict[str, Any] = json.loads(payload[4 : 4 + length])
    return head, payload[4 + length :]


class Calls:
    """The acts, by name."""

    def __init__(self, server: "Server") -> None:
        self._server = server

    def run(self, payload: bytes) -> bytes:
        """Do what the call says; an error comes back as ``{"error": …}``."""
        head, data = split(payload)
        act = getattr(self, "_do_" + str(head.pop("act", "")), None)
        if act is None:
            return join({"error": "unknown act"})
        try:
            result = act(data, **head)
        except (ValueError, TypeError) as error:
            return join({"error": str(error)})
        return result if isinstance(result, bytes) else join(result or {})

    def _board(self, board: str) -> Board:
        """``now``: the one that answers; ``first``: the unit itself; ``other``: the swapped one."""
        machine = self._server.machine
        if board == "now":
            return machine.board
        if board == "first":
            return machine.boards[0]
        if len(machine.boards) == 1:
            machine.other()
        return machine.boards[1]

    def _do_peek(self, _data: bytes, address: int, size: int, board: str) -> bytes:
        return join({}, self._board(board).flash.read(address, size))

    def _do_poke(self, data: bytes, address: int, board: str) -> None:
        self._board(board).flash.load(address, data)

    def _do_wipe(self, _data: bytes, board: str) -> None:
        self._board(board).flash.wipe()

    def _do_status(self, _data: bytes) -> dict[str, Any]:
        machine = self._server.machine
        return {
            "mac": machine.board.mac.hex(":"),
            "macs": [board.mac.hex(":") for board in machine.boards],
            "mode": machine.mode.name.lower(),
            "plugged": machine.plugged,
            "open": self._server.listening(),
            "baud": machine.baud,
            "resets": machine.resets,
            "fired": machine.faults.fired,
        }

    def _do_faults(self, _data: bytes, armed: list[str]) -> None:
        self._server.machine.rearm([faults.parse(text) for text in armed])

    def _do_unplug(self, _data: bytes) -> None:
        self._server.machine.unplug()

    def _do_replug(self, _data: bytes) -> None:
        self._server.machine.replug()

    def _do_swap(self, _data: bytes) -> None:
        self._server.machine.swap()

    def _do_listen(self, _data: bytes) -> dict[str, Any]:
        from eol_inject.sim.listeners import listen

        return listen(self._server)

    def _do_stop(self, _data: bytes) -> None:
        self._server.loop.stop()
