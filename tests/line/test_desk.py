"""What people type besides ``run`` and ``verify``: tokens, firmware, labels, units, ports, sim."""

import io
import json
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import zxingcpp
from PIL import Image

from eol_inject import label as label_stage
from eol_inject.cli import answer, places
from eol_inject.cli.asking import Terminal
from eol_inject.events import Question
from eol_inject.sim import manage
from tests.line.conftest import FIRMWARE, LOT, PRODUCT, Line

AUTH = "-desk_Token" + "0123456789abcdefXYZ-_"
CLAIM = "sqr_" + "desk_Claim" + "0123456789abcdefXYZ-_A"
Type = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def type_(capfd: pytest.CaptureFixture[str]) -> Type:
    """Type one command with ``--json``; gives the exit code and the one object on stdout."""

    def run(*args: str) -> tuple[int, dict[str, Any]]:
        capfd.readouterr()
        code = answer.run([*args, "--json"])
        out: dict[str, Any] = json.loads(capfd.readouterr().out)
        return code, out

    return run


@pytest.fixture
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user who has nothing yet."""
    for name in ("DATA", "CONFIG"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name.lower()))
    return tmp_path


def _csv(folder: Path, *rows: str) -> str:
    path = folder / "export.csv"
    path.write_text("\n".join(("Device Token,QR Token", *rows)) + "\n", encoding="utf-8")
    return str(path)


def _codes(path: Path) -> list[str]:
    with Image.open(path) as picture:
        return [code.text for code in zxingcpp.read_barcodes(picture.convert("L"))]


def test_the_same_export_twice_changes_nothing(line: Line) -> None:
    """New ones are counted once, known ones are told."""
    source = _csv(line.folder, f"{AUTH},{CLAIM}+1")
    args = ("tokens", "import", source, "--product", PRODUCT, "--lot", "L2")
    first, second = line.type(*args), line.type(*args)
    assert (first.out["new"], first.out["known"]) == (1, 0)
    assert (second.out["new"], second.out["known"]) == (0, 1)
    counts = {
        (c["lot"], c["state"]): c["count"] for c in line.type("tokens", "status").out["counts"]
    }
    assert counts == {(LOT, "available"): 10, ("L2", "available"): 1}


def test_one_bad_row_refuses_the_whole_source(line: Line) -> None:
    """Exit code 2, the row's number, no value of it, and nothing imported."""
    source = _csv(line.folder, f"{AUTH},{CLAIM}+1", f"{AUTH[:-1]}!,{CLAIM[:-1]}B+1")
    told = line.type("tokens", "import", source, "--product", PRODUCT, "--lot", "L2")
    assert told.code == 2
    assert told.error.startswith("tokens.")
    assert "3" in told.out["error"]["text"]
    assert AUTH[:12] not in json.dumps(told.out)
    assert {c["lot"] for c in line.type("tokens", "status").out["counts"]} == {LOT}


@pytest.mark.parametrize(("choice", "there"), [("--delete-source", False), ("--keep-source", True)])
def test_the_source_goes_only_when_that_was_said(line: Line, choice: str, *, there: bool) -> None:
    """The export is a secret on disk; what becomes of it is a person's decision."""
    source = _csv(line.folder, f"{AUTH},{CLAIM}+1")
    told = line.type("tokens", "import", source, "--product", PRODUCT, "--lot", "L2", choice)
    assert told.code == 0
    assert Path(source).exists() is there
    assert told.out["source"]["deleted"] is not there


def test_without_an_answer_the_source_stays(line: Line) -> None:
    """A script is not asked, and nothing is deleted on its behalf."""
    source = _csv(line.folder, f"{AUTH},{CLAIM}+1")
    assert line.type("tokens", "import", source, "--product", PRODUCT, "--lot", "L2").code == 0
    assert Path(source).exists()


@pytest.mark.parametrize(
    "args", [("--map", "Device Token"), ("--map", "=auth_token"), ("--org", "0"), ()]
)
def test_import_says_what_it_cannot_read(line: Line, args: tuple[str, ...]) -> None:
    """A mapping without a field, an impossible organization, no product: usage errors."""
    source = _csv(line.folder, f"{AUTH},{CLAIM}+1")
    product = ("--product", PRODUCT) if args else ()
    told = line.type("tokens", "import", source, "--lot", "L2", *product, *args)
    assert (told.code, told.error) == (2, "report.usage")


def test_the_first_import_makes_ledger_and_key_file_and_says_so_once(
    own_home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The key file is the user's alone, apart from the ledger, and its loss is explained."""
    args = ["tokens", "import", _csv(own_home, f"{AUTH},{CLAIM}+1"), "--product", PRODUCT]
    assert answer.run([*args, "--lot", "L"]) == 0
    told = capfd.readouterr()
    (key,) = own_home.glob("config/**/*.key")
    (ledger,) = own_home.glob("data/**/production.db")
    assert str(key) in told.err
    assert "nobody can read" in told.err
    if os.name == "posix":
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
        assert stat.S_IMODE(ledger.parent.stat().st_mode) == 0o700
    assert answer.run([*args, "--lot", "L"]) == 0
    assert str(key) not in capfd.readouterr().err


def test_a_lost_key_file_is_told_and_never_replaced(own_home: Path, type_: Type) -> None:
    """New keys could not read what is there: making some would hide the loss."""
    source = _csv(own_home, f"{AUTH},{CLAIM}+1")
    args = ("tokens", "import", source, "--product", PRODUCT, "--lot", "L")
    assert type_(*args)[0] == 0
    (key,) = own_home.glob("config/**/*.key")
    key.unlink()
    code, out = type_(*args)
    assert (code, out["error"]["code"]) == (3, "ledger.key_missing")
    assert not key.exists()


def test_looking_makes_no_ledger(own_home: Path, type_: Type) -> None:
    """Only an import makes one: a typing error in ``--ledger`` must not start an empty ledger."""
    code, out = type_("tokens", "status")
    assert (code, out["error"]["code"]) == (3, "ledger.missing")
    assert list(own_home.rglob("*.db")) == []


def test_training_never_means_a_production_ledger(own_home: Path, type_: Type) -> None:
    """What a ledger is, it is for life."""
    url = f"sqlite:///{own_home / 'line.db'}"
    source = _csv(own_home, f"{AUTH},{CLAIM}+1")
    made = type_("tokens", "import", source, "--product", PRODUCT, "--lot", "L", "--ledger", url)
    assert made[1]["kind"] == "production"
    code, out = type_("tokens", "status", "--ledger", url, "--training")
    assert (code, out["error"]["code"]) == (2, "ledger.not_training")


def test_key_files_of_two_ledgers_do_not_meet(tmp_path: Path) -> None:
    """Ledgers of one name in two folders have keys of their own; one ledger has one."""
    one, two = (f"sqlite:///{tmp_path / name / 'line.db'}" for name in ("a", "b"))
    assert places.default_key_file(one) != places.default_key_file(two)
    assert places.default_key_file(one) == places.default_key_file(one)


def test_ledger_show_names_ledger_and_key_file(line: Line) -> None:
    """What has to be backed up, and the kind."""
    told = line.type("ledger", "show").out
    assert (told["kind"], told["tokens"]) == ("training", 10)
    assert told["key_file"] == str(line.folder / "ledger.key")


def test_unit_show_knows_a_unit_by_every_name(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    """A MAC as people write it, with its kind, and the label as it is scanned."""
    unit = line.unit()
    assert line.run(unit).code == 0
    (claim,) = line.labels().values()
    for name in (unit.mac, unit.mac.upper().replace(":", "-"), f"mac:{unit.mac}"):
        told = line.type("unit", "show", name)
        assert told.out["unit"] == unit.mac
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{claim}\n"))
    told = line.type("unit", "show", "-")
    assert told.out["unit"] == unit.mac
    assert [token["state"] for token in told.out["tokens"]] == ["closed"]
    assert [attempt["outcome"] for attempt in told.out["attempts"]] == ["pass"]
    assert claim not in json.dumps(told.out)


def test_an_unknown_unit_is_a_usage_error(line: Line) -> None:
    """Whoever typed it has to look again."""
    told = line.type("unit", "show", "60:55:f9:ff:ff:fe")
    assert (told.code, told.error) == (2, "ledger.unknown_unit")


def test_bytes_that_are_no_text_are_a_usage_error(line: Line) -> None:
    """As a terminal with another encoding hands them over (PEP 383); before a unit is touched."""
    odd = "L\udcfc"
    assert line.type("unit", "show", odd).error == "ledger.not_text"
    assert line.type("report", "units", "--lot", odd).error == "ledger.not_text"
    unit = line.unit()
    run = ("run", "--once", "--port", unit.url, "--lot", LOT)
    told = line.type(*run, "--profile", "esp32c3-blnkopt", "--printer", f"{line.folder}/{odd}")
    assert (told.code, told.error) == (2, "report.usage")
    told = line.type(*run, "--profile", line.profile(name=odd), "--printer", str(line.folder))
    assert (told.code, told.error) == (2, "profile.not_text")


def test_report_lists_the_units_of_a_lot(line: Line) -> None:
    """Every unit that has a token of the lot, and none of another lot."""
    line.import_tokens(2, lot="L2")
    first, second = line.unit(), line.unit("esp8266")
    assert line.run(first).code == 0
    assert line.run(second, lot="L2").code == 0
    told = line.type("report", "units", "--lot", LOT).out
    assert [(unit["unit"], unit["state"]) for unit in told["units"]] == [(first.mac, "closed")]
    assert line.type("report", "units").out["counts"] == {"closed": 2}


def test_inspect_tells_region_seal_and_product(type_: Type) -> None:
    """The shipped golden image: placeholder, valid seal, not signed."""
    code, out = type_("firmware", "inspect", str(FIRMWARE / "esp32c3_app.bin"))
    (image,) = out["images"]
    assert code == 0
    assert image["seal"]["valid"] is True
    assert image["seal"]["signed"] is None
    assert [(r["kind"], r["state"]) for r in image["regions"]] == [("blnkopt", "placeholder")]


def _patch(type_: Type, folder: Path, *, image: str = "", token: str = AUTH) -> Any:
    source = folder / "token.txt"
    source.write_text(f"{token}\n", encoding="utf-8")
    return type_(
        "firmware", "patch", image or str(FIRMWARE / "esp32c3_app.bin"),
        "--profile", "esp32c3-blnkopt", "--token-file", str(source),
        "--out", str(folder / "unit.bin"),
    )  # fmt: skip


def test_patch_writes_a_sealed_image_for_its_owner_only(type_: Type, tmp_path: Path) -> None:
    """The token is in the file, the seal is valid, and nobody else may read it."""
    assert _patch(type_, tmp_path)[0] == 0
    out = tmp_path / "unit.bin"
    assert AUTH.encode() in out.read_bytes()
    if os.name == "posix":
        assert stat.S_IMODE(out.stat().st_mode) == 0o600
    (image,) = type_("firmware", "inspect", str(out))[1]["images"]
    assert image["seal"]["valid"] is True
    assert image["regions"][0]["state"] == "filled"


def test_patch_overwrites_nothing_and_starts_from_the_golden_image(
    type_: Type, tmp_path: Path
) -> None:
    """A second patch onto the same name, or from a patched image, is refused."""
    assert _patch(type_, tmp_path)[0] == 0
    code, out = _patch(type_, tmp_path)
    assert (code, out["error"]["code"]) == (2, "report.output_exists")
    patched = (tmp_path / "unit.bin").rename(tmp_path / "patched.bin")
    code, out = _patch(type_, tmp_path, image=str(patched))
    assert (code, out["error"]["code"]) == (2, "image.not_golden")
    assert not (tmp_path / "unit.bin").exists()


def test_a_token_of_the_wrong_shape_is_not_repeated(type_: Type, tmp_path: Path) -> None:
    """The message says how long it was, never what it was."""
    code, out = _patch(type_, tmp_path, token=AUTH[:-1])
    assert (code, out["error"]["code"]) == (2, "tokens.bad_auth_token")
    assert AUTH[:12] not in json.dumps(out)


def test_a_missing_file_is_a_usage_error(type_: Type, tmp_path: Path) -> None:
    """With its path and the system's reason."""
    code, out = type_("firmware", "inspect", str(tmp_path / "none.bin"))
    assert (code, out["error"]["code"]) == (2, "report.unreadable")


@pytest.mark.parametrize("name", label_stage.shipped())
def test_every_shipped_template_can_be_previewed(type_: Type, tmp_path: Path, name: str) -> None:
    """Drawn with made-up values; its code decodes, and claims nothing."""
    out = tmp_path / "label.png"
    assert type_("label", "preview", name, "--out", str(out), "--org", "12345")[0] == 0
    (code,) = [text for text in _codes(out) if text.startswith("sqr_")]
    assert code.startswith("sqr_SAMPLE")
    assert code.endswith("+12345")
    assert type_("label", "preview", name, "--out", str(out))[1]["error"]["code"] == (
        "report.output_exists"
    )


def test_label_list_tells_the_stock(type_: Type) -> None:
    """Whoever buys labels needs millimetres and dpi."""
    listed = {entry["name"]: entry for entry in type_("label", "list")[1]["templates"]}
    assert set(listed) == set(label_stage.shipped())
    small = listed["claim-50x25-203"]
    assert (small["width_mm"], small["height_mm"], small["dpi"]) == (50, 25, 203)


def test_simulated_units_start_list_and_stop(type_: Type, tmp_path: Path) -> None:
    """By hand, as ``sim --help`` says; a stopped unit is gone, and that is told too."""
    manage.use_folder(tmp_path / "units")
    try:
        unit = type_("sim", "start", "sim://esp32c3?mac=60:55:f9:00:0d:01")[1]["unit"]
        assert unit["mac"] == "60:55:f9:00:0d:01"
        assert [each["id"] for each in type_("sim", "list")[1]["units"]] == [unit["id"]]
        assert type_("sim", "stop", unit["id"])[1]["stopped"] == [unit["id"]]
        assert type_("sim", "stop", unit["id"])[1]["not_running"] == [unit["id"]]
        assert type_("sim", "list")[1]["units"] == []
        assert type_("sim", "stop")[0] == 2
    finally:
        manage.stop_all()
        manage.use_folder(None)


def test_ports_are_listed_as_a_person_counts(type_: Type, monkeypatch: pytest.MonkeyPatch) -> None:
    """COM2 before COM10, the bridge in four and four digits, what is unknown left empty."""
    from serial.tools import list_ports

    def port(device: str, **known: Any) -> SimpleNamespace:
        facts = {"location": None, "vid": None, "pid": None, "serial_number": None}
        return SimpleNamespace(device=device, description="n/a", **(facts | known))

    monkeypatch.setattr(
        list_ports,
        "comports",
        lambda: [port("COM10"), port("COM2", vid=0x303A, pid=0x1001, location="1-2.3")],
    )
    first, second = type_("ports")[1]["ports"]
    assert (first["port"], first["bridge"], first["location"]) == ("COM2", "303a:1001", "1-2.3")
    assert (second["port"], second["bridge"], second["description"]) == ("COM10", "", "")


class _Typed(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("typed", "answered"), [("y\n", True), ("Yes\n", True), ("\n", False), ("n\n", False)]
)
def test_only_a_clear_yes_is_a_yes(typed: str, *, answered: bool) -> None:
    """Enter alone deletes nothing."""
    assert Terminal(_Typed(typed)).yes(Question.DELETE_SOURCE, path="x.zip") is answered


def test_nobody_answers_at_a_pipe_or_after_the_end_of_input() -> None:
    """None is not a no: it means that nobody was there."""
    assert Terminal(io.StringIO("y\n")).yes(Question.DELETE_SOURCE, path="x") is None
    assert Terminal(_Typed("")).ask(Question.SCAN_LABEL) is None
