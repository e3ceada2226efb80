from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ocr_sweep.config.fingerprint import canonical_json, file_sha256, fingerprint
from ocr_sweep.config.trial import TrialConfig


def test_canonical_json_does_not_depend_on_the_order_of_keys() -> None:
    assert canonical_json({"b": [1, 2.5], "a": {"草": None}}) == '{"a":{"草":null},"b":[1,2.5]}'
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    with pytest.raises(ValueError, match="Out of range float"):
        canonical_json(float("nan"))


def test_golden_fingerprints(tmp_path: Path) -> None:
    assert fingerprint({}) == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"  # sha256 of {}
    (tmp_path / "file").write_bytes(b"abc")
    assert file_sha256(tmp_path / "file") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2


def test_every_value_of_a_trial_is_in_its_fingerprint(make_trial: Callable[..., TrialConfig]) -> None:
    base = fingerprint(make_trial())
    for change in ({"seed": 4}, {"optim.lr": 0.011}, {"model.decoder": False}, {"training.threads": 2}, {"corpus.seed": 1}):
        assert fingerprint(make_trial(change)) != base
    assert fingerprint(make_trial()) == base


def test_configuration_loads_without_torch() -> None:
    code = "import sys, ocr_sweep.config.load, ocr_sweep.config.paths; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
