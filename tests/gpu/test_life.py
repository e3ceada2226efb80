"""A study, promotion and reproduction, all of it on a stand-in for a GPU."""

from __future__ import annotations

from pathlib import Path

import pytest
from on_the_stand_in import passes

pytestmark = pytest.mark.slow


def test_a_studys_whole_life_is_the_same_on_a_gpu(tmp_path: Path) -> None:
    """Searched, confirmed, exported and scored; promoted; reproduced to the bit; in order by the doctor's word."""
    chosen = "ends_with_the_winner or numbers_of_record or every_artifact or promotion or identical or doctor_finds"
    assert passes(tmp_path, "tests/e2e/test_whole_life.py", "-k", chosen) == 6
