"""Secrets at rest: AES-256-GCM under one key, fingerprints to search by under the other.

Each ciphertext is bound to its token: the associated data is the ledger's id, the purpose and the
token's stable id, so a value moved to another row, column or ledger does not open.
"""

import hmac
import json
import os
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from typing import Final
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from eol_inject.errors import StationError
from eol_inject.ledger.keys import Keys
from eol_inject.unit import AuthToken, ClaimCode, Identifier, Secret

_NONCE: Final = 12
FINGERPRINT_SIZE: Final = 16
"""Bytes kept of the HMAC; half of SHA-256 as RFC 2104 section 5 allows, and half the index."""

UID_SIZE: Final = 16


class Vault:
    """Closes and opens values for one ledger."""

    def __init__(
        self, keys: Keys, ledger_id: str, *, random: Callable[[int], bytes] = os.urandom
    ) -> None:
        self._cipher = AESGCM(keys.encryption)
        self._fingerprint = keys.fingerprint
        self._ledger = UUID(ledger_id).bytes
        self.random: Final = random
        """Fresh bytes for nonces and stable ids."""

    def check_value(self) -> bytes:
        """Kept in the ledger to notice a wrong pair of keys before anything is done with it."""
        inner = hmac.digest(self._fingerprint, b"key check " + self._ledger, "sha256")
        return self._cipher.encrypt(b"key check!!!", inner, self._ledger)

    def close(self, purpose: bytes, uid: bytes, text: str) -> bytes:
        """Encrypt: nonce, ciphertext, tag; 28 bytes longer than the text's UTF-8."""
        nonce = self.random(_NONCE)
        return nonce + self._cipher.encrypt(nonce, text.encode(), self._ledger + purpose + uid)

    def open(self, purpose: bytes, uid: bytes, sealed: bytes) -> str:
        """Decrypt. Raises ``StationError("ledger.tampered")`` where the value is not this row's."""
        try:
            plain = self._cipher.decrypt(
                sealed[:_NONCE], sealed[_NONCE:], self._ledger + purpose + uid
            )
        except InvalidTag:
            raise StationError("ledger.tampered", what=f"a token's {purpose.decode()}") from None
        return plain.decode()

    def close_auth(self, uid: bytes, auth: AuthToken) -> bytes:
        """The AuthToken's ciphertext."""
        return self.close(b"auth", uid, auth.reveal())

    def open_auth(self, uid: bytes, sealed: bytes) -> AuthToken:
        """The AuthToken back."""
        return AuthToken(self.open(b"auth", uid, sealed))

    def open_claim(self, uid: bytes, sealed: bytes) -> ClaimCode:
        """The claim code back."""
        return ClaimCode.parse(self.open(b"claim", uid, sealed))

    def close_claim(self, uid: bytes, claim: ClaimCode) -> bytes:
        """The claim code's ciphertext."""
        return self.close(b"claim", uid, claim.reveal())

    def close_secrets(self, uid: bytes, values: Mapping[str, Secret]) -> bytes:
        """Secret fields, one ciphertext for all."""
        plain = {name: values[name].reveal() for name in sorted(values)}
        return self.close(b"fields", uid, json.dumps(plain, ensure_ascii=False))

    def open_secrets(self, uid: bytes, sealed: bytes) -> dict[str, Secret]:
        """Secret fields back, each wrapped again."""
        plain: dict[str, str] = json.loads(self.open(b"fields", uid, sealed))
        return {name: Secret(value) for name, value in plain.items()}

    def print_of_auth(self, auth: AuthToken) -> bytes:
        """Fingerprint of an AuthToken, to search by."""
        return self._print(b"auth:" + auth.reveal().encode())

    def print_of_claim(self, claim: ClaimCode) -> bytes:
        """Fingerprint of the QR token alone: with ``+orgId`` or without, it is the same code."""
        return self._print(b"claim:" + claim.reveal().partition("+")[0].encode())

    def print_of_badge(self, badge: Secret) -> bytes:
        """Fingerprint of what a person's badge says."""
        return self._print(b"badge:" + badge.reveal().encode())

    def print_of_content(
        self,
        claim_print: bytes | None,
        organization: int | None,
        public: str,
        secrets: Mapping[str, Secret],
        bound: Sequence[Identifier],
    ) -> bytes:
        """Fingerprint of all that a source says about a token, to tell whether it says the same."""
        parts = [claim_print.hex() if claim_print else "", str(organization), public]
        if secrets:
            parts.append(json.dumps({k: secrets[k].reveal() for k in sorted(secrets)}))
        if bound:
            parts.extend(sorted(str(one) for one in bound))
        # Keyed BLAKE2b (RFC 7693, 2.9): a third of an HMAC's time, and nothing is searched by it.
        return blake2b(
            "\x1f".join(parts).encode(), digest_size=FINGERPRINT_SIZE, key=self._fingerprint
        ).digest()

    def _print(self, text: bytes) -> bytes:
        return hmac.digest(self._fingerprint, text, "sha256")[:FINGERPRINT_SIZE]
