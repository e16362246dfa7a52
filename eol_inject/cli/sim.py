"""``eol-inject sim``: simulated units by hand, for training and for trying out."""

from dataclasses import asdict

import click

from eol_inject.cli.answer import Answer
from eol_inject.cli.common import json_option


@click.group()
def sim() -> None:
    """Start, list and stop simulated units."""


@sim.command()
@click.argument("url", metavar="URL")
@click.option(
    "--listen", is_flag=True, help="Open rfc2217:// and socket:// ports on it, for other programs."
)
@json_option
def start(*, url: str, listen: bool, as_json: bool) -> Answer:
    """Start a unit, e.g. sim://esp32c3?mac=60:55:f9:00:00:01.

    It runs in a process of its own and keeps its flash until it is stopped. With --listen the
    plain esptool command reaches it too: esptool --port rfc2217://127.0.0.1:PORT?ign_set_control.
    """
    from eol_inject import report
    from eol_inject.sim import manage

    found = manage.listen(url) if listen else manage.start(url)
    facts = asdict(found)
    return Answer(data={"unit": facts}, lines=[report.pairs(facts)])


@sim.command("list")
@json_option
def list_units(*, as_json: bool) -> Answer:
    """List the units that run."""
    from eol_inject import report
    from eol_inject.sim import manage

    found = manage.running()
    rows = [(unit.id, unit.chip, unit.mac, unit.pid, unit.url, unit.rfc2217) for unit in found]
    headers = ("unit", "chip", "mac", "process", "url", "rfc2217")
    return Answer(
        data={"units": [asdict(unit) for unit in found]},
        lines=[report.table(headers, rows) if rows else "No simulated unit runs."],
    )


@sim.command()
@click.argument("units", nargs=-1, metavar="[UNIT|URL]...")
@click.option("--all", "everyone", is_flag=True, help="Stop every unit that runs.")
@json_option
def stop(*, units: tuple[str, ...], everyone: bool, as_json: bool) -> Answer:
    """Stop units; their flash is lost."""
    from eol_inject.sim import manage

    if bool(units) == everyone:
        raise click.UsageError("Name the units to stop, or give --all.")
    if everyone:
        stopped, unknown = [unit.id for unit in manage.stop_all()], []
    else:
        stopped = [unit for unit in units if manage.stop(unit)]
        unknown = [unit for unit in units if unit not in stopped]
    return Answer(
        data={"stopped": stopped, "not_running": unknown},
        lines=[
            *(f"{unit} stopped" for unit in stopped),
            *(f"{unit} did not run" for unit in unknown),
        ],
    )
