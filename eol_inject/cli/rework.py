"""``eol-inject unit release … rebind``: what people do about a unit outside of a cycle."""

from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING, Final

import click

from eol_inject.cli.answer import Answer
from eol_inject.cli.common import Workplace, json_option, with_workplace
from eol_inject.cli.person import acting, demand, pin_option, reason_option
from eol_inject.cli.which import identifier, which_unit

if TYPE_CHECKING:
    from eol_inject.acts.rework import Reworked


def _rework(command: Callable[..., Answer]) -> click.Command:
    """A command about one unit, with the options that all of them take."""
    unit = click.argument("which", metavar="IDENTIFIER|-")
    return click.command()(unit(reason_option(pin_option(json_option(with_workplace(command))))))


def _do(workplace: Workplace, act: str, which: str, reason: str, pin_file: str | None) -> Answer:
    from eol_inject.acts import rework

    if act != "release":
        reason = demand(reason, act)
    with closing(workplace.open_ledger()) as ledger:
        named = which_unit(which, ledger)
        by = acting(workplace, ledger, pin_file)
        return _answer(rework.ACTS[act](ledger, by, named, reason))


@_rework
def release(
    workplace: Workplace, *, which: str, reason: str, pin_file: str | None, as_json: bool
) -> Answer:
    """Give a reserved token back to the pool.

    Only while not a byte of it was written. IDENTIFIER is a MAC, a serial number or KIND:VALUE;
    with - one line is read from standard input, which may be a scanned label.
    """
    return _do(workplace, "release", which, reason, pin_file)


@_rework
def quarantine(
    workplace: Workplace, *, which: str, reason: str, pin_file: str | None, as_json: bool
) -> Answer:
    """Stop a unit: it is refused until somebody clears it, and its label no longer counts.

    Possible at any time, also in the middle of a cycle.
    """
    return _do(workplace, "quarantine", which, reason, pin_file)


@_rework
def clear(
    workplace: Workplace, *, which: str, reason: str, pin_file: str | None, as_json: bool
) -> Answer:
    """Let a quarantined or blocked unit go on, with its own token.

    A unit whose write failed clears itself when it is run again and reads blank.
    """
    return _do(workplace, "clear", which, reason, pin_file)


@_rework
def reinject(
    workplace: Workplace, *, which: str, reason: str, pin_file: str | None, as_json: bool
) -> Answer:
    """Let a unit that was written have the same token once more.

    For a unit that was erased, or failed after it was done. Its label no longer counts; the next
    run writes, proves and labels it again.
    """
    return _do(workplace, "reinject", which, reason, pin_file)


@_rework
def replace(
    workplace: Workplace, *, which: str, reason: str, pin_file: str | None, as_json: bool
) -> Answer:
    """Let a unit have a new token; the old one is never used again.

    The cloud has to delete the old one: see `eol-inject tokens todo`.
    """
    return _do(workplace, "replace", which, reason, pin_file)


@_rework
def scrap(
    workplace: Workplace, *, which: str, reason: str, pin_file: str | None, as_json: bool
) -> Answer:
    """Write a unit off, for good; its token is never used again.

    The cloud has to delete the token: see `eol-inject tokens todo`.
    """
    return _do(workplace, "scrap", which, reason, pin_file)


@click.command()
@click.argument("which", metavar="IDENTIFIER")
@click.argument("to", metavar="NEW-IDENTIFIER")
@reason_option
@pin_option
@json_option
@with_workplace
def rebind(
    workplace: Workplace, *, which: str, to: str, reason: str, pin_file: str | None, as_json: bool
) -> Answer:
    """Let what one identifier stands for be another's.

    mac:A mac:B: the token that was made for A belongs to the board B. serial:S mac:B: the serial
    number S names the board B from now on.
    """
    reason = demand(reason, "rebind")
    with closing(workplace.open_ledger()) as ledger:
        was, now = identifier(which, ledger), identifier(to, ledger)
        by = acting(workplace, ledger, pin_file)
        ledger.desk(by).rebind(was, now, reason=reason)
    return Answer(
        data={"act": "rebind", "was": str(was), "is": str(now)},
        lines=[f"What {was} stood for is {now} from now on."],
    )


COMMANDS: Final = (release, quarantine, clear, reinject, replace, scrap, rebind)


def _answer(done: "Reworked") -> Answer:
    state = f"token {done.state}" if done.state else "no token"
    lines = [f"{done.unit}: {done.act} done ({state}). {done.advice}"]
    if done.hold:
        lines.append(f"The unit is {done.hold}.")
    if done.todos:
        lines.append(f"The cloud has to be told ({done.todos} open): eol-inject tokens todo")
    return Answer(
        data={
            "unit": done.unit,
            "act": done.act,
            "state": done.state or None,
            "hold": done.hold or None,
            "label": done.label or None,
            "todos": done.todos,
        },
        lines=lines,
    )
