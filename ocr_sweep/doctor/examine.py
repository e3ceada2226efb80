"""The whole look: everything is read once, then every invariant is checked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ocr_sweep.config.paths import Paths
from ocr_sweep.doctor.corpora import check_corpora
from ocr_sweep.doctor.databases import check_databases
from ocr_sweep.doctor.evidence import Evidence, StudyEvidence, gather
from ocr_sweep.doctor.files import check_files, known_secrets
from ocr_sweep.doctor.history import check_histories
from ocr_sweep.doctor.leftovers import check_leftovers, check_work
from ocr_sweep.doctor.modes import check_modes
from ocr_sweep.doctor.pairs import check_pairs
from ocr_sweep.doctor.registry import check_registry
from ocr_sweep.doctor.space import check_space
from ocr_sweep.doctor.values import check_values
from ocr_sweep.doctor.violation import Violation


@dataclass(frozen=True)
class Examination:
    """What was looked at, and what is wrong with it."""

    evidence: Evidence | None  # None where a database is too damaged to be read
    violations: tuple[Violation, ...]  # by study, invariant and place

    @property
    def studies(self) -> tuple[StudyEvidence, ...]:
        """The studies that were looked at."""
        return self.evidence.studies if self.evidence else ()


def examine(paths: Paths, only: str | None = None, *, quick: bool = False) -> Examination:
    """Check every invariant of `ocr_sweep.doctor.invariants`; nothing is changed.

    Args:
        only: one study; None: all, and what belongs to none.
        quick: read no artifact's bytes.

    Raises:
        NotFoundError: there is no such study.
        StoreError: a store is away.
    """
    violations = list(check_databases(paths, quick=quick))
    if violations:
        return Examination(None, tuple(violations))
    evidence = gather(paths, only, quick=quick)
    violations = [*_of_studies(evidence), *check_registry(evidence), *check_histories(evidence), *check_corpora(evidence)]
    if only is None and paths.mlruns.is_dir():
        violations += [*check_leftovers(evidence), *check_modes(paths.mlruns)]
    return Examination(evidence, tuple(sorted(violations, key=lambda violation: violation.place)))


def _of_studies(evidence: Evidence) -> Iterator[Violation]:
    secrets = known_secrets(evidence)
    for study in evidence.studies:
        yield from check_pairs(study, evidence.paths)
        yield from check_values(study, evidence.paths)
        yield from check_space(study, evidence.paths)
        yield from check_files(study, secrets)
        yield from check_work(study)
