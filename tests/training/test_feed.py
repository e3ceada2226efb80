from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from scipy import stats

from ocr_sweep.config.trial import TrialConfig
from ocr_sweep.errors import DataError
from ocr_sweep.store import CorpusView, Source
from ocr_sweep.training.feed import Batch, Feed, draw_order, sampling_weights, to_tensor, training_indices

MakeFeed = Callable[..., Feed]


@pytest.fixture
def make_feed(tiny_corpus: CorpusView, make_trial: Callable[..., TrialConfig]) -> MakeFeed:
    def make(image_size: int = 16, view: CorpusView = tiny_corpus, **training: object) -> Feed:
        config = make_trial({f"training.{key}": value for key, value in training.items()})
        return Feed(view, config.training, config.augment, seed=config.seed, image_size=image_size)

    return make


def equal(a: Batch, b: Batch) -> bool:
    return all(torch.equal(getattr(a, name), getattr(b, name)) for name in ("images", "clean", "labels"))


@pytest.mark.parametrize("num_draws", [1, 10, 11, 25, 30])
def test_every_image_comes_once_before_any_comes_twice(num_draws: int) -> None:
    order = draw_order(10, num_draws, None, seed=0, epoch=0)
    assert len(order) == num_draws
    for first in range(0, num_draws, 10):
        assert len(set(order[first : first + 10].tolist())) == min(10, num_draws - first)


def test_an_order_is_a_function_of_seed_and_epoch() -> None:
    orders = {(seed, epoch): draw_order(50, 50, None, seed=seed, epoch=epoch).tolist() for seed in (0, 1) for epoch in (0, 1)}
    assert orders[0, 1] == draw_order(50, 50, None, seed=0, epoch=1).tolist()
    assert len({tuple(order) for order in orders.values()}) == 4


@pytest.mark.parametrize(("sampling", "power"), [("square_root", 0.5), ("class_balanced", 0.0)])
def test_classes_come_as_often_as_the_sampling_says(sampling: str, power: float) -> None:
    counts = np.array([1, 4, 25, 100])
    labels = np.repeat(np.arange(4), counts)
    weights = sampling_weights(labels, sampling)
    assert weights is not None and weights.sum() == pytest.approx(1.0)
    drawn = np.bincount(labels[draw_order(len(labels), 20_000, weights, seed=0, epoch=0)], minlength=4)
    expected = counts**power / (counts**power).sum() * 20_000
    assert stats.chisquare(drawn, expected).pvalue > 0.001
    other = counts ** (0.5 - power) / (counts ** (0.5 - power)).sum() * 20_000
    assert stats.chisquare(drawn, other).pvalue < 1e-9  # the test would see it


def test_sources_that_are_left_out_do_not_train(make_feed: MakeFeed, tiny_corpus: CorpusView) -> None:
    everything, rendered = tiny_corpus.indices("train"), training_indices(tiny_corpus, ["scanned", "generated"])
    assert np.array_equal(training_indices(tiny_corpus, []), everything)
    assert set(tiny_corpus.rows["source"][rendered]) == {Source.RENDERED}
    assert len(rendered) == 48 < len(everything)
    limits = {"leave_out": ["scanned"], "images_per_epoch": None}
    assert make_feed(**limits).batches_per_epoch == 3  # of 16


def test_a_class_that_would_lose_every_image_is_named(make_feed: MakeFeed) -> None:
    with pytest.raises(DataError, match=r"leave_out: \[rendered\]` must leave every class .* 2 of 8 .*: 田 U\+7530, 木"):
        make_feed(leave_out=["rendered"])


def test_leaving_out_everything_is_refused(make_trial: Callable[..., TrialConfig]) -> None:
    with pytest.raises(ValidationError, match="at least one source"):
        make_trial({"training.leave_out": ["rendered", "scanned", "generated"]})
    with pytest.raises(ValidationError, match="each source once"):
        make_trial({"training.leave_out": ["generated", "generated"]})


def test_generated_images_are_distorted_at_their_own_strength(
    tiny_corpus: CorpusView, make_trial: Callable[..., TrialConfig]
) -> None:
    rows = np.array(tiny_corpus.rows)
    rows["source"][tiny_corpus.indices("train")] = Source.GENERATED
    view = replace(tiny_corpus, rows=rows)
    for strength in (0.0, 1.0):
        config = make_trial({"augment.generated": {"strength": strength}, "augment.rendered.strength": 0.5})
        batch = Feed(view, config.training, config.augment, seed=0, image_size=16).batch(0, 0)
        assert torch.equal(batch.images, batch.clean) == (strength == 0.0)


@pytest.mark.parametrize(("epoch", "progress"), [(0, 0.0), (5, 0.5), (10, 1.0)])
def test_progressive_sampling_goes_from_instance_to_class_balanced(
    epoch: int, progress: float, make_feed: MakeFeed, tiny_corpus: CorpusView
) -> None:
    """p(t) = (1 - t) n_j / N + t / K, t from 0 in the first epoch to 1 in the last."""
    rows = np.array(tiny_corpus.rows)
    train = tiny_corpus.indices("train")
    rows["class_id"][train[10:]] = np.where(np.arange(len(train) - 10) < 60, 2, 3)
    rows["class_id"][train[:10]] = np.repeat([0, 1], 5)
    view = replace(tiny_corpus, rows=rows)
    counts = np.bincount(view.class_ids[train])
    assert counts.tolist() == [5, 5, 60, 14]
    feed = make_feed(view=view, sampling="progressive", epochs=11, images_per_epoch=20_000)
    drawn = np.bincount(view.class_ids[train][feed._draw(epoch)], minlength=4)
    expected = 20_000 * ((1 - progress) * counts / len(train) + progress / 4)
    assert stats.chisquare(drawn, expected).pvalue > 0.001
    other = 20_000 * (progress * counts / len(train) + (1 - progress) / 4)
    assert progress == 0.5 or stats.chisquare(drawn, other).pvalue < 1e-9


def test_within_a_class_all_images_come_equally_often() -> None:
    labels = np.repeat([0, 1], [5, 50])
    drawn = draw_order(55, 20_000, sampling_weights(labels, "class_balanced"), seed=0, epoch=0)
    assert stats.chisquare(np.bincount(drawn)[:5]).pvalue > 0.001 and stats.chisquare(np.bincount(drawn)[5:]).pvalue > 0.001


def test_an_instance_comes_as_it_is() -> None:
    assert sampling_weights(np.array([0, 0, 1]), "instance") is None


def test_a_batch_is_a_function_of_its_place_alone(make_feed: MakeFeed) -> None:
    one, other = make_feed(), make_feed()
    forward = {(epoch, number): one.batch(epoch, number) for epoch in (0, 1) for number in (0, 1, 2)}
    for place in reversed(forward):
        assert equal(other.batch(*place), forward[place])
    assert not equal(forward[0, 0], forward[1, 0]) and not equal(forward[0, 0], forward[0, 1])


@pytest.mark.parametrize(
    ("images_per_epoch", "batch_size", "sizes"),
    [(48, 16, [16, 16, 16]), (34, 16, [16, 16, 2]), (33, 16, [16, 16]), (9, 16, [9]), (None, 50, [50, 34]), (100, 64, [64, 36])],
)
def test_an_epoch_is_cut_into_batches_and_never_into_one_image(
    images_per_epoch: int | None, batch_size: int, sizes: list[int], make_feed: MakeFeed
) -> None:
    feed = make_feed(images_per_epoch=images_per_epoch, batch_size=batch_size)
    assert [len(feed.batch(0, number).labels) for number in range(feed.batches_per_epoch)] == sizes


def test_a_whole_epoch_holds_every_training_image_with_its_own_label(make_feed: MakeFeed, tiny_corpus: CorpusView) -> None:
    feed = make_feed(images_per_epoch=None, batch_size=20)
    batches = [feed.batch(2, number) for number in range(feed.batches_per_epoch)]
    came = [(image.tobytes(), label) for b in batches for image, label in zip(_bytes(b.clean), b.labels.tolist(), strict=True)]
    train = tiny_corpus.indices("train")
    stored = [(np.asarray(tiny_corpus.images[i]).tobytes(), int(tiny_corpus.class_ids[i])) for i in train]
    assert sorted(came) == sorted(stored)


def _bytes(images: torch.Tensor) -> NDArray[np.uint8]:
    return (images[:, 0] * 255).round().numpy().astype(np.uint8)


def test_only_a_source_with_a_strength_is_distorted(make_feed: MakeFeed, tiny_corpus: CorpusView) -> None:
    """In the tiny trial rendered images have strength 0.2 and scanned ones 0."""
    batch = make_feed(images_per_epoch=None, batch_size=84).batch(0, 0)
    same = (batch.images == batch.clean).flatten(1).all(dim=1)
    stored = {
        np.asarray(tiny_corpus.images[i]).tobytes(): int(tiny_corpus.rows["source"][i]) for i in tiny_corpus.indices("train")
    }
    sources = torch.tensor([stored[image.tobytes()] for image in _bytes(batch.clean)])
    assert same[sources == 1].all() and same[sources == 0].float().mean() < 0.6
    assert float(batch.images.min()) >= 0 and float(batch.images.max()) <= 1


def test_images_are_resized_to_what_the_network_sees(make_feed: MakeFeed) -> None:
    batch = make_feed(image_size=24).batch(0, 0)
    assert batch.images.shape == batch.clean.shape == (16, 1, 24, 24)
    assert to_tensor(np.full((1, 16, 16), 255, np.uint8), 24).min() == 1.0


def test_too_few_images_are_refused(make_feed: MakeFeed, tiny_corpus: CorpusView) -> None:
    rows = np.array(tiny_corpus.rows)
    rows["set_id"][1:] = 3
    with pytest.raises(DataError, match="a training set must hold at least 2 images, but got 1"):
        make_feed(view=replace(tiny_corpus, rows=rows))


def test_whole_batches_are_augmented_as_single_images_are(make_feed: MakeFeed) -> None:
    one, other = make_feed().batch(1, 0), make_feed(augment_on="batch").batch(1, 0)
    assert torch.equal(one.clean, other.clean) and torch.equal(one.labels, other.labels)
    assert not torch.equal(other.images, other.clean)
    apart = (one.images - other.images).abs().flatten(1).mean(dim=1) * 255
    assert apart.median() < 0.1 and apart.max() < 8
    larger = make_feed(image_size=24, augment_on="batch").batch(1, 0).images
    assert larger.shape == (16, 1, 24, 24)
    assert (larger - make_feed(image_size=24).batch(1, 0).images).abs().mean() * 255 < 0.5
