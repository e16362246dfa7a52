"""The AVR fixtures: built from their source, with a region that is alone on its page."""

import importlib.util
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

from eol_inject.image import Golden
from eol_inject.image.spec import PlaceholderSpec
from eol_inject.unit import AuthToken
from tests.support.avr_board import FIRMWARE, firmware, pieces

SPEC = PlaceholderSpec(kind="placeholder", pattern=r"(?<=eol-avr-token-1:)\xff{32}")
TOKEN = "Avr_0123456789abcdefghijklmnop-9"


def script() -> ModuleType:
    """``fixtures/firmware/avr/build.py`` as a module."""
    spec = importlib.util.spec_from_file_location("build_avr", FIRMWARE / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("mcu", "page"), [("atmega328p", 128), ("atmega2560", 256)])
def test_a_token_changes_bytes_on_its_own_page_alone(mcu: str, page: int) -> None:
    """One run from address 0; the region's page begins with its magic, and the rest is FF."""
    ((start, image),) = pieces(firmware(mcu)).items()
    at = image.index(b"eol-avr-token-1:")
    assert (start, at % page) == (0, 0)
    assert image[at + 16 : at + page] == b"\xff" * (page - 16)
    filled = Golden(firmware(mcu), [SPEC]).patch(AuthToken(TOKEN), {}).data
    ((_, changed),) = pieces(filled).items()
    assert changed == image[: at + 16] + TOKEN.encode() + image[at + 48 :]


@pytest.mark.needs_debian("avr-gcc", "/usr/lib/avr/include/avr/io.h")
def test_a_rebuild_gives_the_same_bytes(tmp_path: Path) -> None:
    """The committed files are what the committed source makes, with the recorded compiler."""
    build = script()
    version = subprocess.run(
        ["avr-gcc", "-dumpversion"], capture_output=True, text=True, check=True
    ).stdout.strip()
    if version != build.COMPILER_VERSION:
        pytest.skip(f"the compiler is {version}; the fixtures are from {build.COMPILER_VERSION}")
    made = build.build(tmp_path)
    assert made
    assert made == {name: (FIRMWARE / name).read_bytes() for name in made}
