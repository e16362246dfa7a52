"""ZPL: the same dots through a renderer of others, and every answer of a printer understood."""

import base64
import random
import zlib

import pytest
import zplkit
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageChops

from eol_inject.label import Label, load_template, render, shipped, zpl_status
from eol_inject.label.zpl import encode
from eol_inject.unit import Proven

HS = (
    b"\x02030,0,0,0200,000,0,0,0,000,0,0,0\x03\r\n"
    b"\x02000,0,0,0,0,2,4,0,00000000,1,000\x03\r\n\x021234,0\x03\r\n"
)


def _hqes(group1: int, *, flag: int = 1, group2: int = 0) -> bytes:
    return (
        "\x02\r\n\r\n  PRINTER STATUS                           \r\n"
        f"   ERRORS:         {flag} {group2:08X} {group1:08X}        \r\n"
        "   WARNINGS:       1 00000000 00000002        \r\n\x03"
    ).encode()


def _rendered(label: Label) -> Image.Image:
    """The label as zplkit draws it; it knows no ``^PQ``, which prints one copy, the default."""
    job = encode(label).replace(b"^PQ1,0,1,N", b"")
    options = zplkit.Options(dpi=label.dpi, width=label.width, height=label.height)
    document = zplkit.render(job, options)
    assert document.warnings == []
    (scene,) = document.labels
    raster = scene.rasterize()
    return Image.frombytes("L", (raster.width, raster.height), bytes(raster.pixels))


@pytest.mark.parametrize("name", [name for name in shipped() if not name.startswith("sheet-")])
def test_another_renderer_draws_the_same_dots(
    proven: Proven, extra: dict[str, str], name: str
) -> None:
    """0 wrong dots of every roll's template, through an independent ZPL renderer."""
    label = render(proven, load_template(name), extra=extra)
    wrong = ImageChops.difference(_rendered(label), label.bitmap.convert("L"))
    assert wrong.getbbox() is None


@pytest.mark.parametrize("width", [1, 7, 8, 9, 399])
def test_rows_of_any_width_come_out_whole(width: int) -> None:
    """Rows are padded to bytes: no dot moves into the next row, and no padding prints."""
    noise = random.Random(width).randbytes((width + 7) // 8 * 5)
    label = Label("t", "", width, 5, 203, "tail00", None, rows=noise)
    wrong = ImageChops.difference(_rendered(label), label.bitmap.convert("L"))
    assert wrong.getbbox() is None


@pytest.mark.parametrize("width", [1, 7, 8, 9, 399])
def test_the_padding_of_a_row_does_not_print(width: int) -> None:
    """A printer wider than the label would burn it: the bits behind the last dot stay white."""
    per_row = (width + 7) // 8
    label = Label("t", "", width, 2, 203, "tail00", None, rows=b"\0" * per_row * 2)
    packed = encode(label).split(b":Z64:")[1].split(b":")[0]
    rows = zlib.decompress(base64.b64decode(packed))
    for row in (rows[:per_row], rows[per_row:]):
        assert f"{int.from_bytes(row, 'big'):0{per_row * 8}b}" == "1" * width + "0" * (
            per_row * 8 - width
        )


def test_a_job_is_small_and_holds_one_copy(proven: Proven, extra: dict[str, str]) -> None:
    """About 2 kB for 50 x 25 mm, printed once, and nothing in it is a command by accident."""
    job = encode(render(proven, load_template("claim-50x25-203"), extra=extra))
    assert len(job) < 2500
    assert job.count(b"^XA") == job.count(b"^XZ") == job.count(b"^GFA") == 1
    assert b"^PQ1," in job
    assert b"~" not in job


@pytest.mark.parametrize(("bit", "name"), zpl_status.ERROR_BITS.items())
def test_each_error_bit_has_its_name(bit: int, name: str) -> None:
    """Bits are tested one by one: two errors at a time are both told."""
    assert zpl_status.errors_of(_hqes(bit)) == name
    both = zpl_status.errors_of(_hqes(bit | 0x4))
    assert both is not None
    assert set(both.split(", ")) == {name, "head open"}


def test_warnings_are_no_errors() -> None:
    """``need to calibrate`` and the like do not stop a line."""
    assert zpl_status.errors_of(_hqes(0, flag=0)) == ""


@pytest.mark.parametrize(
    "answer",
    [_hqes(1 << 31), _hqes(1 << 31, flag=0), _hqes(0, group2=1), _hqes(0, flag=0, group2=1),
     _hqes(0, flag=1)],
)  # fmt: skip
def test_an_unknown_error_is_an_error(answer: bytes) -> None:
    """A bit that nobody documented, or a raised flag without a bit, is not ready either."""
    errors = zpl_status.errors_of(answer)
    assert errors is not None
    assert errors.startswith("unknown error")


def test_host_status_finds_its_fields() -> None:
    """The documented order: paper out and pause in string 1, head and ribbon in string 2."""
    status = zpl_status.host_status_of(HS)
    assert status is not None
    assert (status.fault, status.idle, status.label_waiting) == ("", True, False)
    for old, new, fault in (
        (b"030,0,0", b"030,1,0", "media out"),
        (b"030,0,0", b"030,0,1", "paused"),
        (b"000,0,0,0,0,2", b"000,0,1,0,0,2", "head open"),
        (b"000,0,0,0,0,2", b"000,0,0,1,0,2", "ribbon out"),
    ):
        changed = zpl_status.host_status_of(HS.replace(old, new, 1))
        assert changed is not None
        assert changed.fault == fault
    for old, new in ((b"0200,000", b"0200,002"), (b"00000000", b"00000001")):
        busy = zpl_status.host_status_of(HS.replace(old, new, 1))
        assert busy is not None
        assert not busy.idle


@pytest.mark.parametrize(
    "answer", [b"", HS[:60], HS.replace(b",", b""), HS.replace(b"030,0", b"030,x"), HS + HS]
)
def test_a_damaged_host_status_is_none(answer: bytes) -> None:
    """Half an answer is no answer."""
    assert zpl_status.host_status_of(answer) is None


@given(st.binary(max_size=300))
def test_no_noise_is_taken_for_ready(noise: bytes) -> None:
    """Whatever comes back, it is understood or it is not; it never raises."""
    assert zpl_status.errors_of(noise) != ""
    assert zpl_status.host_status_of(noise) is None


@pytest.mark.parametrize(
    ("answer", "dots"),
    [
        (b"\x02ZTC ZT230-200dpi ZPL,V72.19.6Z,8,8176KB\x03\r\n", 8),
        (b"\x02ZD620-300dpi,V84.20.18Z,12,8192KB,X\x03", 12),
        (b"", None),
        (b"\x02nonsense\x03", None),
    ],
)
def test_the_resolution_is_read(answer: bytes, dots: int | None) -> None:
    """``~HI`` gives dots per millimetre in its third field."""
    assert zpl_status.dots_per_mm_of(answer) == dots


def test_a_printer_without_a_counter_says_so() -> None:
    """Older firmware answers a question mark."""
    assert zpl_status.count_of(b'"1234"\r\n') == 1234
    assert zpl_status.count_of(b'"?"\r\n') is None
    assert zpl_status.count_of(b"") is None
