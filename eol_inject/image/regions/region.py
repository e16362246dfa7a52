"""Where a region is, and what may be told about one that was found."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Region:
    """A region found in a golden image; ``offset`` counts from the start of the file."""

    name: str
    kind: str
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Place:
    """Flash that is a region's alone, in whole sectors."""

    name: str
    kind: str
    address: int
    size: int


class State(StrEnum):
    """What a region holds."""

    PLACEHOLDER = "placeholder"
    FILLED = "filled"
    TORN = "torn"


@dataclass(frozen=True, slots=True)
class Sighting:
    """A region as ``describe`` tells it: no value but those that are public."""

    kind: str
    offset: int
    size: int
    """As far as it can be read: a filled region's own fill looks like what follows it."""
    state: State
    keys: tuple[str, ...] = ()
    shown: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Values of public keys."""
