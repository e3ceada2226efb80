"""How long a trial trains, on which images, and on what."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from ocr_sweep.config.block import Strict


class TrainingConfig(Strict):
    """How long, in what batches, how precisely, and on how many threads."""

    epochs: int = Field(ge=1, le=10_000)
    batch_size: int = Field(ge=2, le=8192)  # images per optimiser update, whatever `accumulate` is
    accumulate: int = Field(default=1, ge=1, le=4096)  # a batch passes in so many parts; batch norm sees the parts, not the batch
    # devices of one machine that share every batch, one process each; batch norm sees all of it on GPUs, but on a CPU, where
    # each device is a process of `threads` threads, the slice of each; the classifier stage runs on the first alone
    devices: int = Field(default=1, ge=1, le=64)
    images_per_epoch: int | None = Field(ge=2, le=100_000_000)  # null: as many as the training set has
    # progressive: from instance to class_balanced, a little more each epoch
    sampling: Literal["instance", "square_root", "class_balanced", "progressive"]
    threads: int = Field(ge=1, le=1024)  # CPU threads of this trial, for each of its devices; equal bits need equal threads
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"  # of the network's products in training; losses and judging stay fp32
    compile: bool = False  # torch.compile of the network that trains; the plain one is judged and exported
    fold: int = Field(default=0, ge=0, lt=50)  # the one that validates, where the corpus has folds
    augment_on: Literal["cpu", "batch"] = "cpu"  # cpu: image by image; batch: whole batches where the network is, GPU or CPU
    leave_out: list[Literal["rendered", "scanned", "generated"]] = Field(default_factory=list)  # sources that do not train

    @field_validator("leave_out")
    @classmethod
    def _something_is_left(cls, sources: list[str]) -> list[str]:
        if len(set(sources)) < len(sources):
            raise ValueError(f"must name each source once, but got {', '.join(sources)}")
        if len(sources) == 3:
            raise ValueError("must leave at least one source in, but got all three; take one out of the list")
        return sources

    @model_validator(mode="after")
    def _a_part_suits_batch_norm(self) -> TrainingConfig:
        if self.batch_size < 2 * self.accumulate:
            raise ValueError(
                "accumulate must leave every part of a batch at least 2 images, because batch norm cannot use one, "
                f"but got (batch_size={self.batch_size}, accumulate={self.accumulate}); write at most {self.batch_size // 2}"
            )
        if self.batch_size < 2 * self.accumulate * self.devices:
            got = f"(batch_size={self.batch_size}, accumulate={self.accumulate}, devices={self.devices})"
            raise ValueError(
                "devices must leave every device at least 2 images in each part of a batch, because batch norm cannot use one, "
                f"but got {got}; write at most {self.batch_size // (2 * self.accumulate)}"
            )
        return self

    @model_validator(mode="after")
    def _what_is_compiled_is_on_one_device(self) -> TrainingConfig:
        if self.compile and self.devices > 1:
            raise ValueError(
                f"compile must go with one device, but got (compile=true, devices={self.devices}); "
                "write compile: false or devices: 1"
            )
        return self
