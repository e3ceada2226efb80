"""`ocr-sweep runs confusions`: from a finished run to the block that a study takes."""

from __future__ import annotations

import re
from pathlib import Path

import yaml
from tiny_study import here, paths_of, refused

from ocr_sweep.config.loss import SimilarityConfig
from ocr_sweep.losses import neighbours_of_file
from ocr_sweep.store import CorpusView
from ocr_sweep.tracking.tracker import Tracker


def test_the_table_of_a_run_becomes_a_block_of_a_study(damaged: Path) -> None:
    paths = paths_of(damaged)
    records = [record for record in Tracker.open(paths).runs() if record.complete]
    out = paths.data / "similar" / "confusions.tsv"
    done = here(damaged, "runs", "confusions", records[0].run_id, records[1].run_id, "--out", str(out))
    assert done.code == 0, done.err
    line = re.search(r"^similarity: .*$", done.out, re.MULTILINE)
    assert line is not None
    block = SimilarityConfig.model_validate(yaml.safe_load(line[0])["similarity"])
    assert block.file is not None and block.file.find(paths.data) == out
    view = CorpusView.open(paths.corpora / records[0].tags["ocr_sweep.corpus"])
    assert (neighbours_of_file(out, view.chars, 3).indices[:, 0] >= 0).any()
    again = here(damaged, "runs", "confusions", records[0].run_id, records[1].run_id, "--out", str(out))
    assert again.code == 0 and again.out == done.out
    other = here(damaged, "runs", "confusions", records[0].run_id, "--out", str(out))
    refused(other, 5, "exists already with another content")
    outside = here(damaged, "runs", "confusions", records[0].run_id, "--out", str(damaged / "confusions.tsv"))
    refused(outside, 2, "must lie in the data root")
    refused(here(damaged, "runs", "confusions", "0" * 32, "--out", str(out)), 2, "no run")
