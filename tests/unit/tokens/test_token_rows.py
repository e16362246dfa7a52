"""Rows against rows: what repeats, what contradicts, and how many errors are told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.token_sources import HEADER, auth, opened, pairs, qr, refused, table

BOUND = (*HEADER, "MAC", "Name")


def test_an_identical_row_is_a_note() -> None:
    """Two exports glued together are no contradiction; each token is taken once."""
    batch = opened(table(HEADER, *pairs(3), *pairs(2), HEADER[:0] or ("", ""), *pairs(1)))
    assert len(batch.tokens) == len(list(batch.tokens)) == 3
    assert [token.row for token in batch.tokens] == [2, 3, 4]
    assert "3 row(s) repeat an earlier one, first row 5" in " ".join(batch.notes)


@pytest.mark.parametrize(
    ("first", "second", "code"),
    [
        ((auth(1), qr(1), "", ""), (auth(1), qr(2), "", ""), "tokens.row_contradicts"),
        ((auth(1), qr(1), "", "a"), (auth(1), qr(1), "", "b"), "tokens.row_contradicts"),
        ((auth(1), qr(1), "", ""), (auth(2), qr(1), "", ""), "tokens.value_twice"),
        (
            (auth(1), qr(1), "4A:33:54:68:A9:F1", ""),
            (auth(2), qr(2), "4a-33-54-68-a9-f1", ""),
            "tokens.value_twice",
        ),
    ],
)
def test_contradicting_rows_are_refused_with_both_numbers(
    first: tuple[str, ...], second: tuple[str, ...], code: str
) -> None:
    """One AuthToken, two claim codes; one claim code or unit, two AuthTokens."""
    error = refused(table(BOUND, (auth(9), qr(9), "", ""), first, ("", "", "", ""), second))
    assert (error.code, error.params["other"], error.params["row"]) == (code, 3, 5)


def test_many_errors_are_one_message_with_a_count() -> None:
    """The first bad row, and how many others: a screen full of lines helps nobody."""
    data = table(HEADER, *pairs(2), *((auth(n)[:31], qr(n)) for n in range(3, 15)))
    error = refused(data)
    assert (error.code, error.params["row"]) == ("tokens.bad_cell", 4)
    assert "Row 4 (and 11 more)" in str(error)


def test_a_bad_row_is_told_before_what_stops_the_reading() -> None:
    """A file that is wrong in row 2 and cut off in row 4 starts with row 2."""
    data = table(HEADER, ("short", qr(1)), *pairs(1, 2)) + b'"' + auth(3).encode()
    assert refused(data).params["row"] == 2


def test_blank_rows_count_as_a_spreadsheet_counts_them() -> None:
    """Row numbers are those that the operator sees."""
    data = table(("", ""), HEADER, ("", ""), *pairs(1), (" ", "\u00a0"), *pairs(1, 2))
    assert [token.row for token in opened(data).tokens] == [4, 6]


@given(st.lists(st.integers(1, 12), min_size=1, max_size=40))
def test_each_token_is_taken_once_whatever_repeats(numbers: list[int]) -> None:
    """As many tokens as different rows, at the row where each came first."""
    batch = opened(table(HEADER, *((auth(n), qr(n)) for n in numbers)))
    first = {n: numbers.index(n) + 2 for n in numbers}
    assert [token.row for token in batch.tokens] == sorted(first.values())
    assert len(batch.tokens) == len(first)


@given(
    st.lists(st.tuples(st.integers(1, 6), st.integers(1, 6)), min_size=1, max_size=12, unique=True)
)
def test_no_auth_token_has_two_claim_codes_and_none_is_shared(
    numbers: list[tuple[int, int]],
) -> None:
    """Whatever pairs a table holds: one to one, or refused."""
    data = table(HEADER, *((auth(a), qr(b)) for a, b in numbers))
    one_to_one = len({a for a, _ in numbers}) == len({b for _, b in numbers}) == len(numbers)
    if one_to_one:
        assert len(opened(data).tokens) == len(numbers)
    else:
        assert refused(data).code in {"tokens.row_contradicts", "tokens.value_twice"}


def test_tokens_can_be_read_again_and_picked() -> None:
    """A batch is a sequence: counted, indexed, sliced, iterated as often as wanted."""
    batch = opened(table(HEADER, *pairs(5)))
    assert len(batch.tokens) == 5
    assert [token.row for token in batch.tokens] == [token.row for token in batch.tokens]
    assert [batch.tokens[0].row, batch.tokens[-1].row] == [2, 6]
    assert [token.row for token in batch.tokens[1:3]] == [3, 4]
    with pytest.raises(IndexError):
        batch.tokens[5]
    with pytest.raises(IndexError):
        batch.tokens[-6]
