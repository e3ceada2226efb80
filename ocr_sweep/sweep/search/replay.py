"""The replay of a search: every proposal of a past study computed again from its journal, in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from ocr_sweep.config.paths import Paths
from ocr_sweep.config.study import StudyConfig
from ocr_sweep.errors import EvidenceError, NotFoundError
from ocr_sweep.sweep.search.journal import SAW, Journal
from ocr_sweep.sweep.search.proposals import Proposer
from ocr_sweep.sweep.search.storage import find_versions, storage_errors
from ocr_sweep.sweep.search.versions import ORIGIN, Version


@dataclass(frozen=True)
class Replayed:
    """What a replay found identical."""

    proposals: int
    unknown: int  # of former versions of this program, which did not write down what they saw
    versions: int


def replay(study: StudyConfig, paths: Paths) -> Replayed:
    """Compute every proposal of a study again, each from what the journal says that it saw.

    Args:
        study: as its file says; what its past versions meant is taken from the database.

    Raises:
        NotFoundError: the study never ran.
        EvidenceError: a proposal comes out otherwise; the message names the first.
        StoreError: the database cannot be reached.
    """
    versions = find_versions(study.name, paths)
    if not versions:
        raise NotFoundError(f"study '{study.name}' has no proposals yet; run it first: make sweep STUDY={study.name}")
    proposals = unknown = 0
    for version in versions:
        with storage_errors(paths.optuna_url):
            journal = Journal(version.study)
            meaning = version.meaning(study)
        own = [trial for trial in journal.trials if trial.user_attrs.get(ORIGIN, version.number) == version.number]
        numbers = [trial.number for trial in own if SAW in trial.user_attrs]
        if numbers:
            assert meaning is not None
            if meaning.study is None:
                raise EvidenceError(f"study '{study.name}': what its version {version.number} meant cannot be read any more")
            replay_version(meaning.study, journal, numbers, _other_libraries(version))
        proposals += len(numbers)
        unknown += len(own) - len(numbers)
    return Replayed(proposals, unknown, len(versions))


def replay_version(study: StudyConfig, journal: Journal, numbers: list[int], hint: str = "") -> None:
    """Compute some proposals of one version again, in any order.

    Raises:
        EvidenceError: one of them comes out otherwise.
    """
    proposer = Proposer(study)
    for number in numbers:
        seen = journal.seen_by(number)
        assert seen is not None
        trial = journal.trials[number]
        saw = trial.user_attrs[SAW]
        running = [other.number for other in seen.trials if not other.state.is_finished()]
        if running != saw["running"]:
            raise EvidenceError(
                f"study '{study.name}': trials {saw['running']} ran when proposal {number} was made, but by the results that "
                f"had been told it was {running}: the journal was changed"
            )
        proposal = proposer.propose(number, seen)
        params = {} if proposal is None else proposal.params
        if params != trial.params:
            raise EvidenceError(
                f"study '{study.name}': proposal {number} differs: {_difference(trial.params, params)} "
                f"(it saw {len(seen.trials) - len(running)} results, and {len(running)} trials that ran){hint}"
            )


def _difference(was: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    path = next(path for path in sorted({*was, *now}) if was.get(path) != now.get(path))
    return f"{path} was {was.get(path)}, is {now.get(path)}"


def _other_libraries(version: Version) -> str:
    then = version.about().get("libraries", {})
    other = [f"{name} was {was}, is {now}" for name, was in then.items() if (now := metadata.version(name)) != was]
    return f"; {', '.join(other)}" if other else ""
