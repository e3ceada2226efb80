"""Trials side by side: what more workers gain, what they share, and how soon one that died is back.

Runs small real trainings of the shipped U-Net encoder as a study of 1, 2 and 4 workers, each in a new project over the same
corpus, and prints one JSON line with

- the trainings a minute with each number of workers, from the first training's start to the last one's end, and their ratios.
  Limits: 2 workers make at least 1.5 times the trainings of 1 where there are 2 cores, 4 at least 0.9 times those of 2;
- the memory that the corpus takes with 1 and with 4 trials, by proportional set size (PSS): what several processes share counts
  once. Limit: 1.2 times;
- the seconds from a trial's SIGKILL to its next process, and to that one's first batch, the medians of three. Limit: 1 second to
  the process.

    .venv/bin/python benchmarks/workers.py
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
from pathlib import Path

LEAST_OF_TWO, LEAST_OF_FOUR, MOST_MEMORY, MOST_SECONDS = 1.5, 0.9, 1.2, 1.0
WORKERS = (1, 2, 4)


def main() -> int:
    """Measure, print one JSON line, and fail when a limit is missed."""
    from small_studies import CorpusMemory, Killer, build_corpora, measure, study  # not at the top: it says why

    load, cores = os.getloadavg()[0], len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        corpora = build_corpora(folder / "corpus")
        rates, memory = {}, {}
        for workers in WORKERS:
            here = folder / f"of_{workers}"
            observer = CorpusMemory(here / "mlruns" / "work", workers)
            rates[workers] = measure(here, study(workers), corpora, observer).per_minute()
            memory[workers] = observer.most_mb
        killer = Killer(folder / "killed" / "mlruns" / "work" / "workers_1")
        measure(folder / "killed", study(1), corpora, killer)
    back, working = statistics.median(killer.back), statistics.median(killer.working)
    missed = {
        "two workers": cores >= 2 and rates[2] < LEAST_OF_TWO * rates[1],
        "four workers": rates[4] < LEAST_OF_FOUR * rates[2],
        "memory": memory[4] > MOST_MEMORY * memory[1],
        "restart": back > MOST_SECONDS,
    }
    found = {
        "trainings_per_minute": {workers: round(rate, 1) for workers, rate in rates.items()},
        "two_of_one": round(rates[2] / rates[1], 2),
        "four_of_two": round(rates[4] / rates[2], 2),
        "corpus_pss_mb": {workers: round(value, 1) for workers, value in memory.items()},
        "memory_ratio": round(memory[4] / memory[1], 3),
        "restart_seconds": round(back, 2),
        "seconds_to_the_first_batch": round(working, 2),
        "cores": cores,
        "load_before": round(load, 1),
        "missed": [what for what, is_missed in missed.items() if is_missed],
    }
    print(json.dumps(found))  # noqa: T201
    return 1 if found["missed"] else 0


if __name__ == "__main__":
    sys.exit(main())
