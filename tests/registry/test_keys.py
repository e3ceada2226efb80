"""The key that signs: made once, for its owner alone, outside the store."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from ocr_sweep.config.fingerprint import fingerprint
from ocr_sweep.config.paths import Paths
from ocr_sweep.errors import EvidenceError, IntegrityError, NotFoundError
from ocr_sweep.registry.keys import Signer, require_signer, signature_holds
from ocr_sweep.registry.signed import read_signed, signed_text


def test_a_key_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "key"
    first = Signer.open(path)
    assert Signer.open(path).public == first.public
    assert path.stat().st_mode & 0o777 == 0o600 and path.parent.stat().st_mode & 0o777 == 0o700
    assert [entry.name for entry in path.parent.iterdir()] == ["key"]


def test_processes_that_make_it_at_once_agree(tmp_path: Path) -> None:
    script = (
        "import sys, pathlib; from ocr_sweep.registry.keys import Signer; print(Signer.open(pathlib.Path(sys.argv[1])).public)"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "key")]
    racers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    assert len({racer.communicate()[0] for racer in racers}) == 1
    assert [entry.name for entry in tmp_path.iterdir()] == ["key"]


def test_a_signature_is_of_one_key_and_one_hash(tmp_path: Path) -> None:
    mine, other = Signer.open(tmp_path / "a"), Signer.open(tmp_path / "b")
    signature = mine.sign("ab" * 32)
    assert signature_holds(mine.public, "ab" * 32, signature)
    assert not signature_holds(other.public, "ab" * 32, signature)
    assert not signature_holds(mine.public, "ac" * 32, signature)
    for key, sha256, text in (("", "ab" * 32, signature), (mine.public, "x", signature), (mine.public, "ab" * 32, "no hex")):
        assert not signature_holds(key, sha256, text)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o622])
def test_a_key_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "key"
    Signer.open(path)
    path.chmod(mode)
    with pytest.raises(IntegrityError, match=f"readable by you alone .mode 600., but has mode {mode:o}.*chmod 600"):
        Signer.open(path)


def test_what_is_no_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(b"hello")
    path.chmod(0o600)
    with pytest.raises(IntegrityError, match="must hold a private key, but cannot be read as one"):
        Signer.open(path)
    rsa = generate_private_key(public_exponent=65537, key_size=2048)
    path.write_bytes(rsa.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(IntegrityError, match="must hold an ed25519 key"):
        Signer.open(path)


def test_a_place_that_is_no_folder_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NotFoundError, match=r"must lie in a folder, but .*/file is none; see OCR_SWEEP_KEY"):
        Signer.open(tmp_path / "file" / "key")


def test_the_key_lies_outside_the_store_unless_told_otherwise(tmp_path: Path) -> None:
    (tmp_path / "sweeps").mkdir()
    here = {"OCR_SWEEP_HOME": str(tmp_path)}
    assert Paths.find({**here, "XDG_CONFIG_HOME": "/somewhere"}).signing_key == Path("/somewhere/ocr_sweep/signing.key")
    assert Paths.find(here).signing_key == Path("~/.config/ocr_sweep/signing.key").expanduser().resolve()
    assert Paths.find({**here, "OCR_SWEEP_KEY": "/keys/mine"}).signing_key == Path("/keys/mine")


def test_a_gate_may_name_the_keys_that_it_accepts(tmp_path: Path) -> None:
    signer = Signer.open(tmp_path / "key")
    require_signer(signer, (), "production")
    require_signer(signer, (signer.public,), "production")
    with pytest.raises(
        EvidenceError, match=f"gate of production accepts 1 signing keys, and yours is none of them: {signer.public}"
    ):
        require_signer(signer, ("a" * 64,), "production")


def test_a_signed_record_can_be_checked_by_itself(tmp_path: Path) -> None:
    signer, record = Signer.open(tmp_path / "key"), {"version": 3, "forgotten": "己已"}
    file = tmp_path / "record.json"
    file.write_text(signed_text(record, signer), encoding="utf-8")
    assert read_signed(file) == (record, signer.public)
    file.write_text(file.read_text(encoding="utf-8").replace("3", "4", 1), encoding="utf-8")
    with pytest.raises(IntegrityError, match="is not what was signed"):
        read_signed(file)
    file.write_text(signed_text(record, signer).replace(fingerprint(record), "a" * 64), encoding="utf-8")
    with pytest.raises(IntegrityError, match="is not what was signed"):
        read_signed(file)
    file.write_text("{}", encoding="utf-8")
    with pytest.raises(IntegrityError, match="cannot be read"):
        read_signed(file)
