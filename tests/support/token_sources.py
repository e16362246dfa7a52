"""Made-up token sources, and the proof that an error about one gives nothing away."""

import base64
import hashlib
import importlib.util
import io
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from types import ModuleType

import pytest

from eol_inject.errors import UsageError
from eol_inject.tokens import Batch, FieldSpec, open_source
from tests.support.source import ROOT

FIXTURES = ROOT / "fixtures" / "tokens"
HEADER = ("Device Token", "QR Token")


def auth(number: int) -> str:
    """The AuthToken of this number; many begin with what a spreadsheet takes for a sum."""
    return (("", "-", "_")[number % 3] + _characters(f"auth {number}"))[:32]


def qr(number: int) -> str:
    """The QR token of this number."""
    return "sqr_" + _characters(f"qr {number}")


@cache
def _characters(seed: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(seed.encode()).digest()).decode()[:32]


def pairs(count: int, start: int = 1) -> list[tuple[str, str]]:
    """AuthToken and QR token of so many numbers."""
    return [(auth(number), qr(number)) for number in range(start, start + count)]


def table(*lines: Sequence[str], separator: str = ",", end: str = "\n") -> bytes:
    """Lines of cells that need no quotes."""
    return "".join(separator.join(line) + end for line in lines).encode()


@cache
def script() -> ModuleType:
    """The script that makes the sample sources."""
    spec = importlib.util.spec_from_file_location("make_export", FIXTURES / "make_export.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@cache
def image(text: str) -> bytes:
    """A PNG that shows ``text`` as a QR code."""
    return bytes(script().png(text, dots=2))


def packed(
    entries: Mapping[str, bytes] | Iterable[tuple[str, bytes]], method: int = zipfile.ZIP_STORED
) -> bytes:
    """A ZIP of these entries."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as archive:
        for name, content in entries.items() if isinstance(entries, Mapping) else entries:
            archive.writestr(name, content)
    return made.getvalue()


def export(
    count: int = 3, *, organization: int = 1, header: Sequence[str] = HEADER
) -> dict[str, bytes]:
    """The entries of a console export."""
    return {
        "tokens.csv": table(header, *pairs(count)),
        **{f"qr/{auth}.png": image(f"{qr}+{organization}") for auth, qr in pairs(count)},
    }


def opened(
    data: bytes,
    *,
    mapping: Mapping[str, str] | None = None,
    organization: int | None = None,
    fields: Mapping[str, FieldSpec] | None = None,
) -> Batch:
    """A batch from standard input."""
    return open_source(
        "-",
        stdin=io.BytesIO(data),
        mapping=mapping or {},
        organization=organization,
        fields=fields or {},
    )


def refused(data: bytes, secrets: Iterable[str] = (), **how: object) -> UsageError:
    """The error of a source that must be refused, after a look that it gives nothing away."""
    with pytest.raises(UsageError) as caught:
        list(opened(data, **how).tokens)  # type: ignore[arg-type]
    assert_silent(caught.value, [*(auth(n) for n in range(1, 30)), *secrets])
    return caught.value


def assert_silent(error: BaseException, secrets: Iterable[str]) -> None:
    """No twelve characters of a secret can be read from the error or from what hangs on it."""
    said = "\n".join(_said(error, set()))
    for secret in secrets:
        pieces = {secret[at : at + 12] for at in range(len(secret) - 11)}
        assert not [piece for piece in pieces if piece in said]


def _said(error: BaseException | None, seen: set[int]) -> list[str]:
    if error is None or id(error) in seen:
        return []
    seen.add(id(error))
    own = [str(error), repr(error), repr(error.args), repr(vars(error))]
    if isinstance(error, UsageError):
        own += [error.hint, repr(error.params)]
    return own + _said(error.__cause__, seen) + _said(error.__context__, seen)
