"""Encoder and decoder are broken on purpose, alone and alike: what was read back must not pass.

``passes`` is what the line asks of a unit after the write. Who is in the right is said by two
outsiders: the compiled fixture firmware, run in an emulator, and an emulated boot loader's checks.
"""

import hashlib
import inspect
from collections.abc import Callable
from types import ModuleType

import pytest

from eol_inject import image, verify
from eol_inject.errors import EolError
from eol_inject.image import pairs as image_pairs
from eol_inject.image import seals
from eol_inject.image import spec as image_spec
from eol_inject.image.containers import esp
from eol_inject.image.regions import blnkopt as encoder
from eol_inject.unit import AuthToken
from eol_inject.verify import application, content, regions
from eol_inject.verify import blnkopt as decoder
from tests.support import firmware
from tests.unit.image.test_fixture_boots import console
from tests.unit.verify.building import AUTH, FLASH, ROWS, TOKEN, Wire, flash, table
from tests.unit.verify.mutants import living, mutants

AT = {"esp32c3": 0x10000, "esp32": 0x10000, "esp8266": 0x1000}
CHIP_ID = {"esp32c3": 5, "esp32": 0, "esp8266": None}
WANTED = {"ssid": "", "host": "blynk.cloud", "port": "443"}


def inject(chip: str, auth: AuthToken = AUTH) -> bytes:
    """The unit's application, by the encoder as it is now."""
    spec = image_spec.BlnkoptSpec(kind="blnkopt")
    return image.patch(firmware.app(chip), [spec], auth, {}, chip=chip).data


def passes(chip: str, application_bytes: bytes, reserved: AuthToken = AUTH) -> bool:
    """Whether a unit with this application would be proved to hold ``reserved``."""
    at, golden = AT[chip], firmware.app(chip)
    tagged = golden.index(b"blnkopt\0")
    where = verify.Where(
        family="esp8266" if chip == "esp8266" else "esp32",
        app_address=at,
        partition_table=None if chip == "esp8266" else 0x8000,
        region_kind="blnkopt",
        hint=tagged,
        size=306,
        image_chip_id=CHIP_ID[chip],
    )
    parts = {at: application_bytes}
    if chip != "esp8266":
        parts[0x8000] = table(ROWS)
    wire = Wire(flash(parts))
    findings = verify.inspect(wire, where, flash_size=FLASH)
    region = verify.decode_region(wire(at + tagged, 306), "blnkopt")
    whole = [(at, len(golden))]
    return (
        len(application_bytes) == len(golden)
        and findings.effective == reserved
        and region.auth == reserved
        and region.state is verify.PlaceState.TOKEN
        and {key: str(text) for key, text in region.values.items() if key != "auth"} == WANTED
        and verify.check_seal(wire, at, where, end=FLASH).ok
        and not verify.against_golden(wire, golden, where, changed=whole)
    )


def survivors(module: ModuleType, chip: str) -> tuple[list[str], int]:
    """Mutants of the encoder whose changed image passed, and how many changed the image at all."""
    right, through, effective = inject(chip), [], 0
    for name, source in mutants(module):
        try:
            with living({module: source}):
                made = inject(chip)
        except Exception:  # noqa: BLE001, S112  # it broke before anything was written: harmless
            continue
        if made != right:
            effective += 1
            if passes(chip, made):
                through.append(name)
    return through, effective


@pytest.mark.parametrize("chip", firmware.APPS)
def test_what_the_encoder_makes_passes(chip: str) -> None:
    """The yardstick: with nothing broken a unit passes, for its own token only."""
    assert passes(chip, inject(chip))
    assert not passes(chip, inject(chip), AuthToken("x" * 32))
    assert not passes(chip, firmware.app(chip))


@pytest.mark.parametrize(
    ("module", "chip", "least"),
    [
        (encoder, "esp32", 8),
        (seals, "esp32", 4),
        (seals, "esp8266", 3),
    ],
)
def test_no_broken_encoder_passes(module: ModuleType, chip: str, least: int) -> None:
    """Every small change of its source that changes the image is caught.

    ``least``: so many of them there have to be, or this test has gone blind.
    """
    through, effective = survivors(module, chip)
    assert through == []
    assert effective >= least


def sealed(data: bytes) -> bytes:
    """``data`` with checksum and SHA-256 made right by hand, as a broken encoder would leave it."""
    golden, body = firmware.app("esp32"), bytearray(data)
    end = len(golden) - 32
    body[end - 1] = golden[end - 1]
    for old, new in zip(golden[: end - 1], body[: end - 1], strict=True):
        body[end - 1] ^= old ^ new
    body[end:] = hashlib.sha256(body[:end]).digest()
    return bytes(body)


def rewritten(change: Callable[[bytes], bytes], *, seal: bool = True) -> bytes:
    """ESP32's injected application with another region in it, sealed or not."""
    data, at = inject("esp32"), firmware.app("esp32").index(b"blnkopt\0")
    new = change(data[at : at + 306]).ljust(306, b"\0")[:306]
    made = data[:at] + new + data[at + 306 :]
    return sealed(made) if seal else made


TOKEN_BYTES = TOKEN.encode()
OTHER_BYTES = b"x" * 32


def test_rewriting_and_sealing_by_hand_passes() -> None:
    """The yardstick of the cases below."""
    assert passes("esp32", rewritten(lambda region: region))


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda r: r.replace(TOKEN_BYTES, TOKEN_BYTES[:-1] + b"4"), id="wrong-letter"),
        pytest.param(
            lambda r: r.replace(TOKEN_BYTES, TOKEN_BYTES[1::-1] + TOKEN_BYTES[2:]), id="swapped"
        ),
        pytest.param(lambda r: r.replace(TOKEN_BYTES, TOKEN_BYTES[:-1]), id="short"),
        pytest.param(lambda r: r.replace(TOKEN_BYTES, TOKEN_BYTES + b"A"), id="long"),
        pytest.param(lambda r: r.replace(TOKEN_BYTES, TOKEN_BYTES[::-1]), id="reversed"),
        pytest.param(lambda r: r.replace(TOKEN_BYTES, TOKEN_BYTES.lower()), id="lower"),
        pytest.param(lambda r: r.replace(TOKEN_BYTES, OTHER_BYTES), id="another-token"),
        pytest.param(lambda r: r.replace(TOKEN_BYTES, b""), id="empty"),
        pytest.param(
            lambda r: r.replace(b"auth\0", b"auth\0" + OTHER_BYTES + b"\0auth\0"), id="twice"
        ),
        pytest.param(
            lambda r: r.replace(b"host\0", b"auth\0" + OTHER_BYTES + b"\0host\0"), id="twice-behind"
        ),
        pytest.param(lambda r: r.replace(b"auth\0", b"auht\0"), id="wrong-key"),
        pytest.param(lambda r: r.replace(b"ssid\0\0", b""), id="no-ssid"),
        pytest.param(lambda r: r.replace(b"ssid\0\0", b"ssid\0\0\0"), id="out-of-step"),
        pytest.param(lambda r: r.replace(b"blnkopt\0", b"blnkopt "), id="no-tag"),
        pytest.param(lambda r: b"\0" + r[:-1], id="shifted"),
        pytest.param(lambda r: r.rstrip(b"\0") + b" " * 306, id="filled-with-spaces"),
        pytest.param(lambda r: r.rstrip(b"\0") + b"\0" + b"\xff" * 306, id="rest-erased"),
        pytest.param(lambda r: r.rstrip(b"\0") + b"\0" + r, id="rest-not-cleared"),
        pytest.param(lambda r: r.replace(b"443", b"444"), id="wrong-port"),
        pytest.param(lambda r: r.replace(b"blynk.cloud", b"blynk.clown"), id="wrong-host"),
    ],
)
def test_a_well_sealed_wrong_region_does_not_pass(change: Callable[[bytes], bytes]) -> None:
    """The boot loader would take each of these images."""
    made = rewritten(change)
    assert made != inject("esp32")
    assert not passes("esp32", made)


def test_an_unsealed_image_does_not_pass() -> None:
    """Checksum, digest, and both."""
    assert not passes("esp32", rewritten(lambda r: r.replace(b"\0\0\0", b"\0\0\1"), seal=False))
    good = bytearray(inject("esp32"))
    for at in (len(good) - 33, len(good) - 1):
        bad = bytearray(good)
        bad[at] ^= 1
        assert not passes("esp32", bytes(bad))


def test_a_well_sealed_stray_byte_does_not_pass() -> None:
    """The token is right, the boot loader content: only the golden image tells."""
    data = bytearray(inject("esp32"))
    data[data.index(b"blnkopt\0") - 1] ^= 1
    assert not passes("esp32", sealed(bytes(data)))


def alike(old: str, new: str, *modules: ModuleType) -> dict[ModuleType, str]:
    """The same words changed in each module; a module without them is a fault of this test."""
    changed = {}
    for module in modules:
        source = inspect.getsource(module)
        assert old in source, (old, module.__name__)
        changed[module] = source.replace(old, new)
    return changed


ALIKE: dict[str, Callable[[], dict[ModuleType, str]]] = {
    "the key of the token": lambda: alike('"auth"', '"auht"', image_spec, encoder, decoder),
    "the key of the network": lambda: alike('"ssid"', '"sidd"', image_spec, encoder, decoder),
    "the tag": lambda: alike('b"blnkopt\\0"', 'b"blnkopt\\1"', encoder, decoder),
    "the end of a word": lambda: alike('b"\\0"', 'b"\\1"', encoder, image_pairs, decoder),
    "the checksum's seed": lambda: alike("0xEF", "0xEE", seals, application),
    "the digest": lambda: alike("sha256", "blake2s", seals, application),
    "where the checksum stands": lambda: {
        **alike("| 15)", "| 15) - 1", esp),
        **alike("* _ALIGN - 1", "* _ALIGN - 2", application),
    },
}
"""One fact, misread in the same way by the side that writes and the side that reads."""


@pytest.mark.parametrize("fact", ALIKE)
def test_broken_alike_does_not_pass(fact: str) -> None:
    """Encoder and decoder agree with each other, and something else still fails."""
    changes = ALIKE[fact]()
    try:
        with living(changes):
            made = inject("esp32c3")
            passed = passes("esp32c3", made)
    except EolError:
        return  # the golden image itself contradicts them: nothing was written
    assert made != inject("esp32c3")
    assert not passed
    assert TOKEN not in console(made)


def test_a_token_turned_around_and_back_does_not_pass() -> None:
    """Both sides turn it around, so the token read is the token reserved: the flash is wrong."""
    turned = AuthToken(TOKEN[::-1])
    made = inject("esp32c3", turned)
    with pytest.MonkeyPatch.context() as patch:
        judge = content.judge_auth

        def back(text: str) -> content.Content:
            return judge(text[::-1])

        patch.setattr(decoder, "judge_auth", back)
        assert decoder.decode(region_of(made), exact=True).auth == AUTH
        assert regions.decode_region(region_of(made), "blnkopt").state is verify.PlaceState.TORN
        assert not passes("esp32c3", made)
    assert TOKEN not in console(made)


def test_a_seal_nobody_makes_and_nobody_checks_does_not_pass() -> None:
    """The image's checker and verify's both say yes to everything."""
    data = bytearray(inject("esp32c3"))
    golden = firmware.app("esp32c3")
    data[-33:] = golden[-33:]
    with pytest.MonkeyPatch.context() as patch:
        yes = application.Seal(True, True, len(data))
        patch.setattr(verify, "check_seal", lambda *_, **__: yes)
        assert not passes("esp32c3", bytes(data))


def region_of(data: bytes) -> bytes:
    """The region's bytes."""
    at = data.index(b"blnkopt\0")
    return data[at : at + 306]


def test_the_compiled_firmware_agrees_with_verify() -> None:
    """For a right region and for each wrong one: the firmware uses the token, or verify says no.

    The other way round verify is stricter: what the firmware would take by luck may be refused.
    """
    right = inject("esp32c3")
    assert passes("esp32c3", right)
    assert f"token {TOKEN}" in console(right)
    at = right.index(b"blnkopt\0")
    for old, new in ((b"ssid\0\0", b"ssid\0"), (b"auth\0", b"auth "), (b"auth\0", b"auth\0\0")):
        region = right[at : at + 306].replace(old, new).ljust(306, b"\0")[:306]
        wrong = right[:at] + region + right[at + 306 :]
        assert f"token {TOKEN}" not in console(wrong)
        assert verify.decode_region(region, "blnkopt").state is not verify.PlaceState.TOKEN
