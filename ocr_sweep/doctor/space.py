"""What was tried: parameters, configurations, budget (I10, I11, I21, I22)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from ocr_sweep.config.dotted import flatten
from ocr_sweep.config.fingerprint import canonical_json
from ocr_sweep.config.load import load_study, scales_of
from ocr_sweep.config.paths import Paths
from ocr_sweep.config.space import CategoricalRange, FloatRange, Range, contains
from ocr_sweep.config.study import StudyConfig
from ocr_sweep.config.trial import TrialConfig
from ocr_sweep.doctor import words
from ocr_sweep.doctor.evidence import StudyEvidence
from ocr_sweep.doctor.records import Trial
from ocr_sweep.doctor.violation import Violation
from ocr_sweep.errors import OcrSweepError

_PARAM_LENGTH = 500  # MLflow's values are cut after so many characters
_FRESH = ("seed", "training.fold")  # what a confirming training changes
_NOT_IN_THE_IDENTITY = {"question": "?", "trials": 1, "confirm": {"top": 1, "seeds": 1}}
_NOT_IN_THE_FILE = ("corpus_fingerprint", "code")
_RESTORE = "restore the store that was changed from a backup"


def check_space(study: StudyEvidence, paths: Paths) -> Iterator[Violation]:
    """Compare what was proposed, recorded and trained with the declared space, and with each other."""
    config = _declared(study)
    if config is not None:
        yield from _inside(study, config)
        yield from _trained_as_proposed(study, config)
        yield from _repeated(study, config)
    yield from _recorded_as_trained(study)
    yield from _one_corpus(study)
    yield from _budget(study, paths)


def _declared(study: StudyEvidence) -> StudyConfig | None:
    """The study as it wrote itself down; None where another version of the program wrote it in another form."""
    if study.optuna is None:
        return None
    try:
        return StudyConfig.model_validate(
            {key: value for key, value in study.optuna.identity.items() if key not in _NOT_IN_THE_FILE} | _NOT_IN_THE_IDENTITY
        )
    except ValidationError:
        return None


def _inside(study: StudyEvidence, config: StudyConfig) -> Iterator[Violation]:
    """I10: a proposal lies inside the declared space."""
    for trial in study.trials:
        for path, value in sorted(trial.params.items()):
            space = config.search.get(path)
            if space is None or not _holds(space, value):
                what = f"{path} must lie inside the study's space, but Optuna has {value!r}"
                yield study.wrong("I10", f"trial {trial.number}", what, "restore Optuna's database from a backup")
                break


def _holds(space: Range, value: Any) -> bool:
    return value in space.labels if isinstance(space, CategoricalRange) else contains(space, value)


def _trained_as_proposed(study: StudyEvidence, config: StudyConfig) -> Iterator[Violation]:
    """I10: the base with the proposal put in is the configuration under seal; further ones differ in seed and fold alone."""
    proposals = {trial.number: trial for trial in study.trials if trial.finished and trial.ran}
    for run in study.complete if not study.quick else ():
        trial, files = proposals.get(run.trial), study.files.get(run.run_id)
        if trial is None or files is None or files.config is None or not all(_holds_all(config, trial)):
            continue
        wanted, came = _proposed(config, trial), _completed(files.config)
        searched = run.tags.get(words.ROLE) == "search" and run.tags.get(words.KEY, "").endswith("-search")
        free = () if searched else _FRESH
        differing = [key for key in sorted({*wanted, *came}) if wanted.get(key) != came.get(key) and key not in free]
        if differing and came:
            key = differing[0]
            what = f"{key} must be {wanted.get(key)!r}, as Optuna proposed it, but config.yaml has {came.get(key)!r}"
            yield study.wrong("I10", run.where, what, _RESTORE)


def _holds_all(config: StudyConfig, trial: Trial) -> Iterator[bool]:
    return (path in config.search and _holds(config.search[path], value) for path, value in trial.params.items())


def _proposed(config: StudyConfig, trial: Trial) -> dict[str, Any]:
    return flatten(config.trial_config(trial.params).model_dump(mode="json"))


def _completed(written: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration with the keys that trials have gained since; empty where it is of another form."""
    try:
        return flatten(TrialConfig.model_validate(written).model_dump(mode="json"))
    except ValidationError:
        return {}


def _recorded_as_trained(study: StudyEvidence) -> Iterator[Violation]:
    """I10: MLflow's parameters are those of the configuration, and of the proposal."""
    proposals = {trial.number: trial.params for trial in study.trials}
    for run in study.complete:
        files = study.files.get(run.run_id)
        wanted = _as_params(files.config) if files and files.config and not study.quick else {}
        pairs = [
            *_differing_numbers(proposals.get(run.trial, {}), run.params),
            *((key, value, run.params.get(key)) for key, value in sorted(wanted.items()) if run.params.get(key) != value),
        ]
        for key, value, came in pairs[:1]:
            what = f"{key} must be {value!r}, as it was proposed and trained, but MLflow has {came!r}"
            yield study.wrong("I10", run.where, what, _RESTORE)


def _differing_numbers(proposal: Mapping[str, Any], params: Mapping[str, str]) -> Iterator[tuple[str, Any, str]]:
    """Proposed numbers that MLflow has otherwise; a block goes by another name there."""
    for key, value in sorted(proposal.items()):
        if key in params and isinstance(value, int | float) and not isinstance(value, bool):
            try:
                if float(params[key]) == float(value):
                    continue
            except ValueError:
                pass
            yield key, value, params[key]


def _as_params(config: Mapping[str, Any]) -> dict[str, str]:
    """A configuration as MLflow's parameters; of the charset its size alone."""
    corpus = dict(config.get("corpus", {}))
    corpus["charset"] = {"size": len(corpus.get("charset", {}).get("chars", ""))}
    return {key: str(value)[:_PARAM_LENGTH] for key, value in flatten({**config, "corpus": corpus}).items()}


def _one_corpus(study: StudyEvidence) -> Iterator[Violation]:
    """I11: all trainings of a study learnt from the corpus that the study was opened with."""
    wanted = str(study.optuna.identity.get("corpus_fingerprint", "")) if study.optuna else ""
    for run in study.runs:
        came = run.tags.get(words.CORPUS, "")
        if wanted and run.current and run.role != "reproduce" and words.FENCED not in run.tags and came != wanted:
            what = f"all runs of a study must learn from corpus {wanted[:12]}, but this one did from {came[:12] or 'none'}"
            yield study.wrong(
                "I11", run.where, what, "give the study another name: its numbers cannot be compared with the others"
            )


def _budget(study: StudyEvidence, paths: Paths) -> Iterator[Violation]:
    """I21: no more trials have ended than the study's file allows; a trial that was trained in several goes counts once."""
    allowed = _allowed(study.name, paths)
    ended = sum(trial.finished and trial.ran for trial in study.trials)
    if allowed is not None and ended > allowed:
        what = f"at most {allowed} trials may end, as sweeps/ says, but {ended} have"
        yield study.wrong("I21", "the study", what, f"write `trials: {ended}` or more; nothing is lost")


def _allowed(name: str, paths: Paths) -> int | None:
    """The `trials:` of the study's file, at the scale of that name; None where there is no such file or it is wrong."""
    for file in sorted(paths.sweeps.glob("*.yaml"), key=lambda file: -len(file.stem)):
        if not name.startswith(file.stem):
            continue
        try:
            studies = (load_study(file, paths.sweeps, scale) for scale in (None, *scales_of(file, paths.sweeps)))
            found = next((study.trials for study in studies if study.name == name), None)
        except OcrSweepError:
            continue
        if found is not None:
            return found
    return None


def _repeated(study: StudyEvidence, config: StudyConfig) -> Iterator[Violation]:
    """I22: no two trials tried one point of a space that has room for as many as one likes."""
    tried: dict[str, list[Trial]] = defaultdict(list)
    for trial in study.trials:
        spaces = [config.search.get(path) for path in trial.params]
        if trial.ran and any(isinstance(space, FloatRange) and space.low < space.high for space in spaces):
            tried[canonical_json(dict(trial.params))].append(trial)
    for trials in tried.values():
        if len(trials) > 1:
            numbers = " and ".join(str(trial.number) for trial in trials)
            what = f"each trial must try a point of its own, but trials {numbers} tried the same"
            do = "nothing is lost, but the budget bought less; report it: a resumed sampler must not propose its past again"
            yield study.wrong("I22", f"trial {trials[1].number}", what, do)
