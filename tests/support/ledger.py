"""Made-up tokens, units and ledgers for the tests of the ledger."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from eol_inject.ledger import CycleFacts, Keys, Kind, Ledger, open_ledger
from eol_inject.ledger.cycle import Cycle
from eol_inject.unit import AuthToken, ClaimCode, Identifier, Proof, Secret, StaticToken, Unit

KEYS = Keys(bytes(range(32)), bytes(range(32, 64)))
PRODUCT, LOT, ORGANIZATION = "TMPL1", "lot-1", 7
SHA = "ab" * 32


def auth_text(number: int, *, kind: str = "auth") -> str:
    """32 characters that look like a token, the same for the same number."""
    digest = hashlib.sha256(f"{kind} {number}".encode()).hexdigest()
    return digest[:32].translate(str.maketrans("0123456789", "GHIJKLMNO_"))


def static_token(
    number: int,
    *,
    row: int | None = None,
    organization: int | None = ORGANIZATION,
    bound: tuple[Identifier, ...] = (),
    fields: dict[str, str | Secret] | None = None,
    qr: int | None = None,
    claim: bool = True,
) -> StaticToken:
    """Token ``number`` of an imagined export."""
    code = ClaimCode("sqr_" + auth_text(number if qr is None else qr, kind="qr"), organization)
    return StaticToken(
        AuthToken(auth_text(number)),
        code if claim else None,
        row if row is not None else number + 2,
        bound,
        fields or {},
    )


def export(count: int, *, start: int = 0) -> Iterator[StaticToken]:
    """``count`` tokens of an imagined export."""
    return (static_token(number) for number in range(start, start + count))


def mac(number: int) -> Identifier:
    """A locally administered MAC."""
    text = f"{0x020000000000 + number:012x}"
    return Identifier("mac", text)


def unit(number: int) -> Unit:
    """Unit ``number``, known by its MAC."""
    return Unit(mac(number))


def make(
    folder: Path, *, tokens: int = 5, station: str = "st1", kind: Kind = Kind.TRAINING
) -> Ledger:
    """A new SQLite ledger with ``tokens`` in its pool."""
    ledger = open_ledger(url_in(folder), keys=KEYS, station=station, create=kind)
    if tokens:
        fill(ledger, tokens)
    return ledger


def url_in(folder: Path) -> str:
    """Where ``make`` puts the ledger."""
    return f"sqlite:///{folder / 'ledger.db'}"


def again(folder: Path, *, station: str = "st1") -> Ledger:
    """The ledger in ``folder`` once more, as another process would open it."""
    return open_ledger(url_in(folder), keys=KEYS, station=station)


def fill(ledger: Ledger, count: int, *, start: int = 0, lot: str = LOT) -> None:
    """``count`` tokens into the pool."""
    take_in(ledger, export(count, start=start), lot=lot)


def take_in(
    ledger: Ledger,
    tokens: Iterator[StaticToken] | list[StaticToken],
    *,
    lot: str = LOT,
    product: str = PRODUCT,
    organization: int | None = None,
):
    """Import as the tests mostly want it."""
    return ledger.import_tokens(
        tokens,
        product=product,
        lot=lot,
        organization=organization,
        source_sha256=SHA,
        operator="ann",
    )


def begin(ledger: Ledger, number: int = 1, *, slot: str = "A", one: Unit | None = None) -> Cycle:
    """A cycle of unit ``number``."""
    return ledger.begin_cycle(
        one or unit(number), slot=slot, operator="ann", traceability=CycleFacts()
    )


def reserve(cycle: Cycle):
    """As the profile of these tests would."""
    return cycle.reserve(PRODUCT, ORGANIZATION, LOT)


def run_to(cycle: Cycle, state: str):
    """Bring the unit to ``state`` by the ordinary way; the answer is what ``reserve`` said."""
    reserved = reserve(cycle)
    steps = {
        "writing": cycle.begin_writing,
        "written": cycle.written,
        "verified": lambda: cycle.prove(reserved.auth, Proof.READ_BACK),
        "labelled": cycle.labelled,
        "closed": cycle.close,
    }
    for reached, step in steps.items():
        if state == "reserved":
            break
        step()
        if reached == state:
            break
    return reserved


@dataclass(frozen=True)
class Opener:
    """Opens the ledger of a test, for any station."""

    url: str

    def __call__(self, station: str = "st1", **how: object) -> Ledger:
        return open_ledger(self.url, keys=KEYS, station=station, **how)
