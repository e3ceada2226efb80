"""The engine of a study on a cluster, from joining it to leaving it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ocr_sweep.corpus.jobs import Maker
from ocr_sweep.sweep.cluster.joining import joined
from ocr_sweep.sweep.running.engine import Engine


@contextmanager
def ray_engine(address: str, *, timm: bool, devices: int, data: Path) -> Iterator[tuple[Engine, Maker]]:
    """Join a cluster, and give an engine that starts trials there, and what makes images there.

    Args:
        address: see `joined`.
        timm: whether trials need timm.
        devices: those that a trial trains on.
        data: the driver's data root.

    Raises:
        OcrSweepError: Ray is not installed, the address is none, or no node can have trials.
        StoreError: the cluster or one of its nodes does not answer.
        ConflictError: a node runs another program.
    """
    with joined(address):
        from ocr_sweep.sweep.cluster.engine import RayEngine
        from ocr_sweep.sweep.cluster.making import ClusterMaker

        engine = RayEngine(timm=timm, data=data)
        try:
            engine.settle(devices)
            yield engine, ClusterMaker()
        finally:
            engine.close()
