"""Every violation is found by its number, and nothing else is; what can be mended is."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from planting import PLANTS, Hands, Plant
from tiny_study import paths_of

from ocr_sweep.doctor.examine import examine
from ocr_sweep.doctor.invariants import INVARIANTS
from ocr_sweep.doctor.repair import repair

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "correct-horse")


def found(root: Path, *, quick: bool = False) -> list[str]:
    return [violation.invariant for violation in examine(paths_of(root), quick=quick).violations]


def content(root: Path) -> dict[str, str]:
    """Everything that is remembered, but for the files of locks."""
    files = sorted(path for path in (root / "mlruns").rglob("*") if path.is_file() and path.suffix != ".lock")
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_a_healthy_project_has_no_violation_and_is_not_touched(healthy: Path) -> None:
    before = content(healthy)
    assert found(healthy) == found(healthy, quick=True) == []
    assert content(healthy) == before


def test_every_invariant_is_either_planted_or_proven_elsewhere() -> None:
    planted = {plant.invariant for plant in PLANTS}
    assert planted == {name for name, invariant in INVARIANTS.items() if not invariant.elsewhere}
    assert {plant.invariant for plant in PLANTS if plant.mended} == {name for name, one in INVARIANTS.items() if one.mends}
    assert list(INVARIANTS) == [f"I{number}" for number in range(1, 28)]


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: f"{plant.invariant}-{plant.name}")
def test_a_planted_violation_is_found_and_mended_where_it_can_be(plant: Plant, patient: Path) -> None:
    plant.make(Hands(patient))
    before = content(patient)
    assert set(found(patient)) == {plant.invariant}
    assert set(found(patient, quick=True)) == ({plant.invariant} if plant.quick else set())
    assert content(patient) == before, "looking changes nothing"
    if plant.invariant == "I19":
        return  # nothing can be read, and repairing says so
    said: list[str] = []
    assert bool(repair(paths_of(patient), said.append)) == bool(said) == plant.mended, said
    assert set(found(patient)) == (set() if plant.mended else {plant.invariant})
    after = content(patient)
    assert repair(paths_of(patient), said.append) == 0 and content(patient) == after, "twice is once"
    if not plant.mended:
        assert after == before
