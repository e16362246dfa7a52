"""``eol-inject demo``: the main job on simulated units, from a console export to labels."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from eol_inject.cli.answer import Answer, tell
from eol_inject.cli.common import json_option
from eol_inject.events import Outcome

if TYPE_CHECKING:
    from eol_inject.ledger import Ledger
    from eol_inject.report import CycleRecord

UNITS: Final = {
    "esp32c3": "60:55:f9:00:00:01",
    "esp32": "24:0a:c4:00:00:02",
    "esp8266": "5c:cf:7f:00:00:03",
}
"""Chip → MAC, in Espressif's own ranges. Three made-up units."""

LOT: Final = "demo"
_MARK: Final = ".eol-inject-demo"
_MADE: Final = ("ledger.db", "ledger.db-wal", "ledger.db-shm", "ledger.key", "report.json")


@click.command()
@click.option(
    "--out",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("eol-inject-demo"),
    show_default=True,
    help="Folder for the ledger, the labels and the report; an earlier demo in it is replaced.",
)
@json_option
def demo(out: Path, as_json: bool) -> Answer:
    """Run three simulated units from token to label.

    Imports a sample console export into a new training ledger, flashes each unit with the real
    esptool, reads it back, and writes its label. No hardware is needed.
    """
    import json

    from eol_inject import report

    _prepare(out)
    records: list[CycleRecord] = []
    with _training_ledger(out) as ledger:
        imported = _import_sample(ledger)
        if not as_json:
            tell(f"{imported} sample tokens imported into {out / 'ledger.db'} (training)")
        for chip, mac in UNITS.items():
            record = _one_unit(ledger, out, chip, mac)
            records.append(record)
            if not as_json:
                click.echo(report.one_line(record))
    units = [report.as_json(record) for record in records]
    (out / "report.json").write_text(json.dumps(units, indent=2) + "\n", encoding="utf-8")
    failed = [record for record in records if record.outcome is not Outcome.PASS]
    return Answer(
        data={"out": out, "units": units},
        lines=[
            (
                f"{report.summary(records)}; labels in {out / 'labels'}, report in "
                f"{out / 'report.json'}"
            ),
            (
                f"Look further: eol-inject unit show {records[0].unit} "
                f"--ledger sqlite:///{out / 'ledger.db'} --key-file {out / 'ledger.key'}"
            ),
        ],
        outcome=failed[0].outcome if failed else Outcome.PASS,
        failure=failed[0].failure if failed else None,
    )


def _prepare(out: Path) -> None:
    """An empty folder, or an earlier demo's, which goes."""
    import shutil

    from eol_inject.errors import StationError, UsageError

    try:
        if out.is_dir() and any(out.iterdir()) and not (out / _MARK).is_file():
            raise UsageError("report.not_a_demo", path=str(out))
        out.mkdir(parents=True, exist_ok=True)
        for name in _MADE:
            (out / name).unlink(missing_ok=True)
        shutil.rmtree(out / "labels", ignore_errors=True)
        (out / _MARK).touch()
    except OSError as error:
        raise StationError("report.no_folder", path=str(out), why=error.strerror) from error


@contextmanager
def _training_ledger(out: Path) -> "Iterator[Ledger]":
    """A new one, with keys of its own beside it: they guard only made-up tokens."""
    from eol_inject.ledger import Keys, Kind, open_ledger

    keys = Keys.create(out / "ledger.key")
    url = f"sqlite:///{out / 'ledger.db'}"
    with open_ledger(url, keys=keys, station="demo", create=Kind.TRAINING) as ledger:
        yield ledger


def _import_sample(ledger: "Ledger") -> int:
    from eol_inject import profiles, resources
    from eol_inject.acts.import_tokens import import_tokens
    from eol_inject.tokens import open_source

    spec = profiles.load("esp32c3-blnkopt").spec
    batch = open_source(
        str(resources.folder("fixtures") / "tokens" / "console_export.zip"),
        stdin=None,
        mapping={},
        organization=spec.product.organization,
        fields=spec.fields,
    )
    done = import_tokens(
        ledger,
        batch,
        product=spec.product.id,
        lot=LOT,
        organization=spec.product.organization,
        operator="demo",
    )
    return done.new


def _one_unit(ledger: "Ledger", out: Path, chip: str, mac: str) -> "CycleRecord":
    """One unit of its own, simulated afresh, and gone after its cycle."""
    from eol_inject import profiles
    from eol_inject.cli import board
    from eol_inject.sim import manage
    from eol_inject.station.bench import open_bench
    from eol_inject.station.cycle import run_cycle

    bench = open_bench(
        profiles.load(f"{chip}-blnkopt"),
        ledger,
        station="demo",
        operator="demo",
        lot=LOT,
        printer=str(out / "labels"),
        observe=board.observer(events=False, quiet=True),
    )
    # a name of its own: another demo, or a trainee's unit, may have the same MAC
    port = f"sim://{chip}?mac={mac}&id=demo-{os.getpid()}-{chip}"
    try:
        return run_cycle(bench, slot="1", port=port)
    finally:
        manage.stop(port)
