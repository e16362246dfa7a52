"""What a firmware file is, for people and for ``--json``: no value that could be secret."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from eol_inject.image import containers, identity, regions, seals, signatures
from eol_inject.image.containers import Container, Image, Kind
from eol_inject.image.containers.esp import EspImage, Format
from eol_inject.image.containers.plain import PlainImage

_TABLE_SIZE: Final = 0xC00
"""Bytes that ESP-IDF keeps for a partition table; the rest of its sector may hold a signature."""
_SHOWN: Final = 4
"""Pieces of a HEX file that fit into one line."""


@dataclass(frozen=True, slots=True)
class SegmentFacts:
    """One segment: where its data is in the file, and where it is loaded or mapped."""

    offset: int
    size: int
    load_address: int


@dataclass(frozen=True, slots=True)
class RegionFacts:
    """One reserved region; ``values`` holds the public ones only."""

    kind: str
    offset: int
    size: int
    state: str
    """``placeholder``, ``filled`` or ``torn``."""
    keys: tuple[str, ...]
    values: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class SealFacts:
    """Whether a boot loader would accept the image."""

    valid: bool
    checksum_valid: bool
    digest: str | None
    """``SHA-256``, ``CRC-32`` or None."""
    digest_valid: bool | None
    signed: str | None
    """The scheme of the signature behind it, or None."""


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """One image in the file; offsets count from the start of the file."""

    role: str
    """``application``, ``boot loader``, or ``application in <label>``."""
    format: str
    chip: str | None
    """None where nothing in the file says it."""
    offset: int
    size: int
    """Checksum and digest included, padding and signature not."""
    entry: int | None
    segments: tuple[SegmentFacts, ...]
    seal: SealFacts | None
    """None where nothing seals it."""
    identity: Mapping[str, str]
    """What ``blnkinf`` says; empty where there is none."""
    regions: tuple[RegionFacts, ...]


@dataclass(frozen=True, slots=True)
class PartitionFacts:
    """One partition of a merged image."""

    label: str
    use: str
    address: int
    size: int


@dataclass(frozen=True, slots=True)
class MapRow:
    """A stretch of the flash that a merged image is, or of the file that it is not."""

    start: int
    size: int
    what: str


@dataclass(frozen=True, slots=True)
class Description:
    """A firmware file; plain types throughout, so ``to_json`` is its fields."""

    kind: str
    """``application``, ``merged``, ``sketch`` or ``hex``."""
    words: str
    """One line for people."""
    size: int
    sha256: str
    images: tuple[ImageFacts, ...]
    partitions: tuple[PartitionFacts, ...] = ()
    map: tuple[MapRow, ...] = ()
    """Everything in the file by its place, in order; partitions beyond the file's end too."""
    notes: tuple[str, ...] = field(default=())
    """What somebody who is about to patch it should know, one sentence each."""

    def to_json(self) -> dict[str, Any]:
        """As JSON takes it."""
        return asdict(self)


def describe(data: bytes) -> Description:
    """What ``data`` is. Raises ``UsageError``: see ``containers.look``."""
    container = containers.look(data)
    images = tuple(_image(image, role) for image, role in _roles(container))
    return Description(
        kind=str(container.kind),
        words=_words(container),
        size=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        images=images,
        partitions=tuple(
            PartitionFacts(row.label, row.words, row.address, row.size)
            for row in container.partitions
        ),
        map=tuple(sorted(_map(container, images), key=lambda row: (row.start, -row.size))),
        notes=tuple(_notes(container, images)),
    )


def _roles(container: Container) -> list[tuple[Image, str]]:
    boot: list[tuple[Image, str]] = [(container.boot, "boot loader")] if container.boot else []
    if container.kind is not Kind.MERGED:
        return [*boot, *((image, "application") for image in container.images)]
    slots = [
        (slot.image, f"application in {slot.partition.label}")
        for slot in container.slots
        if slot.image is not None
    ]
    return [*boot, *slots]


def _image(image: Image, role: str) -> ImageFacts:
    esp = image if isinstance(image, EspImage) else None
    return ImageFacts(
        role=role,
        format=str(esp.format) if esp else "plain",
        chip=esp.chip_words if esp else None,
        offset=image.start,
        size=esp.end - esp.start if esp else len(image.data),
        entry=esp.entry if esp else None,
        segments=tuple(SegmentFacts(s.offset, s.size, s.load_address) for s in image.segments),
        seal=_seal(esp) if esp else None,
        identity=dict(identity.read(image)),
        regions=tuple(
            RegionFacts(s.kind, s.offset, s.size, str(s.state), s.keys, dict(s.shown))
            for s in regions.sightings(image)
        ),
    )


def _seal(image: EspImage) -> SealFacts:
    seal, signature = seals.check(image), signatures.find(image)
    return SealFacts(
        valid=seal.valid,
        checksum_valid=seal.checksum,
        digest=seal.digest,
        digest_valid=seal.digest_valid,
        signed=signature.scheme if signature else None,
    )


_FORMATS = {
    Format.ESP32: "application image for {chip}",
    Format.ESP8266_V1: "ESP8266 image, version 1 (loaded by the ROM)",
    Format.ESP8266_V2: "ESP8266 application image, version 2",
}


def _words(container: Container) -> str:
    image = container.images[0] if container.images else None
    if isinstance(image, PlainImage):
        shown, hidden = image.segments[:_SHOWN], image.segments[_SHOWN:]
        places = ", ".join(
            f"{s.load_address:#x} to {s.load_address + s.size - 1:#x}" for s in shown
        )
        more = f" and {len(hidden)} more" if hidden else ""
        return f"Intel HEX, {len(image.data)} bytes at {places}{more}"
    if container.kind is Kind.SKETCH:
        return "ESP8266 Arduino image: boot loader, and the application at 0x1000"
    if container.kind is Kind.APPLICATION and image is not None:
        return _FORMATS[image.format].format(chip=image.chip_words)
    filled, slots = len(container.images), len(container.slots)
    boot = "boot loader, " if container.boot else ""
    return (
        f"merged flash image: {boot}partition table, {filled} of {slots} application slots filled"
    )


def _map(container: Container, images: tuple[ImageFacts, ...]) -> Iterator[MapRow]:
    """Partitions, the images in them, and the regions in those."""
    if container.table_at is not None:
        yield MapRow(container.table_at, _TABLE_SIZE, "partition table")
    for row in container.partitions:
        held = container.data[row.address : row.address + row.size]
        state = "beyond the file" if not held else "" if held.strip(b"\xff") else "erased"
        yield MapRow(row.address, row.size, ", ".join(filter(None, (row.label, row.words, state))))
    for image in images:
        if image.seal is None:
            yield from (MapRow(s.load_address, s.size, "firmware") for s in image.segments)
            continue
        yield MapRow(image.offset, image.size, image.role)
        for region in image.regions:
            yield MapRow(region.offset, region.size, f"region {region.kind}, {region.state}")


def _notes(container: Container, images: tuple[ImageFacts, ...]) -> list[str]:
    notes = []
    if len(container.images) > 1:
        notes.append(
            "More than one application slot is filled: a token patched into one would be missing "
            "in the other, so this file cannot be patched."
        )
    if container.crc_valid() is False:
        notes.append("The CRC of the whole file is wrong: it was damaged after the build.")
    for slot in container.slots:
        room = slot.partition.address + slot.partition.size
        if slot.image is not None and slot.image.end > room:
            notes.append(f"The application in {slot.partition.label} is longer than its slot.")
    for image in images:
        if image.seal and not image.seal.valid:
            notes.append(f"The {image.role} has a broken seal: no boot loader would start it.")
        if image.seal and image.seal.signed:
            notes.append(
                f"The {image.role} is signed ({image.seal.signed}): a patch inside it would break "
                "the signature."
            )
        if len(image.regions) > 1:
            notes.append(f"The {image.role} has {len(image.regions)} regions where one is wanted.")
        notes.extend(
            f"The region at {region.offset:#x} is filled: this is a unit's image, not a golden one."
            for region in image.regions
            if region.state == "filled"
        )
    return notes
