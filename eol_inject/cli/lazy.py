"""A click group that knows its commands' names and help without importing them.

``eol-inject --help`` is typed more often than any command: it must not pay for what they import.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module

import click


@dataclass(frozen=True, slots=True)
class Lazy:
    """One command: where it is (``module:attribute``) and its one line of help.

    The line equals the command's own short help; ``tests/laws`` compares them.
    """

    target: str
    help: str

    def load(self) -> click.Command:
        """Import the command."""
        module, _, attribute = self.target.partition(":")
        command = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command)  # noqa: S101  # the table is ours, a law loads it
        return command


class LazyGroup(click.Group):
    """A group over a table of ``Lazy`` commands, listed in the table's order."""

    def __init__(self, *args: object, table: Mapping[str, Lazy], **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]  # click's own parameters, passed through
        self.table = table

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the table's order: the order of the work, not of the alphabet."""
        return list(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command, or None where there is none of that name."""
        found = self.table.get(cmd_name)
        return None if found is None else found.load()

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the names and the table's help, without importing anything."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in self.table.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, and name the nearest command where the name is unknown."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            # click suggests from commands it has loaded, and here it has loaded none
            near = _nearest(args[0], self.table)
            if near is None:
                raise
            raise click.UsageError(
                f"{error.format_message()} Did you mean '{near}'?", ctx
            ) from None


def _nearest(name: str, known: Mapping[str, Lazy]) -> str | None:
    from difflib import get_close_matches

    return next(iter(get_close_matches(name, known, n=1)), None)
