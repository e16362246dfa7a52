"""Intel HEX and raw binaries: read piece by piece, patched, written back as they were."""

import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from intelhex import IntelHex

from eol_inject.errors import UsageError
from eol_inject.image import Golden, describe
from eol_inject.image.containers import Kind, look, plain
from eol_inject.image.spec import PlaceholderSpec
from eol_inject.unit import AuthToken

MARK = "@@@TOKEN-GOES-HERE-32-CHARS-@@@@"
SPEC = PlaceholderSpec(kind="placeholder", text=MARK)
AUTH = AuthToken("-_hexhexhexhexhexhexhexhexhexhex")


def hex_file(pieces: dict[int, bytes], *, crlf: bool = False, entry: int | None = None) -> bytes:
    """An Intel HEX file written line by line, not by the library under test."""
    lines = []

    def record(kind: int, address: int, data: bytes) -> None:
        body = bytes([len(data), address >> 8, address & 255, kind]) + data
        lines.append(":" + (body + bytes([-sum(body) & 255])).hex().upper())

    for start, data in pieces.items():
        record(4, 0, (start >> 16).to_bytes(2, "big"))
        for at in range(0, len(data), 16):
            record(0, (start + at) & 0xFFFF, data[at : at + 16])
    if entry is not None:
        record(5, 0, entry.to_bytes(4, "big"))
    record(1, 0, b"")
    ending = "\r\n" if crlf else "\n"
    return (ending.join(lines) + ending).encode()


PIECES = {0x100: b"code" * 50, 0x10000: b"before" + MARK.encode() + b"\0behind", 0x20010: b"end."}


def bad(text: bytes) -> UsageError:
    with pytest.raises(UsageError) as caught:
        look(text)
    assert caught.value.code == "image.bad_hex"
    return caught.value


@pytest.mark.parametrize("crlf", [True, False])
def test_pieces_gaps_and_line_ends_survive_a_patch(crlf: bool) -> None:
    """Only the run changes; addresses, gaps, entry point and line ends stay."""
    golden = hex_file(PIECES, crlf=crlf, entry=0x1234)
    patched = Golden(golden, [SPEC]).patch(AUTH, {}).data
    assert (b"\r\n" in patched) is crlf
    image = plain.from_hex(patched)
    assert [(s.load_address, s.size) for s in image.segments] == [
        (start, len(data)) for start, data in PIECES.items()
    ]
    assert image.data == b"".join(PIECES.values()).replace(MARK.encode(), AUTH.reveal().encode())
    assert b":0400000500001234" in patched


@pytest.mark.needs_debian("riscv64-unknown-elf-objcopy")
def test_objcopy_reads_the_patched_file_as_we_mean_it(tmp_path: Path) -> None:
    """A reader written by others finds the token at its address."""
    source, out = tmp_path / "patched.hex", tmp_path / "flat.bin"
    source.write_bytes(Golden(hex_file(PIECES), [SPEC]).patch(AUTH, {}).data)
    subprocess.run(
        [
            "riscv64-unknown-elf-objcopy",
            "-I",
            "ihex",
            "-O",
            "binary",
            "--gap-fill",
            "0xff",
            str(source),
            str(out),
        ],
        check=True,
    )
    flat = out.read_bytes()
    assert flat[0x10006 - 0x100 :][:32] == AUTH.reveal().encode()
    assert flat[:200] == PIECES[0x100]


def test_a_file_that_was_cut_off_is_refused() -> None:
    """Between two lines too, where the library itself sees nothing wrong."""
    text = hex_file(PIECES)
    lines = text.splitlines(keepends=True)
    assert "cut off" in str(bad(b"".join(lines[:-1])))
    assert "cut off" in str(bad(b"".join(lines[:5])))


def test_damaged_files_are_refused() -> None:
    """Checksum, overlap, letters, no data, other encodings."""
    text = hex_file(PIECES)
    bad(text.replace(b"63", b"64", 1))
    bad(text.replace(b":00000001FF", text.splitlines()[-2] + b"\n:00000001FF"))
    bad(b":xyz\n:00000001FF\n")
    bad(b":00000001FF\n")
    bad(text.replace(b":00000001FF", "\u00e9\n:00000001FF".encode()))
    bad(b":" + b"0" * (7 * 1024 * 1024))


@settings(max_examples=200)
@given(data=st.data())
def test_mutated_files_end_in_a_result_or_a_clear_error(data: st.DataObject) -> None:
    """Never a traceback."""
    text = bytearray(hex_file(PIECES))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text) - 1))
        text[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    try:
        container = look(b":" + bytes(text[1:]))
    except UsageError:
        return
    assert container.kind is Kind.HEX
    describe(container.data)


def test_inspect_tells_the_pieces() -> None:
    """In words, and as segments with their addresses."""
    told = describe(hex_file(PIECES))
    assert told.kind == "hex"
    assert told.words.startswith("Intel HEX, 249 bytes at 0x100 to 0x1c7, 0x10000 to ")
    assert told.images[0].seal is None
    assert [s.load_address for s in told.images[0].segments] == list(PIECES)


def test_raw_bytes_are_firmware_only_where_somebody_says_so() -> None:
    """Anything could be a raw binary, so it is never guessed."""
    data = b"\x01\x02" * 40 + MARK.encode() + b"\0"
    with pytest.raises(UsageError) as caught:
        look(data)
    assert caught.value.code == "image.not_an_image"
    golden = Golden(data, [SPEC], raw_at=0x8000000)
    patched = golden.patch(AUTH, {})
    assert patched.data == data.replace(MARK.encode(), AUTH.reveal().encode())
    assert golden.plan(patched, 0x4000).addresses == (0x4000,)


def test_intel_hex_has_no_sector_plan() -> None:
    """It goes to its programmer whole."""
    golden = Golden(hex_file(PIECES), [SPEC])
    with pytest.raises(UsageError) as caught:
        golden.plan(golden.patch(AUTH, {}), 0)
    assert caught.value.code == "image.not_plannable"


def test_the_library_reads_our_files_back() -> None:
    """The helper above writes what intelhex takes for the same bytes."""
    loaded = IntelHex()
    import io

    loaded.loadhex(io.StringIO(hex_file(PIECES).decode()))
    assert loaded.tobinstr(start=0x20010, end=0x20013) == b"end."
