"""Tokens come in all or not at all, the same on every engine."""

import pytest

from eol_inject.errors import EolError
from eol_inject.ledger import ImportResult
from eol_inject.unit import AuthToken, ClaimCode, Identifier, Secret, StaticToken, Unit
from tests.support.ledger import (
    LOT,
    ORGANIZATION,
    auth_text,
    begin,
    export,
    mac,
    reserve,
    static_token,
    take_in,
)


def _contradiction(ledger, tokens, **how):
    before = ledger.status()
    with pytest.raises(EolError) as refused:
        take_in(ledger, tokens, **how)
    assert refused.value.code == "ledger.token_contradicts"
    assert ledger.status() == before
    assert auth_text(1) not in str(refused.value)
    return refused.value.params["row"]


def test_the_same_export_twice_changes_nothing(empty):
    """The second import finds every token known."""
    fields = {"name": "x", "wifi": Secret("y")}
    tokens = [
        static_token(1, fields=fields, bound=(mac(1),)),
        static_token(2),
        static_token(3, claim=False),
    ]
    first = take_in(empty, tokens)
    assert first == ImportResult(new=3, known=0, bound=1, without_claim=1)
    before = empty.status()
    second = take_in(empty, tokens)
    assert second == ImportResult(new=0, known=3, bound=0, without_claim=0)
    assert empty.status() == before


def test_a_longer_export_adds_only_what_is_new(empty):
    """As when the console exports everything again."""
    take_in(empty, export(3))
    assert take_in(empty, export(5)) == ImportResult(new=2, known=3, bound=0, without_claim=0)


def test_a_known_token_in_use_is_still_known(empty):
    """Importing again while the line runs is harmless."""
    take_in(empty, export(3))
    reserve(begin(empty))
    assert take_in(empty, export(3)).known == 3


def test_a_repeated_row_counts_as_known(empty):
    """The same token twice in one source, saying the same."""
    assert take_in(empty, [static_token(1), static_token(1, row=9)]).new == 1


def test_an_empty_source_imports_nothing(empty):
    """No token, no event, no error."""
    assert take_in(empty, []) == ImportResult(new=0, known=0, bound=0, without_claim=0)


def _changed(**how):
    return static_token(1, row=8, **how)


CONTRADICTIONS = {
    "another QR token": _changed(qr=77),
    "no QR token any more": _changed(claim=False),
    "another field": _changed(fields={"name": "z"}),
    "another secret": _changed(fields={"wifi": Secret("z")}),
    "another binding": _changed(bound=(mac(9),)),
    "another organization": _changed(organization=8),
    "the QR token of another": static_token(50, row=8, qr=1),
    "the unit of another": static_token(51, row=8, bound=(mac(2),)),
}


@pytest.mark.parametrize("what", CONTRADICTIONS)
def test_what_contradicts_a_known_token_is_refused_by_row(empty, what):
    """Nothing of the source is taken, also not what came before the row."""
    take_in(empty, [static_token(1), static_token(2, bound=(mac(2),))])
    row = _contradiction(empty, [static_token(40, row=2), CONTRADICTIONS[what]])
    assert row == 8


@pytest.mark.parametrize("what", CONTRADICTIONS)
def test_what_contradicts_another_row_is_refused(empty, what):
    """Two rows of one source that cannot both be true."""
    rows = [static_token(1), static_token(2, bound=(mac(2),)), CONTRADICTIONS[what]]
    assert _contradiction(empty, rows) == 8


def test_another_lot_or_product_is_a_contradiction(empty):
    """A token belongs to one lot of one product for life."""
    take_in(empty, export(2))
    assert _contradiction(empty, export(2), lot="lot-2") == 2
    assert _contradiction(empty, export(2), product="OTHER") == 2


def test_an_organization_that_the_codes_deny_is_refused(empty):
    """`--org` says one, the QR codes another."""
    assert _contradiction(empty, export(2), organization=ORGANIZATION + 1) == 2


def test_the_import_s_organization_stands_in(empty):
    """For codes that do not say; the profile's organization finds them."""
    bare = StaticToken(AuthToken(auth_text(1)), ClaimCode("sqr_" + auth_text(2), None), 2)
    take_in(empty, [bare], organization=ORGANIZATION)
    assert reserve(begin(empty)).auth == bare.auth


def test_a_lot_is_used_up_in_the_order_of_its_source(empty):
    """People see the rows of the export go one after the other."""
    take_in(empty, export(4))
    for number in range(4):
        got = reserve(begin(empty, number, slot=str(number))).auth
        assert got == AuthToken(auth_text(number))


def test_progress_tells_the_rows_read(empty):
    """In steps, the last one being all of them."""
    seen = []
    empty.import_tokens(
        export(4500), product="P", lot=LOT, organization=None, source_sha256="", operator="ann",
        progress=seen.append,
    )  # fmt: skip
    assert seen == sorted(seen)
    assert seen[-1] == 4500
    assert len(seen) > 1


def test_a_source_that_breaks_half_way_leaves_nothing(empty):
    """Whatever the source raises, no token of it is in the pool."""

    def broken():
        yield from export(3000)
        raise OSError("unplugged")

    with pytest.raises(OSError, match="unplugged"):
        take_in(empty, broken())
    assert empty.status() == ()
    assert take_in(empty, export(3)).new == 3


def test_serials_bind_too(empty):
    """A token made for a serial number goes to the unit that has it."""
    serial = Identifier("serial", "SN-100")
    take_in(empty, [static_token(0), static_token(1, bound=(serial,))])
    assert reserve(begin(empty, one=Unit(serial))).auth == AuthToken(auth_text(1))
