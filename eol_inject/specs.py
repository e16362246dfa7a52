"""The base of every stage's spec: unknown keys are errors, values never echo in messages."""

from pydantic import BaseModel, ConfigDict


class Spec(BaseModel):
    """A table of a profile or template. Frozen, so one cycle sees one profile."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, validate_default=True
    )
