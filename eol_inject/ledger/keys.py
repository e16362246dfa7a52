"""The two keys of a ledger: one encrypts, the other fingerprints. They live outside of it.

Losing them means losing every AuthToken that is not in a unit yet; nothing else can read them.
"""

import base64
import binascii
import os
import secrets
import stat
from pathlib import Path
from typing import Final, NoReturn, Self

from eol_inject.errors import StationError, UsageError

_FIRST_LINE: Final = "eol-inject ledger keys, version 1. Whoever reads this file reads every token."
_SIZE: Final = 32
_ANYONE_ELSE: Final = 0o077


class Keys:
    """32 bytes for AES-256-GCM and 32 bytes for HMAC-SHA256. Never shown, pickled or copied."""

    __slots__ = ("encryption", "fingerprint")

    def __init__(self, encryption: bytes, fingerprint: bytes) -> None:
        if len(encryption) != _SIZE or len(fingerprint) != _SIZE or encryption == fingerprint:
            raise UsageError("ledger.bad_key", where="the key")
        self.encryption: Final = encryption
        self.fingerprint: Final = fingerprint

    @classmethod
    def new(cls) -> Self:
        """A fresh pair, from the operating system's generator."""
        return cls(secrets.token_bytes(_SIZE), secrets.token_bytes(_SIZE))

    @classmethod
    def create(cls, path: Path) -> Self:
        """Make a pair and keep it in ``path``, owner-only and on disk before this returns.

        Raises ``UsageError("ledger.key_exists")``, ``StationError("ledger.no_folder")``.
        """
        keys = cls.new()
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            raise UsageError("ledger.key_exists", path=str(path)) from None
        except OSError as error:
            raise StationError(
                "ledger.no_folder", path=str(path), why=error.strerror or ""
            ) from error
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(keys.to_text())
            file.flush()
            os.fsync(file.fileno())
        return keys

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the pair kept in ``path``.

        Raises ``StationError`` with ``ledger.key_missing`` or ``ledger.key_permissions``, and
        ``UsageError("ledger.bad_key")``; none repeats the content.
        """
        try:
            with path.open(encoding="ascii") as file:
                mode = os.fstat(file.fileno()).st_mode
                text = file.read(4096)
        except UnicodeDecodeError:
            raise UsageError("ledger.bad_key", where=str(path)) from None
        except OSError as error:
            raise StationError(
                "ledger.key_missing", path=str(path), why=error.strerror or ""
            ) from error
        if os.name == "posix" and stat.S_IMODE(mode) & _ANYONE_ELSE:
            raise StationError(
                "ledger.key_permissions", path=str(path), mode=f"{stat.S_IMODE(mode):04o}"
            )
        return cls.from_text(text, where=str(path))

    @classmethod
    def from_text(cls, text: str, *, where: str = "the environment") -> Self:
        """Read what ``create`` wrote: a file's content, or an environment variable's.

        Raises ``UsageError("ledger.bad_key")`` naming ``where``, never the text.
        """
        found: dict[str, bytes] = {}
        for line in text.replace(";", "\n").splitlines():
            name, equals, value = line.partition("=")
            if equals:
                try:
                    found[name.strip()] = base64.b64decode(value.strip(), validate=True)
                except (binascii.Error, ValueError):
                    raise UsageError("ledger.bad_key", where=where) from None
        if set(found) != {"encryption", "fingerprint"} or {len(v) for v in found.values()} != {
            _SIZE
        }:
            raise UsageError("ledger.bad_key", where=where)
        return cls(found["encryption"], found["fingerprint"])

    def to_text(self) -> str:
        """The file's content; the two ``name = value`` lines joined by ``;`` do for a variable."""
        encryption = base64.b64encode(self.encryption).decode()
        fingerprint = base64.b64encode(self.fingerprint).decode()
        return f"{_FIRST_LINE}\nencryption = {encryption}\nfingerprint = {fingerprint}\n"

    def __repr__(self) -> str:
        return "[keys]"

    def __reduce__(self) -> NoReturn:
        raise TypeError("keys cannot be pickled or copied")
