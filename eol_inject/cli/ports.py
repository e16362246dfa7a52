"""``eol-inject ports``: what is plugged in, and where."""

from dataclasses import asdict, dataclass

import click

from eol_inject.cli.answer import Answer
from eol_inject.cli.common import json_option


@dataclass(frozen=True, slots=True)
class Port:
    """One serial port of this computer; empty text where the system does not say."""

    port: str
    location: str
    """The physical USB place, as ``bus-hub.port``: it stays when the unit is changed."""
    bridge: str
    """USB vendor and product id of the bridge chip, ``VVVV:PPPP``."""
    serial_number: str
    description: str


@click.command()
@json_option
def ports(*, as_json: bool) -> Answer:
    """List the serial ports and where they are.

    The location names the socket, not the unit in it: port names move when units are changed.
    """
    from eol_inject import report

    found = connected()
    rows = [(p.port, p.location, p.bridge, p.serial_number, p.description) for p in found]
    headers = ("port", "location", "bridge", "serial number", "description")
    return Answer(
        data={"ports": [asdict(port) for port in found]},
        lines=[report.table(headers, rows) if rows else "No serial port is connected."],
    )


def connected() -> list[Port]:
    """The ports there are now, sorted as a person counts (COM2 before COM10)."""
    import re

    from serial.tools import list_ports

    def order(port: Port) -> list[tuple[int, int | str]]:
        parts = re.split(r"(\d+)", port.port)
        return [(0, int(part)) if part.isdigit() else (1, part) for part in parts if part]

    return sorted(
        (
            Port(
                port=info.device,
                location=info.location or "",
                bridge="" if info.vid is None else f"{info.vid:04x}:{info.pid:04x}",
                serial_number=info.serial_number or "",
                description="" if info.description == "n/a" else info.description,
            )
            for info in list_ports.comports()
        ),
        key=order,
    )
