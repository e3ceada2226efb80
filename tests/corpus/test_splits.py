"""Groups stay whole, shares and caps hold, and a planted leak is caught."""

from __future__ import annotations

import numpy as np
import pytest
from store_files import make_rows

from ocr_sweep.config.corpus import SplitShares
from ocr_sweep.corpus.audit import check_leaks
from ocr_sweep.corpus.splits import assign_parts, assign_splits, choose_pseudo_tail, take_turns, unite
from ocr_sweep.errors import DataError
from ocr_sweep.store import Source, first_of_each_class

SHARES = SplitShares(train=0.6, val=0.2, test=0.2)


def splits_of(groups: np.ndarray, classes: np.ndarray, shares: SplitShares, *, seed: int, must_train: set[int]) -> np.ndarray:
    splits, folds = assign_splits(groups, classes, shares, folds=None, seed=seed, must_train=must_train)
    assert (folds == -1).all()
    return splits


def test_groups_unite_over_both_keys() -> None:
    assert unite(["a", "b", "c", "a", "d"], ["1", "2", "2", "3", "3"]).tolist() == [0, 1, 1, 0, 0]


def test_no_group_is_torn_and_shares_hold() -> None:
    rng = np.random.default_rng(0)
    groups, classes = rng.integers(0, 60, 3000), rng.integers(0, 30, 3000)
    splits = splits_of(groups, classes, SHARES, seed=1, must_train=set())
    assert all(len(set(splits[groups == group])) == 1 for group in range(60))
    np.testing.assert_allclose(np.bincount(splits) / 3000, [0.6, 0.2, 0.2], atol=0.03)


def test_single_images_are_split_within_each_class() -> None:
    classes = np.repeat(np.arange(40), 20)
    splits = splits_of(np.arange(800), classes, SHARES, seed=1, must_train=set())
    for label in range(40):
        np.testing.assert_allclose(np.bincount(splits[classes == label], minlength=3), [12, 4, 4], atol=1)


def test_a_long_tail_keeps_the_shares() -> None:
    classes = np.concatenate([np.arange(300), np.repeat(np.arange(300, 330), 20)])
    splits = splits_of(np.arange(900), classes, SHARES, seed=1, must_train=set())
    np.testing.assert_allclose(np.bincount(splits) / 900, [0.6, 0.2, 0.2], atol=0.05)


def test_a_class_that_nothing_else_teaches_goes_to_train_first() -> None:
    classes = np.arange(50)
    splits = splits_of(np.arange(50), classes, SHARES, seed=1, must_train=set(range(25)))
    assert (splits[:25] == 0).all() and np.bincount(splits).tolist() == [30, 10, 10]


def test_a_share_of_zero_gets_nothing() -> None:
    only_test = SplitShares(train=0.0, val=0.0, test=1.0)
    assert (splits_of(np.arange(9), np.arange(9), only_test, seed=1, must_train={0}) == 2).all()


def test_the_seed_decides() -> None:
    classes = np.repeat(np.arange(10), 10)
    a, b, c = (splits_of(np.arange(100), classes, SHARES, seed=seed, must_train=set()) for seed in (1, 1, 2))
    assert (a == b).all() and (a != c).any()


def test_the_cap_takes_turns_between_sources() -> None:
    classes, sources = [0] * 30 + [1] * 2, [0] * 25 + [1] * 5 + [0] * 2
    places = take_turns(classes, sources, [str(i) for i in range(32)], seed=3)
    kept = first_of_each_class(np.array(classes), places, 8)
    assert sorted(places[:30]) == list(range(30)) and sorted(places[30:]) == [0, 1]
    assert [kept[:25].sum(), kept[25:30].sum(), kept[30:].sum()] == [4, 4, 2]


def rows(groups: list[int], source: Source = Source.SCANNED) -> np.ndarray:
    return make_rows([(0, source, 0, group) for group in groups])


def test_a_planted_duplicate_is_caught() -> None:
    with pytest.raises(DataError, match="same image: a in train and c in test"):
        check_leaks(rows([0, 1, 2]), ["train", "val", "test"], [b"x", b"y", b"x"], ["a", "b", "c"])


def test_a_planted_group_is_caught() -> None:
    with pytest.raises(DataError, match="same group: a in train and b in val"):
        check_leaks(rows([0, 0, 2]), ["train", "val", "test"], [b"x", b"y", b"z"], ["a", "b", "c"])


def test_copies_within_one_split_are_no_leak() -> None:
    check_leaks(rows([0, 0]), ["val", "val"], [b"x", b"x"], ["a", "b"])


def test_a_leak_of_simulated_scans_says_what_to_change() -> None:
    with pytest.raises(DataError, match="raise `wear`"):
        check_leaks(rows([0, 1], Source.SIMULATED), ["val", "test"], [b"x", b"x"], ["a", "b"])


def test_folds_take_turns_and_share_no_group() -> None:
    rng = np.random.default_rng(0)
    groups, classes = rng.integers(0, 200, 4000), rng.integers(0, 20, 4000)
    splits, folds = assign_splits(groups, classes, SHARES, folds=4, seed=1, must_train=set())
    np.testing.assert_allclose(np.bincount(splits) / 4000, [0.6, 0.2, 0.2], atol=0.03)
    np.testing.assert_allclose(np.bincount(folds + 1) / 4000, [0.2, 0.2, 0.2, 0.2, 0.2], atol=0.03)
    assert all(len(set(folds[groups == group])) == 1 for group in range(200))
    assert ((splits == 1) == (folds == 0)).all() and ((splits == 2) == (folds == -1)).all()
    for label in range(20):  # each fold holds its part of each class
        assert np.bincount(folds[(classes == label) & (folds >= 0)], minlength=4).min() > 20


def test_what_must_train_is_in_no_fold() -> None:
    splits, folds = assign_splits(np.arange(50), np.arange(50), SHARES, folds=4, seed=1, must_train=set(range(25)))
    assert (folds[:25] == -1).all() and (splits[:25] == 0).all() and (folds[25:] >= 0).any()


def test_parts_hold_their_shares() -> None:
    parts = assign_parts(np.arange(1000), np.repeat(np.arange(10), 100), (0.1, 0.2, 0.3, 0.4), seed=0, must_learn=set())
    assert np.bincount(parts).tolist() == [100, 200, 300, 400]


def test_the_pseudo_tail_is_halved_and_drawn_by_the_seed() -> None:
    val, test = choose_pseudo_tail(range(100), 9, seed=1)
    assert (len(val), len(test)) == (5, 4) and not val & test
    assert choose_pseudo_tail(list(reversed(range(100))), 9, seed=1) == (val, test) != choose_pseudo_tail(range(100), 9, seed=2)
    with pytest.raises(DataError, match=r"`pseudo_tail: 9` must not exceed the 8 classes"):
        choose_pseudo_tail(range(8), 9, seed=1)


def test_an_overflowing_copy_of_a_test_image_is_a_leak() -> None:
    with pytest.raises(DataError, match="same image: a in train and b in test"):
        check_leaks(rows([0, 1]), ["overflow", "test"], [b"x", b"x"], ["a", "b"])
