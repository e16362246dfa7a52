"""The searcher for leaked secrets finds every way to hide one.

Only then does "the canary was not seen" mean anything; the runs it watches are in
``test_canary_runs.py``.
"""

import base64
import gzip
import io
import os
import sqlite3
import subprocess
import sys
import time
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.canary import PIECE, Canary, Sighting, Watch

SECRET = "-s3archR_pr0ves_itse1f-" + "Q7w2K9x1M"
"""Not the token of the runs: this one is put into processes on purpose, side by side with them."""
NOISE = os.urandom(3000)


def _zip(data: bytes, name: str = "x.csv") -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)
    return file.getvalue()


def _pdf(data: bytes, *, compress: int) -> bytes:
    from reportlab.pdfgen.canvas import Canvas

    file = io.BytesIO()
    page = Canvas(file, pageCompression=compress)
    page.drawString(100, 100, data.decode())
    page.save()
    return file.getvalue()


def _raw_deflate(data: bytes) -> bytes:
    engine = zlib.compressobj(9, zlib.DEFLATED, -15)
    return engine.compress(data) + engine.flush()


HIDING: dict[str, Callable[[bytes], bytes]] = {
    "plain": lambda secret: secret,
    "hex": lambda secret: secret.hex().encode(),
    "HEX": lambda secret: secret.hex().upper().encode(),
    "base64": base64.b64encode,
    "base64, one byte before": lambda secret: base64.b64encode(b"x" + secret + b"yz"),
    "base64, two bytes before": lambda secret: base64.b64encode(b"xy" + secret + b"z"),
    "base64 for URLs": lambda secret: base64.urlsafe_b64encode(b"?" + secret),
    "utf-16": lambda secret: secret.decode().encode("utf-16-le"),
    "utf-16 big-endian": lambda secret: secret.decode().encode("utf-16-be"),
    "zlib": lambda secret: zlib.compress(b"auth " + secret),
    "zlib, fastest": lambda secret: zlib.compress(b"auth " + secret, 1),
    "zlib, cut off": lambda secret: zlib.compress(secret + NOISE)[:400],
    "gzip": lambda secret: gzip.compress(b"auth " + secret),
    "zip": _zip,
    "zip in zip": lambda secret: _zip(_zip(secret)),
    "base64 of zlib": lambda secret: base64.b64encode(zlib.compress(secret)),
    "hex in zlib": lambda secret: zlib.compress(secret.hex().encode()),
    "pdf": lambda secret: _pdf(secret, compress=0),
    "pdf, compressed": lambda secret: _pdf(secret, compress=1),
}


@pytest.mark.parametrize("form", HIDING)
@pytest.mark.parametrize(("start", "end"), [(0, 32), (20, 32), (5, 5 + PIECE)])
def test_each_hiding_form_is_found(form: str, start: int, end: int) -> None:
    """The whole secret, its last twelve characters, and twelve out of the middle."""
    piece = SECRET[start:end].encode()
    assert Canary(SECRET).in_bytes(NOISE + HIDING[form](piece) + NOISE, "x")


def test_a_name_inside_a_zip_is_found() -> None:
    """A console export names its pictures after AuthTokens."""
    assert Canary(SECRET).in_bytes(_zip(b"png", f"{SECRET}.png"), "x")


def test_nothing_is_found_where_nothing_is() -> None:
    """Noise, another token, and eleven characters of this one are no sighting."""
    canary = Canary(SECRET)
    other = b"A" * 32 + NOISE * 20 + SECRET[: PIECE - 1].encode() + b"\0" + zlib.compress(NOISE)
    assert canary.in_bytes(other, "x") == []


def test_a_sighting_does_not_repeat_the_secret() -> None:
    """A failing test's output ends in a CI log."""
    assert SECRET[:PIECE] not in repr(Canary(SECRET).in_bytes(SECRET.encode(), "x"))


def test_files_names_and_links_are_found(tmp_path: Path) -> None:
    """Contents, file names, folder names and link targets."""
    (tmp_path / "deep" / SECRET).mkdir(parents=True)
    (tmp_path / "deep" / "log.txt").write_text(f"token={SECRET}")
    (tmp_path / "link").symlink_to(f"/nowhere/{SECRET}")
    places = [sighting.place for sighting in Canary(SECRET).in_folders([tmp_path])]
    assert len(places) == 3
    assert any(place.endswith("log.txt") for place in places)


def test_a_file_that_has_to_hold_it_is_left_out(tmp_path: Path) -> None:
    """The token source itself, and the unit's own flash."""
    source = tmp_path / "export.csv"
    source.write_text(SECRET)
    assert Canary(SECRET).in_folders([tmp_path], but=[source]) == []


def test_a_database_and_its_write_ahead_log_are_found(tmp_path: Path) -> None:
    """While the connection is open the row stands in the WAL only."""
    connection = sqlite3.connect(tmp_path / "x.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("CREATE TABLE t(a TEXT)")
    connection.execute("INSERT INTO t VALUES (?)", (SECRET,))
    seen = Canary(SECRET).in_folders([tmp_path])
    connection.close()
    assert Sighting(str(tmp_path / "x.db-wal"), "plain") in seen


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")
@pytest.mark.parametrize("way", ["argument", "environment"])
def test_a_child_s_arguments_and_environment_are_found(way: str) -> None:
    """Also those of a grandchild that lives for a few hundredths of a second."""
    sleep = "import time; time.sleep(0.3)"
    inner = (
        f"import subprocess, sys; subprocess.run([sys.executable, '-c', {sleep!r}, *sys.argv[1:]])"
    )
    extra = [SECRET] if way == "argument" else []
    env = dict(os.environ) | ({"X_TOKEN": SECRET} if way == "environment" else {})
    with Watch(Canary(SECRET)) as watch:
        subprocess.run([sys.executable, "-c", inner, *extra], env=env, check=True)
    assert watch.samples > 2
    assert watch.seen


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")
def test_a_clean_child_is_not_accused() -> None:
    """Processes that were there before are not looked at, and the new one is clean."""
    with Watch(Canary(SECRET)) as watch:
        subprocess.run([sys.executable, "-c", "import time; time.sleep(0.1)"], check=True)
        time.sleep(0.02)
    assert watch.samples > 0
    assert watch.seen == []
