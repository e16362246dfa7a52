"""Start, list, stop and look into simulated units; judge them by their flash.

Everything here goes to the unit's server over its control connection, beside the serial port: a
port that is open meanwhile notices nothing of a ``peek``.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from eol_inject.errors import StationError, UsageError
from eol_inject.sim import client, records, url
from eol_inject.sim.calls import join, split
from eol_inject.sim.frames import Kind, pack

use_folder = client.use_folder
"""Meet units in this folder from now on, in this process; None = the user's default one."""

Which = Literal["now", "first", "other"]
"""A board: the one that answers, the unit itself, or the neighbour that a swap puts there."""


@dataclass(frozen=True, slots=True)
class UnitInfo:
    """One running unit."""

    id: str
    url: str
    """As it was first named."""
    chip: str
    mac: str
    """As esptool prints it."""
    pid: int
    rfc2217: str | None
    """``rfc2217://127.0.0.1:PORT``, once ``listen`` was asked."""
    socket: str | None
    """``socket://127.0.0.1:PORT``, likewise."""


@dataclass(frozen=True, slots=True)
class Status:
    """What a unit is doing."""

    mac: str
    """Of the board that answers now."""
    macs: tuple[str, ...]
    """Of all boards, the unit's own first."""
    mode: str
    """``reset``, ``loader``, ``application`` or ``hung``."""
    plugged: bool
    open: bool
    """Whether somebody holds the port."""
    baud: int
    """The chip's own rate."""
    resets: int
    fired: dict[str, int]
    """How often each fault has happened."""


def start(text: str) -> UnitInfo:
    """Make sure the unit of this URL runs. Raises ``UsageError``, ``StationError``."""
    unit = url.parse(text)
    link = client.reach(unit, "control")
    link.sock.close()
    return _info(_record(client.folder_of(unit), unit.id))


def running() -> list[UnitInfo]:
    """Every unit that runs in this process's folder."""
    return [_info(record) for record in records.living(client.folder_of(None))]


def stop(text: str) -> bool:
    """End one unit, by URL or id; its flash is lost. False where it did not run."""
    folder, name = _named(text)
    link = client.reach_running(folder, name)
    if link is None:
        return False
    with link.sock as sock:
        sock.sendall(pack(Kind.CALL, join({"act": "stop"})))
        while sock.recv(65536):
            pass  # it hangs up when nothing of it is left
    return True


def stop_all() -> list[UnitInfo]:
    """End every unit of this process's folder; gives those that ran."""
    found = running()
    return [unit for unit in found if stop(unit.id)]


def listen(text: str) -> UnitInfo:
    """Open an RFC 2217 and a raw TCP listener on the unit, for the plain ``esptool --port``.

    Starts the unit where ``text`` is a URL of one that does not run.
    """
    if text.startswith(f"{url.SCHEME}:"):
        start(text)
    folder, name = _named(text)
    _call(text, {"act": "listen"})
    return _info(_record(folder, name))


def status(text: str) -> Status:
    """What the unit is doing."""
    answer, _ = _call(text, {"act": "status"})
    return Status(**{**answer, "macs": tuple(answer["macs"])})


def peek(text: str, address: int, size: int, *, board: Which = "now") -> bytes:
    """Read the unit's flash from its server."""
    return _call(text, {"act": "peek", "address": address, "size": size, "board": board})[1]


def poke(text: str, address: int, data: bytes, *, board: Which = "now") -> None:
    """Put bytes into the unit's flash, erased or not."""
    _call(text, {"act": "poke", "address": address, "board": board}, data)


def wipe(text: str, *, board: Which = "now") -> None:
    """Erase the unit's whole flash."""
    _call(text, {"act": "wipe", "board": board})


def set_faults(text: str, *faults: str) -> None:
    """Arm these faults and no others (none: the unit is well again, and plugged in)."""
    for fault in faults:
        url.check_fault(fault)
    _call(text, {"act": "faults", "armed": list(faults)})


def unplug(text: str) -> None:
    """Take the unit off its port."""
    _call(text, {"act": "unplug"})


def replug(text: str) -> None:
    """Put it back; it starts from power-on."""
    _call(text, {"act": "replug"})


def swap(text: str) -> None:
    """Put its neighbour on the port: other MAC, other flash. Once more puts it back."""
    _call(text, {"act": "swap"})


def _named(text: str) -> tuple[Path, str]:
    """Folder and name behind a URL or a bare id."""
    if text.startswith(f"{url.SCHEME}:"):
        unit = url.parse(text)
        return client.folder_of(unit), unit.id
    return client.folder_of(None), text


def _call(text: str, head: dict[str, Any], data: bytes = b"") -> tuple[dict[str, Any], bytes]:
    folder, name = _named(text)
    link = client.reach_running(folder, name)
    if link is None:
        raise UsageError("device.sim_not_running", unit=name)
    answer, content = _ask(link, head, data)
    if "error" in answer:
        raise UsageError(
            "device.sim_value", option=head["act"], value=name, why=str(answer["error"])
        )
    return answer, content


def _ask(
    link: client.Link, head: dict[str, Any], data: bytes = b""
) -> tuple[dict[str, Any], bytes]:
    with link.sock as sock:
        sock.sendall(pack(Kind.CALL, join(head, data)))
        while True:
            received = sock.recv(262144)
            if not received:
                raise StationError("device.sim_start", unit="", why="it ended meanwhile")
            for kind, payload in link.unpacker.feed(received):
                if kind is Kind.RESULT:
                    return split(payload)


def _record(folder: Path, name: str) -> records.Record:
    record = records.read(folder, name)
    if record is None:
        raise UsageError("device.sim_not_running", unit=name)
    return record


def _info(record: records.Record) -> UnitInfo:
    return UnitInfo(
        record.id,
        record.url,
        record.chip,
        ":".join(record.mac[at : at + 2] for at in range(0, 12, 2)),
        record.pid,
        f"rfc2217://127.0.0.1:{record.rfc2217}" if record.rfc2217 else None,
        f"socket://127.0.0.1:{record.socket}" if record.socket else None,
    )
