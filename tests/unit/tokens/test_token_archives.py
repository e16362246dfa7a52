"""Console exports: table and images say the same, or the archive is refused with the row."""

import io
import struct
import zlib

import pytest
from PIL import Image, ImageOps

from tests.support.token_sources import (
    HEADER,
    auth,
    export,
    image,
    opened,
    packed,
    pairs,
    qr,
    refused,
    table,
)


def png_of(number: int) -> str:
    return f"qr/{auth(number)}.png"


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, *more: bytes) -> bytes:
    """A PNG that says it has these dots, and has none of them."""
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(b"\0" * 100))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        [chunk(b"IHDR", header), *more, data, chunk(b"IEND", b"")]
    )


def test_the_images_give_the_organization() -> None:
    """The table says only the QR tokens."""
    batch = opened(packed(export(3, organization=4711)))
    assert batch.organization == 4711
    assert [token.claim.reveal() for token in batch.tokens if token.claim] == [
        f"{qr(n)}+4711" for n in (1, 2, 3)
    ]
    assert batch.notes == ()


def test_the_images_give_the_claim_codes_where_the_table_has_none() -> None:
    """The documentation says: a CSV file with all the AuthTokens."""
    entries = export(3) | {"tokens.csv": table(("Device Token",), *((a,) for a, _ in pairs(3)))}
    batch = opened(packed(entries))
    assert [token.claim.reveal() for token in batch.tokens if token.claim] == [
        f"{qr(n)}+1" for n in (1, 2, 3)
    ]
    del entries[png_of(2)]
    error = refused(packed(entries))
    assert (error.code, error.params["row"]) == ("tokens.image_missing", 3)


def test_an_image_that_says_another_claim_code_is_refused_with_the_row() -> None:
    """Neighbours swapped in an export: the labels would be on the wrong units (line-failures 3)."""
    entries = export(3)
    entries[png_of(2)], entries[png_of(3)] = entries[png_of(3)], entries[png_of(2)]
    error = refused(packed(entries))
    assert (error.code, error.params["row"]) == ("tokens.image_contradicts", 3)
    assert "(and 1 more)" in str(error)


def test_another_organization_is_refused_with_the_row() -> None:
    """In one image, against the table, or against what the operator said."""
    mixed = export(3) | {png_of(3): image(f"{qr(3)}+2")}
    error = refused(packed(mixed))
    assert (error.code, error.params["row"]) == ("tokens.other_organization", 4)
    said = export(3) | {"tokens.csv": table(HEADER, *((a, f"{q}+2") for a, q in pairs(3)))}
    assert refused(packed(said)).params["row"] == 2
    assert refused(packed(export(3)), organization=2).code == "tokens.other_organization"


def test_an_archive_without_images_is_a_note() -> None:
    """Somebody packed the CSV alone; nothing could be cross-checked."""
    batch = opened(packed({"tokens.csv": table(HEADER, *pairs(3))}))
    assert len(batch.tokens) == 3
    assert "not cross-checked" in " ".join(batch.notes)


def test_rows_without_image_are_a_note_with_the_first_row() -> None:
    """The table says the claim code; that it was not checked is told."""
    entries = export(3)
    del entries[png_of(2)]
    batch = opened(packed(entries))
    assert "1 row(s) have no QR image, first row 3" in " ".join(batch.notes)
    assert batch.tokens[1].claim
    assert batch.tokens[1].claim.organization == 1


def test_images_without_row_are_a_note() -> None:
    """Rows removed by hand, to import a part."""
    entries = export(3) | {"tokens.csv": table(HEADER, *pairs(2))}
    batch = opened(packed(entries))
    assert len(batch.tokens) == 2
    assert "1 QR image(s) belong to no row" in " ".join(batch.notes)


def test_images_of_another_export_are_refused() -> None:
    """None of them belongs to a row: the table is not theirs."""
    entries = export(3) | {"tokens.csv": table(HEADER, *pairs(3, start=11))}
    assert refused(packed(entries)).code == "tokens.zip_other_images"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "tokens.image_broken"),
        (b"not an image", "tokens.image_broken"),
        (b"GIF89a" + bytes(100), "tokens.image_broken"),
        (image(f"{qr(2)}+1")[:200], "tokens.image_broken"),
        (png(100, 100), "tokens.image_broken"),
        (png(0, 0), "tokens.image_broken"),
        (png(100_000, 100_000), "tokens.image_too_large"),
        (png(2**31 - 1, 1), "tokens.image_too_large"),
        (image("https://example.com"), "tokens.image_other_code"),
        (image(f"{qr(2)}+x"), "tokens.image_other_code"),
        (image(f"{qr(2)}+01"), "tokens.image_other_code"),
        (image(f"{qr(2)} "), "tokens.image_other_code"),
        (image(auth(2)), "tokens.image_other_code"),
        (image(f"{qr(9)}+1"), "tokens.image_contradicts"),
    ],
)
def test_an_image_that_is_not_this_tokens_claim_code_is_refused(content: bytes, code: str) -> None:
    """With the row; the name of the image is never told."""
    error = refused(packed(export(3) | {png_of(2): content}))
    assert error.code == code
    assert "ow 3" in str(error)


def test_a_blank_image_shows_no_code() -> None:
    """A picture it is, but nothing can be read."""
    blank = png(96, 96).replace(
        chunk(b"IDAT", zlib.compress(b"\0" * 100)),
        chunk(b"IDAT", zlib.compress((b"\0" + b"\xff" * 12) * 96)),
    )
    assert refused(packed(export(3) | {png_of(2): blank})).code == "tokens.image_no_code"


def test_chunks_that_unpack_to_anything_never_reach_the_decoder() -> None:
    """Text and profile chunks of a PNG may be bombs; only the picture itself is taken."""
    whole = image(f"{qr(2)}+1")
    at = whole.index(b"IDAT") - 4
    bomb = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(50_000_000)))
    profile = chunk(b"iCCP", b"icc\0\0" + zlib.compress(bytes(50_000_000)))
    for extra in (bomb, profile):
        entries = export(3) | {png_of(2): whole[:at] + extra + whole[at:]}
        assert len(opened(packed(entries)).tokens) == 3


def test_a_broken_image_that_belongs_to_no_row_is_refused_too() -> None:
    """It is named after a token: the archive is damaged."""
    assert refused(packed(export(3) | {png_of(7): b"no"})).code == "tokens.image_broken"


def test_what_other_systems_put_into_an_archive_is_passed_over() -> None:
    """Packed again on a Mac or on Windows, in a folder of its own, with backslashes."""
    entries = {f"export\\{name}".replace("/", "\\"): data for name, data in export(3).items()}
    litter = {
        "__MACOSX/export/._tokens.csv": b"\0\x05\x16\x07",
        f"__MACOSX/{png_of(1)}": b"",
        "export/.DS_Store": b"\0",
        "export/Thumbs.db": b"\0",
    }
    batch = opened(packed(entries | litter))
    assert (len(batch.tokens), batch.notes) == (3, ())


def test_other_files_are_not_opened() -> None:
    """A logo, a read-me, an image whose name is no token: told by number."""
    batch = opened(packed(export(3) | {"logo.png": b"no", "a.pdf": b"", "readme.md": b""}))
    assert "3 other file(s)" in " ".join(batch.notes)


def test_two_images_of_one_token_have_to_agree() -> None:
    """The same twice is harmless; two different ones are not."""
    assert len(opened(packed(export(3) | {f"b/{auth(1)}.png": image(f"{qr(1)}+1")})).tokens) == 3
    error = refused(packed(export(3) | {f"b/{auth(1)}.png": image(f"{qr(9)}+1")}))
    assert error.code == "tokens.zip_two_images"
    assert "row 2" in str(error)


def test_capitals_and_transparency_do_not_matter() -> None:
    """``.PNG``; dots on a transparent ground."""
    with Image.open(io.BytesIO(image(f"{qr(1)}+1"))) as solid:
        clear = Image.new("RGBA", solid.size)
        clear.putalpha(ImageOps.invert(solid.convert("L")))
    saved = io.BytesIO()
    clear.save(saved, "PNG")
    entries = export(3)
    del entries[png_of(1)]
    batch = opened(packed(entries | {f"qr/{auth(1)}.PNG": saved.getvalue()}))
    assert batch.notes == ()
