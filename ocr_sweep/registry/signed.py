"""A record with its hash and signature: one readable JSON file, which can be checked by itself wherever it goes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ocr_sweep.config.fingerprint import fingerprint
from ocr_sweep.errors import IntegrityError
from ocr_sweep.registry.keys import Signer, signature_holds


def signed_text(record: dict[str, Any], signer: Signer) -> str:
    """A record with its hash and signature, readable."""
    sha256 = fingerprint(record)
    sealed = {"record": record, "sha256": sha256, "key": signer.public, "signature": signer.sign(sha256)}
    return json.dumps(sealed, ensure_ascii=False, indent=1, sort_keys=True, allow_nan=False) + "\n"


def read_signed(path: Path) -> tuple[dict[str, Any], str]:
    """Read a record and check its hash and signature; returns it and the key that signed.

    Raises:
        IntegrityError: it is not what was signed.
    """
    try:
        sealed = json.loads(path.read_text(encoding="utf-8"))
        record, sha256, key, signature = (sealed[name] for name in ("record", "sha256", "key", "signature"))
        whole = fingerprint(record) == sha256 and signature_holds(key, sha256, signature)
    except (ValueError, KeyError, TypeError) as error:
        raise IntegrityError(f"{path.name} must be a signed record, but cannot be read: {error}") from None
    if not whole:
        raise IntegrityError(f"{path.name} is not what was signed: its record was changed")
    return record, key
