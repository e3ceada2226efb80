"""What a corpus is made of: a charset, fonts, scans, and the sets it is judged on."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ocr_sweep.config.block import Identifier, Strict
from ocr_sweep.config.chars import charset_problem


class CharsetConfig(Strict):
    """The classes, in order: `class_id` is a character's place in `chars`."""

    chars: str = Field(min_length=2)  # one code point a class, no whitespace, no repeats, NFC

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        problem = charset_problem(self.chars)
        if problem:
            raise ValueError(problem)
        return self


StrokeWeight = Annotated[float, Field(ge=-0.05, le=0.05)]
"""Change of the width of every stroke as a share of the em: 0 as drawn, 0.015 bolder, -0.01 lighter."""


class RenderedConfig(Strict):
    """Glyphs drawn from fonts: the training source that always exists."""

    fonts: list[str] = Field(min_length=1)  # "system", or paths and globs under the data root
    max_faces: int = Field(
        ge=1, le=1000
    )  # at most so many faces: of each file the widest, the widest first; then the next of each
    faces_per_class: int | None = Field(default=None, ge=1, le=1000)  # at most so many faces of a class; null: all that draw it
    weights: list[StrokeWeight] = Field(default=[0.0], min_length=1, max_length=16)  # each glyph once in every weight

    @model_validator(mode="after")
    def _each_weight_once(self) -> Self:
        if len(set(self.weights)) < len(self.weights):
            raise ValueError(f"each stroke weight must stand here once, but got {self.weights}")
        return self


class SplitShares(Strict):
    """Shares of a scanned source that go to each split; whole groups move together."""

    train: float = Field(ge=0.0, le=1.0)
    val: float = Field(ge=0.0, le=1.0)
    test: float = Field(ge=0.0, le=1.0)

    @model_validator(mode="after")
    def _sum_to_one(self) -> Self:
        total = self.train + self.val + self.test
        if abs(total - 1.0) > 1e-6:
            raise ValueError(f"train + val + test must be 1, but got {total:g}")
        return self


class ScannedConfig(Strict):
    """Real images under the data root: `<CHARACTER or U+XXXX>/<image>`, or any images with a label CSV, or pages with boxes."""

    name: Identifier  # names the sets val/<name> and test/<name>
    path: str = Field(min_length=1)  # folder under the data root, or a .zip or .tar(.gz, .bz2, .xz) archive of it
    split: SplitShares
    group: str | None  # column (writer, page) of meta.csv, of `labels` or of `boxes`; null: each image or page is its own group
    max_bad: float = Field(ge=0.0, le=1.0)  # share of unreadable images that is left out instead of refused
    labels: str | None = None  # CSV in the folder with the columns file, label; null: the folders' names are the labels
    boxes: str | None = None  # CSV or COCO JSON in the folder that boxes the characters on page images; null: no pages
    box_margin: float = Field(default=0.1, ge=0.0, le=1.0)  # cut around a box on each side, as a share of its longer side
    train_only: str | None = None  # CSV in the folder with the column file: only these train; val and test stay; null: all
    decisions: str | None = Field(default=None, min_length=1)  # CSV under the data root: what people decided about single scans
    near_duplicates: bool = (
        True  # pictures that look alike are copies, in one split; false for type, whose prints all do: equal pixels
    )

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        if self.boxes is not None and self.labels is not None:
            raise ValueError("a source is read through `labels` or through `boxes`, but got both; write two sources")
        if self.boxes is not None and self.train_only is not None:
            raise ValueError(
                "`train_only` names image files, and the boxes of a page are none; take the boxes out of the file `boxes`"
            )
        return self


class GeneratedConfig(Strict):
    """A folder of images that a GAN drew, `<CHARACTER or U+XXXX>/<image>`, under the data root. They only ever train.

    Each image is taken for the em box of its character: 、 is to be small in it.
    """

    name: Identifier
    path: str = Field(min_length=1)  # folder under the data root
    per_class: int = Field(ge=1, le=100_000)  # at most so many images of a class, chosen by the recipe's seed
    fill: Literal["missing", "all"]  # missing: only characters that no training face draws
    max_bad: float = Field(ge=0.0, le=1.0)  # share of unreadable images that is left out instead of refused


class SimulatedConfig(Strict):
    """Glyphs of a held-out font under a degradation model, standing in for scans in val and test."""

    name: Identifier  # must begin with "simulated", so that no number hides what it is
    val_per_class: int = Field(ge=0, le=1000)
    test_per_class: int = Field(ge=0, le=1000)
    wear: float = Field(ge=0.0, le=1.0)  # strength of the degradation; 1: barely legible

    @model_validator(mode="after")
    def _says_so(self) -> Self:
        if not self.name.startswith("simulated"):
            raise ValueError(f"the name of a simulated set must begin with 'simulated', but got {self.name!r}")
        return self


class CorpusConfig(Strict):
    """A corpus recipe: what a trial learns from and is judged on."""

    name: Identifier
    seed: int = Field(ge=0, lt=2**31)
    image_size: int = Field(ge=16, le=512)  # side in pixels of the stored squares
    charset: CharsetConfig
    rendered: RenderedConfig | None
    scanned: list[ScannedConfig]
    scanned_per_class: int = Field(ge=0, le=100_000)  # at most so many scanned images of a class in training
    test_per_class: int | None = Field(default=None, ge=1, le=100_000)  # likewise in each named test set; null: all
    folds: int | None = Field(default=None, ge=2, le=50)  # cross-validation: what is not tested is cut into so many folds
    pseudo_tail: int = Field(default=0, ge=0, le=100_000)  # so many classes learn from no scan, to measure what that costs
    simulated: list[SimulatedConfig]
    generated: list[GeneratedConfig] = Field(default_factory=list)  # drawn by a GAN, for training alone

    @model_validator(mode="after")
    def _can_train_and_judge(self) -> Self:
        names = [name for block in (self.scanned, self.simulated, self.generated) for name in (source.name for source in block)]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"each source must have a name of its own, but got twice: {', '.join(repeated)}")
        clash = sorted(source.name for source in self.scanned if source.name.startswith("simulated"))
        if clash:
            raise ValueError(f"only simulated sets may be named so, but got a scanned source {', '.join(clash)}")
        if self.rendered is None and not self.generated and not any(source.split.train > 0 for source in self.scanned):
            raise ValueError(
                "a corpus needs a training source: give `rendered`, `generated`, or a scanned source with split.train > 0"
            )
        if self.rendered is None and self.simulated:
            raise ValueError("simulated sets are drawn from fonts: give `rendered`, or an empty list for `simulated`")
        for split in ("val", "test"):
            scans = any(getattr(source.split, split) > 0 for source in self.scanned)
            drawn = any(getattr(source, f"{split}_per_class") > 0 for source in self.simulated)
            if not scans and not drawn:
                raise ValueError(
                    f"a corpus needs at least one {split} set: give {split} a share of a scanned or simulated source"
                )
        return self

    @model_validator(mode="after")
    def _scans_to_fold_and_to_hide(self) -> Self:
        trains = any(source.split.train > 0 for source in self.scanned)
        if self.folds is not None and not trains:
            raise ValueError("`folds` cuts training scans, but no scanned source has split.train > 0; leave `folds` out")
        listed = [source.name for source in self.scanned if source.train_only]
        if self.folds is not None and listed:
            raise ValueError(f"`folds` and `train_only` (of {', '.join(listed)}) exclude each other: leave one out")
        if self.pseudo_tail and not trains:
            raise ValueError("`pseudo_tail` hides training scans, but no scanned source has split.train > 0; leave it out")
        if self.pseudo_tail and self.rendered is None:
            raise ValueError("the classes of the pseudo-tail learn from fonts: give `rendered`, or leave `pseudo_tail` out")
        return self
