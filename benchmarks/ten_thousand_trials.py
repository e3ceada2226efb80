"""A study of ten thousand trials: what it costs to ask for one and to tell its result, to resume, and in memory.

Nothing is trained: results are made up, and all of the rest is real: proposals, journal, pruner, a SQLite file. The reference is
Optuna by itself on that same database: `study.ask`, its suggestions, `report`, `should_prune` and `tell`.

Limits, at the median of the last thousand trials: ask and tell 100 ms, and together with a report no slower than bare Optuna;
a resume 10 s; memory 8 kB a trial. Those in seconds are on processor time: a busy machine or a slow disk is not the program's.

    .venv/bin/python benchmarks/ten_thousand_trials.py [--trials 10000] [--sampler tpe]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
import warnings
from dataclasses import dataclass, field
from pathlib import Path

import optuna

from ocr_sweep.config.load import load_study
from ocr_sweep.config.paths import Paths
from ocr_sweep.config.space import FloatRange
from ocr_sweep.config.study import StudyConfig
from ocr_sweep.sweep.search.samplers import distribution, make_sampler
from ocr_sweep.sweep.search.search import Search
from ocr_sweep.sweep.search.storage import open_study
from ocr_sweep.sweep.watching.board import Result
from ocr_sweep.tracking.record import Outcome

ASK_AND_TELL_MS, RESUME_SECONDS, KB_PER_TRIAL = 100.0, 10.0, 8.0
_BLOCK = 1000
_REFERENCE = 30  # trials of bare Optuna


@dataclass
class Costs:
    """Milliseconds of each trial."""

    ask_and_tell: list[float] = field(default_factory=list)
    report: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)  # of ask and tell

    def last(self, taken: list[float]) -> float:
        """The median of the last block."""
        return statistics.median(taken[-_BLOCK:])


def main() -> None:
    """Run the study, resume it, and ask Optuna itself."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--sampler", choices=["tpe", "random", "qmc", "nsga2"], default="tpe")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ocr-sweep-") as folder:
        (Path(folder) / "sweeps").mkdir()
        paths = Paths.find({"OCR_SWEEP_HOME": folder})
        study = _study(arguments.trials, arguments.sampler)
        costs, kb_per_trial = _run(study, paths)
        began = time.process_time()
        Search(study, open_study(study, paths, "corpus"), paths.optuna_url, _say)
        resume = time.process_time() - began
        theirs = _bare_optuna(study, paths)
    ours, report, processor = costs.last(costs.ask_and_tell), costs.last(costs.report), costs.last(costs.processor)
    ratio = (ours + report) / theirs
    _say("| sampler | trials | ask + tell | its processor time | report | of bare Optuna | resume | memory a trial |")
    _say(
        f"| {arguments.sampler} | {len(costs.report)} | {ours:.1f} ms | {processor:.1f} ms | {report:.1f} ms | {ratio:.2f} "
        f"| {resume:.1f} s | {kb_per_trial:.1f} kB |"
    )
    assert ratio <= 1.0, f"a trial must take no longer than with bare Optuna, but takes {ratio:.2f} of it"
    assert processor <= ASK_AND_TELL_MS, f"ask and tell must take at most {ASK_AND_TELL_MS:g} ms, but take {processor:.1f}"
    assert resume <= RESUME_SECONDS, f"a resume must take at most {RESUME_SECONDS:g} s, but takes {resume:.1f}"
    assert kb_per_trial <= KB_PER_TRIAL, (
        f"memory must grow by at most {KB_PER_TRIAL:g} kB a trial, but grows by {kb_per_trial:.1f}"
    )


def _study(trials: int, sampler: str) -> StudyConfig:
    """The default study with a pruner, one more number, and steps where a grid needs them."""
    sweeps = Path(__file__).parents[1] / "sweeps"
    data = load_study(sweeps / "unet_aug.yaml", sweeps).model_dump()
    data["trials"], data["sampler"] = trials, {"kind": sampler, "seed": 17}
    data["pruner"] = {"kind": "median", "warmup_epochs": 1, "startup_trials": 4}
    data["search"]["optim.lr"] = FloatRange(type="float", low=1e-4, high=1e-1, log=True).model_dump()
    return StudyConfig.model_validate(data)


def _run(study: StudyConfig, paths: Paths) -> tuple[Costs, float]:
    """The whole study; what each trial took, and how far the process grew for each after the first block."""
    search = Search(study, open_study(study, paths, "corpus"), paths.optuna_url, lambda sentence: None)
    costs, after_first = Costs(), 0.0
    while _trial(search, costs):
        done = len(costs.report)
        after_first = _memory_kb() if done == _BLOCK else after_first
        if done % _BLOCK == 0:
            block, memory = costs.last(costs.processor), _memory_kb() / 1024
            _say(f"{done} trials: ask and tell {block:.1f} ms of the processor, {memory:.0f} MB in all")
    return costs, (_memory_kb() - after_first) / max(1, study.trials - _BLOCK)


def _trial(search: Search, costs: Costs) -> bool:
    began, processor = time.perf_counter(), time.process_time()
    job = search.next_job()
    asked, processor = time.perf_counter(), time.process_time() - processor
    if job is None:
        return False
    value = _value(job.params)
    pruned = search.on_epoch(job, 1, {"epoch/val/accuracy_macro": value / 2})
    reported, processor = time.perf_counter(), time.process_time() - processor
    outcome = Outcome.PRUNED if pruned else Outcome.COMPLETE
    metrics = {} if pruned else {"val/accuracy_macro": value, "cost/parameters": 1.0}
    search.on_end(Result(job, f"{job.trial:032x}", outcome, metrics, ""))
    costs.ask_and_tell.append(1000 * (asked - began + time.perf_counter() - reported))
    costs.processor.append(1000 * (time.process_time() - processor))
    costs.report.append(1000 * (reported - asked))
    return True


def _value(params: dict[str, object]) -> float:
    numbers = [value for value in params.values() if isinstance(value, float)]
    return 1.0 / (1.0 + sum((number - 0.3) ** 2 for number in numbers))


def _bare_optuna(study: StudyConfig, paths: Paths) -> float:
    """The milliseconds that a trial takes with Optuna alone, on the same database."""
    warnings.simplefilter("ignore")
    opened = optuna.load_study(study_name=study.name, storage=paths.optuna_url, pruner=optuna.pruners.MedianPruner(4, 1))
    spaces = {path: distribution(space) for path, space in study.search.items()}
    taken = []
    for number in range(_REFERENCE):
        began = time.perf_counter()
        opened.sampler = make_sampler(study.sampler, number)
        trial = opened.ask(spaces)
        trial.report(0.5, 1)
        trial.should_prune()
        opened.tell(trial, 0.5)
        taken.append(1000 * (time.perf_counter() - began))
    return statistics.median(taken[1:])  # the first reads all trials


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _memory_kb() -> float:
    """Resident memory of this process."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
    return float(line.split()[1])


if __name__ == "__main__":
    main()
