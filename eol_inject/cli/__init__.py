"""The command line: parse, open the ends, call, print, exit code. One file per command group.

Importing this package imports click and nothing heavier; each command's module is imported when
it is called, and imports its libraries inside its functions.
"""

from typing import Final

import click

from eol_inject import __version__
from eol_inject.cli.lazy import Lazy, LazyGroup

COMMANDS: Final = {
    "demo": Lazy("eol_inject.cli.demo:demo", "Run three simulated units from token to label."),
    "run": Lazy(
        "eol_inject.cli.run:run",
        "Run the line: inject, verify and label units, in one slot or in many at once.",
    ),
    "verify": Lazy("eol_inject.cli.verify:verify", "Tell whose token a connected unit would use."),
    "ports": Lazy("eol_inject.cli.ports:ports", "List the serial ports and where they are."),
    "sim": Lazy(
        "eol_inject.cli.sim:sim", "Start, list and stop simulated units; be a label printer."
    ),
    "tokens": Lazy(
        "eol_inject.cli.tokens:tokens",
        "Import static tokens, count them, and say what the cloud must be told.",
    ),
    "firmware": Lazy("eol_inject.cli.firmware:firmware", "Inspect and patch firmware images."),
    "profile": Lazy("eol_inject.cli.profile:profile", "List and check product profiles."),
    "unit": Lazy(
        "eol_inject.cli.unit:unit", "Show what the ledger knows about a unit, and do rework on it."
    ),
    "label": Lazy(
        "eol_inject.cli.label:label",
        "Preview templates, print labels by hand and on sheets, tell what a label is.",
    ),
    "ledger": Lazy(
        "eol_inject.cli.ledger:ledger",
        "Show, check, back up and restore the ledger, and name its people.",
    ),
    "report": Lazy("eol_inject.cli.report:report", "Report the units of a lot."),
    "support": Lazy(
        "eol_inject.cli.support:support", "Collect what somebody who helps has to know."
    ),
}
"""Name → command, in the order a new user meets them."""


@click.group(
    cls=LazyGroup,
    table=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="eol-inject")
def root() -> None:
    """Put each unit's own AuthToken into its flash, read it back, and print the matching label.

    Exit codes: 0 pass, 1 the unit is bad, 2 usage, 3 the station is bad, 4 the unit is good but
    its label or record is missing, 130 interrupted.
    """
