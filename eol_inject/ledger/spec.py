"""What a profile says to the ledger: the ``[product]`` table and the role of its token."""

from pydantic import Field

from eol_inject.specs import Spec
from eol_inject.unit import SELF_ROLE


class ProductSpec(Spec):
    """Which tokens may go into this product."""

    id: str = Field(min_length=1, max_length=64, description="The cloud's productId")
    name: str = Field(min_length=1, max_length=80, description="Its name, on labels")
    organization: int | None = Field(None, ge=1, description="The orgId its tokens must have")
    role: str = Field(SELF_ROLE, pattern=r"[a-z][a-z0-9_-]{0,30}", description="Role of the token")
