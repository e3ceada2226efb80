"""What a stopped command says that it keeps."""

from __future__ import annotations

import signal

import pytest

from ocr_sweep.errors import StoppedError
from ocr_sweep.sweep.signals import Signals


def test_a_stop_while_fonts_are_read_speaks_of_no_trial() -> None:
    seen: list[tuple[str, int, int]] = []
    signals = Signals()
    report = signals.between(lambda *what: seen.append(what))
    report("reading fonts", 0, 9)
    signals.number = signal.SIGINT
    with pytest.raises(StoppedError, match="stopped by SIGINT") as caught:
        report("reading fonts", 1, 9)
    assert caught.value.kept == "it was reading fonts, and keeps what it had finished"
    assert seen == [("reading fonts", 0, 9)] and caught.value.exit_code == 130


def test_a_stop_between_trials_speaks_of_them() -> None:
    signals = Signals()
    signals.number = signal.SIGTERM
    with pytest.raises(StoppedError) as caught:
        signals.raise_if_heard()
    assert caught.value.kept == "every trial is checkpointed"
