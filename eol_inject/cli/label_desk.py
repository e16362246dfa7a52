"""``eol-inject label print … scan``: labels by hand, sheets, and what a label in the hand is."""

from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from eol_inject.cli.answer import Answer, tell
from eol_inject.cli.common import Workplace, json_option, profile_option, with_workplace
from eol_inject.cli.person import acting, demand, pin_option, reason_option
from eol_inject.cli.scanners import one_reading, readings_of, scanner_option
from eol_inject.cli.which import which_unit
from eol_inject.errors import UsageError
from eol_inject.events import Outcome

if TYPE_CHECKING:
    from eol_inject.acts.label_desk import Desk
    from eol_inject.label import Template
    from eol_inject.ledger import CopyRecord, Ledger

_TOLD_EVERY: Final = 50
"""Labels of a sheet between two lines of progress."""

_unit = click.argument("which", metavar="IDENTIFIER|-")
_printer = click.option(
    "--printer",
    metavar="URL",
    required=True,
    help="Label printer: zpl://host:9100, file:///folder.",
)
_template = click.option(
    "--template", metavar="NAME|FILE", help="Label template; default: the profile's."
)
_kind = click.option(
    "--kind", default="unit", show_default=True, help="Which of the unit's labels, such as box."
)


@click.command("print")
@_unit
@profile_option
@_printer
@_template
@_kind
@pin_option
@json_option
@with_workplace
def print_one(
    workplace: Workplace, *, which: str, profile: str, printer: str, template: str | None,
    kind: str, pin_file: str | None, as_json: bool,
) -> Answer:  # fmt: skip
    """Print the label of a verified unit that has none.

    The claim code comes from the ledger's record of what was read back from that unit. A unit that
    has a label gets another one by `reprint` only.
    """
    from eol_inject.acts import label_desk as act
    from eol_inject.label import open_printer

    with closing(workplace.open_ledger()) as ledger:
        desk, named = (
            _desk(workplace, ledger, profile, pin_file, printer),
            which_unit(which, ledger),
        )
        copy, files = act.print_label(
            desk, named, _load(desk, template, kind), open_printer(printer), kind=kind
        )
    return _copy_answer(copy, files)


@click.command()
@_unit
@profile_option
@_printer
@_template
@_kind
@click.option("--old-scanned", is_flag=True, help="Scan the old label first: an operator may then.")
@scanner_option
@reason_option
@pin_option
@json_option
@with_workplace
def reprint(
    workplace: Workplace, *, which: str, profile: str, printer: str, template: str | None,
    kind: str, old_scanned: bool, scanner: str | None, reason: str, pin_file: str | None,
    as_json: bool,
) -> Answer:  # fmt: skip
    """Print another copy of a unit's label; the copy before it does not count any more.

    It has the same claim code, an id of its own and the next copy number. A lead says why; where
    the old label is there to be scanned (--old-scanned), an operator may.
    """
    from eol_inject.acts import label_desk as act
    from eol_inject.label import open_printer

    if not old_scanned:
        reason = demand(reason, "reprint")
    with closing(workplace.open_ledger()) as ledger:
        desk, named = (
            _desk(workplace, ledger, profile, pin_file, printer),
            which_unit(which, ledger),
        )
        old = None
        if old_scanned:
            old = one_reading(scanner, "Scan the old label:")
        copy, files = act.reprint(
            desk, named, _load(desk, template, kind), open_printer(printer),
            reason=reason, old=old, kind=kind,
        )  # fmt: skip
    return _copy_answer(copy, files)


@click.command()
@click.argument("label", metavar="LABEL")
@reason_option
@pin_option
@json_option
@with_workplace
def void(
    workplace: Workplace, *, label: str, reason: str, pin_file: str | None, as_json: bool
) -> Answer:
    """Let a label not count any more, wherever it sticks.

    LABEL is the id that stands on it, with or without the copy.
    """
    from eol_inject.acts import label_desk as act

    reason = demand(reason, "label void")
    with closing(workplace.open_ledger()) as ledger:
        by = acting(workplace, ledger, pin_file)
        copy = act.void(ledger, by, label.upper().partition("-")[0], reason=reason)
    return Answer(
        data={"label": _plain(copy)},
        lines=[f"Label {copy.name} of {copy.unit} does not count any more: {reason}"],
    )


@click.command()
@_unit
@json_option
@with_workplace
def show(workplace: Workplace, *, which: str, as_json: bool) -> Answer:
    """Show every label that a unit ever had."""
    with closing(workplace.open_ledger()) as ledger:
        found = ledger.labels(which_unit(which, ledger))
    return Answer(data={"labels": [_plain(one) for one in found]}, lines=_table(found))


@click.command()
@profile_option
@click.option("--lot", required=True, help="Units with a token of this lot.")
@_template
@click.option(
    "--start-at", type=click.IntRange(min=1), default=1, show_default=True,
    help="First free cell of the first page, row by row.",
)  # fmt: skip
@click.option(
    "--order", type=click.Choice(["token", "unit"]), default="token", show_default=True,
    help="By the order of the tokens, or of the units' identifiers.",
)  # fmt: skip
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), required=True,
    help="The PDF; named again after a break-off it gets the same labels.",
)  # fmt: skip
@pin_option
@json_option
@with_workplace
def sheet(
    workplace: Workplace, *, profile: str, lot: str, template: str | None, start_at: int,
    order: str, out: Path, pin_file: str | None, as_json: bool,
) -> Answer:  # fmt: skip
    """Make a sheet of labels: all verified units of a lot that have none.

    They are on record before the file is there. Print the PDF at its own size; then each unit is
    closed by scanning its label: `eol-inject label scan --close`.
    """
    from eol_inject.acts import label_desk as act

    def told(done: int, total: int) -> None:
        if not as_json and (done == total or done % _TOLD_EVERY == 0):
            tell(f"{done} of {total} labels")

    with closing(workplace.open_ledger()) as ledger:
        desk = _desk(workplace, ledger, profile, pin_file, "")
        made = act.sheet(
            desk, _load(desk, template, "unit"), out, lot=lot, start_at=start_at, order=order,
            progress=told,
        )  # fmt: skip
    return Answer(
        data={
            "file": out,
            "resumed": made.resumed,
            "order": order,
            "labels": [_plain(one) for one in made.labels],
        },
        lines=[_table(made.labels)[0], "", f"{len(made.labels)} labels in {out}"],
    )


@click.command()
@click.argument("template", metavar="NAME|FILE")
@click.option("--profile", metavar="NAME|FILE", help="Try it with this product's fields and names.")
@click.option("--printer", metavar="URL", help="Ask this printer whether it could print it now.")
@click.option("--unit", metavar="IDENTIFIER|-", help="Draw this unit's label, and print nothing.")
@pin_option
@json_option
@with_workplace
def check(
    workplace: Workplace, *, template: str, profile: str | None, printer: str | None,
    unit: str | None, pin_file: str | None, as_json: bool,
) -> Answer:  # fmt: skip
    """Check a template: by itself, with a product, against a unit's record and a printer.

    Nothing is printed and nothing goes on record.
    """
    from eol_inject import profiles, report
    from eol_inject.acts.preview_label import preview_label
    from eol_inject.label import check_template, load_template, open_printer
    from eol_inject.ledger.label_states import Draft
    from eol_inject.station.bench import known_texts

    loaded = load_template(template)
    product = profiles.load(profile) if profile else None
    facts: dict[str, Any] = {"template": loaded.name, "digest": loaded.digest}
    if product is not None:
        organization = product.spec.product.organization
        check_template(
            loaded, product.public_fields, organization=organization, known=known_texts(product)
        )
        facts["profile"] = product.name
    elif unit is None:
        preview_label(loaded, organization=1)
    if unit is not None:
        if profile is None:
            raise UsageError("report.usage", why="--unit needs --profile.", command="label check")
        with closing(workplace.open_ledger()) as ledger:
            desk = _desk(workplace, ledger, profile, pin_file, "")
            proven = desk.acts.proven(which_unit(unit, ledger))
            drawn = desk.draw(proven, loaded, Draft("CHECKS", 1, "unit"), desk.facts())
        facts |= {"unit": str(proven.unit), "bitmap": drawn.digest, "claim": f"…{drawn.tail}"}
    if printer is not None:
        open_printer(printer).preflight()
        facts["printer"] = f"{printer} is ready"
    return Answer(data=facts, lines=[report.pairs(facts)])


@click.command()
@scanner_option
@click.option("--close", "closing_", is_flag=True, help="Close its unit, if it is the live copy.")
@click.option("--profile", metavar="NAME|FILE", help="Which labels a unit needs before it closes.")
@pin_option
@json_option
@with_workplace
def scan(
    workplace: Workplace, *, scanner: str | None, closing_: bool, profile: str | None,
    pin_file: str | None, as_json: bool,
) -> Answer:  # fmt: skip
    """Tell what the label in the hand is: whose, which copy, and whether it counts.

    Reads the QR code, and the id on the label where several copies have to be told apart. With
    --close the scan of the live copy closes a unit whose label came from a sheet or the desk.
    """
    from eol_inject import report
    from eol_inject.acts import label_desk as act
    from eol_inject.report import Failure

    with closing(workplace.open_ledger()) as ledger:
        seen = act.look_at(
            ledger,
            readings_of(scanner, "Scan the label; where there are several copies, its id too:"),
        )
        copy, wrong = seen.copy, seen.wrong
        if closing_ and wrong is None:
            if copy is None:
                raise UsageError("label.which_copy")
            by = acting(workplace, ledger, pin_file)
            copy = ledger.label_desk(by).close_by_scan(copy.code, _kinds(profile))
        copies = seen.copies
        state, tail = (seen.holder.state, seen.holder.claim_tail) if seen.holder else ("", "")
        if copy is not None:
            # as it stands after the act, and also where only the id was scanned
            name = ledger.named(copy.unit)[0]
            copies = ledger.labels(name)
            (token,) = (one for one in ledger.show(name).assignments if one.id == copy.assignment)
            state, tail = token.state, token.claim_tail
    holder = seen.holder
    facts = {
        "unit": copy.unit if copy else str(holder.unit) if holder and holder.unit else "",
        "state": str(state),
        "claim_tail": tail,
        "label": copy.name if copy else "",
        "copy_state": copy.state.value if copy else "",
        "counts": copy is not None and copy.state.value != "void",
    }
    words = {name.replace("_", " "): value for name, value in facts.items()}
    words["counts"] = "yes" if facts["counts"] else "no"
    return Answer(
        data=facts | {"copies": [_plain(one) for one in copies]},
        lines=[report.pairs(words), "", *_table(copies)],
        outcome=Outcome.of(wrong.exit) if wrong else Outcome.PASS,
        failure=Failure.of(wrong) if wrong else None,
    )


COMMANDS: Final = (print_one, reprint, void, show, sheet, check, scan)


def _desk(
    workplace: Workplace, ledger: "Ledger", profile: str, pin_file: str | None, printer: str
) -> "Desk":
    """``printer`` is empty for a sheet, whose labels are scanned unless the profile says not to."""
    from eol_inject import profiles
    from eol_inject.acts.label_desk import Desk
    from eol_inject.station.bench import Confirm, confirm_of

    product = profiles.load(profile)
    label = product.spec.label
    confirm = confirm_of(product, printer)
    if not printer:
        confirm = Confirm((label.confirm if label else None) or "scan")
    by = acting(workplace, ledger, pin_file)
    return Desk(ledger, by, product, confirm, datetime.now(UTC).astimezone().date())


def _load(desk: "Desk", template: str | None, kind: str) -> "Template":
    from eol_inject.label import check_template, load_template

    label = desk.profile.spec.label
    if label is None:
        raise UsageError("profile.no_label", profile=desk.profile.name)
    name = template or {"unit": label.template, **label.also}.get(kind)
    if name is None:
        raise UsageError("label.unknown_kind", kind=kind, known=", ".join(desk.kinds))
    loaded = load_template(name)
    organization = desk.profile.spec.product.organization
    check_template(loaded, desk.profile.public_fields, organization=organization)
    return loaded


def _kinds(profile: str | None) -> tuple[str, ...]:
    from eol_inject import profiles

    label = profiles.load(profile).spec.label if profile else None
    return ("unit", *(label.also if label else ()))


def _copy_answer(copy: "CopyRecord", files: tuple[Path, ...]) -> Answer:
    lines = [f"Label {copy.name} of {copy.unit}: {copy.state}", *(str(path) for path in files)]
    return Answer(data={"label": _plain(copy), "files": [str(path) for path in files]}, lines=lines)


def _plain(copy: "CopyRecord") -> dict[str, Any]:
    return {name: value for name, value in asdict(copy).items() if name != "assignment"}


def _table(copies: "tuple[CopyRecord, ...]") -> list[str]:
    from eol_inject import report

    rows = [
        (
            one.name,
            one.unit,
            one.kind,
            one.state,
            one.printer,
            one.made_at,
            one.operator,
            one.reason,
        )
        for one in copies
    ]
    headers = ("label", "unit", "kind", "state", "printer", "made", "by", "reason")
    return [report.table(headers, rows) if rows else "No label was ever made."]
