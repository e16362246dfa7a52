"""The SQLite file: its rights, its settings, and what is said about a file that is not well."""

import os
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from eol_inject.errors import EolError, Exit
from eol_inject.ledger import Keys, Kind, open_ledger
from tests.support.ledger import KEYS, again, begin, fill, mac, make, reserve, url_in


def _refused(folder, *, url=None, create=None):
    with pytest.raises(EolError) as refused:
        open_ledger(url or url_in(folder), keys=KEYS, station="st1", create=create)
    error = refused.value
    assert error.hint
    assert error.code != "ledger.failed"
    return error.code


def test_a_ledger_keeps_its_identity_for_life(tmp_path):
    """Id and kind are those of the day it was made, whatever `create` says later."""
    with make(tmp_path, kind=Kind.TRAINING) as first:
        made = first.info
    with open_ledger(url_in(tmp_path), keys=KEYS, station="st2", create=Kind.PRODUCTION) as later:
        assert (later.info.id, later.info.kind) == (made.id, Kind.TRAINING)
        assert later.info.station == "st2"


def test_its_files_are_the_owner_s_alone(tmp_path):
    """The file, its WAL and its index, with whatever umask."""
    old = os.umask(0)
    try:
        with make(tmp_path):
            names = {path.name for path in tmp_path.iterdir()}
            assert names == {"ledger.db", "ledger.db-wal", "ledger.db-shm"}
            for path in tmp_path.iterdir():
                assert stat.S_IMODE(path.stat().st_mode) == 0o600
    finally:
        os.umask(old)


def test_commits_are_on_disk(tmp_path):
    """WAL and FULL, foreign keys on: on every connection of the pool."""
    with make(tmp_path) as ledger:
        database = ledger._setup.db  # how it connects is nobody else's business
        connections = [database.engine.connect() for _ in range(6)]
        for conn in connections:
            for pragma, value in (
                ("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1),
                ("recursive_triggers", 1), ("application_id", 0x454F4C49),
            ):  # fmt: skip
                assert conn.exec_driver_sql(f"PRAGMA {pragma}").scalar() == value
            conn.close()


def test_a_missing_ledger_is_not_made_by_accident(tmp_path):
    """Only `create` makes one; an empty file left by a crash counts as missing."""
    assert _refused(tmp_path) == "ledger.missing"
    assert not list(tmp_path.iterdir())
    (tmp_path / "ledger.db").touch(0o600)
    assert _refused(tmp_path) == "ledger.missing"
    make(tmp_path).close()


def test_a_missing_folder_says_so(tmp_path):
    """Before SQLite's own riddle."""
    code = _refused(tmp_path, url=f"sqlite:///{tmp_path}/no/ledger.db", create=Kind.TRAINING)
    assert code == "ledger.no_folder"


@pytest.mark.parametrize("url", ["sqlite:///", "sqlite:x.db", "mysql://x/y", "", "x"])
def test_a_url_that_names_no_ledger_is_refused(tmp_path, url):
    """With the forms that do."""
    assert _refused(tmp_path, url=url or " ") == "ledger.bad_url"


def test_what_is_not_a_ledger_is_left_alone(tmp_path):
    """A text file, and another program's database: refused, unchanged."""
    path = tmp_path / "ledger.db"
    path.write_bytes(b"serial;token\n" * 100)
    assert _refused(tmp_path, create=Kind.TRAINING) == "ledger.foreign"
    path.unlink()
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE token (a)")
    other.close()
    before = path.read_bytes()
    assert _refused(tmp_path, create=Kind.TRAINING) == "ledger.foreign"
    assert path.read_bytes() == before


def test_another_programs_database_in_wal_mode_is_left_alone(tmp_path):
    """The header alone does not tell while there is a WAL."""
    other = sqlite3.connect(tmp_path / "ledger.db")
    other.execute("PRAGMA journal_mode=WAL")
    other.execute("CREATE TABLE token (a)")
    other.commit()
    assert _refused(tmp_path, create=Kind.TRAINING) == "ledger.foreign"
    assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("token",)]
    other.close()


def test_a_newer_schema_is_refused(tmp_path):
    """An older program must not touch what it does not understand."""
    make(tmp_path).close()
    with sqlite3.connect(tmp_path / "ledger.db") as raw:
        raw.execute("UPDATE schema_version SET version_num='9999'")
    raw.close()
    assert _refused(tmp_path) == "ledger.newer_schema"


@pytest.mark.parametrize("size", [50, 100, 4096, 20000])
def test_a_truncated_file_is_told_from_a_good_one(tmp_path, size):
    """However much is left of it."""
    make(tmp_path).close()
    os.truncate(tmp_path / "ledger.db", size)
    assert _refused(tmp_path) in {"ledger.corrupt", "ledger.foreign"}


def test_a_damaged_file_is_told_without_a_traceback_of_values(tmp_path):
    """Pages overwritten: refused at opening or at the first use."""
    make(tmp_path, tokens=200).close()
    with (tmp_path / "ledger.db").open("r+b") as file:
        file.seek(4096)
        file.write(b"\xa5" * 4096 * 30)
    with pytest.raises(EolError) as refused, again(tmp_path) as ledger:
        reserve(begin(ledger))
    assert refused.value.code == "ledger.corrupt"
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__


def test_a_locked_file_is_told_after_the_waiting_time(tmp_path, monkeypatch):
    """Another program in the middle of a write."""
    from eol_inject.ledger import sqlite

    make(tmp_path).close()
    monkeypatch.setattr(sqlite, "_BUSY_S", 0.2)
    monkeypatch.setattr(sqlite.SqliteDatabase.__init__, "__kwdefaults__", {"busy_s": 0.2})
    with again(tmp_path) as ledger:
        holder = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(EolError) as refused:
            begin(ledger)
        assert refused.value.code == "ledger.locked"
        assert refused.value.exit is Exit.STATION_BAD
        holder.execute("ROLLBACK")
        holder.close()
        reserve(begin(ledger))


def test_a_full_disk_loses_nothing(tmp_path):
    """Refused, and well again once there is room."""
    with make(tmp_path) as ledger:
        cycle = begin(ledger)
        conn = ledger._setup.db.engine.connect()  # a limit stands for the disk's end
        pages = conn.exec_driver_sql("PRAGMA page_count").scalar()
        conn.exec_driver_sql(f"PRAGMA max_page_count={pages}")
        conn.close()
        with pytest.raises(EolError) as refused:
            fill(ledger, 3000, start=100)
        assert refused.value.code == "ledger.disk_full"
        conn = ledger._setup.db.engine.connect()
        conn.exec_driver_sql("PRAGMA max_page_count=1000000")
        conn.close()
        assert reserve(cycle).state == "reserved"
        assert sum(count.count for count in ledger.status()) == 5


def test_a_read_only_ledger_refuses_to_start_a_cycle(tmp_path):
    """Nothing may be started that could not be recorded."""
    with make(tmp_path) as ledger:
        conn = ledger._setup.db.engine.connect()  # root may write any file: SQLite itself refuses
        conn.exec_driver_sql("PRAGMA query_only=1")
        conn.close()
        with pytest.raises(EolError) as refused:
            begin(ledger)
        assert refused.value.code == "ledger.read_only"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root writes any file")
def test_a_file_without_write_permission_is_refused_at_opening(tmp_path):
    """Before a unit is touched."""
    make(tmp_path).close()
    (tmp_path / "ledger.db").chmod(0o400)
    assert _refused(tmp_path) in {"ledger.read_only", "ledger.cannot_open"}


def test_opening_a_current_ledger_does_not_load_alembic(tmp_path):
    """A command that only looks must not pay for migrations."""
    make(tmp_path).close()
    script = (
        "import sys; from pathlib import Path; from tests.support.ledger import again\n"
        f"again(Path({str(tmp_path)!r})).close(); print('alembic' in sys.modules)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True,
        cwd=Path(__file__).parents[3],
    )  # fmt: skip
    assert ran.stdout.strip() == "False"


def test_the_schema_module_tells_the_truth(tmp_path):
    """Its revision is the newest migration, and its columns are the database's."""
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    from eol_inject.ledger import schema

    config = Config()
    config.set_main_option("script_location", "eol_inject.ledger:migrations")
    assert ScriptDirectory.from_config(config).get_current_head() == schema.REVISION
    make(tmp_path).close()
    raw = sqlite3.connect(tmp_path / "ledger.db")
    for table in schema.TABLES:
        found = [row[1] for row in raw.execute(f"PRAGMA table_info({table.name})")]
        assert found == [column.name for column in table.c], table.name
    raw.close()


def test_a_ledger_stays_the_same_when_a_wrong_key_knocks(tmp_path):
    """And opens again with the right one."""
    make(tmp_path).close()
    with pytest.raises(EolError) as refused:
        open_ledger(url_in(tmp_path), keys=Keys.new(), station="st1")
    assert refused.value.code == "ledger.wrong_key"
    with again(tmp_path) as ledger:
        reserve(begin(ledger))
        assert ledger.show(mac(1)).assignments


MOUNTS = """\
/dev/sda1 / ext4 rw 0 0
server:/export /mnt/line nfs4 rw 0 0
//nas/line /mnt/my\\040share cifs rw 0 0
/dev/sdb1 /mnt/line/local ext4 rw 0 0
me@host: /home/me/remote fuse.sshfs rw 0 0
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/lib/ledger.db", None),
        ("/mnt/line/ledger.db", "nfs4"),
        ("/mnt/linear/ledger.db", None),
        ("/mnt/line/local/ledger.db", None),
        ("/mnt/my share/a/ledger.db", "cifs"),
        ("/home/me/remote/ledger.db", "fuse.sshfs"),
        ("//server/share/ledger.db", "UNC path"),
    ],
)
def test_a_network_share_is_told_by_its_mount(path, kind):
    """The longest mount point that holds the path decides."""
    from eol_inject.ledger.sqlite import share_of

    assert share_of(Path(path), MOUNTS) == kind


def test_a_ledger_on_a_network_share_is_refused(tmp_path, monkeypatch):
    """SQLite's WAL can lose commits there."""
    from eol_inject.ledger import sqlite

    monkeypatch.setattr(sqlite, "share_of", lambda path, mounts: "nfs4")
    assert _refused(tmp_path, create=Kind.TRAINING) == "ledger.network_share"
    assert not list(tmp_path.iterdir())
