"""Where a user's ledgers and keys are, and how the first of them is made."""

import hashlib
import re
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Final

from eol_inject.cli.answer import tell
from eol_inject.errors import StationError, UsageError

if TYPE_CHECKING:
    from eol_inject.cli.common import Workplace
    from eol_inject.ledger import Keys, Ledger

_APP: Final = "eol_inject"
_SQLITE: Final = "sqlite:///"
_PASSWORD: Final = re.compile(r":[^:@/]*@")
"""Of a URL's ``user:password@host``."""


def open_ledger(workplace: "Workplace", *, create: bool) -> "Ledger":
    """The ledger that the options name; made, with its keys, where ``create`` allows.

    Raises what ``ledger.open_ledger`` and ``Keys`` raise, and
    ``UsageError("ledger.not_training")`` for ``--training`` on a production ledger.
    """
    from eol_inject import ledger

    kind = ledger.Kind.TRAINING if workplace.training else ledger.Kind.PRODUCTION
    url = url_of(workplace)
    if not create and not _may_be_there(url):
        raise StationError("ledger.missing", path=url)
    if create and url.startswith(_SQLITE) and not workplace.ledger:
        _own_folder(Path(url.removeprefix(_SQLITE)).parent)
    keys, made = _keys(workplace, url, create=create)
    try:
        opened = ledger.open_ledger(
            url,
            keys=keys,
            station=workplace.station,
            create=kind if create else None,
            witness=memory_folder(),
            host=socket.gethostname(),
        )
    except StationError as error:
        if made is None or error.code != "ledger.wrong_key":
            raise
        # A ledger was there already, on a server: what it needs is the key it was made with.
        made.unlink()
        raise StationError("ledger.key_missing", path=str(made), why="no such file") from error
    if made is not None:
        _tell_of_new_keys(made)
    if workplace.training and opened.info.kind is not ledger.Kind.TRAINING:
        opened.close()
        raise UsageError("ledger.not_training", path=opened.info.where)
    return opened


def url_of(workplace: "Workplace") -> str:
    """The ledger that the options name, or the user's own."""
    return workplace.ledger or default_url(training=workplace.training)


def keys_of(workplace: "Workplace", url: str) -> "Keys":
    """The keys that the options, or the environment, lead to; never new ones."""
    return _keys(workplace, url, create=False)[0]


def memory_folder() -> Path:
    """Where this computer remembers which tokens its stations handed out: not beside the ledger,
    so that a restored or copied one does not bring its own memory along."""  # the whole reason
    import platformdirs

    folder = platformdirs.user_state_path(_APP, appauthor=False) / "handed-out"
    _own_folder(folder)
    return folder


def default_url(*, training: bool) -> str:
    """The user's own ledger: one for production, one for training."""
    import platformdirs

    name = "training.db" if training else "production.db"
    return _SQLITE + str(platformdirs.user_data_path(_APP, appauthor=False) / name)


def default_key_file(url: str) -> Path:
    """The key file of the ledger at ``url``: among the user's settings, apart from the ledger.

    Named after the ledger's place, since its id can only be read with the keys; a password in the
    URL is not part of the place.
    """
    import platformdirs

    where = _PASSWORD.sub("@", url)
    if url.startswith(_SQLITE):
        where = str(Path(url.removeprefix(_SQLITE)).resolve())
    stem = re.sub(r"[^A-Za-z0-9_-]", "-", Path(where.partition("?")[0]).stem)[:40]
    mark = hashlib.sha256(where.encode()).hexdigest()[:8]
    folder = platformdirs.user_config_path(_APP, appauthor=False) / "keys"
    return folder / f"{stem}-{mark}.key"


def _may_be_there(url: str) -> bool:
    """A file is there or not; a server has to be asked."""
    return not url.startswith(_SQLITE) or Path(url.removeprefix(_SQLITE)).exists()


def _keys(workplace: "Workplace", url: str, *, create: bool) -> "tuple[Keys, Path | None]":
    """The keys, and their file where it was made just now."""
    from eol_inject.ledger import Keys

    if workplace.key is not None and workplace.key_file is None:
        return Keys.from_text(workplace.key.reveal()), None
    path = workplace.key_file or default_key_file(url)
    # never made anew for a ledger file that is there: new keys could not read it
    there = url.startswith(_SQLITE) and _may_be_there(url)
    if not create or there or path.exists():
        return Keys.load(path), None
    _own_folder(path.parent)
    return Keys.create(path), path


def _tell_of_new_keys(path: Path) -> None:
    tell(f"New ledger keys: {path}")
    tell("  Back this file up now, apart from the ledger. Whoever has both can read every token;")
    tell("  without the key file nobody can read the tokens that are not in a unit yet.")


def _own_folder(path: Path) -> None:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StationError("ledger.no_folder", path=str(path), why=error.strerror) from error
