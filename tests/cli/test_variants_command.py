from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny_study import here, paths_of, refused

from ocr_sweep.config.fingerprint import file_sha256
from ocr_sweep.delivery.model_file import ModelFile
from ocr_sweep.registry.model_file import find_version
from ocr_sweep.tracking.tracker import Tracker

pytestmark = pytest.mark.slow


def test_variants_are_judged_described_and_recorded(damaged: Path, tmp_path: Path) -> None:
    done = here(damaged, "models", "variants", "ocr-tiny:1", "--out", str(tmp_path / "out"))
    assert done.code == 0 and "fp32, the file of record" in done.out
    tracker = Tracker.open(paths_of(damaged))
    run = tracker.run(find_version(tracker, "ocr-tiny:1").run_id)
    record = json.loads((damaged / "mlruns" / "artifacts" / "tiny" / run.run_id / "artifacts" / "variants.json").read_text())
    assert "ocr_sweep.test_read.variants" in run.tags, "the reading of test images is in the ledger"
    assert [one["kind"] for one in record] == ["fp32", "fp16", "int8"]
    fp32 = record[0]
    assert fp32["sha256"] == run.tags["ocr_sweep.onnx_sha256"] and fp32["flips"] == 0
    for split in ("val", "test"):
        assert fp32["accuracy"][split] == pytest.approx(run.metrics[f"{split}/accuracy"], abs=1e-12)
        assert fp32["accuracy"][f"{split}_macro"] == pytest.approx(run.metrics[f"{split}/accuracy_macro"], abs=1e-12)
    for one in record[1:]:
        path = tmp_path / "out" / one["file"]
        file = ModelFile.read(path, one["sha256"])
        assert one["num_bytes"] == path.stat().st_size and file_sha256(path) == one["sha256"]
        assert f"{one['accuracy']['test']:.2%}" in file.metadata["card"].replace(" ", "")
        assert file.metadata["temperature"] > 0 and one["latency_ms"] > 0
    again = here(damaged, "models", "variants", run.run_id, "--kind", "fp16", "--out", str(tmp_path / "again"))
    assert again.code == 0 and [path.name for path in (tmp_path / "again").iterdir()] == [f"{run.name}.fp16.onnx"]
    assert file_sha256(tmp_path / "again" / record[1]["file"]) == record[1]["sha256"], "the same bytes again"


def test_what_has_no_file_has_no_variants(finished: Path) -> None:
    refused(here(finished, "models", "variants", "ocr-other"), 2, "no registered model 'ocr-other'")
