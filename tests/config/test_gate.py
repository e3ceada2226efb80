"""The gate's file: strict, with defaults that stand in the repository for all to read."""

from __future__ import annotations

from pathlib import Path

import pytest

from ocr_sweep.config.gate import GateConfig
from ocr_sweep.config.load import load_gate, read_gate
from ocr_sweep.errors import ConfigError

SHIPPED = Path(__file__).parents[2] / "sweeps" / "gates" / "production.yaml"


def written(tmp_path: Path, alias: str, text: str) -> Path:
    (tmp_path / "gates").mkdir(exist_ok=True)
    file = tmp_path / "gates" / f"{alias}.yaml"
    file.write_text(text)
    return file


def test_the_shipped_gate_is_the_default() -> None:
    assert read_gate(SHIPPED, SHIPPED.parents[1]) == GateConfig()
    assert all(f"\n{name}: " in SHIPPED.read_text() for name in GateConfig.model_fields), "every key is explained there"


def test_each_alias_has_a_gate_and_customers_fall_back_to_production(tmp_path: Path) -> None:
    assert load_gate("production", tmp_path) == GateConfig()
    written(tmp_path, "production", "margin: 1")
    written(tmp_path, "production-acme", "margin: 3.5")
    margins = {
        alias: load_gate(alias, tmp_path).margin for alias in ("production", "staging", "production-acme", "production-mint")
    }
    assert margins == {"production": 1.0, "staging": 0.5, "production-acme": 3.5, "production-mint": 1.0}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("margn: 1", "unknown key 'margn'; did you mean 'margin'?"),
        ("margin: 0", "margin: must be > 0, but got 0"),
        ("margin: a lot", "margin: must be a number, but got the text 'a lot'"),
        ("max_dropped: 1.5", "max_dropped: must be a whole number"),
        ("reproduction: sure", "reproduction: must be one of 'within band' or 'identical', but got the text 'sure'"),
        ("signers: [abc]", "a signer must be a public key of 64 hex digits, as `models verify` prints it, but got 'abc'"),
        ("max_latency_ms: -1", "max_latency_ms: must be > 0, but got -1"),
    ],
)
def test_mistakes_are_named_with_file_and_line(tmp_path: Path, text: str, words: str) -> None:
    written(tmp_path, "production", f"# a gate\n{text}\n")
    with pytest.raises(ConfigError) as caught:
        load_gate("production", tmp_path)
    assert words in str(caught.value) and "production.yaml:2: " in str(caught.value), str(caught.value)
