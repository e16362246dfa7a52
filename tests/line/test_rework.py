"""Rework through the command line, judged from the units' flash and the printed labels."""

import json
from pathlib import Path

import pytest

from eol_inject.cli import board
from eol_inject.events import Event, Step, StepStarted
from eol_inject.sim import manage
from tests.line.conftest import LOT, PRODUCT, Line, Scanner, Told, Unit
from tests.line.test_holdings import saved_configuration
from tests.line.test_kill import lease_runs_out
from tests.line.test_regions import REGIONS, golden_unit, profile

NVS = 0x9000
WHY = ("--reason", "a test")


def done(line: Line) -> Unit:
    """A finished unit."""
    unit = line.unit()
    told = line.run(unit)
    assert told.code == 0, told
    return unit


def rework(line: Line, act: str, unit: Unit, *more: str) -> Told:
    """`unit ACT MAC --reason …` that must succeed."""
    told = line.type("unit", act, unit.mac, *WHY, *more)
    assert told.code == 0, told
    return told


def label_states(line: Line, unit: Unit) -> list[str]:
    """What became of each of the unit's labels, oldest token first."""
    shown = line.type("unit", "show", unit.mac)
    return [one["label"] for one in shown.out["tokens"]]


def todos(line: Line) -> list[dict[str, str]]:
    """What the cloud has to be told."""
    return list(line.type("tokens", "todo").out["todos"])


def test_a_quarantined_unit_goes_on_after_it_was_cleared(line: Line) -> None:
    """quarantine → refused; clear → the same token passes."""
    unit = done(line)
    held = unit.tokens(line.pool)
    assert rework(line, "quarantine", unit).out["state"] == "quarantined"
    before = unit.digest()
    assert (line.run(unit).code, line.run(unit).error) == (1, "ledger.unit_quarantined")
    assert unit.digest() == before
    assert label_states(line, unit) == ["void"]
    assert rework(line, "clear", unit).out["state"] == "writing"
    assert line.run(unit).code == 0
    assert unit.tokens(line.pool) == held
    assert label_states(line, unit) == ["printed"]
    line.judge()


def test_a_blocked_unit_without_a_token_is_refused_until_it_is_cleared(line: Line) -> None:
    """A unit that holds nothing can be stopped too."""
    unit = line.unit()
    assert line.run(unit, lot="empty").error == "ledger.no_such_lot"
    assert rework(line, "quarantine", unit).out["hold"] == "blocked"
    assert line.run(unit).error == "ledger.unit_blocked"
    rework(line, "clear", unit)
    assert line.run(unit).code == 0


def test_a_person_s_quarantine_does_not_clear_itself(line: Line) -> None:
    """Erased behind our back or a clone: blank is no reason to go on."""
    unit = done(line)
    rework(line, "quarantine", unit)
    manage.wipe(unit.url)
    assert line.run(unit).error == "ledger.unit_quarantined"
    assert unit.tokens(line.pool) == set()


def test_a_failed_write_clears_itself_once_the_unit_reads_blank(line: Line) -> None:
    """md5 mismatch → quarantined while anything stands there; blank → its own token again."""
    other, unit = done(line), line.unit()
    told = line.run(unit, port=f"{unit.url}&fault=wrong_md5")
    assert (told.code, told.unit["state"]) == (1, "quarantined")
    manage.set_faults(unit.url)
    manage.poke(unit.url, 0, other.flash(0, 1 << 20))
    assert line.run(unit).error == "ledger.unit_quarantined"
    manage.wipe(unit.url)
    told = line.run(unit)
    assert (told.code, told.unit["resumed"]) == (0, True)
    used = [row for row in line.type("tokens", "status").out["counts"] if row["state"] == "closed"]
    assert [row["count"] for row in used] == [2]
    line.judge()


def test_an_erased_unit_gets_its_own_token_again_by_a_named_reinject(line: Line) -> None:
    """closed, erased → refused; reinject → the same token, a new label, the old one void."""
    unit = done(line)
    held = unit.tokens(line.pool)
    manage.wipe(unit.url)
    assert line.run(unit).code == 1
    assert unit.tokens(line.pool) == set()
    assert rework(line, "reinject", unit).out["label"] == "void"
    told = line.run(unit)
    assert (told.code, told.unit["resumed"]) == (0, True)
    assert unit.tokens(line.pool) == held
    assert label_states(line, unit) == ["printed"]
    assert todos(line) == []
    line.judge()


@pytest.mark.parametrize("mode", ["flash", "inject"])
def test_a_replaced_token_is_written_over_and_never_used_again(line: Line, mode: str) -> None:
    """closed → replace → a new token; delete and unclaim are open until somebody did them."""
    profile = line.profile(mode=mode)
    unit = line.golden_unit()
    assert line.run(unit, profile=profile).code == 0
    (old,) = unit.tokens(line.pool)
    for path in (line.folder / "labels").iterdir():
        path.unlink()  # taken off, as the command says
    assert rework(line, "replace", unit).out["state"] == "replaced"
    assert line.run(unit, profile=profile).code == 0
    (new,) = unit.tokens(line.pool)
    assert new != old
    assert label_states(line, unit) == ["void", "printed"]
    assert [one["act"] for one in todos(line)] == ["delete", "unclaim"]
    for one in todos(line):
        told = line.type("tokens", "todo", "--done", str(one["number"]), "--how", "by hand")
        assert (told.code, told.out["closed"]) == (0, 1)
    assert todos(line) == []
    for _ in range(8):
        other = line.golden_unit()
        assert line.run(other, profile=profile).code == 0
        assert old not in other.tokens(line.pool)
    line.judge()


KEEPING = 'existing = "keep"\n'
"""Of a store that the token shares with others."""


@pytest.mark.parametrize(
    ("region", "more"), [*((region, "") for region in REGIONS), ("edgent", KEEPING)]
)
def test_rework_wherever_the_product_keeps_its_token(line: Line, region: str, more: str) -> None:
    """reinject over a token that is still there, then replace: one token, another one."""
    product = profile(line, region, "inject", more=more)
    unit = golden_unit(line)
    assert line.run(unit, profile=product).code == 0
    (old,) = unit.tokens(line.pool)
    rework(line, "reinject", unit)
    told = line.run(unit, profile=product)
    assert told.code == 0, told
    assert unit.tokens(line.pool) == {old}
    for path in (line.folder / "labels").iterdir():
        path.unlink()
    rework(line, "replace", unit)
    told = line.run(unit, profile=product)
    assert told.code == 0, told
    (new,) = unit.tokens(line.pool)
    assert new != old
    line.judge()


def test_a_unit_killed_after_the_replacement_reserved_goes_on(line: Line) -> None:
    """Reserved, not yet written, and the former token still in flash."""
    unit = done(line)
    (old,) = unit.tokens(line.pool)
    for path in (line.folder / "labels").iterdir():
        path.unlink()
    rework(line, "replace", unit)
    told = line.run(unit, port=f"{unit.url}&fault=unplug@write:1")
    assert told.code == 3, told
    manage.set_faults(unit.url)
    assert line.run(unit).code == 0
    assert len(unit.tokens(line.pool) - {old}) == 1
    line.judge()


@pytest.mark.parametrize(("policy", "code"), [("refuse", "verify.stale_nvs"), ("erase", "")])
def test_a_replaced_token_saved_by_the_firmware_goes_too(
    line: Line, policy: str, code: str
) -> None:
    """A unit that ran has saved its token in NVS: it would beat the new one."""
    profile = line.profile(stale_nvs=policy, mode="inject")
    unit = line.golden_unit()
    assert line.run(unit, profile=profile).code == 0
    (old,) = unit.tokens(line.pool)
    manage.poke(unit.url, NVS, saved_configuration(old.encode()))
    for path in (line.folder / "labels").iterdir():
        path.unlink()
    rework(line, "replace", unit)
    told = line.run(unit, profile=profile)
    assert told.error == code
    if not code:
        assert old.encode() not in unit.flash(0, 4 << 20)
        line.judge()


def test_another_unit_that_holds_a_replaced_token_is_stopped(line: Line) -> None:
    """Only the unit it was replaced in may be written over."""
    unit, clone = done(line), line.unit()
    manage.start(clone.url)
    manage.poke(clone.url, 0, unit.flash(0, 1 << 20))
    rework(line, "replace", unit)
    assert line.run(clone).error == "verify.holds_other_unit"


def test_a_later_export_closes_what_it_lacks(line: Line) -> None:
    """The console's next export no longer has the deleted token."""
    unit = done(line)
    (old,) = unit.tokens(line.pool)
    rework(line, "scrap", unit)
    (source,) = line.folder.glob("tokens-*.csv")
    rows = source.read_text("utf-8").splitlines()
    later = line.folder / "later.csv"
    for lacking, left in ((set(), 2), ({old}, 1)):
        kept = [row for row in rows if row.split(",")[0] not in lacking]
        later.write_text("\n".join(kept) + "\n", encoding="utf-8")
        told = line.type("tokens", "todo", "--export", str(later), "--product", PRODUCT)
        assert (told.code, len(told.out["todos"])) == (0, left)
    assert [one["act"] for one in todos(line)] == ["unclaim"]


def test_a_scrapped_unit_is_refused_for_good(line: Line) -> None:
    """Also blank, and nobody gets its token."""
    unit = done(line)
    told = rework(line, "scrap", unit)
    assert (told.out["state"], told.out["hold"], told.out["todos"]) == ("scrapped", "scrapped", 2)
    assert line.run(unit).error == "ledger.unit_scrapped"
    manage.wipe(unit.url)
    assert line.run(unit).error == "ledger.unit_scrapped"
    told = line.type("unit", "clear", unit.mac, *WHY)
    assert told.code == 1


def test_a_revoked_token_recalls_its_unit(line: Line) -> None:
    """run and verify refuse it until it is replaced; then it gets another one."""
    unit = done(line)
    (old,) = unit.tokens(line.pool)
    told = line.type("tokens", "revoke", unit.mac, *WHY)
    assert told.code == 0
    assert line.run(unit).error == "ledger.unit_recall"
    told = line.type("verify", "--profile", "esp32c3-blnkopt", "--port", unit.url)
    assert (told.code, told.error) == (1, "verify.token_revoked")
    for path in (line.folder / "labels").iterdir():
        path.unlink()
    rework(line, "replace", unit)
    assert line.run(unit).code == 0
    assert old not in unit.tokens(line.pool)
    line.judge()


def test_a_revoked_pool_token_is_never_drawn(line: Line, scan: Scanner) -> None:
    """Named by its own label, scanned with the scanner's prefix."""
    dead = list(line.pool)[:3]
    for token in dead:
        scan(f"]Q1{line.pool[token]}\r\n")
        assert line.type("tokens", "revoke", "-", *WHY).code == 0
    units = [done(line) for _ in range(7)]
    assert line.run(line.unit()).error == "ledger.pool_empty"
    assert not set(dead) & set.union(*(unit.tokens(line.pool) for unit in units))


def test_a_token_made_for_one_board_goes_to_another(line: Line) -> None:
    """rebind: the board was swapped before anything was written."""
    dead, board = line.unit(), line.unit()
    (token,) = list(line.pool)[:1]
    claim = f"sqr_{token[::-1]}+1"
    bound = line.folder / "bound.csv"
    bound.write_text(
        f"Device Token,QR Token,MAC address\n{token[::-1]},{claim},{dead.mac}\n", "utf-8"
    )
    told = line.type("tokens", "import", str(bound), "--product", PRODUCT, "--lot", LOT,
                     "--map", "MAC address=mac")  # fmt: skip
    assert (told.code, told.out["bound"]) == (0, 1), told
    line.pool[token[::-1]] = claim
    told = line.type("unit", "rebind", dead.mac, board.mac, *WHY)
    assert told.code == 0, told
    assert line.run(board).code == 0
    assert board.tokens(line.pool) == {token[::-1]}
    line.judge()


def test_identifiers_that_contradict_each_other_are_refused(line: Line) -> None:
    """Two boards cannot have one serial number: not by an import, not by rebinding."""
    first, second = line.unit(), line.unit()
    tokens = [token[::-1] for token in list(line.pool)[:2]]
    header = "Device Token,QR Token,MAC address,Serial Number"
    bound = line.folder / "bound.csv"
    take = ("tokens", "import", str(bound), "--product", PRODUCT, "--lot", LOT,
            "--map", "MAC address=mac", "--map", "Serial Number=serial")  # fmt: skip

    def bring(token: str, unit: Unit, serial: str) -> Told:
        bound.write_text(f"{header}\n{token},sqr_{token},{unit.mac},{serial}\n", "utf-8")
        line.pool[token] = f"sqr_{token}"
        return line.type(*take, "--org", "1")

    assert bring(tokens[0], first, "SN-77").code == 0
    line.pool[tokens[0]] += "+1"
    assert line.run(first).code == 0
    told = bring(tokens[1], second, "SN-77")
    assert (told.code, told.error) == (2, "ledger.token_contradicts")
    assert bring(tokens[1], second, "SN-78").code == 0
    line.pool[tokens[1]] += "+1"
    for act in (("serial:SN-78", "serial:SN-77"), (first.mac, second.mac), ("SN-77", "mac:x")):
        told = line.type("unit", "rebind", *act, *WHY)
        assert told.code == 1, (act, told)
    assert line.run(second).code == 0
    assert second.tokens(line.pool) == {tokens[1]}
    line.judge()


def test_a_reserved_token_may_go_back_and_a_written_one_never(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    """release: before the first byte, by an operator; afterwards refused."""
    unit = line.unit()

    def dies(event: Event) -> None:
        if isinstance(event, StepStarted) and event.step is Step.PATCH:
            raise PowerCut

    with monkeypatch.context() as patch:
        patch.setattr(board, "observer", lambda **_: dies)
        with pytest.raises(PowerCut):
            line.run(unit)
    told = line.type("unit", "release", unit.mac)
    assert (told.code, told.error) == (3, "ledger.unit_busy")
    assert line.run(line.unit(), lot="none").code == 3
    lease_runs_out(line)
    told = line.type("unit", "release", unit.mac)
    assert (told.code, told.out["state"]) == (0, "available")
    assert line.run(line.unit()).code == 0
    told = line.type("unit", "release", line.units[-1].mac)
    assert (told.code, told.error) == (1, "ledger.illegal_act")
    assert line.run(unit).code == 0
    line.judge()


class PowerCut(BaseException):
    """Ends a cycle as nothing else does: not a word is recorded any more."""


def test_a_unit_of_another_lot_keeps_its_token(line: Line) -> None:
    """Each of lot and product has a code of its own, and stops before anything is reserved."""
    line.import_tokens(2, lot="L2", seed=2)
    unit = line.unit()
    told = line.run(unit, port=f"{unit.url}&fault=unplug@read:11000")
    assert told.unit["state"] == "written"
    manage.set_faults(unit.url)
    held = unit.tokens(line.pool)
    assert line.run(unit, lot="L2").error == "ledger.other_lot"
    profile = Path(line.profile(name="other"))
    text = profile.read_text("utf-8").replace(f'id = "{PRODUCT}"', 'id = "TMPLother001"')
    assert PRODUCT in profile.read_text("utf-8")
    profile.write_text(text, "utf-8")
    assert line.run(unit, profile=str(profile)).error == "ledger.other_product"
    assert unit.tokens(line.pool) == held
    assert line.run(unit).code == 0


def test_json_of_rework_names_no_claim_code(line: Line, scan: Scanner) -> None:
    """A scanned label is looked up, and not repeated; one in the arguments is refused."""
    unit = done(line)
    (code,) = line.labels().values()
    scan(code + "\n")
    told = line.type("unit", "quarantine", "-", *WHY)
    assert (told.code, told.out["unit"]) == (0, unit.mac)
    assert code not in json.dumps(told.out)
    told = line.type("unit", "clear", code, *WHY)
    assert (told.code, told.error) == (2, "ledger.claim_in_arguments")
    assert code not in json.dumps(told.out)
    (token,) = unit.tokens(line.pool)
    told = line.type("unit", "show", token)
    assert (told.code, told.error) == (2, "ledger.unknown_unit")
    assert token not in json.dumps(told.out)
    scan(code.swapcase() + "\n")
    assert line.type("unit", "show", "-").error == "ledger.scan_misread"
