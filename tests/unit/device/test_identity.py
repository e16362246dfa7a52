"""Protections are refused with their own reason."""

import pytest

from eol_inject.device.identity import Security, SecurityChoice
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


@pytest.mark.parametrize(
    ("choice", "security", "code"),
    [
        ("allow_secure_boot", Security(secure_boot=True), ""),
        ("allow_secure_boot", Security(), ""),
        ("allow_secure_boot", Security(True, True), "device.flash_encrypted"),
        ("allow_secure_boot", Security(secure_download=True), "device.secure_download"),
        ("encrypted", Security(flash_encryption=True), ""),
        ("encrypted", Security(), "device.not_encrypted"),
        ("encrypted", Security(True, True), "device.secure_boot"),
        ("encrypted", Security(True, secure_download=True), "device.secure_download"),
        ("encrypted", Security(True, encryption_locked=True), "device.encryption_locked"),
    ],
)
def test_a_profile_allows_what_it_names_and_nothing_else(
    choice: SecurityChoice, security: Security, code: str
) -> None:
    """A product for encrypted chips refuses an open one: its token would lie there in the clear."""
    assert security.admits(choice) == (code == "")
    if code:
        with pytest.raises(UnitError) as caught:
            security.refuse_if_secured(choice)
        assert caught.value.code == code


def test_an_open_chip_is_not_refused() -> None:
    """Nothing burned, nothing said."""
    Security().refuse_if_secured()
    assert not Security().any
