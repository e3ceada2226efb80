"""Whose a checkpoint is: a training goes on with its own, and with no other's."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from ocr_sweep.config.fingerprint import fingerprint
from ocr_sweep.config.trial import TrialConfig
from ocr_sweep.errors import TrialFailedError
from ocr_sweep.models.checkpoint import load_checkpoint, save_checkpoint
from ocr_sweep.store import CorpusView

_FORMAT = 4  # of checkpoints; one of another format is not read


@dataclass(frozen=True)
class Origin:
    """What must be the same in two sessions of one training; each field but the last is a hash (64 hex digits)."""

    config: str  # without the parts in which batches pass, which may change when memory runs out
    corpus: str
    characters: str
    classes: int

    @classmethod
    def of(cls, config: TrialConfig, view: CorpusView) -> Origin:
        """That of a training."""
        asked = config.model_dump(mode="json")
        del asked["training"]["accumulate"]
        return cls(fingerprint(asked), view.fingerprint, fingerprint(view.chars), view.num_classes)

    def save(self, path: Path, state: dict[str, Any]) -> None:
        """Replace a checkpoint atomically.

        Raises:
            StoreError: the disk refuses; the former checkpoint is intact.
        """
        save_checkpoint(path, {"format": _FORMAT, "origin": asdict(self), **state})

    def load(self, path: Path, device: torch.device | None = None) -> dict[str, Any] | None:
        """Read a checkpoint; None when there is none, when its bytes are damaged, or when an older program wrote it.

        Raises:
            TrialFailedError: another training wrote it, say one on other characters.
        """
        state = load_checkpoint(path, device)
        if state is None or state.get("format") != _FORMAT:
            return None
        theirs = Origin(**state["origin"])
        if theirs != self:
            raise TrialFailedError(
                f"integrity: {path.name} must be what this trial itself has written, but {self._unlike(theirs)}; "
                "leave the files of a trial's folder where they are, and run the study under another name to train this one again"
            )
        return state

    def _unlike(self, theirs: Origin) -> str:
        if theirs.characters != self.characters:
            return f"its {theirs.classes:,} characters are not the {self.classes:,} of corpus {self.corpus[:12]}"
        if theirs.corpus != self.corpus:
            return f"it comes from corpus {theirs.corpus[:12]}, and this trial's is {self.corpus[:12]}"
        return "it comes from a trial with another configuration"
