"""What a classification loss is: its kind, its prior, its weights, and how soft its targets are."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from ocr_sweep.config.block import Strict
from ocr_sweep.config.data_file import DataFile

LossKind = Literal["cross_entropy", "bce"]


class SimilarityConfig(Strict):
    """A part of each target's mass goes to the characters that look like its own; or, as controls, elsewhere.

    Taking mass from neighbours (anti) rewards distance without end: its loss may fall below 0, and its mass should be small.
    """

    mass: float = Field(default=0.08, gt=0.0, le=0.5)  # probability mass of a class's neighbours
    neighbours: int = Field(default=10, ge=1, le=50)  # so many of a class at most
    perplexity: float | None = Field(default=4.0, ge=1.0, le=50.0)  # of a class's weights; null: in proportion to similarity
    arm: Literal["similar", "anti", "random"] = "similar"  # anti: mass is taken from neighbours; random: others in their place
    source: Literal["rendered", "file"] = "rendered"  # the corpus's own rendered glyphs, or `file`
    file: DataFile | None = None  # ids.txt of cjkvi-ids, Unihan_Variants.txt, or lines char<TAB>char<TAB>weight

    @model_validator(mode="after")
    def _file_where_it_is_read(self) -> Self:
        if (self.source == "file") != (self.file is not None):
            came = "no file" if self.file is None else f"file {self.file.file}"
            raise ValueError(
                f"file must be given exactly when source is 'file', but got source {self.source!r} with {came}; mend one of them"
            )
        if self.perplexity is not None and self.perplexity > self.neighbours:
            raise ValueError(
                f"perplexity must be at most the number of neighbours, but got {self.perplexity:g} with {self.neighbours}; "
                "lower it or ask for more neighbours"
            )
        return self


class LossConfig(Strict):
    """The classification loss.

    What knows how often a class comes (adjustment, class weights, label-aware smoothing) counts n = real + prior_synthetic *
    synthetic training images.
    """

    kind: LossKind
    label_smoothing: float = Field(ge=0.0, le=0.9)  # probability mass spread over all classes
    label_smoothing_tail: float | None = Field(default=None, ge=0.0, le=0.9)  # that of the rarest class; null: the same for all
    adjustment: float = Field(default=0.0, ge=0.0, le=4.0)  # tau of the prior that is added to the logits; 0: none
    prior_synthetic: float = Field(default=1.0, gt=0.0, le=1.0)  # kappa: a synthetic image counts as so many real ones
    class_weights_beta: float | None = Field(default=None, ge=0.0, lt=1.0)  # of the effective number; null: no weights
    similarity: SimilarityConfig | None = None  # null: no mass for look-alikes

    @property
    def knows_frequencies(self) -> str | None:
        """The key by which the loss makes up for class frequencies; None when it does not."""
        if self.adjustment > 0:
            return "adjustment"
        return "class_weights_beta" if self.class_weights_beta is not None else None

    @model_validator(mode="after")
    def _adjusted_once(self) -> Self:
        if self.adjustment > 0 and self.class_weights_beta is not None:
            raise ValueError(
                "adjustment and class_weights_beta both make up for class frequencies, and that must happen once, but got "
                f"{self.adjustment:g} and {self.class_weights_beta:g}; set adjustment to 0 or class_weights_beta to null"
            )
        return self

    @model_validator(mode="after")
    def _mass_is_at_most_one(self) -> Self:
        uniform = max(self.label_smoothing, self.label_smoothing_tail or 0.0)
        if self.similarity is not None and uniform + self.similarity.mass > 1:
            raise ValueError(
                f"label smoothing and similarity.mass must sum to at most 1, but got {uniform:g} + {self.similarity.mass:g}; "
                "lower one of them"
            )
        return self
