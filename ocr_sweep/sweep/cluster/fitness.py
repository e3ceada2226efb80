"""Whether a cluster can have the trials of a study at all."""

from __future__ import annotations

from collections.abc import Sequence

from ocr_sweep.errors import OcrSweepError
from ocr_sweep.sweep.running.slots import Machine


def check_room(machines: Sequence[Machine], devices: int) -> None:
    """Refuse a cluster on which a study's trials can never run.

    Args:
        devices: those that a trial trains on.

    Raises:
        OcrSweepError: it has no machine for them, or not so many GPUs on any.
    """
    if not machines:
        raise OcrSweepError(
            "the cluster must have a node with a core for trials, but has none; join one: ray start --address=<head>:6379"
        )
    most = max(len(machine.gpus) for machine in machines)
    if 0 < most < devices:
        raise OcrSweepError(
            f"training.devices must be GPUs of one node, but it is {devices}, and no node has more than {most}; write so many"
        )
