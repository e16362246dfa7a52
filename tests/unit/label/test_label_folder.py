"""``file:`` as a printer: what lies on the disk afterwards, and what never does."""

import os
import shutil
import stat
import sys
from pathlib import Path

import pytest

from eol_inject.errors import StationError, UsageError
from eol_inject.label import Label, Printed, PrintOutcome, Template, open_printer, render
from eol_inject.label import folder as folder_module
from eol_inject.label.folder import FolderPrinter
from eol_inject.label.names import safe_name
from eol_inject.label.zpl import encode
from eol_inject.unit import ClaimCode, Proven
from tests.support.canary import Canary

AUTH = "Zq3-9xW_bT7mK2cR8vLpN4sD6fHjY0aE"


@pytest.fixture
def label(proven: Proven, template: Template, extra: dict[str, str]) -> Label:
    return render(proven, template, extra=extra)


@pytest.fixture
def other(make_proven: "type[Proven]", template: Template, extra: dict[str, str]) -> Label:
    claim = ClaimCode.parse("sqr_BBBBLSydh3d0ArmZj50l9zr79JXVooBR+1")
    return render(make_proven(claim=claim), template, extra=extra)


def test_a_label_becomes_a_pdf_and_a_png(tmp_path: Path, label: Label) -> None:
    """Both files are complete when they appear, readable by their owner only."""
    printed = open_printer((tmp_path / "new" / "labels").as_uri()).print(label, name="34:85:18-1")
    assert printed.outcome is PrintOutcome.CONFIRMED
    assert [path.name for path in printed.files] == ["34-85-18-1.pdf", "34-85-18-1.png"]
    assert [path.read_bytes() for path in printed.files] == [label.pdf(), label.png()]
    if os.name == "posix":
        assert {stat.S_IMODE(path.stat().st_mode) for path in printed.files} == {0o600}
        assert stat.S_IMODE((tmp_path / "new" / "labels").stat().st_mode) == 0o700
    assert sorted(p.suffix for p in (tmp_path / "new" / "labels").iterdir()) == [".pdf", ".png"]


def test_the_formats_can_be_chosen(tmp_path: Path, label: Label) -> None:
    """A queue that takes ZPL files gets one; each is a whole label."""
    printed = open_printer(f"{tmp_path.as_uri()}?formats=zpl,png").print(label, name="u")
    assert [path.name for path in printed.files] == ["u.zpl", "u.png"]
    assert printed.files[0].read_bytes() == encode(label)


def test_the_same_label_again_is_the_same_files(tmp_path: Path, label: Label) -> None:
    """A cycle that was killed after printing finds its files and makes no second pair."""
    printer = open_printer(str(tmp_path))
    assert printer.print(label, name="u-1") == printer.print(label, name="u-1")
    assert len(list(tmp_path.iterdir())) == 2


def test_another_label_never_takes_a_files_place(
    tmp_path: Path, label: Label, other: Label
) -> None:
    """Two names that only differ in forbidden characters do not overwrite each other."""
    printer = open_printer(str(tmp_path))
    first = printer.print(label, name="aa:bb")
    second = printer.print(other, name="aa/bb")
    assert [path.name for path in second.files] == ["aa-bb-2.pdf", "aa-bb-2.png"]
    assert first.files[0].read_bytes() == label.pdf()
    assert second.files[0].read_bytes() == other.pdf()


def test_a_half_written_pair_is_completed(tmp_path: Path, label: Label) -> None:
    """Power lost between PDF and PNG: the next print adds the missing one."""
    printer = open_printer(str(tmp_path))
    printer.print(label, name="u").files[1].unlink()
    printed = printer.print(label, name="u")
    assert printed.files[1].read_bytes() == label.png()
    assert len(list(tmp_path.iterdir())) == 2


def test_without_hard_links_nothing_is_overwritten_either(
    tmp_path: Path, label: Label, other: Label, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A USB stick with FAT claims the name before it moves the file there."""

    def refuse(source: Path, target: Path) -> None:
        raise FileExistsError(target) if target.exists() else PermissionError(1, "no links")

    monkeypatch.setattr(os, "link", refuse)
    printer = open_printer(str(tmp_path))
    printer.print(label, name="u")
    assert [path.name for path in printer.print(other, name="u").files] == ["u-2.pdf", "u-2.png"]
    assert (tmp_path / "u.pdf").read_bytes() == label.pdf()
    assert len(list(tmp_path.iterdir())) == 4


def test_a_failed_write_leaves_nothing(
    tmp_path: Path, label: Label, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk is told as not sent, and no part of a label stays behind."""

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    printed = open_printer(str(tmp_path)).print(label, name="u")
    assert printed == Printed(PrintOutcome.NOT_SENT, why="No space left on device")
    assert list(tmp_path.iterdir()) == []


def test_preflight_makes_the_folder_and_leaves_no_trace(tmp_path: Path) -> None:
    """Before a token is reserved, the folder is there and writable."""
    open_printer(str(tmp_path / "labels")).preflight()
    assert list((tmp_path / "labels").iterdir()) == []


def test_preflight_refuses_a_file_in_the_folders_place(tmp_path: Path) -> None:
    """Nothing is reserved for a label that could not be written."""
    (tmp_path / "labels").write_text("")
    with pytest.raises(StationError, match="not ready"):
        open_printer(str(tmp_path / "labels")).preflight()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root writes anywhere")
def test_preflight_refuses_a_folder_without_permission(tmp_path: Path) -> None:
    """A read-only folder is found before the cycle."""
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(StationError, match="not ready"):
            open_printer(str(tmp_path)).preflight()
    finally:
        tmp_path.chmod(0o700)


def test_preflight_refuses_a_nearly_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that would fill up within the hour stops the line between units, not inside one."""
    usage = shutil.disk_usage(tmp_path)._replace(free=1024 * 1024)
    monkeypatch.setattr(folder_module.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(StationError, match="1024 KiB are free"):
        open_printer(str(tmp_path)).preflight()


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("file:///srv/labels", "/srv/labels"),
        ("file://localhost/srv/labels", "/srv/labels"),
        ("file:/srv/labels", "/srv/labels"),
        ("file:labels", "labels"),
        ("file:///srv/my%20labels", "/srv/my labels"),
        ("FILE:///srv/labels", "/srv/labels"),
        ("labels", "labels"),
        ("./labels/today", "labels/today"),
        ("/srv/labels", "/srv/labels"),
    ],
)
@pytest.mark.skipif(sys.platform == "win32", reason="written with POSIX paths")
def test_a_folder_is_named_by_url_or_path(url: str, path: str) -> None:
    """``file:`` with or without slashes, and a plain path, all lead to a folder."""
    printer = open_printer(url)
    assert isinstance(printer, FolderPrinter)
    assert printer.folder == Path(path)
    assert printer.url == url


@pytest.mark.parametrize("url", [r"C:\labels", "C:/labels", r"\\server\share\labels"])
def test_a_windows_path_is_not_taken_for_a_scheme(url: str) -> None:
    """One letter before the colon is a drive."""
    assert isinstance(open_printer(url), FolderPrinter)


@pytest.mark.parametrize(
    "url",
    ["file://server/labels", "file:", "file://", "file:///a?b=1", "file:///a#b",
     "file:///a?formats=", "file:///a?formats=gif", "file:///a?formats=pdf&x=1"],
)  # fmt: skip
def test_a_bad_folder_url_is_a_usage_error(url: str) -> None:
    """Another computer, a query or no path at all is refused with the reason."""
    with pytest.raises(UsageError) as caught:
        open_printer(url)
    assert caught.value.code == "label.bad_printer_url"


def test_an_unknown_printer_is_answered_with_the_known_ones() -> None:
    """The scheme decides, and what can be used is listed."""
    with pytest.raises(UsageError) as caught:
        open_printer("fax://12345")
    assert caught.value.code == "label.unknown_printer"
    assert "file" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("34:85:18:aa:b6:01-1", "34-85-18-aa-b6-01-1"),
        ("../../etc/passwd", "etc-passwd"),
        ("a b\0c", "a-b-c"),
        ("CON", "unit-CON"),
        ("nul.1", "unit-nul.1"),
        ("-rf", "rf"),
    ],
)
def test_a_name_is_safe_on_every_system(name: str, safe: str) -> None:
    """No separators, no leading dots or dashes, no device names of Windows."""
    assert safe_name(name) == safe


@pytest.mark.parametrize("name", ["", "..", "///", "x" * 81, AUTH, f"a-{AUTH}", "SQR_1"])
def test_a_name_is_never_a_token(name: str) -> None:
    """File names are seen by everybody."""
    with pytest.raises(UsageError) as caught:
        safe_name(name)
    assert caught.value.code == "label.bad_name"
    assert AUTH not in f"{caught.value} {caught.value.params}"


def test_no_file_says_the_claim_code_in_plain(tmp_path: Path, label: Label, proven: Proven) -> None:
    """It is there as a picture only: no text layer, no metadata, no file name."""
    open_printer(str(tmp_path)).print(label, name="u-1")
    assert Canary(proven.claim.reveal()).in_folders([tmp_path]) == []
