"""The ``placeholder`` region: a marked run of bytes in the firmware, replaced at its own length.

The mark is the run itself, so a filled region has none: patching a patched image finds nothing.
"""

import re
from collections.abc import Mapping
from typing import Final

from eol_inject.errors import UsageError
from eol_inject.image import values
from eol_inject.image.containers import Image
from eol_inject.image.regions.region import Region
from eol_inject.image.spec import PlaceholderSpec
from eol_inject.unit import AuthToken, Secret

_FILL: Final = {"nul": b"\0", "space": b" "}


def locate(image: Image, spec: PlaceholderSpec) -> Region:
    """The one run that matches.

    Raises ``UsageError``: ``image.region_missing``, ``image.region_twice``.
    """
    wanted = re.escape(spec.text) if spec.text is not None else spec.pattern or ""
    search = re.compile(wanted.encode("utf-8"))
    runs = [
        match.span()
        for segment in image.segments
        for match in search.finditer(image.data, segment.offset, segment.end)
        if match.end() > match.start()
    ]
    if not runs:
        raise UsageError("image.region_missing", region=spec.name, tag="its mark")
    if len(runs) > 1:
        places = ", ".join(f"{start:#x}" for start, _ in runs[:5])
        raise UsageError("image.region_twice", region=spec.name, count=len(runs), places=places)
    ((start, end),) = runs
    return Region(spec.name, spec.kind, start, end - start)


def encode(
    spec: PlaceholderSpec, size: int, auth: AuthToken, fields: Mapping[str, str | Secret]
) -> bytes:
    """The value, filled to ``size``.

    Raises ``UsageError``: ``image.region_full``, ``image.bad_value``, ``image.field_missing``.
    """
    text = values.fill(spec.value, auth, fields)
    data = values.text_bytes(spec.name, text, len(text.encode("utf-8", "surrogatepass")))
    if len(data) > size:
        raise UsageError("image.region_full", region=spec.name, need=len(data), room=size)
    return data.ljust(size, _FILL[spec.fill])
