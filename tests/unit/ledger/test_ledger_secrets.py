"""Nothing that lies on the disk, and nothing that is said, gives a token away."""

import base64
import logging
import tempfile

import pytest

from eol_inject.errors import EolError
from eol_inject.unit import Proof, Secret
from tests.support.ledger import (
    auth_text,
    begin,
    mac,
    make,
    reserve,
    run_to,
    static_token,
    take_in,
)

WIFI = "correct horse battery staple"


def needles(secret):
    """Every 12-character piece, as it stands, in hex, base64 (three phases) and UTF-16."""
    found = set()
    for start in range(len(secret) - 11):
        piece = secret[start : start + 12].encode()
        found |= {piece, piece.hex().encode(), piece.hex().upper().encode()}
        found.add(piece.decode().encode("utf-16-le"))
        for phase in range(3):
            text = base64.b64encode(b"\0" * phase + piece)
            found.add(text[(0, 2, 3)[phase] + (phase > 0) : -4])
    return found


def leaks(data, secrets):
    """Which of the secrets can be found in the bytes."""
    return [n for secret in secrets for n in needles(secret) if n in data]


def test_the_search_finds_what_is_there():
    """Or else its silence would prove nothing."""
    token = auth_text(1)
    for phase in range(3):
        assert leaks(base64.b64encode(b"x" * phase + token.encode()), [token])
    for data in (token.encode(), token.encode().hex().encode(), token.encode("utf-16-le")):
        assert leaks(b"..." + data, [token])
    assert leaks(token[5:18].encode(), [token])
    assert not leaks(auth_text(2).encode(), [token])


def test_a_stolen_ledger_yields_no_token(tmp_path, monkeypatch):
    """File, WAL and temporary files hold no AuthToken, no claim code, no secret field."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setenv("SQLITE_TMPDIR", str(temporary))
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    folder = tmp_path / "data"
    folder.mkdir()
    secrets = [auth_text(n, kind=kind) for n in range(4) for kind in ("auth", "qr")] + [WIFI]
    with make(folder, tokens=0) as ledger:
        take_in(ledger, [static_token(n, fields={"wifi": Secret(WIFI)}) for n in range(4)])
        cycle = begin(ledger)
        reserved = run_to(cycle, "written")
        cycle.prove(reserved.auth, Proof.READ_BACK)
        for path in (*folder.iterdir(), *temporary.rglob("*")):
            assert not leaks(path.read_bytes(), secrets), path.name
    for path in folder.iterdir():
        assert not leaks(path.read_bytes(), secrets), path.name


def test_errors_repr_and_logs_say_nothing(tmp_path, caplog):
    """Also not when a rule of the database is broken, with logging at its loudest."""
    token = auth_text(1)
    caplog.set_level(logging.DEBUG)
    with make(tmp_path, tokens=0) as ledger:
        take_in(ledger, [static_token(1)])
        with pytest.raises(EolError) as refused:
            take_in(ledger, [static_token(1, qr=5)])
        cycle = begin(ledger)
        reserved = reserve(cycle)
        said = [
            repr(reserved), str(reserved), repr(cycle.standing()), repr(ledger.status()),
            repr(ledger.show(mac(1))), repr(ledger.look_up(reserved.auth)), str(refused.value),
            repr(refused.value.params), caplog.text,
        ]  # fmt: skip
    assert not leaks("\n".join(said).encode(), [token, auth_text(1, kind="qr")])


def test_the_same_token_looks_different_in_two_ledgers(tmp_path):
    """Neither ciphertext nor key check can be compared across ledgers."""
    sealed = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        with make(tmp_path / name, tokens=1) as ledger:
            conn = ledger._setup.db.engine.connect()  # the bytes behind the face
            sealed.append(conn.exec_driver_sql("SELECT auth, uid FROM token").one())
            conn.close()
    assert set(sealed[0]).isdisjoint(sealed[1])


def test_a_ciphertext_moved_to_another_row_is_noticed(tmp_path):
    """Somebody who can write the file cannot swap tokens unseen."""
    with make(tmp_path) as ledger:
        conn = ledger._setup.db.engine.connect()
        conn.exec_driver_sql("DROP TRIGGER token_is_constant")
        conn.exec_driver_sql("UPDATE token SET auth=(SELECT auth FROM token WHERE id=2) WHERE id=1")
        conn.commit()
        conn.close()
        with pytest.raises(EolError) as refused:
            reserve(begin(ledger))
    assert refused.value.code == "ledger.tampered"
