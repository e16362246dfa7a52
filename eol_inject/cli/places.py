"""Where a user's ledgers and keys are, and how the first of them is made."""

import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from eol_inject.cli.answer import tell
from eol_inject.errors import StationError, UsageError

if TYPE_CHECKING:
    from eol_inject.cli.common import Workplace
    from eol_inject.ledger import Keys, Ledger

_APP: Final = "eol_inject"
_SQLITE: Final = "sqlite:///"


def open_ledger(workplace: "Workplace", *, create: bool) -> "Ledger":
    """The ledger that the options name; made, with its keys, where ``create`` allows.

    Raises what ``ledger.open_ledger`` and ``Keys`` raise, and
    ``UsageError("ledger.not_training")`` for ``--training`` on a production ledger.
    """
    from eol_inject import ledger

    kind = ledger.Kind.TRAINING if workplace.training else ledger.Kind.PRODUCTION
    url = workplace.ledger or default_url(training=workplace.training)
    key_file = workplace.key_file or default_key_file(url)
    if not _is_there(url):
        if not create:
            raise StationError("ledger.missing", path=url)
        if url.startswith(_SQLITE) and not workplace.ledger:
            _own_folder(Path(url.removeprefix(_SQLITE)).parent)
        keys = ledger.Keys.load(key_file) if key_file.exists() else _new_keys(key_file)
    else:
        # never made anew for a ledger that is there: new keys could not read it
        keys = ledger.Keys.load(key_file)
    opened = ledger.open_ledger(
        url, keys=keys, station=workplace.station, create=kind if create else None
    )
    if workplace.training and opened.info.kind is not ledger.Kind.TRAINING:
        opened.close()
        raise UsageError("ledger.not_training", path=url)
    return opened


def default_url(*, training: bool) -> str:
    """The user's own ledger: one for production, one for training."""
    import platformdirs

    name = "training.db" if training else "production.db"
    return _SQLITE + str(platformdirs.user_data_path(_APP, appauthor=False) / name)


def default_key_file(url: str) -> Path:
    """The key file of the ledger at ``url``: among the user's settings, apart from the ledger.

    Named after the ledger's file and place, since its id can only be read with the keys.
    """
    import platformdirs

    where = url
    if url.startswith(_SQLITE):
        where = str(Path(url.removeprefix(_SQLITE)).resolve())
    stem = re.sub(r"[^A-Za-z0-9_-]", "-", Path(where).stem)[:40]
    mark = hashlib.sha256(where.encode()).hexdigest()[:8]
    folder = platformdirs.user_config_path(_APP, appauthor=False) / "keys"
    return folder / f"{stem}-{mark}.key"


def _is_there(url: str) -> bool:
    return not url.startswith(_SQLITE) or Path(url.removeprefix(_SQLITE)).exists()


def _new_keys(path: Path) -> "Keys":
    from eol_inject.ledger import Keys

    _own_folder(path.parent)
    keys = Keys.create(path)
    tell(f"New ledger keys: {path}")
    tell("  Back this file up now, apart from the ledger. Whoever has both can read every token;")
    tell("  without the key file nobody can read the tokens that are not in a unit yet.")
    return keys


def _own_folder(path: Path) -> None:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StationError("ledger.no_folder", path=str(path), why=error.strerror) from error
