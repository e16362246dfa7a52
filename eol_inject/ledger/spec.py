"""What a profile says to the ledger: ``[product]``, the role of its token, and ``[limits]``."""

from pydantic import Field

from eol_inject.specs import Spec
from eol_inject.unit import SELF_ROLE


class ProductSpec(Spec):
    """Which tokens may go into this product."""

    id: str = Field(min_length=1, max_length=64, description="The cloud's productId")
    name: str = Field(min_length=1, max_length=80, description="Its name, on labels")
    organization: int | None = Field(None, ge=1, description="The orgId its tokens must have")
    role: str = Field(SELF_ROLE, pattern=r"[a-z][a-z0-9_-]{0,30}", description="Role of the token")


class LimitsSpec(Spec):
    """When to stop trying; 0 never stops."""

    attempts_per_unit: int = Field(
        5, ge=0, le=100, description="Failed attempts in a row after which a unit is blocked"
    )
    equal_failures: int = Field(
        3,
        ge=0,
        le=100,
        description="Units in a row that fail alike, after which their slot is blocked until a "
        "known good unit passes there",
    )
