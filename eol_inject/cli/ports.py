"""``eol-inject ports``: what is plugged in, where, and which slot that is."""

from dataclasses import asdict
from pathlib import Path

import click

from eol_inject.cli.answer import Answer
from eol_inject.cli.common import json_option, station_file_option


@click.command()
@station_file_option
@json_option
def ports(*, station_file: Path | None, as_json: bool) -> Answer:
    """List the serial ports and where they are.

    The location names the socket, not the unit in it: port names move when units are changed.
    With a station file, also which slot each one is, and which slots are empty.
    """
    from eol_inject import report
    from eol_inject.device.holders import holders
    from eol_inject.device.inventory import snapshot
    from eol_inject.station import station_file as file

    found = snapshot()
    slots = [] if station_file is None else [one.slot for one in file.load(station_file).slots]
    at = {slot.name: slot.port(found) for slot in slots}
    of = {port: name for name, port in at.items() if port is not None}
    held = {one.port: ", ".join(map(str, holders(one.port))) for one in found}
    rows = [
        (
            one.port, one.location, one.bridge, one.serial_number, of.get(one.port, ""),
            held[one.port], one.description,
        )
        for one in found
    ]  # fmt: skip
    headers = ("port", "location", "bridge", "serial number", "slot", "held by", "description")
    lines = [report.table(headers, rows) if rows else "No serial port is connected."]
    lines += [
        f"slot {name}: {port if port is not None else 'empty'}"
        for name, port in at.items()
        if port not in {one.port for one in found}
    ]
    return Answer(
        data={
            "ports": [
                asdict(one) | {"slot": of.get(one.port), "holder": held[one.port] or None}
                for one in found
            ],
            "slots": [{"name": name, "port": port} for name, port in at.items()],
        },
        lines=lines,
    )
