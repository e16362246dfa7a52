"""Where profiles, templates and fixtures are: in the wheel, or at the top of the repository."""

from pathlib import Path

from eol_inject.errors import UsageError

_PACKAGE = Path(__file__).parent


def folder(name: str) -> Path:
    """The folder ``profiles``, ``label_templates`` or ``fixtures``.

    Raises ``UsageError("report.no_resource")`` where an installation is incomplete.
    """
    for candidate in (_PACKAGE / "_data" / name, _PACKAGE.parent / name):
        if candidate.is_dir():
            return candidate
    raise UsageError("report.no_resource", name=name)
