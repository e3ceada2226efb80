from __future__ import annotations

import signal

import pytest

from ocr_sweep import errors
from ocr_sweep.errors import ConfigError, OcrSweepError, StoppedError

TREE = {
    "ConfigError": 2,
    "NotFoundError": 2,
    "DataError": 2,
    "EvidenceError": 3,
    "IntegrityError": 3,
    "StoreError": 4,
    "ConflictError": 5,
    "TrialFailedError": 6,
    "ProcessDiedError": 6,
    "TrialMemoryError": 6,
    "TooManyFailuresError": 6,
}


def test_the_tree_is_complete_and_each_error_has_its_exit_code() -> None:
    public = {name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, Exception)}
    assert set(public) == {*TREE, "OcrSweepError", "StoppedError"}
    assert all(issubclass(kind, OcrSweepError) for kind in public.values())
    assert {name: public[name].exit_code for name in TREE} == TREE


def test_the_page_at_the_head_of_the_file_tells_the_same_exit_codes() -> None:
    page = errors.__doc__ or ""
    for name, code in TREE.items():
        (line,) = [line for line in page.splitlines() if f" {name} " in line]
        assert line.split(name)[1].split()[0] == str(code)


def test_a_config_error_tells_every_problem_on_a_line_of_its_own() -> None:
    error = ConfigError(["a.yaml:1: one", "a.yaml:2: two"])
    assert error.problems == ("a.yaml:1: one", "a.yaml:2: two")
    assert str(error) == "a.yaml:1: one\na.yaml:2: two"
    with pytest.raises(AssertionError):
        ConfigError([])


def test_a_stop_ends_with_128_and_the_signal() -> None:
    assert StoppedError("stopped").exit_code == 130
    assert StoppedError("stopped", signal.SIGTERM).exit_code == 143
