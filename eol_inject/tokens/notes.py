"""What the operator should know about a source in which nothing is wrong: public phrases."""

from collections.abc import Iterator

from eol_inject.errors import Param, UsageError
from eol_inject.tokens.check import Checked
from eol_inject.tokens.columns import Layout


def notes(layout: Layout, found: Checked, *, images: int | None, strangers: int) -> Iterator[str]:
    """Phrases about a table; ``images`` is None where it did not come in an archive."""
    names = layout.names
    if not layout.has_header:
        yield phrase("tokens.note_no_header")
    if found.repeated:
        yield phrase("tokens.note_repeated", count=len(found.repeated), row=min(found.repeated))
    out = sorted(found.dropped | found.filled)
    if out:
        yield phrase("tokens.note_left_out", columns=", ".join(f"'{names[at]}'" for at in out))
    if found.damaged:
        row, column = found.damaged
        yield phrase("tokens.note_damaged", row=row, column=names[column])
    if found.bound:
        columns = ", ".join(f"'{names[at]}'" for at, _ in layout.identifiers)
        yield phrase("tokens.note_bound", count=found.bound, total=found.count, columns=columns)
    if layout.identifiers and found.bound < found.count:
        yield phrase("tokens.note_unbound", count=found.count - found.bound, total=found.count)
    if images == 0:
        yield phrase("tokens.note_no_images")
    if images and found.without_image:
        yield phrase(
            "tokens.note_without_image",
            count=found.without_image,
            row=found.first_without_image,
        )
    if found.unused_images:
        yield phrase("tokens.note_unused_images", count=len(found.unused_images))
    if strangers:
        yield phrase("tokens.note_strangers", count=strangers)
    if layout.qr is None and not images:
        yield phrase("tokens.note_no_claims")
    elif found.organization is None:
        yield phrase("tokens.note_no_organization")


def phrase(code: str, **params: Param) -> str:
    """A sentence and its hint, kept where the errors' are so that one file holds a language."""
    said = UsageError(code, **params)
    return f"{said} {said.hint}"
