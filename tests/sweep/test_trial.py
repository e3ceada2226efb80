"""How a trial's process ends: with an outcome, or so that the supervisor starts it again."""

from __future__ import annotations

from pathlib import Path

import pytest

from ocr_sweep.errors import ProcessDiedError, StoreError, TrialFailedError
from ocr_sweep.sweep.trials import trial
from ocr_sweep.sweep.trials.attempt import Attempt


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A trial's process that keeps this one's output and signals."""
    monkeypatch.setattr(trial, "_redirect_output", lambda log: None)
    monkeypatch.setattr(trial, "_Watch", lambda attempt: None)
    return monkeypatch


def work_raises(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def work(attempt: Attempt, watch: object) -> None:
        raise error

    monkeypatch.setattr(trial, "_work", work)


def test_what_fails_has_an_outcome(here: pytest.MonkeyPatch, tmp_path: Path) -> None:
    work_raises(here, TrialFailedError("nan-loss: the loss is nan"))
    trial.run_attempt(str(tmp_path))
    assert Attempt(tmp_path).outcome() == ("failed", "nan-loss: the loss is nan")


@pytest.mark.parametrize("error", [ProcessDiedError("devices: one was killed"), StoreError("no room")])
def test_what_can_go_on_has_none(
    error: TrialFailedError, here: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    work_raises(here, error)
    with pytest.raises(SystemExit) as caught:
        trial.run_attempt(str(tmp_path))
    assert caught.value.code == error.exit_code and Attempt(tmp_path).outcome() is None
    assert capfd.readouterr().err == f"{error}\n"
