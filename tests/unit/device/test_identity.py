"""Protections are refused with their own reason."""

import pytest

from eol_inject.device.identity import Security
from eol_inject.errors import UnitError


@pytest.mark.parametrize(
    ("security", "code"),
    [
        (Security(flash_encryption=True), "device.flash_encrypted"),
        (Security(secure_boot=True), "device.secure_boot"),
        (Security(secure_download=True), "device.secure_download"),
        (Security(True, True, True), "device.secure_download"),
        (Security(True, True, False), "device.flash_encrypted"),
    ],
)
def test_each_protection_is_refused_with_its_reason(security: Security, code: str) -> None:
    """The one that would do the most harm is named first."""
    assert security.any
    with pytest.raises(UnitError) as caught:
        security.refuse_if_secured()
    assert caught.value.code == code
    assert "nothing was written" in caught.value.hint


def test_an_open_chip_is_not_refused() -> None:
    """Nothing burned, nothing said."""
    Security().refuse_if_secured()
    assert not Security().any
