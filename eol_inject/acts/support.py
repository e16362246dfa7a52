"""What helps somebody far away to see what is wrong here, and nothing that could hurt.

Made of facts that are public one by one: versions, counts, states, ports, digests. Nothing is
copied from the ledger row by row, so no token, claim code, identifier or name can come along.
"""

import io
import json
import os
import platform
import zipfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from eol_inject import profiles
from eol_inject.errors import EolError, StationError, UsageError
from eol_inject.ledger import Ledger
from eol_inject.station import traceability

Facts = Mapping[str, object]
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
"""The earliest date a ZIP can hold: two bundles of the same facts are the same file."""
_READ_ME: Final = """\
Made by eol-inject support bundle, to be sent to whoever helps.

It holds versions, counts by state, the serial ports and digests of the profiles. It holds no
AuthToken, no claim code, no identifier of a unit, no name of a person, no key.
"""


def versions() -> Facts:
    """The program, what it stands on, and the libraries that touch a unit or a label."""
    return {
        "system": platform.platform(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        **traceability.versions(),
    }


def ledger_facts(ledger: Ledger) -> Facts:
    """Which ledger, and how many of everything."""
    info = ledger.info
    return {
        "id": info.id,
        "kind": info.kind.value,
        "schema": info.revision,
        "generation": info.generation,
        "engine": info.where.partition(":")[0],
        "station": info.station,
        "tokens": dict(_by_state(ledger)),
        "lots": len(ledger.lots()),
        "todos": dict(Counter(one.act for one in ledger.todos())),
        "people": dict(Counter(str(one.role) for one in ledger.people())),
    }


def trouble(error: EolError) -> Facts:
    """Instead of the ledger's facts, where it cannot be opened: that is why help is needed."""
    return {"error": error.code, "class": type(error).__name__}


def profile_facts(named: Sequence[str]) -> Facts:
    """Digests of the shipped profiles and of the ``named`` ones; what is wrong with them."""
    return {name: _profile(name) for name in (*profiles.shipped(), *named)}


def write_bundle(path: Path, parts: Mapping[str, Facts]) -> Path:
    """Write ``parts`` as JSON files into a new owner-only ZIP.

    Raises ``UsageError("ledger.backup_exists")``, ``StationError("ledger.no_folder")``.
    """
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("README.txt", _EPOCH), _READ_ME)
        for name, facts in parts.items():
            text = json.dumps(facts, indent=2, sort_keys=True) + "\n"
            archive.writestr(zipfile.ZipInfo(f"{name}.json", _EPOCH), text)
    try:
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(data.getvalue())
    except FileExistsError:
        raise UsageError("ledger.backup_exists", path=str(path)) from None
    except OSError as error:
        raise StationError("ledger.no_folder", path=str(path), why=error.strerror or "") from error
    return path


def _by_state(ledger: Ledger) -> "Counter[str]":
    counts: Counter[str] = Counter()
    for one in ledger.status():
        counts[one.state.value] += one.count
    return counts


def _profile(name: str) -> Facts:
    try:
        found = profiles.load(name)
    except EolError as error:
        return trouble(error)
    return {"sha256": found.sha256, **found.spec.device.model_dump(mode="json")}
