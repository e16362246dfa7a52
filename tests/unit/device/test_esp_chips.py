"""Every chip that esptool knows: those in our table, and those that are newer than it."""

import subprocess
import sys
from types import SimpleNamespace

import pytest
from pydantic import ValidationError

from eol_inject import chips
from eol_inject.device import esp_chips
from eol_inject.device.esp_lib import CHIP_DEFS
from eol_inject.device.line import Line
from eol_inject.device.spec import DeviceSpec
from eol_inject.image.containers import esp
from tests.support import firmware


def test_the_table_has_every_chip_that_esptool_knows() -> None:
    """A new esptool with a new chip fails here, so that its row is added."""
    assert set(chips.CHIPS) == set(CHIP_DEFS)


@pytest.mark.parametrize("name", sorted(chips.CHIPS))
def test_each_row_says_what_esptools_own_class_says(name: str) -> None:
    """Name, family, image chip id and the place of the boot loader."""
    assert chips.CHIPS[name] == esp_chips.facts(name)


@pytest.fixture
def newest(monkeypatch: pytest.MonkeyPatch) -> str:
    """A chip that only the installed esptool knows."""
    target = SimpleNamespace(
        CHIP_NAME="ESP32-X9", IMAGE_CHIP_ID=999, BOOTLOADER_FLASH_OFFSET=0x2000
    )
    monkeypatch.setitem(CHIP_DEFS, "esp32x9", target)
    monkeypatch.setattr(chips, "CHIPS", dict(chips.CHIPS))
    return "esp32x9"


def test_a_newer_chip_works_without_a_row_of_ours(newest: str) -> None:
    """A profile may name it, and the image reader knows its images."""
    image = bytearray(firmware.make_app("esp32c3", b"constants"))
    image[12:14] = (999).to_bytes(2, "little")
    assert chips.by_image_id(999) is None
    assert DeviceSpec(chip=newest).chip == newest
    assert chips.CHIPS[newest] == chips.Chip(newest, "ESP32-X9", "esp32", 999, 0x2000)
    assert esp.parse(bytes(image)).chip == newest


def test_a_chip_that_nobody_knows_is_refused(newest: str) -> None:
    """And learning one chip does not open the door to others."""
    with pytest.raises(ValidationError, match="unknown chip"):
        DeviceSpec(chip=f"{newest}9")


def test_a_chip_of_the_table_costs_no_load_of_esptool() -> None:
    """Commands that only read a profile stay quick."""
    code = (
        "import sys\n"
        "from eol_inject.device.spec import DeviceSpec\n"
        "DeviceSpec(chip='esp32c3')\n"
        "print('esptool' in sys.modules)\n"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.split() == ["False"]


@pytest.mark.parametrize(
    ("pid", "strategy"), [(0x1001, "USBJTAGSerialReset"), (0x55D4, "UnixTightReset")]
)
@pytest.mark.skipif(sys.platform == "win32", reason="the other strategy has another name there")
def test_a_native_usb_port_gets_its_own_reset_by_itself(
    monkeypatch: pytest.MonkeyPatch, pid: int, strategy: str
) -> None:
    """303a:1001 is Espressif's USB-Serial/JTAG; esptool looks through our leash on the port."""
    monkeypatch.setattr("esptool.loader.get_port_vid_pid", lambda _: (0x303A, pid))
    port = SimpleNamespace(
        port="/dev/ttyACM7", name="/dev/ttyACM7", timeout=1.0, baudrate=115200, is_open=True
    )
    line = Line(port, deadline=9e9, allowed_s=9.0, clock=lambda: 0.0)  # type: ignore[arg-type]
    loader = CHIP_DEFS["esp32c3"](line, 115200)
    first, *_ = loader._construct_reset_strategy_sequence("default-reset")
    assert type(first).__name__ == strategy
