"""A label template: one TOML file, and the pictures beside it that it names."""

import hashlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from eol_inject.errors import RecordError, UsageError
from eol_inject.label import code128, geometry, pictures, qr, text, watermarks
from eol_inject.label.geometry import place_name
from eol_inject.label.pictures import Picture
from eol_inject.label.spec import (
    Code128Element,
    ImageElement,
    QrElement,
    TemplateSpec,
    TextElement,
)
from eol_inject.label.values import BUILT_IN, EXTRA, fill, is_known, names_in, nearest
from eol_inject.resources import folder
from eol_inject.specs import parse, read_toml

NOTHING: Final[Mapping[str, str]] = MappingProxyType({})
NO_PICTURES: Final[Mapping[str, Picture]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Template:
    """A checked template.

    ``digest`` is the SHA-256 of its file and its pictures, frozen into every record.
    """

    name: str
    digest: str
    spec: TemplateSpec
    pictures: Mapping[str, Picture] = field(default_factory=lambda: NO_PICTURES, repr=False)


def shipped() -> tuple[str, ...]:
    """Names of the templates that come with this installation."""
    return tuple(sorted(path.stem for path in folder("label_templates").glob("*.toml")))


def load_template(name_or_path: str | Path) -> Template:
    """A shipped template by name, or a template file by path (ends in ``.toml``).

    Raises ``UsageError``: ``label.no_template``, ``label.unreadable``, ``label.not_toml``,
    ``label.unknown_key``, ``label.invalid``, and the codes of ``geometry.check`` and
    ``pictures.read``.
    """
    path = Path(name_or_path)
    if path.suffix != ".toml":
        name, known = str(name_or_path), shipped()
        if name not in known:
            raise UsageError("label.no_template", name=name, nearest=nearest(name, known))
        path = folder("label_templates") / f"{name}.toml"
    data, table = read_toml(path, stage="label")
    return make_template(path.stem, data, table, read_file=_beside(path))


def make_template(
    name: str,
    data: bytes,
    table: Mapping[str, Any],
    *,
    read_file: Callable[[str], bytes],
) -> Template:
    """A template from its file's bytes and table; ``read_file`` gives a picture by its name."""
    spec = parse(TemplateSpec, table, stage="label", source=name)
    _check_texts(name, spec)
    geometry.check(name, spec)
    digest = hashlib.sha256(data)
    drawn: dict[str, Picture] = {}
    for index, element in enumerate(spec.elements):
        if isinstance(element, ImageElement):
            content = read_file(element.file)
            digest.update(hashlib.sha256(content).digest())
            box = geometry.place(spec.stock, element)
            drawn[element.file] = pictures.read(content, box, where=place_name(index))
    return Template(name, digest.hexdigest(), spec, MappingProxyType(drawn))


def check_template(
    template: Template,
    fields: Collection[str],
    *,
    organization: int | None = None,
    known: Mapping[str, str] = NOTHING,
    watermark: str | None = None,
) -> None:
    """Prove before any unit is touched that the template will make its labels.

    ``fields`` are the profile's public ones: no other may be used. With ``organization`` the QR
    symbol is measured as it will be printed: a longer number grows it. ``known`` are values that
    are the same on every label of the run (product_name, lot …): texts that need no others are
    drawn. ``watermark`` is the word that the labels will carry.

    Raises ``UsageError``: ``label.unknown_field``, ``label.shadowed_field`` (a field named like a
    built-in one), ``label.symbol_too_large``, ``label.no_watermark_place``,
    ``label.bad_watermark``, and for a text that cannot be drawn the codes ``render`` has for it.
    """
    for each in fields:
        if each in BUILT_IN or each in EXTRA:
            raise UsageError("label.shadowed_field", field=each)
    for index, element in enumerate(template.spec.elements):
        if isinstance(element, QrElement):
            length = qr.claim_length(organization)
            geometry.check_symbol(template.spec.stock, element, length)
        elif isinstance(element, TextElement | Code128Element):
            for name in names_in(element.text):
                if not is_known(name, fields):
                    raise UsageError(
                        "label.unknown_field",
                        field=name,
                        element=place_name(index),
                        nearest=nearest(name, {*BUILT_IN, *EXTRA, *fields}),
                    )
            _try(template, index, element, known)
    if watermark is not None:
        watermarks.check(template.name, template.spec, watermark)


def _try(
    template: Template,
    index: int,
    element: TextElement | Code128Element,
    known: Mapping[str, str],
) -> None:
    """Draw a text whose values are all known. A template's fault is for the station's keeper."""
    if not set(names_in(element.text)) <= set(known):
        return
    where, stock = place_name(index), template.spec.stock
    box = geometry.place(stock, element)
    try:
        words = fill(element.text, known, element=where, optional=element.optional)
        if words is None:
            return
        if isinstance(element, TextElement):
            text.draw(stock, element, box, words, where)
        else:
            code128.draw(box, element.module_dots, words, where)
    except RecordError as error:
        raise UsageError(error.code, **error.params) from error


def _check_texts(name: str, spec: TemplateSpec) -> None:
    for index, element in enumerate(spec.elements):
        if not isinstance(element, TextElement | Code128Element):
            continue
        try:
            names_in(element.text)
        except ValueError as error:
            key = f"{place_name(index)}.text"
            raise UsageError("label.invalid", source=name, key=key, why=str(error)) from error


def _beside(path: Path) -> Callable[[str], bytes]:
    def read(file: str) -> bytes:
        picture = path.with_name(file)
        try:
            return picture.read_bytes()
        except OSError as error:
            raise UsageError(
                "label.unreadable", path=str(picture), why=error.strerror or ""
            ) from error

    return read
