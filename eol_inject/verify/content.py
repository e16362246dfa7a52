"""What one place holds: the words shared by every decoder of this stage."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from eol_inject.unit import AuthToken, Secret


class PlaceState(StrEnum):
    """What stands at a place where the firmware could look for its token."""

    ABSENT = "absent"
    """No application, no NVS, no such entry: nothing is kept here."""
    BLANK = "blank"
    """The place is there and holds no token: placeholder text, no ``auth``, erased."""
    TOKEN = "token"  # noqa: S105  # a state, not a password
    """The firmware could use this token."""
    TORN = "torn"
    """Neither blank nor a token the firmware could use: half written, or written wrongly."""
    ENCRYPTED = "encrypted"
    """Recognised as ciphertext: only the unit itself can read it."""


@dataclass(frozen=True, slots=True)
class Content:
    """What a decoder made of a place's bytes; ``why`` is one public phrase, never a value.

    ``auth`` may also be set where ``state`` is TORN: a token is there, but the firmware would not
    take it as it stands. ``values`` are the other keys, secret ones wrapped.
    """

    state: PlaceState
    auth: AuthToken | None = None
    values: Mapping[str, str | Secret] = field(default_factory=lambda: MappingProxyType({}))
    why: str = ""


UNSET: Final = "invalid token"
"""What every Edgent keeps as its token while it has none (ConfigStore.h, BlynkConfigStore.h)."""

_PLACEHOLDER: Final = "Placeholder"


def is_placeholder(text: str) -> bool:
    """Whether ``text`` is what a build put there to be replaced: Edgent's placeholder macro.

    The word repeated or cut short, which could have the shape of a token; or anything that begins
    with it and has no such shape.
    """
    repeated = (_PLACEHOLDER * (len(text) // len(_PLACEHOLDER) + 1)).startswith(text)
    return repeated or (text.startswith(_PLACEHOLDER) and not AuthToken.looks_like(text))


def public(text: str) -> str | Secret:
    """A value that may be shown, unless it has the shape of a token and stands there by mistake."""
    return Secret(text) if AuthToken.looks_like(text) else text


def judge_auth(text: str) -> Content:
    """What a value in a token's place is: a token, unset, or something no token looks like."""
    if text in {"", UNSET} or is_placeholder(text):
        return Content(PlaceState.BLANK, why="no token set")
    if AuthToken.looks_like(text):
        return Content(PlaceState.TOKEN, auth=AuthToken(text))
    why = f"{len(text)} characters that are no AuthToken"
    return Content(PlaceState.TORN, why=why)
