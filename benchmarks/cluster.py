"""Trials by Ray beside trials by the local engine: the same small study, on this machine, over a corpus that is there already.

Runs twelve trainings like those of `workers.py`, two at a time, and their confirmation, with either engine in turn, three times,
always in a new project, and prints one JSON line with

- the trainings a minute after the first four: by then each of Ray's places has paid its imports, and paid them again when the
  first trainings' memory was measured. The best of three, and their ratio. Limit: with Ray at least 0.8 times as many;
- the seconds from the command to the first training's start, and to the end: what joining a cluster costs once, with the
  cluster's own start.

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

LEAST = 0.8
AT_A_TIME, TRIALS, AFTER = 2, 12, 4
ENGINES = {"local": None, "ray": "local"}  # and the address of the cluster


def main() -> int:
    """Measure, print one JSON line, and fail when the limit is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    from small_studies import build_corpora, measure, study  # not at the top: it says why

    load = os.getloadavg()[0]
    rates: dict[str, list[float]] = {engine: [] for engine in ENGINES}
    starts: dict[str, list[float]] = {engine: [] for engine in ENGINES}
    ends: dict[str, list[float]] = {engine: [] for engine in ENGINES}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["OCR_SWEEP_SCRATCH"] = str(folder / "scratch")
        corpora = build_corpora(folder / "corpus")
        for turn in range(rounds):
            for engine, cluster in ENGINES.items():
                began = time.monotonic()
                times = measure(folder / f"{engine}_{turn}", study(AT_A_TIME, TRIALS), corpora, cluster=cluster)
                rates[engine].append(times.per_minute(AFTER))
                starts[engine].append(times.started_at[0] - began)
                ends[engine].append(time.monotonic() - began)
    ratio = max(rates["ray"]) / max(rates["local"])
    found = {
        "trainings_per_minute": {engine: [round(rate, 1) for rate in each] for engine, each in rates.items()},
        "ray_of_local": round(ratio, 2),
        "seconds_to_the_first_training": {engine: [round(start, 1) for start in each] for engine, each in starts.items()},
        "seconds": {engine: [round(end, 1) for end in each] for engine, each in ends.items()},
        "cores": len(os.sched_getaffinity(0)),
        "load_before": round(load, 1),
        "missed": ["ray"] if ratio < LEAST else [],
    }
    print(json.dumps(found))  # noqa: T201
    return 1 if found["missed"] else 0


if __name__ == "__main__":
    sys.exit(main())
