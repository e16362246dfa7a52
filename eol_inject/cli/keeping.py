"""``eol-inject ledger backup`` … ``export``: keep the ledger, and trust it."""

from contextlib import closing
from pathlib import Path
from typing import Final

import click

from eol_inject.cli.answer import Answer, tell
from eol_inject.cli.common import Workplace, json_option, with_workplace
from eol_inject.cli.person import acting, demand, pin_option, reason_option
from eol_inject.errors import StationError
from eol_inject.events import Outcome
from eol_inject.report import Failure

_file = click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
_NEXT: Final = "Now, before anything else, on each station: eol-inject ledger replay --reason …"


@click.command()
@_file
@json_option
@with_workplace
def backup(workplace: Workplace, *, file: Path, as_json: bool) -> Answer:
    """Copy the ledger into a new file while the line runs.

    The file holds everything but the keys: without the key file nobody can read a token in it.
    """
    with closing(workplace.open_ledger()) as ledger:
        made = ledger.backup(file)
    return Answer(
        data={"file": made.path, "ledger": made.ledger_id, "events": made.events},
        lines=[f"{made.path} holds the ledger with {made.events} events; the keys are not in it."],
    )


@click.command()
@_file
@pin_option
@json_option
@with_workplace
def restore(workplace: Workplace, *, file: Path, pin_file: str | None, as_json: bool) -> Answer:
    """Put a backup where the ledger is; stop the line first.

    The file that stood there is kept. Tokens used since the backup look free again, so no station
    draws from it until each has replayed what it remembers.
    """
    from eol_inject.acts import restore as act
    from eol_inject.cli import places

    if workplace.badge is not None:
        raise click.UsageError("Give --operator: before a restore no ledger knows the badge.")
    url = places.url_of(workplace)
    keys = places.keys_of(workplace, url)
    replaced = act.open_replaced(url, keys, station=workplace.station)
    if replaced is not None:
        with closing(replaced):
            act.may_restore(acting(workplace, replaced, pin_file))
    done = act.restore(file, url, keys, station=workplace.station, operator=workplace.operator)
    kept = [f"What stood there is kept: {done.kept}"] if done.kept else []
    return Answer(
        data={
            "ledger": done.ledger,
            "generation": done.generation,
            "where": done.where,
            "kept": done.kept,
        },
        lines=[f"{done.where} is the backup's ledger, generation {done.generation}.", *kept, _NEXT],
    )


@click.command()
@reason_option
@pin_option
@json_option
@with_workplace
def replay(workplace: Workplace, *, reason: str, pin_file: str | None, as_json: bool) -> Answer:
    """After a restore: put the tokens that this station handed out on record again.

    Their units go on with them; units whose token is in doubt are blocked until a lead looked.
    """
    reason = demand(reason, "replay")
    with closing(workplace.open_ledger()) as ledger:
        done = ledger.replay(by=acting(workplace, ledger, pin_file), reason=reason)
    return Answer(
        data={"known": done.known, "replayed": done.replayed, "set_aside": done.set_aside},
        lines=[
            f"on record again: {done.replayed}; known: {done.known}; set aside: {done.set_aside}",
            "Put the units of the first kind on again: they go on with their own token.",
        ],
    )


@click.command()
@click.argument("gone", metavar="STATION")
@reason_option
@pin_option
@json_option
@with_workplace
def settle(
    workplace: Workplace, *, gone: str, reason: str, pin_file: str | None, as_json: bool
) -> Answer:
    """After a restore: vouch for a station that cannot replay any more.

    Whoever does this answers for tokens that it may have used since the backup.
    """
    reason = demand(reason, "settle")
    with closing(workplace.open_ledger()) as ledger:
        ledger.settle(gone, by=acting(workplace, ledger, pin_file), reason=reason)
    return Answer(data={"station": gone}, lines=[f"Nobody waits for station {gone} any more."])


@click.command()
@reason_option
@pin_option
@json_option
@with_workplace
def adopt(workplace: Workplace, *, reason: str, pin_file: str | None, as_json: bool) -> Answer:
    """Say that the ledger, or this station, moved to this computer for good.

    The computer it came from must not go on with it. As after a restore, every station has to
    compare its memory first.
    """
    reason = demand(reason, "adopt")
    with closing(workplace.open_ledger()) as ledger:
        ledger.adopt(by=acting(workplace, ledger, pin_file), reason=reason)
        info = ledger.info
    return Answer(
        data={"ledger": info.id, "station": info.station},
        lines=["The ledger is at home on this computer from now on.", _NEXT],
    )


@click.command()
@click.argument("user")
@json_option
@with_workplace
def permit(workplace: Workplace, *, user: str, as_json: bool) -> Answer:
    """Let a user of the PostgreSQL server work as a station.

    That user can append to the log and never rewrite it. To be run by the owner of the tables,
    again after an update of eol-inject.
    """
    with closing(workplace.open_ledger()) as ledger:
        ledger.permit_station(user)
    return Answer(data={"user": user}, lines=[f"{user} may work as a station."])


@click.command()
@_file
@click.option(
    "--format",
    "how",
    type=click.Choice(["jsonl", "csv"]),
    default="jsonl",
    show_default=True,
    help="JSON Lines, or CSV that no spreadsheet takes for formulas.",
)
@click.option("--lot", help="Of this lot only.")
@click.option(
    "--with-secrets",
    is_flag=True,
    help="With AuthTokens and claim codes in the clear: for an engineer, with --reason.",
)
@reason_option
@pin_option
@json_option
@with_workplace
def export(
    workplace: Workplace,
    *,
    file: Path,
    how: str,
    lot: str | None,
    with_secrets: bool,
    reason: str,
    pin_file: str | None,
    as_json: bool,
) -> Answer:
    """Write every token and what became of it into a new file, a row each.

    Without secrets unless they are asked for; that they were is on record for ever.
    """
    from eol_inject.acts.export_tokens import export_tokens

    if with_secrets:
        reason = demand(reason, "export with secrets")
    with closing(workplace.open_ledger()) as ledger:
        by = acting(workplace, ledger, pin_file) if with_secrets else None
        rows = export_tokens(ledger, file, how, lot=lot, secrets_for=by, reason=reason)
    warning = [f"{file} holds every AuthToken in the clear: delete it when it was used."]
    return Answer(
        data={"file": file, "rows": rows, "secrets": with_secrets},
        lines=[f"{rows} tokens in {file}.", *(warning if with_secrets else [])],
    )


@click.command()
@click.option(
    "--anchor",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Compare with the heads kept there, and add today's; keep it where others cannot write.",
)
@json_option
@with_workplace
def check(workplace: Workplace, *, anchor: Path | None, as_json: bool) -> Answer:
    """Check that nobody changed the ledger: chains, rules, counts, fingerprints.

    A changed row is named. An anchor file kept elsewhere also shows events that were cut off, or a
    log that was written anew.
    """
    from eol_inject.ledger import audit

    with closing(workplace.open_ledger()) as ledger:
        anchors = audit.read_anchors(anchor) if anchor else ()
        found = ledger.check(anchors, progress=_progress)
        if anchor and not found.findings:
            audit.write_anchor(anchor, ledger.anchor())
    failure = None
    if found.findings:
        error = StationError("ledger.check_failed", count=len(found.findings))
        failure = Failure.of(error)
    return Answer(
        data={
            "events": found.events,
            "tokens": found.tokens,
            "assignments": found.assignments,
            "anchors": found.anchors,
            "findings": [{"where": one.where, "what": one.what} for one in found.findings],
        },
        lines=[
            *(f"{one.where} {one.what}" for one in found.findings),
            (
                f"{found.events} events, {found.tokens} tokens, {found.assignments} assignments"
                f" and {found.anchors} anchors compared."
            ),
        ],
        outcome=Outcome.STATION_BAD if failure else Outcome.PASS,
        failure=failure,
    )


def _progress(events: int) -> None:
    if events and events % 100_000 == 0:
        tell(f"{events} events checked")


COMMANDS: Final = (backup, restore, replay, settle, adopt, permit, check, export)
