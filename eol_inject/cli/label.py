"""``eol-inject label``: templates, and what they look like; the desk's commands join here."""

import shutil
from pathlib import Path

import click

from eol_inject.cli import label_desk
from eol_inject.cli.answer import Answer
from eol_inject.cli.common import json_option
from eol_inject.errors import UsageError


@click.group()
def label() -> None:
    """Preview templates, print labels by hand and on sheets, tell what a label is."""


for _command in label_desk.COMMANDS:
    label.add_command(_command)


@label.command("list")
@json_option
def list_templates(*, as_json: bool) -> Answer:
    """List the label templates that come with this installation."""
    from eol_inject import report
    from eol_inject.label import load_template, shipped

    names = ("name", "width_mm", "height_mm", "dpi", "description")
    rows = [
        (
            each.name,
            each.spec.stock.width_mm,
            each.spec.stock.height_mm,
            each.spec.stock.dpi,
            each.spec.description,
        )
        for each in map(load_template, shipped())
    ]
    return Answer(
        data={"templates": [dict(zip(names, row, strict=True)) for row in rows]},
        lines=[report.table(("template", "width mm", "height mm", "dpi", "description"), rows)],
    )


@label.command()
@click.argument("template", metavar="NAME|FILE")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="The picture: PNG, or PDF where the name ends in .pdf; never overwritten. Without it the "
    "label is drawn in the terminal.",
)
@click.option(
    "--org",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="The cloud's orgId; a longer one can need a larger QR symbol.",
)
@json_option
def preview(*, template: str, out: Path | None, org: int, as_json: bool) -> Answer:
    """Draw a template with made-up values, as it would be printed.

    Goes the whole way of a real label, its decoder included. The claim code in it claims nothing.
    """
    from eol_inject import report
    from eol_inject.acts.preview_label import preview_label
    from eol_inject.cli.picture import in_braille
    from eol_inject.label import load_template

    loaded = load_template(template)
    drawn = preview_label(loaded, organization=org)
    if out is not None:
        _write(out, drawn.pdf() if out.suffix.lower() == ".pdf" else drawn.png())
    facts = {
        "template": loaded.name,
        "digest": loaded.digest,
        "width_dots": drawn.width,
        "height_dots": drawn.height,
        "dpi": drawn.dpi,
        "file": out,
    }
    words = report.pairs({name.replace("_", " "): value for name, value in facts.items()})
    columns = shutil.get_terminal_size().columns
    picture = [] if out else in_braille(drawn.bitmap, columns=columns)
    return Answer(data=facts, lines=[*picture, words])


def _write(path: Path, data: bytes) -> None:
    try:
        with path.open("xb") as file:
            file.write(data)
    except FileExistsError:
        raise UsageError("report.output_exists", path=str(path)) from None
    except OSError as error:
        raise UsageError("report.output_failed", path=str(path), why=error.strerror) from error
