"""Signatures: an ed25519 key of this user on this machine, which lies outside the store.

A signature proves that an entry is, to the last byte, what somebody signed who could read the key's file. It does not prove
that this was the person whom the entry names, that the clock was right, or that the numbers are true; and whoever may write
to the store can throw the whole history away and begin another one with a key of his own. So a gate can name the keys that
it accepts (`signers:`), in a file that is under version control.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from ocr_sweep.disk import store_errors, sync_directory
from ocr_sweep.errors import EvidenceError, IntegrityError, NotFoundError


class Signer:
    """Who signs."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public = key.public_key().public_bytes_raw().hex()

    @classmethod
    def open(cls, path: Path) -> Signer:
        """Read the key, made on first use with mode 0600.

        Raises:
            IntegrityError: others can read or change the file, or it holds no key.
            StoreError: it cannot be read or made.
        """
        with store_errors(f"reading the signing key {path}"):
            if not path.exists():
                _make(path)
            _check_owner(path)
            content = path.read_bytes()
        try:
            key = load_pem_private_key(content, password=None)
        except (ValueError, TypeError) as error:
            raise IntegrityError(f"{path} must hold a private key, but cannot be read as one: {error}") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise IntegrityError(f"{path} must hold an ed25519 key, but holds a key of another kind")
        return cls(key)

    def sign(self, sha256: str) -> str:
        """The signature, in hex, of a hash of 64 hex digits."""
        return self._key.sign(bytes.fromhex(sha256)).hex()


def signature_holds(key: str, sha256: str, signature: str) -> bool:
    """Whether a signature of a hash was made with the private half of a public key; all in hex."""
    try:
        content = bytes.fromhex(signature)
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(key)).verify(content, bytes.fromhex(sha256))
    except (InvalidSignature, ValueError):
        return False
    return content.hex() == signature  # written as we write it: the hash of an entry does not cover its signature


def require_signer(signer: Signer, accepted: Sequence[str], alias: str) -> None:
    """Refuse a key that a gate does not accept; none named: it accepts every key.

    Raises:
        EvidenceError: the key is none of the accepted ones.
    """
    if accepted and signer.public not in accepted:
        raise EvidenceError(
            f"the gate of {alias} accepts {len(accepted)} signing keys, and yours is none of them: {signer.public}. "
            "Whoever keeps the gate's file can add it under `signers:`"
        )


def _make(path: Path) -> None:
    """Write a new key aside and give it its name; of several processes that do so, the first one's key stays."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except (FileExistsError, NotADirectoryError):
        raise NotFoundError(f"the signing key must lie in a folder, but {path.parent} is none; see OCR_SWEEP_KEY") from None
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    content = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(handle, content)
        os.fsync(handle)
        path.hardlink_to(aside)
    except FileExistsError:
        pass
    finally:
        os.close(handle)
        aside.unlink()
    sync_directory(path.parent)


def _check_owner(path: Path) -> None:
    found = path.stat()
    if found.st_mode & 0o077 or found.st_uid != os.geteuid():
        raise IntegrityError(
            f"the signing key {path} must belong to you and be readable by you alone (mode 600), but has mode "
            f"{found.st_mode & 0o777:o} and belongs to user {found.st_uid}; if nobody else has read it: chmod 600 {path}. "
            "Otherwise remove it: the next promotion makes another"
        )
