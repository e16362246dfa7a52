"""Everything that is shipped as data loads, and says what it is."""

import pytest

from eol_inject import chips, profiles, resources
from eol_inject.label import load_template

PROFILES = sorted(path.stem for path in resources.folder("profiles").glob("*.toml"))
TEMPLATES = sorted(path.stem for path in resources.folder("label_templates").glob("*.toml"))


@pytest.mark.parametrize("name", PROFILES)
def test_every_shipped_profile_loads(name: str) -> None:
    """A broken profile fails here and not at a customer's line; its files are there too."""
    profile = profiles.load(name)
    assert profile.spec.description
    assert profile.spec.programmer is not None or profile.spec.device.chip in chips.CHIPS
    if profile.spec.console is None:
        assert profile.firmware_file.is_file()
        for _, path in profile.part_files:
            assert path.is_file()
    if profile.spec.label:
        load_template(profile.spec.label.template)


@pytest.mark.parametrize("name", TEMPLATES)
def test_every_shipped_template_loads(name: str) -> None:
    """Geometry, fonts and fields of each template are checked by loading it."""
    assert load_template(name).name == name


def test_something_is_shipped() -> None:
    """An empty folder would make the two tests above pass by doing nothing."""
    assert {"esp32", "esp32c3", "esp8266"} <= {profiles.load(p).chip_name for p in PROFILES}
    assert TEMPLATES
