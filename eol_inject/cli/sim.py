"""``eol-inject sim``: simulated units by hand, for training and for trying out."""

from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import click

from eol_inject.cli.answer import Answer, tell
from eol_inject.cli.common import json_option
from eol_inject.errors import StationError


@click.group()
def sim() -> None:
    """Start, list and stop simulated units; be a label printer."""


@sim.command()
@click.argument("url", metavar="URL")
@click.option(
    "--listen", is_flag=True, help="Open rfc2217:// and socket:// ports on it, for other programs."
)
@json_option
def start(*, url: str, listen: bool, as_json: bool) -> Answer:
    """Start a unit, e.g. sim://esp32c3?mac=60:55:f9:00:00:01.

    It runs in a process of its own and keeps its flash until it is stopped, or until nobody used it
    for 15 minutes (another time: &idle=SECONDS). With --listen the plain esptool command reaches it
    too: esptool --port rfc2217://127.0.0.1:PORT?ign_set_control.
    """
    from eol_inject import report
    from eol_inject.sim import manage

    found = manage.listen(url) if listen else manage.start(url)
    facts = asdict(found)
    return Answer(data={"unit": facts}, lines=[report.pairs(facts)])


@sim.command()
@click.option(
    "--out", metavar="DIR", type=click.Path(path_type=Path, file_okay=False),
    default=Path("printed"), show_default=True, help="Every label that it prints, as PNG.",
)  # fmt: skip
@click.option(
    "--listen-port", type=int, default=9100, show_default=True, help="TCP; 0: a free one."
)
@click.option(
    "--dpi", type=click.Choice(["203", "300"]), default="203", show_default=True,
    help="Its print head.",
)  # fmt: skip
@click.option("--media-out-at", type=click.IntRange(min=1), help="This label finds no media.")
@click.option("--head-open", is_flag=True, help="Its head is open.")
@click.option("--ribbon-out", is_flag=True, help="It has no ribbon.")
@click.option("--paused", is_flag=True, help="It is paused.")
@click.option("--silent", is_flag=True, help="It answers nothing.")
@click.option("--slow", type=float, default=0.0, help="Seconds that a label takes.")
@json_option
def printer(
    *, out: Path, listen_port: int, dpi: str, media_out_at: int | None, head_open: bool,
    ribbon_out: bool, paused: bool, silent: bool, slow: float, as_json: bool,
) -> Answer:  # fmt: skip
    """Be a label printer until Ctrl-C: ZPL on port 9100, of this computer only.

    Every label becomes a PNG. What is wrong with it is said by the options; a label that cannot be
    printed waits in its buffer, as in a real one.
    """
    from eol_inject.sim.printer import PrinterFaults, SimPrinter

    faults = PrinterFaults(
        media_out_at=media_out_at, ribbon_out=ribbon_out, head_open=head_open, paused=paused,
        silent=silent, slow_s=slow,
    )  # fmt: skip
    try:
        made = SimPrinter(
            out, port=listen_port, dots_per_mm=8 if dpi == "203" else 12, faults=faults
        )
    except OSError as error:
        why = error.strerror or "unknown"
        raise StationError("report.no_port", port=listen_port, why=why) from error
    with made as running, suppress(KeyboardInterrupt):
        tell(f"{running.url} prints into {out}; Ctrl-C ends it.")
        running.serve_until_interrupted()
    found = [str(path) for path in made.labels]
    return Answer(data={"labels": found}, lines=[f"{len(found)} labels in {out}"])


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
