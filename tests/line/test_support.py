"""The support bundle: what helps, and nothing that could hurt."""

import json
import zipfile
from pathlib import Path

from tests.line.conftest import LOT, Line
from tests.support.canary import Canary


def members(path: Path) -> dict[str, bytes]:
    """What is in the ZIP."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_a_bundle_tells_states_and_no_secret(line: Line) -> None:
    """Tokens, claim codes, unit numbers, names and keys: looked for in every member."""
    for _ in range(2):
        assert line.run(line.unit()).code == 0
    unit = line.units[0]
    assert line.type("unit", "replace", unit.mac, "--reason", "why-it-broke").code == 0
    path = line.folder / "bundle.zip"
    told = line.type("support", "bundle", str(path))
    assert told.code == 0, told
    found = members(path)
    facts = json.loads(found["ledger.json"])
    assert facts["tokens"] == {"available": 8, "replaced": 1, "closed": 1}
    assert facts["todos"] == {"delete": 1, "unclaim": 1}
    assert "esptool" in json.loads(found["versions.json"])
    assert len(json.loads(found["profiles.json"])["esp32c3-blnkopt"]["sha256"]) == 64
    everything = b"\n".join(found.values())
    for token, claim in line.pool.items():
        assert Canary(token).in_bytes(everything, "bundle") == []
        assert Canary(claim.removeprefix("sqr_")[:32]).in_bytes(everything, "bundle") == []
    key = (line.folder / "ledger.key").read_text("ascii").splitlines()
    for secret in [unit.mac, "Ada", "why-it-broke", *(row.split(" = ")[-1] for row in key[1:])]:
        assert secret.encode() not in everything
    assert path.stat().st_mode & 0o777 == 0o600
    assert line.type("support", "bundle", str(path)).code == 2


def test_a_bundle_is_made_where_the_ledger_cannot_be_opened(line: Line) -> None:
    """That is when it is needed; a profile that is broken is named by its error."""
    (line.folder / "ledger.db").write_bytes(b"junk" * 2000)
    broken = line.folder / "broken.toml"
    broken.write_text(f'lot = "{LOT}"', "utf-8")
    path = line.folder / "bundle.zip"
    assert line.type("support", "bundle", str(path), "--profile", str(broken)).code == 0
    found = members(path)
    assert json.loads(found["ledger.json"])["error"] == "ledger.foreign"
    assert json.loads(found["profiles.json"])[str(broken)]["error"].startswith("profile.")
