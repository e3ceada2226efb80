"""What each training of a study needs: cores and GPUs by its configuration, memory as it was measured or is predicted."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ocr_sweep.config.trial import TrialConfig
from ocr_sweep.sweep.running.run_tags import run_params
from ocr_sweep.sweep.running.slots import Need
from ocr_sweep.tracking.record import RunRecord
from ocr_sweep.training.memory import predicted_mb, step_memory

PEAK = "memory/peak_mb"
_DECIDES = ("model.", "image_size", "optim.ema_decay", "optim.handover_to", "training.")  # parameters that memory hangs on
_BUT_NOT = ("training.epochs", "training.images_per_epoch", "training.sampling", "training.fold", "training.leave_out")
_PROCESS_MB = 600.0  # of a trial beside its tensors: its interpreter, its libraries' data, its images at hand
_GPU_CONTEXT_MB = 600.0  # what CUDA takes of a GPU for each process
_HOST_MB = 2000.0  # of the machine, for each process whose tensors are on a GPU
_MARGIN = 1.15  # a prediction knows no workspaces, a measurement no other seed

Key = tuple[tuple[str, str], ...]


@dataclass
class Needs:
    """Knows what trainings take; one that resembles an earlier one takes what that one took.

    Args:
        count_cores: whether trainings share the cores out; not where the study says how many run at a time.
        gpu_share: of a GPU, for a training on one device.
    """

    num_classes: int
    count_cores: bool = True
    gpu_share: float = 1.0
    _peaks: dict[Key, float] = field(default_factory=dict)
    _predicted: dict[Key, float] = field(default_factory=dict)

    def learn(self, records: Iterable[RunRecord]) -> None:
        """Take in what former trainings of the study took."""
        for record in records:
            if record.complete and PEAK in record.metrics:
                self.measured(_key(record.params), record.metrics[PEAK])

    def heard(self, config: TrialConfig, metrics: dict[str, float]) -> None:
        """Take in what a training has just taken."""
        if PEAK in metrics:
            self.measured(_key(run_params(config)), metrics[PEAK])

    def measured(self, key: Key, peak_mb: float) -> None:
        """Keep the most that trainings of one kind took."""
        self._peaks[key] = max(peak_mb, self._peaks.get(key, 0.0))

    def of(self, config: TrialConfig, *, on_gpus: bool, with_memory: bool = True) -> Need:
        """What a training takes.

        Args:
            on_gpus: whether trainings run on GPUs here; then what was measured and predicted is memory of theirs.
            with_memory: else it counts as none, and need not be predicted, which takes seconds for a new network.
        """
        training = config.training
        cores = training.threads * training.devices if self.count_cores else 0
        if not with_memory:
            return Need(cores, 0.0, training.devices, self.gpu_share)
        tensors_mb, devices = self._tensors_mb(config, on_gpus), training.devices
        if on_gpus:
            return Need(cores, _HOST_MB * devices, devices, self.gpu_share, tensors_mb + _GPU_CONTEXT_MB)
        return Need(cores, in_steps(tensors_mb * devices), devices, self.gpu_share)

    def _tensors_mb(self, config: TrialConfig, on_gpus: bool) -> float:
        """Of one device: what a training like this one took, or what it is predicted to take."""
        key = _key(run_params(config))
        if key in self._peaks:
            return _MARGIN * self._peaks[key]
        if key not in self._predicted:
            self._predicted[key] = predicted_mb(step_memory(config, self.num_classes), config.optim)
        process_mb = 0.0 if on_gpus else _PROCESS_MB  # which a measurement holds
        return _MARGIN * self._predicted[key] + process_mb


def in_steps(megabytes: float) -> float:
    """Round up to an eighth of a power of two: from one megabyte on, at most an eighth more.

    Measurements of one kind of training differ a little; what is held for it should not, so that the next takes the same place.
    """
    step = 2.0 ** (math.floor(math.log2(max(1.0, megabytes))) - 3)
    return math.ceil(megabytes / step) * step


def _key(params: Mapping[str, object]) -> Key:
    """What two trainings must have in common to take the same memory."""
    return tuple(
        (name, str(value)) for name, value in sorted(params.items()) if name.startswith(_DECIDES) and name not in _BUT_NOT
    )
