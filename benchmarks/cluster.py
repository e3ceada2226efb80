"""Trials by Ray beside trials by the local engine: the same small study, on this machine, over a corpus that is there already.

Runs the six trainings of `workers.py`, two at a time, and their confirmation, with either engine in turn, three times, always in
a new project, and prints one JSON line with

- the trainings a minute, from the first training's start to the last one's end: the best of three, and their ratio. Limit: with
  Ray at least 0.8 times as many, because each of its places pays its imports once;
- the seconds from the command to the first training: what joining a cluster costs, with the cluster's own start.

Needs the extra `ray`.

    .venv/bin/python benchmarks/cluster.py [--rounds 3]
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

from workers import Times, project, study

from ocr_sweep.sweep.stored.corpora import open_corpus
from ocr_sweep.sweep.study_loop import run_study

LEAST = 0.8
AT_A_TIME = 2
ENGINES = {"local": None, "ray": "local"}  # and the address of the cluster


def measure(folder: Path, corpora: Path, cluster: str | None) -> tuple[float, float]:
    """Run the study; gives trainings a minute, and seconds to the first one."""
    paths = project(folder)
    paths.mlruns.mkdir()
    paths.corpora.symlink_to(corpora)
    times, began = Times(), time.monotonic()
    run_study(study(AT_A_TIME), paths, times, cluster)
    return times.per_minute(), times.started_at[0] - began


def main() -> int:
    """Measure, print one JSON line, and fail when the limit is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    load = os.getloadavg()[0]
    rates: dict[str, list[float]] = {engine: [] for engine in ENGINES}
    starts: dict[str, list[float]] = {engine: [] for engine in ENGINES}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["OCR_SWEEP_SCRATCH"] = str(folder / "scratch")
        first = project(folder / "corpus")
        corpora = open_corpus(study(AT_A_TIME).base.corpus, first, lambda what, done, total: None).path.parent
        for turn in range(rounds):
            for engine, cluster in ENGINES.items():
                rate, start = measure(folder / f"{engine}_{turn}", corpora, cluster)
                rates[engine].append(rate)
                starts[engine].append(start)
    ratio = max(rates["ray"]) / max(rates["local"])
    found = {
        "trainings_per_minute": {engine: [round(rate, 1) for rate in each] for engine, each in rates.items()},
        "ray_of_local": round(ratio, 2),
        "seconds_to_the_first_training": {engine: [round(start, 1) for start in each] for engine, each in starts.items()},
        "cores": len(os.sched_getaffinity(0)),
        "load_before": round(load, 1),
        "missed": ["ray"] if ratio < LEAST else [],
    }
    print(json.dumps(found))  # noqa: T201
    return 1 if found["missed"] else 0


if __name__ == "__main__":
    sys.exit(main())
