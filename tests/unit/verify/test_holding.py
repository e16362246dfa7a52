"""Whose the tokens are: what decides whether a cycle may go on."""

import random
from dataclasses import dataclass

import pytest

from eol_inject.errors import UnitError
from eol_inject.unit import AuthToken, Unit
from eol_inject.verify import (
    Findings,
    Holder,
    Holding,
    Place,
    PlaceKind,
    PlaceState,
    TableState,
    classify,
    disagreement,
    torn_error,
)
from tests.unit.verify.building import AUTH, OTHER_AUTH, OTHER_UNIT, UNIT


@dataclass(frozen=True)
class Held:
    """What the ledger knows of a token."""

    unit: Unit | None


def place(
    auth: AuthToken | None = None,
    state: PlaceState | None = None,
    name: str = "application ota_0",
    kind: PlaceKind = PlaceKind.REGION,
) -> Place:
    """A place, TOKEN where it has one."""
    if state is None:
        state = PlaceState.TOKEN if auth else PlaceState.BLANK
    return Place(name, 0x10000, state, auth, True, kind)


def findings(*places: Place, table: TableState = TableState.GOOD) -> Findings:
    """As ``inspect`` gives them."""
    trouble = None
    if table in {TableState.CORRUPT, TableState.ENCRYPTED}:
        trouble = UnitError("verify.table_corrupt", address="0x8000", why="test")
    return Findings(places, None, table, trouble=trouble)


def holding(found: Findings, holder: Holder | None = None) -> Holding:
    """For ``UNIT``, where the ledger says ``holder`` of every token."""
    return classify(found, own=UNIT, look_up=lambda auth: holder)


NOWHERE = place(state=PlaceState.ABSENT)
TORN = place(state=PlaceState.TORN)


@pytest.mark.parametrize("found", [findings(), findings(place()), findings(NOWHERE, place())])
def test_no_token_anywhere_is_blank(found: Findings) -> None:
    """Absent places and blank ones alike."""
    assert holding(found) is Holding.BLANK


@pytest.mark.parametrize(
    ("holder", "wanted"),
    [
        (Held(UNIT), Holding.OWN),
        (Held(Unit(OTHER_UNIT.primary, (UNIT.primary,))), Holding.OWN),
        (Held(OTHER_UNIT), Holding.OTHER_UNIT),
        (Held(None), Holding.POOL),
        (None, Holding.UNKNOWN),
    ],
)
def test_the_ledger_says_whose_a_token_is(holder: Held | None, wanted: Holding) -> None:
    """One identifier in common makes it the unit's own."""
    assert holding(findings(place(AUTH)), holder) is wanted
    assert holding(findings(place(), place(AUTH, name="ota_1")), holder) is wanted


def test_one_token_in_two_places_agrees() -> None:
    """After its first connection a good unit has it in region and NVS."""
    assert holding(findings(place(AUTH), place(AUTH)), Held(UNIT)) is Holding.OWN


def test_two_tokens_disagree_whosever_they_are() -> None:
    """Also where one of them is in a slot that does not start."""
    found = findings(place(AUTH), place(OTHER_AUTH, name="nvs blynk/config"))
    assert holding(found, Held(UNIT)) is Holding.DISAGREEING
    assert disagreement(found) == "application ota_0, nvs blynk/config"


def test_torn_gives_way_only_to_a_foreign_token() -> None:
    """An interrupted write of this unit may go on; another's token never."""
    assert holding(findings(TORN)) is Holding.TORN
    assert holding(findings(TORN, place(AUTH)), Held(UNIT)) is Holding.TORN
    assert holding(findings(TORN, place(AUTH)), Held(OTHER_UNIT)) is Holding.OTHER_UNIT
    assert holding(findings(TORN, place(AUTH)), None) is Holding.UNKNOWN
    torn_token = place(AUTH, PlaceState.TORN)
    assert holding(findings(torn_token), Held(OTHER_UNIT)) is Holding.OTHER_UNIT


def test_a_damaged_table_is_torn() -> None:
    """An interrupted flash of this very unit must be able to go on."""
    found = findings(place(), table=TableState.CORRUPT)
    assert holding(found) is Holding.TORN
    assert torn_error(found, unit="u", state="none").code == "verify.table_corrupt"
    assert torn_error(findings(TORN), unit="u", state="none").code == "verify.region_torn"


def test_what_cannot_be_read_is_refused() -> None:
    """Encrypted places hold nobody knows what."""
    with pytest.raises(UnitError) as caught:
        holding(findings(place(AUTH), place(state=PlaceState.ENCRYPTED, name="nvs")), Held(UNIT))
    assert (caught.value.code, caught.value.params) == ("verify.encrypted", {"place": "nvs"})
    with pytest.raises(UnitError):
        holding(findings(table=TableState.ENCRYPTED))


def test_every_mixture_of_places_ends_in_a_holding() -> None:
    """And only blank and own ones may go on: no token of somebody else hides behind another."""
    chance = random.Random(7)
    kinds = [NOWHERE, TORN, place(), place(AUTH), place(OTHER_AUTH)]
    for _ in range(300):
        found = findings(*chance.choices(kinds, k=chance.randint(0, 4)))
        held = classify(
            found, own=UNIT, look_up=lambda auth: Held(UNIT if auth == AUTH else OTHER_UNIT)
        )
        if any(p.auth == OTHER_AUTH for p in found.places):
            assert held in {Holding.OTHER_UNIT, Holding.DISAGREEING}
