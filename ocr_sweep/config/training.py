"""How long a trial trains, on which images, and on what."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from ocr_sweep.config.block import Strict


class TrainingConfig(Strict):
    """How long, in what batches, and on how many threads."""

    epochs: int = Field(ge=1, le=10_000)
    batch_size: int = Field(ge=2, le=8192)
    images_per_epoch: int | None = Field(ge=2, le=100_000_000)  # null: as many as the training set has
    sampling: Literal["instance", "square_root", "class_balanced"]
    threads: int = Field(ge=1, le=1024)  # CPU threads of this trial; equal bits need equal threads
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
