"""Sources damaged at random: a batch or a UsageError, never a traceback, never a token told."""

import io
import tracemalloc
import zipfile
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from eol_inject.errors import UsageError
from eol_inject.tokens import FieldSpec, open_source
from eol_inject.tokens.cells import is_presentable
from tests.support.token_sources import (
    HEADER,
    assert_silent,
    auth,
    export,
    opened,
    packed,
    pairs,
    qr,
    table,
)

COUNT = 4
SECRETS = [auth(number) for number in range(1, COUNT + 1)]
CLAIMS = [qr(number) for number in range(1, COUNT + 1)]
METADATA = [(f"SN-{n}", f"4A:33:54:68:A9:F{n}", f"Lamp {n}") for n in range(1, COUNT + 1)]
CSV = table(
    (*HEADER, "Serial Number", "MAC address", "Device Name"),
    *((*pair, *more) for pair, more in zip(pairs(COUNT), METADATA, strict=True)),
)
STORED = packed(export(COUNT) | {"tokens.csv": CSV})
PACKED = packed(export(COUNT) | {"tokens.csv": CSV}, zipfile.ZIP_DEFLATED)
FIELDS = {"name": FieldSpec(column="Device Name"), "sn": FieldSpec(column="Serial Number")}

Mutation = Callable[[bytes], bytes]


def test_no_piece_of_these_tokens_could_be_taken_for_words() -> None:
    """Or else a header made of one might be shown, and the tests below would fail by chance."""
    assert not [
        secret[start:end]
        for secret in SECRETS
        for start in range(32)
        for end in range(start + 12, 33)
        if is_presentable(secret[start:end])
    ]


def _mutations(alphabet: st.SearchStrategy[bytes]) -> st.SearchStrategy[list[Any]]:
    where = st.floats(0, 1)
    length = st.integers(1, 60)
    one = st.one_of(
        st.tuples(st.just("delete"), where, length),
        st.tuples(st.just("repeat"), where, length),
        st.tuples(st.just("cut"), where),
        st.tuples(st.just("insert"), where, alphabet),
        st.tuples(st.just("replace"), where, alphabet),
        st.tuples(st.just("swap"), where, where, length),
    )
    return st.lists(one, min_size=1, max_size=4)


def mutated(data: bytes, mutations: list[Any]) -> bytes:
    """The data after all of them."""
    for kind, *how in mutations:
        at = int(how[0] * len(data))
        match kind, how[1:]:
            case "delete", [length]:
                data = data[:at] + data[at + length :]
            case "repeat", [length]:
                data = data[: at + length] + data[at:]
            case "cut", []:
                data = data[:at]
            case "insert", [text]:
                data = data[:at] + text + data[at:]
            case "replace", [text]:
                data = data[:at] + text + data[at + len(text) :]
            case "swap", [other, length]:
                to = int(other * len(data))
                piece = data[at : at + length]
                data = data[:at] + data[to : to + length] + data[at + length :]
                data = data[:to] + piece + data[to + length :]
    return data


def judge(data: bytes, fields: dict[str, FieldSpec]) -> None:
    """A batch that shows nothing, or an error that tells nothing."""
    caught: UsageError | None = None
    try:
        batch = opened(data, fields=fields)
        tokens = list(batch.tokens)
    except UsageError as error:
        caught = error
    if caught:
        assert_silent(caught, [*SECRETS, *CLAIMS])
        assert caught.code.startswith("tokens.")
        assert "{" not in str(caught) + caught.hint
        return
    assert len(tokens) == len(batch.tokens) > 0
    shown = repr(batch) + repr(tokens) + repr(batch.columns)
    for secret in SECRETS:
        assert secret not in shown
    assert len({token.auth.reveal() for token in tokens}) == len(tokens)


bits_of_text = st.one_of(
    st.sampled_from([b",", b'"', b"\n", b"\r", b";", b"\t", b"'", b"=", b"\0", b"\xff", b"\xa0",
                     b"\xef\xbb\xbf", b"\xff\xfe", b"+", b"+1", b"sqr_", b"1.2E+11", b"#NAME?"]),
    st.binary(min_size=1, max_size=8),
    st.sampled_from([piece.encode() for piece in (*SECRETS, *CLAIMS)]),
)  # fmt: skip


@settings(max_examples=150)
@given(mutations=_mutations(bits_of_text), declared=st.booleans())
def test_a_mutated_table_is_a_batch_or_a_silent_error(mutations: list[Any], declared: bool) -> None:
    """Whatever an editor, a cable or a spreadsheet made of it."""
    judge(mutated(CSV, mutations), FIELDS if declared else {})


@settings(max_examples=60)
@given(mutations=_mutations(st.binary(min_size=1, max_size=8)))
def test_a_mutated_archive_is_a_batch_or_a_silent_error(mutations: list[Any]) -> None:
    """Damaged anywhere: names, sizes, checksums, images, table, directory."""
    judge(mutated(STORED, mutations), {})
    judge(mutated(PACKED, mutations), {})


@settings(max_examples=60)
@given(mutations=_mutations(bits_of_text))
def test_a_mutated_table_inside_an_archive_is_a_batch_or_a_silent_error(
    mutations: list[Any],
) -> None:
    """Against images that are whole: no mutation brings a token and a foreign code together."""
    data = packed(export(COUNT) | {"tokens.csv": mutated(CSV, mutations)})
    judge(data, {})
    try:
        tokens = list(opened(data).tokens)
    except UsageError:
        return
    right = dict(pairs(COUNT))
    for token in tokens:
        if token.auth.reveal() in right:
            assert token.claim
            assert token.claim.reveal() == f"{right[token.auth.reveal()]}+1"


@settings(max_examples=100)
@given(st.binary(max_size=300))
def test_any_bytes_are_a_batch_or_an_error(data: bytes) -> None:
    """From nothing to three hundred random bytes, also behind the magic of a ZIP."""
    judge(data, {})
    judge(b"PK\x03\x04" + data, {})


def test_memory_does_not_grow_with_the_rows(tmp_path: Any) -> None:
    """20,000 rows take a few bytes each: hashes, never the rows."""
    path = tmp_path / "large.csv"
    lines = (f"{n:032x}"[::-1] + f",sqr_{n:032x}\n" for n in range(20_000))
    path.write_text("Device Token,QR Token\n" + "".join(lines), encoding="ascii")
    open_source(str(path), stdin=None, mapping={}, organization=1, fields={})
    tracemalloc.start()
    batch = open_source(str(path), stdin=None, mapping={}, organization=1, fields={})
    count = sum(1 for _ in batch.tokens)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 20_000
    assert peak < 100 * count


def test_standard_input_is_read_once_and_kept_in_memory(tmp_path: Any, monkeypatch: Any) -> None:
    """A pipe cannot be read again, and a temporary file would hold tokens."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    batch = open_source("-", stdin=io.BytesIO(CSV), mapping={}, organization=None, fields={})
    assert len(list(batch.tokens)) == len(list(batch.tokens)) == COUNT
    assert batch.path is None
    assert not list(tmp_path.iterdir())
