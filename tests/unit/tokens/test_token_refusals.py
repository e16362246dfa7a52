"""Broken, hostile and mistaken sources: each is refused with its own code, and silently."""

import gzip
import io
import os
import struct
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from eol_inject.errors import UsageError
from eol_inject.tokens import open_source
from tests.support.token_sources import (
    HEADER,
    assert_silent,
    auth,
    export,
    image,
    opened,
    packed,
    pairs,
    qr,
    refused,
    table,
)

GOOD = table(HEADER, *pairs(3))


def from_path(source: object, **how: object) -> UsageError:
    """The error of a path that must be refused."""
    with pytest.raises(UsageError) as caught:
        open_source(str(source), stdin=None, mapping={}, organization=None, fields={}, **how)
    assert_silent(caught.value, [auth(1)])
    return caught.value


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "tokens.empty"),
        (b" \r\n\t\n", "tokens.empty"),
        (b";;;\n;;;\n", "tokens.empty"),
        (table(HEADER), "tokens.no_rows"),
        (b"hello", "tokens.no_rows"),
        (table(("a", "b"), ("1", "2")), "tokens.no_auth_column"),
        (table(("QR Token",), *((qr(n),) for n in range(3))), "tokens.no_auth_column"),
        (gzip.compress(GOOD), "tokens.not_a_source"),
        (b"%PDF-1.7 ...", "tokens.not_a_source"),
        (b"<!DOCTYPE html><title>Log in</title>", "tokens.not_a_source"),
        (b'{"content": []}', "tokens.not_a_source"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "tokens.not_a_source"),
        (image(f"{qr(1)}+1"), "tokens.not_a_source"),
        (packed({"[Content_Types].xml": b"", "xl/workbook.xml": b""}), "tokens.not_a_source"),
        (GOOD.decode().encode("utf-32"), "tokens.bad_encoding"),
        (GOOD.replace(b"\n", b"\n\0", 1), "tokens.nul_bytes"),
        (GOOD + b"\0" * 1000, "tokens.nul_bytes"),
        (GOOD + b"x" * 200_000, "tokens.line_too_long"),
        (GOOD + b'"' + b"x\n" * 2000, "tokens.bad_quotes"),
        (GOOD + b'"open,' + auth(5).encode(), "tokens.bad_quotes"),
        (table(HEADER, (auth(1), f'"{qr(1)}'), *pairs(2, 2), (auth(4), f'{qr(4)}"')),
         "tokens.bad_quotes"),
        (GOOD + f'"{auth(4)}"x,{qr(4)}\n'.encode(), "tokens.bad_quotes"),
        (GOOD + b"," * 200, "tokens.too_many_columns"),
    ],
)  # fmt: skip
def test_what_is_no_table_of_tokens_is_refused(data: bytes, code: str) -> None:
    """By looking at it, whatever it is called."""
    assert refused(data).code == code


def test_a_quote_that_was_never_closed_does_not_swallow_tokens() -> None:
    """The next quote far below would close it, and three rows would be one cell."""
    rows = [(auth(n), qr(n), f'"Lamp {n}"') for n in range(1, 9)]
    rows[3] = (auth(4), qr(4), '"Lamp 4')
    rows[6] = (auth(7), qr(7), 'Lamp 7"')
    error = refused(table((*HEADER, "Name"), *rows))
    assert (error.code, error.params["row"]) == ("tokens.bad_quotes", 5)


def test_a_certificate_of_many_lines_is_one_cell() -> None:
    """Line ends inside quotes are the value's own."""
    pem = "-----BEGIN KEY-----\n" + ("A1b2" * 16 + "\n") * 30 + "-----END KEY-----"
    data = table((*HEADER, "Note"), (*pairs(1)[0], f'"{pem}"'), *pairs(2, 2))
    assert [token.row for token in opened(data).tokens] == [2, 3, 4]


@pytest.mark.parametrize("cut", range(1, 70, 3))
def test_a_table_cut_off_in_its_last_row_is_refused_or_whole(cut: int) -> None:
    """Never a shorter token, never a token without the claim code it had."""
    data = GOOD[:-cut]
    if b"\n" + auth(3).encode() not in data:
        assert cut > 30
        error = refused(data)
        assert error.params["row"] == 4
        return
    last = data.rsplit(b",", 1)[1]
    if last in {qr(3).encode(), qr(3).encode() + b"\n"}:
        assert len(opened(data).tokens) == 3
    else:
        assert refused(data).params["row"] == 4


def test_what_a_source_is_does_not_depend_on_its_name(tmp_path: Path) -> None:
    """A ZIP called .csv, a CSV called .zip."""
    for name, data, kind in (
        ("a.csv", packed(export()), "zip"),
        ("b.zip", GOOD, "csv"),
        ("c", GOOD, "csv"),
    ):
        (tmp_path / name).write_bytes(data)
        batch = open_source(
            str(tmp_path / name), stdin=None, mapping={}, organization=None, fields={}
        )
        assert (batch.kind, len(batch.tokens), batch.path) == (kind, 3, tmp_path / name)


def test_a_file_url_is_a_path(tmp_path: Path) -> None:
    """With what a URL escapes."""
    (tmp_path / "my export.csv").write_bytes(GOOD)
    url = (tmp_path / "my export.csv").as_uri()
    assert "%20" in url
    batch = open_source(url, stdin=None, mapping={}, organization=None, fields={})
    assert len(batch.tokens) == 3


def test_places_that_hold_no_file_are_refused(tmp_path: Path) -> None:
    """A missing file, a folder, a path through a file, no standard input, another scheme."""
    (tmp_path / "file").write_bytes(GOOD)
    assert from_path(tmp_path / "missing.zip").code == "tokens.no_source"
    assert from_path(tmp_path / "file" / "below").code == "tokens.no_source"
    assert from_path("a\0b").code == "tokens.no_source"
    assert from_path(tmp_path).code == "tokens.not_a_file"
    assert from_path("-").code == "tokens.no_stdin"
    assert from_path("https://blynk.cloud/tokens").code == "tokens.unknown_scheme"


@pytest.mark.skipif(sys.platform == "win32", reason="no such special files there")
def test_pipes_and_devices_are_refused_without_waiting(tmp_path: Path) -> None:
    """Opening a pipe would wait for its other end; reading /dev/zero would never end."""
    os.mkfifo(tmp_path / "pipe")
    assert from_path(tmp_path / "pipe").code == "tokens.not_a_file"
    assert from_path("/dev/zero").code == "tokens.not_a_file"


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    """With the reason the system gives."""
    (tmp_path / "t.csv").write_bytes(GOOD)
    (tmp_path / "t.csv").chmod(0)
    assert from_path(tmp_path / "t.csv").code == "tokens.unreadable"


def test_a_file_named_like_a_token_is_not_named(tmp_path: Path) -> None:
    """One image of an export that was unpacked: its name is a secret."""
    error = from_path(tmp_path / f"{auth(1)}.png")
    assert error.code == "tokens.no_source"


@pytest.mark.parametrize("when", ["before", "during"])
def test_a_file_that_changes_after_its_check_imports_nothing(tmp_path: Path, when: str) -> None:
    """The import is one transaction, and its end is not reached."""
    path = tmp_path / "t.csv"
    path.write_bytes(GOOD)
    batch = open_source(str(path), stdin=None, mapping={}, organization=None, fields={})
    tokens = iter(batch.tokens)
    if when == "during":
        next(tokens)
    path.write_bytes(table(HEADER, *pairs(4)))
    with pytest.raises(UsageError) as caught:
        list(tokens)
    assert caught.value.code == "tokens.changed"


@pytest.mark.parametrize(
    ("limit", "value", "code"),
    [
        ("eol_inject.tokens.text.MAX_ROWS", 3, "tokens.too_many_rows"),
        ("eol_inject.tokens.source.MAX_BYTES", 100, "tokens.too_large"),
    ],
)
def test_a_source_beyond_the_limits_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, value: int, code: str
) -> None:
    """Two million rows, half a gigabyte: more is no batch of tokens."""
    monkeypatch.setattr(limit, value)
    (tmp_path / "t.csv").write_bytes(GOOD)
    assert from_path(tmp_path / "t.csv").code == code
    assert refused(GOOD).code == code


def changed(**entries: bytes | None) -> dict[str, bytes]:
    """A console export of three tokens with some of its entries changed."""
    found = export(3)
    for name, content in entries.items():
        found.pop(name, None)
        if content is not None:
            found[name] = content
    return found


IMAGE1 = f"qr/{auth(1)}.png"
HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "no CSV": (lambda: packed(changed(**{"tokens.csv": None})), "tokens.zip_no_csv"),
    "two CSVs": (lambda: packed(changed(**{"b.csv": GOOD})), "tokens.zip_many_csv"),
    "empty archive": (lambda: packed({}), "tokens.zip_no_csv"),
    "climbing path": (lambda: packed(changed(**{"../x.png": b""})), "tokens.zip_path"),
    "climbing folder": (lambda: packed(changed(**{"a/../../b/": b""})), "tokens.zip_path"),
    "backslash path": (lambda: packed(changed(**{"..\\x.png": b""})), "tokens.zip_path"),
    "absolute path": (lambda: packed(changed(**{"/etc/passwd": b""})), "tokens.zip_path"),
    "drive": (lambda: packed(changed(**{"C:/x.csv": b""})), "tokens.zip_path"),
    "nested": (lambda: packed(changed(**{"more.zip": packed(export())})), "tokens.zip_nested"),
    "nested as CSV": (lambda: packed({"tokens.csv": packed(export())}), "tokens.nul_bytes"),
    "bomb": (
        lambda: packed({"tokens.csv": GOOD + b"\n" * 20_000_000}, zipfile.ZIP_DEFLATED),
        "tokens.zip_bomb",
    ),
    "image bomb": (
        lambda: packed(changed(**{IMAGE1: b"\0" * 2_000_000}), zipfile.ZIP_DEFLATED),
        "tokens.zip_bomb",
    ),
    "large image": (lambda: packed(changed(**{IMAGE1: bytes(2_000_000)})), "tokens.zip_bomb"),
    "bzip2": (lambda: packed(export(), zipfile.ZIP_BZIP2), "tokens.zip_method"),
    "lzma": (lambda: packed(export(), zipfile.ZIP_LZMA), "tokens.zip_method"),
    "cut off": (lambda: packed(export())[:-30], "tokens.zip_broken"),
    "half": (lambda: (whole := packed(export()))[: len(whole) // 2], "tokens.zip_broken"),
    "only the magic": (lambda: b"PK\x03\x04", "tokens.zip_broken"),
}


@pytest.mark.parametrize("which", HOSTILE)
def test_a_hostile_or_broken_archive_is_refused(which: str) -> None:
    """Each with its own code, before anything of it is imported."""
    make, code = HOSTILE[which]
    assert refused(make()).code == code


def test_an_encrypted_archive_is_refused() -> None:
    """zipfile cannot make one, so the flag is set in a plain one."""
    data = bytearray(packed({"tokens.csv": GOOD}))
    local, central = data.index(b"PK\x03\x04"), data.index(b"PK\x01\x02")
    data[local + 6] |= 1
    data[central + 8] |= 1
    assert refused(bytes(data)).code == "tokens.zip_encrypted"


def test_a_link_in_an_archive_is_refused() -> None:
    """Nothing is ever extracted, but whoever puts a link there means no good."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("tokens.csv", GOOD)
        link = zipfile.ZipInfo("qr")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc")
    assert refused(made.getvalue()).code == "tokens.zip_path"


@pytest.mark.parametrize("large", [False, True])
def test_a_directory_of_too_many_entries_is_refused_unread(large: bool) -> None:
    """What the end record announces counts, also in its 64-bit form: reading it fills memory."""
    data = packed({"tokens.csv": GOOD})
    at = data.rindex(b"PK\x05\x06")
    if large:
        record = struct.pack("<4sQHHIIQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, 9**7, 9**7, 46, 0)
        locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, at, 1)
        data = data[:at] + record + locator + data[at:]
    else:
        data = data[: at + 8] + struct.pack("<HH", 60_000, 60_000) + data[at + 12 :]
    assert refused(data).code == "tokens.zip_too_many"


def test_thousands_of_files_are_counted_not_opened() -> None:
    """Strange files are told by number; their names may be secrets."""
    many = {f"x/{number}.bin": b"" for number in range(5000)}
    batch = opened(packed(export() | many))
    assert len(batch.tokens) == 3
    assert "5000 other file(s)" in " ".join(batch.notes)


def test_a_damaged_table_inside_is_refused_without_its_name() -> None:
    """zipfile's own message would repeat the name of the entry."""
    whole = packed({f"{auth(1)}.csv": GOOD})
    at = whole.index(GOOD) + 40
    error = refused(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    assert error.code == "tokens.zip_broken"


def test_a_damaged_image_entry_is_refused_with_the_row() -> None:
    """The name of an image is an AuthToken, so the row is named instead."""
    whole = packed(export())
    at = whole.index(image(f"{qr(2)}+1")) + 60
    error = refused(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    assert error.code == "tokens.zip_broken"
