"""The import act, from a source on disk through the real SQLite ledger."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from eol_inject.acts.import_tokens import delete_source, exposure, import_tokens
from eol_inject.errors import StationError, UsageError
from eol_inject.ledger import Ledger
from eol_inject.tokens import Batch, open_source
from eol_inject.unit import AuthToken
from tests.support.ledger import make
from tests.support.token_sources import FIXTURES, HEADER, auth, pairs, qr, script, table


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """An empty training ledger."""
    (tmp_path / "data").mkdir()
    with make(tmp_path / "data", tokens=0) as made:
        yield made


def batch_of(path: Path | str) -> Batch:
    return open_source(str(path), stdin=None, mapping={}, organization=None, fields={})


def import_(ledger: Ledger, path: Path | str, *, lot: str = "L1", organization: int | None = None):
    return import_tokens(
        ledger,
        batch_of(path),
        product="TMPLsample01",
        lot=lot,
        organization=organization,
        operator="ann",
    )


def count(ledger: Ledger) -> int:
    return sum(row.count for row in ledger.status())


def written(folder: Path, *rows: tuple[str, ...], header: tuple[str, ...] = HEADER) -> Path:
    path = folder / "tokens.csv"
    path.write_bytes(table(header, *rows))
    path.chmod(0o600)
    return path


def test_the_sample_export_comes_into_the_pool_once(ledger: Ledger) -> None:
    """Importing the same export twice changes nothing."""
    first = import_(ledger, FIXTURES / "console_export.zip")
    assert (first.new, first.known, first.bound, first.without_claim) == (12, 0, 0, 0)
    assert (first.organization, first.kind) == (1, "zip")
    again = import_(ledger, FIXTURES / "console_export.zip")
    assert (again.new, again.known) == (0, 12)
    assert count(ledger) == 12
    held = ledger.look_up(AuthToken(script().samples("pool")[0].auth))
    assert held
    assert (held.product, held.organization, held.lot) == ("TMPLsample01", 1, "L1")


def test_what_excel_damaged_is_known_already(ledger: Ledger) -> None:
    """The same tokens by another way, with the organization said by the operator."""
    import_(ledger, FIXTURES / "console_export.zip")
    batch = open_source(
        str(FIXTURES / "excel_damaged.csv"), stdin=None, mapping={}, organization=1, fields={}
    )
    done = import_tokens(
        ledger, batch, product="TMPLsample01", lot="L1", organization=1, operator="ann"
    )
    assert (done.new, done.known) == (0, 12)


def test_bound_tokens_are_counted(ledger: Ledger) -> None:
    """Serial and MAC of the export bind each to its unit."""
    done = import_(ledger, FIXTURES / "console_export_metadata.zip")
    assert (done.new, done.bound) == (12, 12)


def test_a_devices_export_has_no_claim_codes(ledger: Ledger) -> None:
    """They can be injected, not labelled."""
    done = import_(ledger, FIXTURES / "devices_export.csv", organization=1)
    assert (done.new, done.without_claim) == (10, 10)


def test_a_token_that_contradicts_what_is_known_stops_all_of_it(
    ledger: Ledger, tmp_path: Path
) -> None:
    """With its row number; the rows before it are not imported either."""
    import_(ledger, written(tmp_path, *pairs(3)), organization=1)
    path = written(tmp_path, *pairs(2, start=10), (auth(2), qr(99)))
    with pytest.raises(UsageError) as caught:
        import_(ledger, path, organization=1)
    assert (caught.value.code, caught.value.params["row"]) == ("ledger.token_contradicts", 4)
    assert count(ledger) == 3


def test_a_source_that_changes_meanwhile_imports_nothing(ledger: Ledger, tmp_path: Path) -> None:
    """The check and the import read the same bytes, or nothing happens."""
    path = written(tmp_path, *pairs(3))
    batch = batch_of(path)
    written(tmp_path, *pairs(4))
    with pytest.raises(UsageError) as caught:
        import_tokens(
            ledger, batch, product="TMPLsample01", lot="L1", organization=1, operator="ann"
        )
    assert caught.value.code == "tokens.changed"
    assert count(ledger) == 0


def test_another_organization_than_the_one_named_is_refused(ledger: Ledger) -> None:
    """The profile says 2, the source says 1."""
    with pytest.raises(UsageError) as caught:
        import_(ledger, FIXTURES / "console_export.zip", organization=2)
    assert caught.value.code == "tokens.other_organization"
    assert count(ledger) == 0


def test_the_source_is_named_as_a_secret(ledger: Ledger, tmp_path: Path) -> None:
    """It holds every AuthToken in the clear, wherever it lies."""
    path = written(tmp_path, *pairs(3))
    done = import_(ledger, path, organization=1)
    assert done.source == path
    assert str(path) in done.exposure[0]
    assert "every AuthToken in the clear" in done.exposure[0]


@pytest.mark.parametrize(
    ("folder", "said"),
    [
        ("Downloads", "downloads"),
        ("Téléchargements", "downloads"),
        ("Desktop/new", "downloads"),
        ("OneDrive - Factory/x", "cloud"),
        ("Dropbox", "cloud"),
        ("tmp", "temporary"),
    ],
)
def test_places_where_others_look_are_told(tmp_path: Path, folder: str, said: str) -> None:
    """The export stayed in Downloads (line-failures 25)."""
    (tmp_path / folder).mkdir(parents=True)
    path = written(tmp_path / folder, *pairs(1))
    assert said in " ".join(list(exposure(path))[1:])


def test_a_repository_is_told(tmp_path: Path) -> None:
    """One careless commit, and the tokens are public for good."""
    (tmp_path / ".git").mkdir()
    (tmp_path / "line").mkdir()
    assert "git repository" in " ".join(exposure(written(tmp_path / "line", *pairs(1))))


@pytest.mark.skipif(sys.platform == "win32", reason="modes say nothing there")
@pytest.mark.parametrize(("mode", "who"), [(0o640, "its group"), (0o644, "every user")])
def test_a_file_that_others_may_read_is_told(tmp_path: Path, mode: int, who: str) -> None:
    """By group or by all."""
    path = written(tmp_path, *pairs(1))
    assert "can be read by" not in " ".join(exposure(path))
    path.chmod(mode)
    assert f"can be read by {who}" in " ".join(exposure(path))


def test_a_deleted_source_is_gone_and_the_rest_is_told(tmp_path: Path) -> None:
    """Nothing is overwritten: on flash storage that would prove nothing."""
    path = written(tmp_path, *pairs(3))
    sha256 = batch_of(path).sha256
    done = delete_source(path, sha256=sha256)
    assert not path.exists()
    assert "Overwriting would not help" in " ".join(done.notes)


@pytest.mark.skipif(sys.platform == "win32", reason="links need a right there")
def test_a_link_and_its_target_are_both_deleted(tmp_path: Path) -> None:
    """Deleting only the link would leave the tokens; another name of the file is told."""
    path = written(tmp_path, *pairs(3))
    link, other = tmp_path / "link.csv", tmp_path / "other.csv"
    link.symlink_to(path)
    os.link(path, other)
    done = delete_source(link)
    assert (link.is_symlink(), path.exists(), other.exists()) == (False, False, True)
    assert "1 other name(s)" in " ".join(done.notes)


def test_a_newer_export_under_the_same_name_is_not_deleted(tmp_path: Path) -> None:
    """Its tokens are not imported yet."""
    path = written(tmp_path, *pairs(3))
    sha256 = batch_of(path).sha256
    written(tmp_path, *pairs(4))
    with pytest.raises(UsageError) as caught:
        delete_source(path, sha256=sha256)
    assert caught.value.code == "tokens.changed"
    assert path.exists()


def test_a_source_that_cannot_be_deleted_is_told(tmp_path: Path) -> None:
    """The import stands; the file does too."""
    with pytest.raises(StationError) as caught:
        delete_source(tmp_path / "gone.csv")
    assert caught.value.code == "tokens.not_deleted"
