"""What a profile says about the metadata that comes with a token: the ``[fields]`` table."""

import re

from pydantic import Field, field_validator

from eol_inject.specs import Spec


class FieldSpec(Spec):
    """One field: where its value comes from and what it must look like."""

    column: str | None = Field(None, description="Header of the token source's column")
    pattern: str | None = Field(None, description="Regular expression the whole value must match")
    required: bool = Field(False, description="A token without a value is refused at import")
    secret: bool = Field(False, description="Treated like the AuthToken: never shown, encrypted")

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str | None) -> str | None:
        if pattern is not None:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"not a regular expression: {error}") from None
        return pattern
