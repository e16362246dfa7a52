"""Options that several commands share, and the ledger they lead to."""

import functools
import getpass
import os
import re
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from eol_inject.cli.answer import Answer
from eol_inject.errors import EolError
from eol_inject.unit import Secret

if TYPE_CHECKING:
    from eol_inject.ledger import Ledger

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object on stdout, also on failure."
)
events_option = click.option(
    "--events", is_flag=True, help="Print each event as one JSON line on stderr."
)
profile_option = click.option(
    "--profile", metavar="NAME|FILE", required=True, help="Product profile: shipped name, or file."
)
port_option = click.option(
    "--port",
    metavar="URL",
    required=True,
    help="Serial port of the unit: /dev/ttyUSB0, COM7, socket://, rfc2217://, sim://.",
)


def record_name(ctx: click.Context, param: click.Parameter, value: str) -> str:
    """A name that goes into records: printable, short, and nothing that looks like a token."""
    if not value.strip() or len(value) > _LONGEST_NAME or not value.isprintable():
        why = f"a name has 1 to {_LONGEST_NAME} printable characters"
        raise click.BadParameter(why, ctx, param)
    if param.name in _PASTED and _TOKEN.search(value):
        why = "this looks like a token, and a name is shown to everybody"
        raise click.BadParameter(why, ctx, param)
    return value


_LONGEST_NAME = 80
_PASTED = {"lot", "slot"}
"""Where somebody may paste a token; a computer's name may well look like one."""
_TOKEN = re.compile(r"sqr_|(?<![A-Za-z0-9_-])[A-Za-z0-9_-]{32}(?![A-Za-z0-9_-])")

station_file_option = click.option(
    "--station-file",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Station file (TOML): its slots and where they are.",
)


def recorded(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """A path or URL that goes into records as it is: bytes that are no text cannot."""
    try:
        (value or "").encode()
    except UnicodeEncodeError:
        why = "this is not text in this terminal's encoding; set LANG=C.UTF-8, or use plain letters"
        raise click.BadParameter(why, ctx, param) from None
    return value


printer_option = click.option(
    "--printer",
    callback=recorded,
    metavar="URL",
    help="Label printer, e.g. file:///folder for PDF and PNG files.",
)


@dataclass(slots=True)
class Workplace:
    """Who works where: the ledger that the options name, the station, the operator."""

    ledger: str | None
    training: bool
    key_file: Path | None
    station: str
    operator: str
    """A badge names them once the ledger is open."""
    key: Secret | None = None
    """The keys as text, where the environment had them."""
    badge: str | None = None
    """Scanner whose next reading says who works here."""

    def open_ledger(self, *, create: bool = False) -> "Ledger":
        """Open the named ledger, or the user's own; ``create`` makes one where there is none."""
        from eol_inject.cli import places

        ledger = places.open_ledger(self, create=create)
        if self.badge is not None:
            from eol_inject.cli.scanners import read_badge

            try:
                self.operator = ledger.name_of_badge(read_badge(self.badge, "your badge"))
            except EolError:
                ledger.close()
                raise
        return ledger


def with_workplace(command: Callable[..., Answer]) -> Callable[..., Answer]:
    """Give a command the ledger options; it takes a ``Workplace`` as its first argument."""

    @click.option(
        "--ledger",
        metavar="URL",
        envvar="EOL_INJECT_LEDGER",
        show_envvar=True,
        help="Ledger: sqlite:///line1.db, postgresql://server/name; default: the user's production "
        "ledger.",
    )
    @click.option(
        "--training", is_flag=True, help="Use a training ledger: for simulated units only."
    )
    @click.option(
        "--key-file",
        metavar="FILE",
        type=click.Path(path_type=Path, dir_okay=False),
        envvar="EOL_INJECT_KEY_FILE",
        show_envvar=True,
        help="The ledger's keys; default: EOL_INJECT_KEY (their text), or among the user's "
        "settings.",
    )
    @click.option(
        "--station",
        callback=record_name,
        metavar="NAME",
        default=socket.gethostname,
        show_default="host name",
        help="Name of this station in records.",
    )
    @click.option(
        "--operator",
        callback=record_name,
        metavar="NAME",
        default=login_name,
        show_default="login name",
        help="Who works here, in records.",
    )
    @click.option(
        "--badge",
        metavar="URL|tty",
        help="Scan a badge there instead of --operator; tty: a scanner that types.",
    )
    @functools.wraps(command)
    def wrapped(
        *,
        ledger: str | None,
        training: bool,
        key_file: Path | None,
        station: str,
        operator: str,
        badge: str | None,
        **rest: object,
    ) -> Answer:
        key = take_key()
        return command(Workplace(ledger, training, key_file, station, operator, key, badge), **rest)

    return wrapped


def take_key() -> Secret | None:
    """The keys' text out of the environment: no program that we start inherits it."""
    text = os.environ.pop("EOL_INJECT_KEY", None)
    return None if text is None else Secret(text)


def login_name() -> str:
    """Who is logged in; ``unknown`` where the system has no name for the user."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "unknown"
