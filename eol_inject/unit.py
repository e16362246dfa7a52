"""The nouns of a unit: its identifiers, the secrets it gets, and the proof of what it holds.

Shapes of the tokens: Blynk documentation, "Static tokens" (AuthToken ``[A-Za-z0-9_-]{32}``,
QR token ``sqr_`` + 32 of the same, claim code ``{qrToken}+{orgId}``).
"""

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Final, NoReturn, Self

from eol_inject.errors import UnitError, UsageError

SELF_ROLE: Final = "self"
"""The role of a unit's own token; kits will name more."""

_AUTH: Final = re.compile(r"[A-Za-z0-9_-]{32}")
_QR: Final = re.compile(r"sqr_[A-Za-z0-9_-]{32}")
_ORG: Final = re.compile(r"[0-9]{1,12}")


class Secret:
    """A text that never shows itself.

    Prints, formats and logs as ``[secret]``; cannot be pickled, copied into JSON or hashed into a
    visible key. ``reveal()`` is the one way in, so every use can be found by searching for it.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself: for the region encoder, the cipher and the console script."""
        return self._text

    def __repr__(self) -> str:
        return "[secret]"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format("[secret]", spec)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return hmac.compare_digest(self._text.encode(), other._text.encode())

    __hash__ = None  # type: ignore[assignment]  # a secret used as a dictionary key would be kept by accident

    def __len__(self) -> int:
        return len(self._text)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret cannot be pickled or copied")

    __copy__ = __reduce__

    def __deepcopy__(self, memo: object) -> NoReturn:
        self.__reduce__()


class AuthToken(Secret):
    """The secret half of a static token: 32 characters of ``[A-Za-z0-9_-]``.

    Raises ``UsageError("tokens.bad_auth_token")`` for any other shape; the text is not repeated.
    """

    __slots__ = ()

    def __init__(self, text: str) -> None:
        if not self.looks_like(text):
            raise UsageError("tokens.bad_auth_token", length=len(text))
        super().__init__(text)

    @staticmethod
    def looks_like(text: str) -> bool:
        """Whether ``text`` has the shape of an AuthToken."""
        return _AUTH.fullmatch(text) is not None


class ClaimCode:
    """The text inside the QR code, ``{qrToken}+{orgId}``: restricted, shown by its last six.

    The ``+orgId`` may be missing (the claim API takes a plain QR token too). The six characters
    shown are those of the QR token, since the organization is the same on every label.
    """

    __slots__ = ("_organization", "_qr")

    def __init__(self, qr_token: str, organization: int | None) -> None:
        if not self.looks_like_qr(qr_token):
            raise UsageError("tokens.bad_qr_token", length=len(qr_token))
        self._qr = qr_token
        self._organization = organization

    @staticmethod
    def looks_like_qr(text: str) -> bool:
        """Whether ``text`` has the shape of a QR token."""
        return _QR.fullmatch(text) is not None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what a QR code says. Raises ``UsageError("tokens.bad_qr_token")``."""
        qr, plus, org = text.partition("+")
        if plus and not _ORG.fullmatch(org):
            raise UsageError("tokens.bad_qr_token", length=len(text))
        return cls(qr, int(org) if plus else None)

    @property
    def organization(self) -> int | None:
        """The cloud's orgId, or None where the source did not say."""
        return self._organization

    @property
    def tail(self) -> str:
        """The last six characters of the QR token: what people and records may see."""
        return self._qr[-6:]

    def reveal(self) -> str:
        """The whole text: for the printer, the scan and the cipher only."""
        return self._qr if self._organization is None else f"{self._qr}+{self._organization}"

    def __repr__(self) -> str:
        return f"…{self.tail}"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format(repr(self), spec)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ClaimCode):
            return NotImplemented
        return self.reveal() == other.reveal()

    __hash__ = None  # type: ignore[assignment]  # like Secret: never a dictionary key

    def __reduce__(self) -> NoReturn:
        raise TypeError("a claim code cannot be pickled or copied")


class Proof(StrEnum):
    """How we know what the unit holds; stored with the assignment and shown."""

    READ_BACK = "read_back"
    REPLY = "reply"
    IDENTITY = "identity"


_HEX12: Final = re.compile(r"[0-9a-f]{12}")
_BETWEEN: Final = re.compile(r"[-.:\s]")
_LONG_NUMBER: Final = re.compile(r"[0-9A-F]{32,64}")
_UUID: Final = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_PLACEHOLDER_SERIALS: Final = frozenset(
    {"", "0", "1234", "12345", "123456", "1234567", "12345678", "123456789", "0123456789",
     "0000", "none", "null", "nil", "n/a", "na", "unknown", "default", "test", "serial", "sn"}
)  # fmt: skip


def long_number(text: str) -> str:
    """The digits of a number in hex that is long enough to have a token's shape; else empty.

    Many microcontrollers have such a number of 128 bits. In capitals, and whatever stands between
    the digits is left out. A UUID has a form of its own, which is no token's.
    """
    digits = _BETWEEN.sub("", text.strip()).upper()
    if _UUID.fullmatch(text.strip()) or not _LONG_NUMBER.fullmatch(digits):
        return ""
    return digits


def grouped(text: str) -> str:
    """A long number as it is kept, shown and printed: ``01234567.89ABCDEF.…``; all else as it is.

    A dot is in no token's alphabet, so nothing takes the number for one; a hyphen is.
    """
    digits = long_number(text)
    return ".".join(digits[at : at + 8] for at in range(0, len(digits), 8)) or text


@dataclass(frozen=True, slots=True)
class Identifier:
    """One identifier of a unit, normalised: ``kind`` in lower case, MACs as ``aa:bb:cc:dd:ee:ff``,
    numbers of 128 bits and more in hex as ``01234567.89ABCDEF.…`` (``grouped``).

    Raises ``UnitError("device.bad_identity")`` for an empty, all-zero, all-FF, multicast or
    placeholder value (line-failures 2): such a value names no single unit.
    """

    kind: str
    value: str

    def __post_init__(self) -> None:
        kind = self.kind.strip().lower()
        value = self.value.strip()
        if kind in {"mac", "base_mac", "bt_mac"}:
            bare = re.sub(r"[:.\-\s]", "", value).lower()
            if not _HEX12.fullmatch(bare):
                raise UnitError("device.bad_identity", kind=kind, value=value, why="not a MAC")
            if set(bare) <= {"0"} or set(bare) <= {"f"}:
                raise UnitError("device.bad_identity", kind=kind, value=value, why="a placeholder")
            if int(bare[:2], 16) & 1:
                raise UnitError("device.bad_identity", kind=kind, value=value, why="multicast")
            value = ":".join(bare[i : i + 2] for i in range(0, 12, 2))
        else:
            value = grouped(value)
            digits = value.replace(".", "")
            if (
                value.lower() in _PLACEHOLDER_SERIALS
                or "[hidden]" in value
                or set(digits) <= {"0"}
                or set(digits.lower()) <= {"f"}
                or not value.isprintable()
            ):
                raise UnitError(
                    "device.bad_identity", kind=kind, value=value[:40], why="a placeholder"
                )
        object.__setattr__(self, "kind", kind)
        object.__setattr__(self, "value", value)

    def __str__(self) -> str:
        return f"{self.kind}:{self.value}"


@dataclass(frozen=True, slots=True)
class Unit:
    """One physical device: its primary identifier, and whatever else names it."""

    primary: Identifier
    others: tuple[Identifier, ...] = ()

    @property
    def identifiers(self) -> tuple[Identifier, ...]:
        """Primary first."""
        return (self.primary, *self.others)

    def __str__(self) -> str:
        return self.primary.value


TokenFields = Mapping[str, str | Secret]
"""Metadata of a token by field name; secret ones wrapped."""


@dataclass(frozen=True, slots=True)
class StaticToken:
    """One token as its source gave it: what ``tokens`` hands to the ledger's import.

    ``claim`` is None for the devices export, which has no QR token. ``bound`` names the unit a
    token "from file" already belongs to. ``row`` is the source's row number, 1-based, header
    counted as row 1, for error texts.
    """

    auth: AuthToken
    claim: ClaimCode | None
    row: int
    bound: tuple[Identifier, ...] = ()
    fields: TokenFields = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Proven:
    """What a label is made from: the unit's own record, found by the token read back from it.

    Only ``ledger.prove`` builds one (a law in the tests looks for any other place), and
    ``label.render`` takes nothing else.
    """

    unit: Unit
    role: str
    assignment: int
    claim: ClaimCode
    product: str
    lot: str
    proof: Proof
    fields: Mapping[str, str]
    """The public fields only: a template cannot name a secret, since the renderer has none."""
