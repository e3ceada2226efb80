"""Doctor reads what the writers write, without sharing their code: these words must not drift apart."""

from __future__ import annotations

import re
from pathlib import Path

import ocr_sweep
from ocr_sweep.doctor import words
from ocr_sweep.registry import history
from ocr_sweep.sweep.search import journal, proposals, search, storage, versions
from ocr_sweep.sweep.trials import attempt
from ocr_sweep.tracking import record
from ocr_sweep.tracking.record import Outcome


def test_tags_files_and_attributes_have_the_names_that_are_written() -> None:
    for name in (
        "STUDY", "TRIAL", "ROLE", "KEY", "OUTCOME", "REASON", "CORPUS", "REPRODUCES", "SUMMARY",
        "SUPERSEDED", "ONNX_SHA256",
        "WEIGHTS_SHA256",
    ):  # fmt: skip
        assert getattr(words, name) == getattr(record, name)
    for name in ("ONNX", "WEIGHTS", "PREDICTIONS", "CONFIG", "PROVENANCE"):
        assert getattr(words, name) == getattr(attempt, name)
    assert (words.VERDICT, words.RUN_ID) == (storage.VERDICT, storage.RUN_ID)
    assert (words.IDENTITY, words.VERSION, words.CONTRADICTION) == (versions.IDENTITY, versions.VERSION, proposals.CONTRADICTION)
    assert words.FENCED == record.FENCED == journal.FENCED
    assert words.HEAD == history.HEAD
    assert {outcome.value: outcome.mlflow_status for outcome in Outcome} == words.STATUS
    assert {outcome.value: state.name for outcome, state in search._STATES.items()} == words.STATE


def test_every_reason_that_the_program_gives_is_on_the_list() -> None:
    """A failure's reason begins with a word and a colon, wherever in the program it is written."""
    package = Path(ocr_sweep.__file__).parent
    written = set()
    for file in package.rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        written |= set(re.findall(r"""Trial(?:Failed|Memory)Error\(\s*f?["']([\w-]+):""", text))
        written |= set(re.findall(r"""["']failed["'], f["']([\w-]+):""", text))
        written |= set(re.findall(r"""Outcome\.FAILED, f["']([\w-]+):""", text))
    assert {"nan-loss", "oom", "bug", "died", "hung", "integrity", "mistake"} <= written
    assert written <= set(words.REASONS)
