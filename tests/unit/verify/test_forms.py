"""The other kinds of regions, read back from what ``image`` encodes and from damaged bytes."""

import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eol_inject.image import spec as written
from eol_inject.image.regions import layout as image_layout
from eol_inject.image.regions import nvs as image_nvs
from eol_inject.image.regions import placeholder as image_placeholder
from eol_inject.unit import AuthToken, Secret
from eol_inject.verify import PlaceState, decode_region, templates
from eol_inject.verify.spec import (
    Blnkopt,
    Layout,
    LayoutField,
    NvsEntries,
    NvsEntry,
    Placeholder,
    RegionForm,
)
from tests.unit.verify.building import AUTH, OTHER_AUTH, TOKEN, config, filled, nvs

TOKENS = st.text("ABCabc019-_", min_size=32, max_size=32).map(AuthToken)
TEXTS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x24F, exclude_characters="{};"))


def form_of(spec: written.AnyRegionSpec) -> RegionForm:
    """What a profile's table means to the reader."""
    match spec:
        case written.BlnkoptSpec():
            return Blnkopt()
        case written.PlaceholderSpec():
            return Placeholder(spec.value, spec.fill, spec.text, spec.pattern)
        case written.NvsSpec(preset="classic-edgent"):
            return NvsEntries(spec.namespace, classic=True)
        case written.NvsSpec(preset="edgent"):
            entries = tuple(NvsEntry(k, "string", v) for k, v in spec.values.items())
            return NvsEntries(spec.namespace, entries)
        case written.NvsSpec():
            kinds = {"string": "string", "blob": "blob"}
            entries = tuple(
                NvsEntry(e.key, kinds.get(e.type, "integer"), e.value)  # type: ignore[arg-type]
                for e in spec.entries
            )
            return NvsEntries(spec.namespace, entries)
        case _:
            fields = tuple(
                LayoutField(
                    f.name,
                    "number" if f.type in written.NUMBER_SIZES else f.type,  # type: ignore[arg-type]
                    f.width,
                    f.value,
                )
                for f in spec.layout
            )
            return Layout(fields, spec.byte_order)


RUN = "@@TOKEN-GOES-HERE-AND-MAY-BE-AS-LONG-AS-THIS@@"
PLACEHOLDER = written.PlaceholderSpec(kind="placeholder", text=RUN, value="t={auth};{serial}")
RECORD = written.RecordSpec.model_validate(
    {
        "kind": "record",
        "address": 0x3F0000,
        "byte_order": "big",
        "layout": [
            {"name": "magic", "type": "u32", "value": "0x424C4E4B"},
            {"name": "version", "type": "u16", "value": "1"},
            {"name": "length", "type": "u16", "value": "{length}"},
            {"name": "mark", "type": "bytes", "size": 2, "value": "BEEF"},
            {"name": "auth", "type": "text", "size": 33, "value": "{auth}"},
            {"name": "serial", "type": "text", "size": 40, "value": "SN-{serial}"},
            {"name": "crc", "type": "u32", "value": "{crc32}"},
        ],
    }
)
EDGENT = written.NvsSpec(kind="nvs", partition="nvs", preset="edgent")
CLASSIC = written.NvsSpec(kind="nvs", partition="nvs", preset="classic-edgent")
EMPTY = b"\xff" * 0x4000


@given(
    TOKENS, TEXTS.filter(lambda text: len(text.encode()) < 10), st.sampled_from(["nul", "space"])
)
def test_a_placeholder_is_read_back(auth: AuthToken, serial: str, fill: str) -> None:
    """Token and the rest of the template, whatever fills the run."""
    spec = PLACEHOLDER.model_copy(update={"fill": fill})
    data = image_placeholder.encode(spec, len(RUN), auth, {"serial": serial})
    content = decode_region(data, form_of(spec))
    assert (content.state, content.auth) == (PlaceState.TOKEN, auth)


@given(TOKENS, TEXTS.filter(lambda text: len(text.encode()) < 36), st.booleans())
def test_a_record_is_read_back(auth: AuthToken, serial: str, secret: bool) -> None:
    """Magic, version, length and CRC are all checked on the way."""
    value = Secret(serial) if secret else serial
    content = decode_region(image_layout.encode(RECORD, auth, {"serial": value}), form_of(RECORD))
    assert (content.state, content.auth) == (PlaceState.TOKEN, auth)
    assert content.values["serial"] == Secret(f"SN-{serial}")


@given(TOKENS, st.sampled_from([EDGENT, CLASSIC]))
@settings(max_examples=20)
def test_nvs_presets_are_read_back(auth: AuthToken, spec: written.NvsSpec) -> None:
    """New Edgent's strings, classic Edgent's struct."""
    data = image_nvs.encode(spec, len(EMPTY), auth, {}, EMPTY)
    content = decode_region(data, form_of(spec))
    assert (content.state, content.auth) == (PlaceState.TOKEN, auth)


def test_nvs_entries_of_a_profile_are_read_back() -> None:
    """Strings, integers and blobs, beside the entries of others."""
    spec = written.NvsSpec.model_validate(
        {
            "kind": "nvs",
            "partition": "nvs",
            "namespace": "product",
            "existing": "keep",
            "entries": [
                {"key": "token", "value": "T:{auth}"},
                {"key": "port", "type": "u16", "value": "443"},
                {"key": "cert", "type": "blob", "value": "{cert}"},
            ],
        }
    )
    old = nvs({"phy": [("cal", "u32", "7")]})
    data = image_nvs.encode(spec, len(old), AUTH, {"cert": "c0ffee"}, old)
    content = decode_region(data, form_of(spec))
    assert (content.state, content.auth) == (PlaceState.TOKEN, AUTH)
    assert content.values["cert"] == Secret("c0ffee")
    assert TOKEN not in repr(content)
    without = nvs({"product": [("token", "string", f"T:{TOKEN}")]})
    assert decode_region(without, form_of(spec)).why == "cert is not there"


def test_blnkopt_has_a_form_too() -> None:
    """The same reading under either name."""
    assert decode_region(filled(), Blnkopt()) == decode_region(filled(), "blnkopt")


@pytest.mark.parametrize(
    ("data", "form", "why"),
    [
        (b"\xff" * 46, form_of(PLACEHOLDER), "erased"),
        (RUN.encode(), form_of(PLACEHOLDER), "the placeholder"),
        (b"XXXXXXXX", Placeholder(pattern="X+"), "the placeholder"),
        (b"\0" * 46, form_of(PLACEHOLDER), "empty"),
        (b" " * 46, Placeholder(fill="space"), "empty"),
        (b"\xff" * 100, form_of(RECORD), "erased"),
        (EMPTY, form_of(EDGENT), "not there"),
        (EMPTY, form_of(CLASSIC), "not there"),
        (nvs({"blynk": [("auth", "string", "invalid token")]}), form_of(EDGENT), "no token set"),
        (nvs({"other": [("auth", "string", TOKEN)]}), form_of(EDGENT), "not there"),
    ],
)
def test_blank_is_blank(data: bytes, form: RegionForm, why: str) -> None:
    """Erased, the mark itself, empty, not there."""
    content = decode_region(data, form)
    assert (content.state, content.auth, content.why) == (PlaceState.BLANK, None, why)


GOOD = image_layout.encode(RECORD, AUTH, {"serial": "7"})
TEXT = f"t={TOKEN};7".encode()


@pytest.mark.parametrize(
    ("data", "form", "why"),
    [
        (TEXT[:20] + b"\xff" * 26, form_of(PLACEHOLDER), "half erased"),
        (TEXT + b"\0\0x", form_of(PLACEHOLDER), "bytes behind the value's end"),
        (b"\xc3\x28", form_of(PLACEHOLDER), "bytes that are no text"),
        (TOKEN.encode(), form_of(PLACEHOLDER), "value is not as it was written"),
        (b"t=short;7", form_of(PLACEHOLDER), "5 characters that are no AuthToken"),
        (GOOD[:50], form_of(RECORD), "shorter than its layout"),
        (GOOD[:-1] + b"\0", form_of(RECORD), "the CRC does not match"),
        (b"\0" * len(GOOD), form_of(RECORD), "the length does not match"),
    ],
)
def test_damage_is_torn(data: bytes, form: RegionForm, why: str) -> None:
    """Each with a phrase that holds no value."""
    content = decode_region(data, form)
    assert (content.state, content.why) == (PlaceState.TORN, why)


@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
def test_no_changed_byte_of_a_record_passes(at: int, flip: int) -> None:
    """The CRC is over everything."""
    data = bytearray(GOOD)
    data[at] ^= flip
    assert decode_region(bytes(data), form_of(RECORD)).state is PlaceState.TORN


def test_a_record_of_another_kind_is_torn_though_its_crc_holds() -> None:
    """What the profile fixes has to stand there: magic and version."""
    body = struct.pack(">I", 0x424C4E4C) + GOOD[4:-4]
    content = decode_region(body + struct.pack(">I", zlib.crc32(body)), form_of(RECORD))
    assert (content.state, content.why) == (PlaceState.TORN, "magic is not as it was written")


def test_an_encrypted_partition_is_recognised() -> None:
    """Its entries cannot be read, so nothing may be concluded."""
    data = bytearray(nvs({"blynk": [("auth", "string", TOKEN)]}))
    data[64:192] = zlib.compress(bytes(range(256)))[:128]
    assert decode_region(bytes(data), form_of(EDGENT)).state is PlaceState.ENCRYPTED


def test_a_classic_configuration_that_is_not_valid_is_blank() -> None:
    """As the firmware takes it."""
    data = nvs({"blynk": [("config", "blob", config(flags=0))]})
    assert decode_region(data, form_of(CLASSIC)).state is PlaceState.BLANK


def test_two_values_of_one_name_are_torn() -> None:
    """A token that stands in two fields has to be the same."""
    fields = (
        LayoutField("one", "text", 33, "{auth}"),
        LayoutField("two", "text", 33, "{auth}"),
    )
    data = f"{TOKEN}\0{OTHER_AUTH.reveal()}\0".encode()
    content = decode_region(data, Layout(fields))
    assert (content.state, content.why) == (PlaceState.TORN, "two values of auth")


@given(st.binary(max_size=200))
def test_any_bytes_give_a_content(data: bytes) -> None:
    """No kind raises."""
    for form in (form_of(PLACEHOLDER), form_of(RECORD), form_of(EDGENT), form_of(CLASSIC)):
        assert isinstance(decode_region(data, form).state, PlaceState)


def test_templates_are_read_backwards() -> None:
    """Literal parts have to match, braces may be doubled, a name twice is one value."""
    assert templates.read("a{x}b{y}", "a1b2") == {"x": "1", "y": "2"}
    assert templates.read("{{{x}}}", "{1}") == {"x": "1"}
    assert templates.read("{x}-{x}", "1-1") == {"x": "1"}
    assert templates.read("{x}-{x}", "1-2") is None
    assert templates.read("plain", "plain") == {}
    assert templates.read("a{x}", "b1") is None
    assert templates.names("a{x}b{y}") == ("x", "y")
