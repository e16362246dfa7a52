"""Keys, and what is encrypted with them."""

import copy
import os
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eol_inject.errors import EolError
from eol_inject.ledger import Keys, Kind, open_ledger
from eol_inject.ledger.vault import Vault
from eol_inject.unit import AuthToken, ClaimCode, Secret
from tests.support.ledger import KEYS, again, auth_text, make, url_in

LEDGER_ID = "12345678-1234-1234-1234-123456789abc"


def test_a_key_file_is_the_owner_s_alone(tmp_path):
    """Made 0600, read back the same, never overwritten."""
    path = tmp_path / "keys"
    made = Keys.create(path)
    assert path.stat().st_mode & 0o777 == 0o600
    loaded = Keys.load(path)
    assert (loaded.encryption, loaded.fingerprint) == (made.encryption, made.fingerprint)
    with pytest.raises(EolError) as refused:
        Keys.create(path)
    assert refused.value.code == "ledger.key_exists"


@pytest.mark.skipif(os.name != "posix", reason="permission bits")
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o610])
def test_a_key_file_that_others_may_read_is_refused(tmp_path, mode):
    """Any right of anyone else is one too many."""
    path = tmp_path / "keys"
    Keys.create(path)
    path.chmod(mode)
    with pytest.raises(EolError) as refused:
        Keys.load(path)
    assert refused.value.code == "ledger.key_permissions"


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:-20],
        lambda text: text.replace("encryption", "encription"),
        lambda text: text.replace("=", "!"),
        lambda text: "",
        lambda text: "\0" * 10,
        lambda text: text + "ü",
    ],
)
def test_a_damaged_key_file_is_refused_without_showing_it(tmp_path, damage):
    """The error names the file, not what stands in it."""
    path = tmp_path / "keys"
    text = Keys.create(path).to_text()
    path.write_text(damage(text), encoding="utf-8")
    with pytest.raises(EolError) as refused:
        Keys.load(path)
    assert refused.value.code == "ledger.bad_key"
    assert not {line.split(" = ")[-1] for line in text.splitlines()} & set(
        str(refused.value).split()
    )


def test_a_missing_key_file_says_so(tmp_path):
    """With its path."""
    with pytest.raises(EolError) as refused:
        Keys.load(tmp_path / "none")
    assert refused.value.code == "ledger.key_missing"


def test_keys_fit_into_one_environment_variable():
    """Lines may be joined by semicolons."""
    read = Keys.from_text(KEYS.to_text().replace("\n", ";"))
    assert read.encryption == KEYS.encryption


def test_keys_never_show():
    """Not in repr, not by pickling or copying."""
    assert repr(KEYS) == "[keys]"
    for leak in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            leak(KEYS)


@pytest.mark.parametrize(
    "wrong",
    [
        Keys(KEYS.encryption, bytes(32)),
        Keys(bytes(32), KEYS.fingerprint),
        Keys(KEYS.fingerprint, KEYS.encryption),
    ],
)
def test_wrong_keys_are_noticed_before_anything_is_done(tmp_path, wrong):
    """Either key, or both swapped: nothing is read or written with them."""
    make(tmp_path).close()
    before = (tmp_path / "ledger.db").read_bytes()
    with pytest.raises(EolError) as refused:
        open_ledger(url_in(tmp_path), keys=wrong, station="st1", create=Kind.TRAINING)
    assert refused.value.code == "ledger.wrong_key"
    assert (tmp_path / "ledger.db").read_bytes() == before
    again(tmp_path).close()


@given(st.text(max_size=80), st.binary(min_size=16, max_size=16))
def test_what_is_closed_opens_again_only_in_its_place(text, uid):
    """The same text comes back; another row, purpose, ledger or a changed byte does not open."""
    vault = Vault(KEYS, LEDGER_ID)
    sealed = vault.close(b"fields", uid, text)
    assert vault.open(b"fields", uid, sealed) == text
    other = Vault(KEYS, LEDGER_ID.replace("1", "2"))
    flipped = sealed[:-1] + bytes([sealed[-1] ^ 1])
    for box, purpose, row, value in (
        (vault, b"fields", uid[::-1] + b"!", sealed),
        (vault, b"claim", uid, sealed),
        (other, b"fields", uid, sealed),
        (vault, b"fields", uid, flipped),
    ):
        with pytest.raises(EolError) as refused:
            box.open(purpose, row, value)
        assert refused.value.code == "ledger.tampered"
        assert refused.value.__cause__ is None


def test_fingerprints_are_keyed_and_kept_apart():
    """Equal input, equal print; another key, another kind or another ledger's key differs."""
    text = auth_text(1)
    vault = Vault(KEYS, LEDGER_ID)
    auth, claim = AuthToken(text), ClaimCode("sqr_" + text, 1)
    assert vault.print_of_auth(auth) == vault.print_of_auth(AuthToken(text))
    assert vault.print_of_auth(auth) != vault.print_of_claim(claim)
    assert vault.print_of_claim(claim) == vault.print_of_claim(ClaimCode("sqr_" + text, None))
    stranger = Vault(Keys(KEYS.encryption, bytes(32)), LEDGER_ID)
    assert vault.print_of_auth(auth) != stranger.print_of_auth(auth)


def test_secret_fields_come_back_wrapped():
    """As secrets, never as text."""
    vault = Vault(KEYS, LEDGER_ID)
    sealed = vault.close_secrets(bytes(16), {"wifi": Secret("pässword")})
    (value,) = vault.open_secrets(bytes(16), sealed).values()
    assert type(value) is Secret
    assert value.reveal() == "pässword"
