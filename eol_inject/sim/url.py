"""``sim://CHIP?…``: one unit as a URL.

Options: ``mac id dir flash image secure_boot flash_encryption release secure_download boot seed
timing leak idle fault console echo cloud usb``. The unit is named by ``id``, else by chip and MAC:
every URL that names it meets the same flash. ``fault`` and ``image`` may be repeated. ``usb=1``: it
hangs on the chip's own USB, not on a UART bridge.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from eol_inject.chips import CHIPS
from eol_inject.errors import UsageError
from eol_inject.sim import faults
from eol_inject.sim.console import CLOUDS, DIALECTS
from eol_inject.sim.models import MODELS, WITH_USB_JTAG, Model
from eol_inject.sim.timing import TIMINGS

SCHEME: Final = "sim"
DEFAULT_IDLE_S: Final = 15 * 60.0
_SIZES: Final = {"kb": 1024, "k": 1024, "mb": 1024 * 1024, "m": 1024 * 1024}
_SMALLEST, _LARGEST = 256 * 1024, 64 * 1024 * 1024
_ESPRESSIF: Final = bytes.fromhex("a0764e5100")
"""Begins the MAC of a unit that was given none."""
_ESP8266_NUMBER: Final = 66
_OPTIONS: Final = frozenset(
    {
        "mac", "id", "dir", "flash", "image", "secure_boot", "flash_encryption", "release",
        "secure_download", "boot", "seed", "timing", "leak", "idle", "fault", "console", "echo",
        "cloud", "usb",
    }
)  # fmt: skip
_REPEATED: Final = frozenset({"fault", "image"})
_BORN: Final = (
    "flash",
    "secure_boot",
    "flash_encryption",
    "release",
    "secure_download",
    "boot",
    "seed",
    "console",
    "echo",
    "cloud",
    "usb",
)
"""What is settled when the unit is born; a later URL may repeat it, not change it."""


@dataclass(frozen=True, slots=True)
class SimUrl:
    """A checked URL."""

    text: str
    model: Model
    mac: bytes
    id: str
    directory: Path | None
    flash_size: int
    images: tuple[tuple[Path, int], ...]
    secure_boot: bool
    flash_encryption: bool
    release: bool
    """Burned for good: the loader encrypts nothing any more."""
    secure_download: bool
    boot_held: bool
    seed: int
    timing: str | None
    leak: bool | None
    idle_s: float | None
    faults: tuple[str, ...]
    console: str
    """Whose commands the running firmware takes; empty: none."""
    echo: bool
    """The console repeats what it is sent."""
    cloud: str
    """What the network does with a firmware that connects."""
    usb: bool
    given: frozenset[str]
    """Options the URL names."""

    @property
    def mac_text(self) -> str:
        """As esptool prints it."""
        return self.mac.hex(":")

    def birth(self) -> dict[str, object]:
        """What the server is told on its standard input."""
        return {
            "id": self.id,
            "chip": self.model.name,
            "mac": self.mac.hex(),
            "url": self.text,
            "images": [[str(path), address] for path, address in self.images],
            "flash": self.flash_size,
            "secure_boot": self.secure_boot,
            "flash_encryption": self.flash_encryption,
            "release": self.release,
            "secure_download": self.secure_download,
            "boot": self.boot_held,
            "seed": self.seed,
            "timing": self.timing or "off",
            "leak": bool(self.leak),
            "idle": DEFAULT_IDLE_S if self.idle_s is None else self.idle_s,
            "faults": list(self.faults),
            "console": self.console,
            "echo": self.echo,
            "cloud": self.cloud,
            "usb": self.usb,
        }

    def wishes(self) -> dict[str, object]:
        """What a later opening says to a unit that runs already."""
        birth = self.birth()
        live = {
            name: value
            for name, value in (
                ("timing", self.timing),
                ("leak", self.leak),
                ("idle", self.idle_s),
            )
            if value is not None
        }
        return {
            "chip": self.model.name,
            "mac": self.mac.hex(),
            "born": {name: birth[name] for name in _BORN if name in self.given},
            "live": live,
            "faults": list(self.faults),
        }


def parse(text: str) -> SimUrl:
    """Read a ``sim://`` URL. Raises ``UsageError("device.sim_…")``."""
    parts = urlsplit(text)
    if parts.scheme.lower() != SCHEME or parts.path not in ("", "/") or parts.fragment:
        raise UsageError("device.sim_url", url=text)
    name = parts.netloc.lower()
    if name not in MODELS:
        raise UsageError("device.sim_chip", chip=parts.netloc, known=", ".join(sorted(MODELS)))
    options = _options(parts.query)
    model = MODELS[name]

    def one(option: str) -> str | None:
        values = options.get(option)
        return values[-1] if values else None

    mac = _mac(one("mac"), model)
    if _flag("secure_download", one("secure_download")) and not model.has_download_lock:
        raise _bad("secure_download", "1", f"{model.chip.title} has no Secure Download Mode")
    if model.is_esp8266 and (one("secure_boot") or one("flash_encryption")):
        raise _bad("secure_boot, flash_encryption", "1", "ESP8266 has neither")
    if _flag("release", one("release")) and not (model.release and one("flash_encryption")):
        raise _bad("release", "1", f"{model.chip.title} needs flash_encryption=1 for it")
    if _flag("usb", one("usb")) and name not in WITH_USB_JTAG:
        raise _bad("usb", "1", f"{model.chip.title} has no USB-Serial/JTAG")
    directory = one("dir")
    return SimUrl(
        text=text,
        model=model,
        mac=mac,
        id=_name(one("id") or f"{name}-{mac.hex()}"),
        directory=Path(directory) if directory else None,
        flash_size=_size(one("flash"), CHIPS[name].default_flash),
        images=tuple(_image(value) for value in options.get("image", [])),
        secure_boot=_flag("secure_boot", one("secure_boot")) or False,
        flash_encryption=_flag("flash_encryption", one("flash_encryption")) or False,
        release=_flag("release", one("release")) or False,
        secure_download=_flag("secure_download", one("secure_download")) or False,
        boot_held=_choice("boot", one("boot"), ("app", "download")) == "download",
        seed=int(_number("seed", one("seed")) or 1),
        timing=_choice("timing", one("timing"), tuple(TIMINGS)),
        leak=_flag("leak", one("leak")),
        idle_s=_number("idle", one("idle")),
        faults=tuple(check_fault(value) for value in options.get("fault", [])),
        console=_choice("console", one("console"), DIALECTS) or "",
        echo=_flag("echo", one("echo")) is not False,
        cloud=_choice("cloud", one("cloud"), CLOUDS) or "accepts",
        usb=_flag("usb", one("usb")) or False,
        given=frozenset(options),
    )


def _options(query: str) -> dict[str, list[str]]:
    """The query, percent-decoded; ``+`` stays a plus, since paths and claim codes hold some."""
    options: dict[str, list[str]] = {}
    for pair in query.split("&") if query else []:
        key, _, value = pair.partition("=")
        key, value = unquote(key), unquote(value)
        if key not in _OPTIONS:
            raise UsageError("device.sim_option", option=key, known=", ".join(sorted(_OPTIONS)))
        if key in options and key not in _REPEATED:
            raise _bad(key, value, "it is given twice")
        options.setdefault(key, []).append(value)
    return options


def _bad(option: str, value: str, why: str) -> UsageError:
    return UsageError("device.sim_value", option=option, value=value, why=why)


def _mac(text: str | None, model: Model) -> bytes:
    if text is None:
        number = model.chip.image_chip_id
        return _ESPRESSIF + bytes((_ESP8266_NUMBER if number is None else number,))
    bare = re.sub(r"[:.\-]", "", text)
    if not re.fullmatch(r"[0-9a-fA-F]{12}", bare):
        raise UsageError("device.sim_mac", value=text)
    return bytes.fromhex(bare)


def _name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", text):
        raise _bad("id", text, "letters, digits, dot, dash and underscore only, at most 64")
    return text


def _size(text: str | None, default: int) -> int:
    if text is None:
        return default
    match = re.fullmatch(r"(\d+)([a-z]*)", text.lower())
    factor = _SIZES.get(match[2], 1 if match and not match[2] else 0) if match else 0
    size = int(match[1]) * factor if match else 0
    if not _SMALLEST <= size <= _LARGEST or size & (size - 1):
        raise _bad("flash", text, "a power of two from 256KB to 64MB, such as 4MB")
    return size


def _image(text: str) -> tuple[Path, int]:
    path, at, address = text.rpartition("@")
    try:
        where = int(address, 0) if at else -1
    except ValueError:
        where = -1
    if where < 0:
        raise _bad("image", text, "PATH@ADDRESS, such as firmware.bin@0x10000")
    found = Path(path).absolute()
    if not found.is_file():
        raise UsageError("device.sim_image", path=path)
    return found, where


def _flag(option: str, text: str | None) -> bool | None:
    if text is None:
        return None
    if text not in ("0", "1"):
        raise _bad(option, text, "0 or 1")
    return text == "1"


def _choice(option: str, text: str | None, known: tuple[str, ...]) -> str | None:
    if text is not None and text not in known:
        raise _bad(option, text, "one of " + ", ".join(known))
    return text


def _number(option: str, text: str | None) -> float | None:
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e9:  # noqa: PLR2004  (some thirty years)
        raise _bad(option, text, "a number that is not negative")
    return value


def check_fault(text: str) -> str:
    """``text`` itself if it is a fault. Raises ``UsageError("device.sim_fault")``."""
    try:
        faults.parse(text)
    except ValueError as error:
        raise UsageError("device.sim_fault", fault=text, why=str(error)) from None
    return text
