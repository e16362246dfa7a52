"""From texts that were read and the templates they were written with, to what a place holds."""

from collections.abc import Mapping

from eol_inject.unit import Secret
from eol_inject.verify import templates
from eol_inject.verify.content import Content, PlaceState, judge_auth


def judge(read: Mapping[str, tuple[str, str]]) -> Content:
    """``read`` is field name → (template, text). The fields are secret until a profile says not.

    TORN where a text cannot have come from its template, BLANK where no template has ``{auth}``.
    """
    values: dict[str, str | Secret] = {name: Secret(text) for name, (_, text) in read.items()}
    found: dict[str, str] = {}
    for name, (template, text) in read.items():
        parts = templates.read(template, text)
        if parts is None:
            return Content(PlaceState.TORN, values=values, why=f"{name} is not as it was written")
        for key, value in parts.items():
            if found.setdefault(key, value) != value:
                return Content(PlaceState.TORN, values=values, why=f"two values of {key}")
    if templates.AUTH not in found:
        return Content(PlaceState.BLANK, values=values)
    held = judge_auth(found[templates.AUTH])
    return Content(held.state, held.auth, values, held.why)
