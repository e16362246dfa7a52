"""``eol-inject firmware``: what an image is, and one patched by hand."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from eol_inject.cli.answer import Answer
from eol_inject.cli.common import json_option, profile_option
from eol_inject.errors import UsageError

if TYPE_CHECKING:
    from eol_inject.image.descriptions import Description, ImageFacts, SealFacts
    from eol_inject.unit import AuthToken

_TOKEN_FILE_LIMIT = 4096
"""Bytes; a token file holds 32 characters and a line end."""

_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)


@click.group()
def firmware() -> None:
    """Inspect and patch firmware images."""


@firmware.command()
@click.argument("image", type=click.Path(path_type=Path))
@json_option
def inspect(image: Path, as_json: bool) -> Answer:
    """Tell what an image is: its regions, its seal, whether it is signed."""
    from eol_inject.image import describe

    found = describe(_read(image))
    return Answer(data={"file": image} | found.to_json(), lines=_words(image, found))


@firmware.command()
@click.argument("image", type=click.Path(path_type=Path))
@profile_option
@click.option(
    "--token-file",
    metavar="FILE|-",
    required=True,
    help="File that holds the AuthToken and nothing else; - is standard input.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="The patched image; made readable by its owner only, never overwritten.",
)
@json_option
def patch(image: Path, profile: str, token_file: str, out: Path, as_json: bool) -> Answer:
    """Patch one token into a copy of the golden image, offline.

    For the bench, not for the line: no ledger knows of this token's use. The token is never an
    argument, since other users of the machine can see those.
    """
    import hashlib

    from eol_inject import profiles, report
    from eol_inject.image import Golden

    product = profiles.load(profile)
    golden = _read(image)
    wanted, found = product.firmware.sha256, hashlib.sha256(golden).hexdigest()
    if wanted is not None and wanted != found:
        raise UsageError("image.wrong_file", path=str(image), found=found[:12], wanted=wanted[:12])
    programmed = product.spec.programmer is not None
    judged = Golden(
        golden,
        product.spec.regions,
        chip=None if programmed else product.chip.name,
        raw_at=product.firmware.address if programmed and golden[:1] != b":" else None,
        expect_type=product.firmware.type,
        expect_version=product.firmware.version,
        parts=[(address, _read(path)) for address, path in product.part_files],
    )
    # offline there is no unit whose flash could hold anything else
    blank = {place.name: b"\xff" * place.size for place in judged.places}
    patched = judged.patch(_token(token_file), {}, existing=blank)
    _write(out, patched.data)
    rows = [
        {"region": region.name, "file": out, "offset": region.offset, "size": region.size}
        for region in patched.regions
    ]
    for block in patched.blocks:
        beside = out.with_name(f"{out.stem}.{block.name}@{block.address:#x}.bin")
        _write(beside, block.data)
        rows.append(
            {"region": block.name, "file": beside, "address": block.address,
             "size": len(block.data)}
        )  # fmt: skip
    if patched.eeprom is not None:
        beside = out.with_name(f"{out.stem}.eeprom.hex")
        _write(beside, patched.eeprom)
        rows.append({"region": "eeprom", "file": beside, "size": len(patched.eeprom)})
    facts = {"patched image": out, "bytes": len(patched.data)} | {
        f"region {row['region']}": f"{row['size']} bytes in {row['file']}" for row in rows
    }
    return Answer(
        data={"out": out, "size": len(patched.data), "golden_sha256": found, "regions": rows},
        lines=[report.pairs(facts), "It holds the AuthToken: treat every file as a secret."],
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError("report.unreadable", path=str(path), why=error.strerror) from error


def _token(source: str) -> "AuthToken":
    from eol_inject.unit import AuthToken

    if source == "-":
        if sys.stdin is None:  # closed: `<&-`
            raise UsageError("report.unreadable", path="standard input", why="it is closed")
        data = sys.stdin.buffer.read(_TOKEN_FILE_LIMIT)
    else:
        try:
            with Path(source).open("rb") as file:
                data = file.read(_TOKEN_FILE_LIMIT)
        except OSError as error:
            raise UsageError("report.unreadable", path=source, why=error.strerror) from error
    return AuthToken(data.decode("ascii", "replace").strip())


def _write(path: Path, data: bytes) -> None:
    try:
        handle = os.open(
            path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600
        )
    except FileExistsError:
        raise UsageError("report.output_exists", path=str(path)) from None
    except OSError as error:
        raise UsageError("report.output_failed", path=str(path), why=error.strerror) from error
    with os.fdopen(handle, "wb") as file:
        file.write(data)


def _words(path: Path, found: "Description") -> list[str]:
    from eol_inject import report

    blocks = [
        report.pairs({
            "file": path, "what": found.words, "bytes": found.size, "sha256": found.sha256
        }),
        *(f"\n{_image_words(image)}" for image in found.images),
    ]  # fmt: skip
    if found.partitions:
        rows = [
            (f"{row.start:#08x}", f"{row.start + row.size - 1:#08x}", row.size, row.what)
            for row in found.map
        ]
        blocks.append("\n" + report.table(("from", "to", "bytes", "what is there"), rows))
    return blocks + [f"\nnote: {note}" for note in found.notes]


def _image_words(image: "ImageFacts") -> str:
    from eol_inject import report

    facts: dict[str, object] = {
        "image": f"{image.role}, {image.chip or 'plain'}, {image.size} bytes at {image.offset:#x}",
        "says": ", ".join(f"{name} {value}" for name, value in image.identity.items()),
        "seal": _seal_words(image.seal) if image.seal else "none",
        "signed": (image.seal and image.seal.signed) or "no",
    }
    for region in image.regions:
        facts[f"region {region.kind}"] = (
            f"{region.size} bytes at {region.offset:#x}, {region.state}: {', '.join(region.keys)}"
        )
    if not image.regions:
        facts["region"] = "none found"
    rows = [(f"{s.offset:#x}", s.size, f"{s.load_address:#x}") for s in image.segments]
    return f"{report.pairs(facts)}\n\n{report.table(('segment at', 'bytes', 'loaded at'), rows)}"


def _seal_words(seal: "SealFacts") -> str:
    if seal.valid:
        return f"valid: checksum{f', {seal.digest}' if seal.digest else ''}"
    broken = [
        *(() if seal.checksum_valid else ("checksum",)),
        *((str(seal.digest),) if seal.digest_valid is False else ()),
    ]
    return f"BROKEN: {', '.join(broken)}"
