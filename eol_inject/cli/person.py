"""Who acts, and why: the name, the PIN that goes with it, and the reason.

A PIN is typed without echo, or read from a file or standard input; it is never an argument, since
every program of the computer may read those.
"""

import getpass
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from eol_inject.cli.common import Workplace
from eol_inject.errors import UsageError
from eol_inject.unit import Secret

if TYPE_CHECKING:
    from eol_inject.ledger import Ledger
    from eol_inject.ledger.people import Person

reason_option = click.option("--reason", default="", help="Why, in one sentence; kept for ever.")
pin_option = click.option(
    "--pin-file",
    metavar="FILE|-",
    help="Read the operator's PIN from there; default: it is asked for at the terminal.",
)


def acting(workplace: Workplace, ledger: "Ledger", pin_file: str | None) -> "Person":
    """The operator, by name and PIN; who needs no PIN is not asked for one.

    Raises ``UsageError``: ``ledger.no_pin``, and what ``Ledger.authenticate`` raises.
    """
    name = workplace.operator.strip()
    pin = None
    if any(one.name == name for one in ledger.people()):
        pin = read_pin(f"PIN of {name}: ", pin_file)
        if pin is None:
            raise UsageError("ledger.no_pin", name=name)
    return ledger.authenticate(name, pin)


def read_pin(prompt: str, source: str | None) -> Secret | None:
    """One line from ``source``, or from the terminal; None where nobody can type it."""
    if source == "-":
        return Secret(sys.stdin.readline().rstrip("\r\n"))
    if source is not None:
        try:
            lines = Path(source).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or "not a text file"
            raise UsageError("ledger.pin_file", path=source, why=why) from None
        return Secret(lines[0] if lines else "")
    # getpass would fall back to an echo where there is no terminal
    return Secret(getpass.getpass(prompt)) if sys.stdin.isatty() else None


def demand(reason: str, act: str) -> str:
    """The reason. Raises ``UsageError("ledger.reason_missing")`` before anything is opened."""
    if not reason.strip():
        raise UsageError("ledger.reason_missing", act=act)
    return reason.strip()
