"""Groups stay whole, shares and caps hold, and a planted leak is caught."""

from __future__ import annotations

import numpy as np
import pytest

from ocr_sweep.config.corpus import SplitShares
from ocr_sweep.corpus.audit import check_leaks
from ocr_sweep.corpus.splits import assign_splits, cap_training, unite
from ocr_sweep.errors import DataError
from ocr_sweep.store import ROW_DTYPE, Source

SHARES = SplitShares(train=0.6, val=0.2, test=0.2)


def test_groups_unite_over_both_keys() -> None:
    assert unite(["a", "b", "c", "a", "d"], ["1", "2", "2", "3", "3"]).tolist() == [0, 1, 1, 0, 0]


def test_no_group_is_torn_and_shares_hold() -> None:
    rng = np.random.default_rng(0)
    groups, classes = rng.integers(0, 60, 3000), rng.integers(0, 30, 3000)
    splits = assign_splits(groups, classes, SHARES, seed=1, must_train=set())
    assert all(len(set(splits[groups == group])) == 1 for group in range(60))
    np.testing.assert_allclose(np.bincount(splits) / 3000, [0.6, 0.2, 0.2], atol=0.03)


def test_single_images_are_split_within_each_class() -> None:
    classes = np.repeat(np.arange(40), 20)
    splits = assign_splits(np.arange(800), classes, SHARES, seed=1, must_train=set())
    for label in range(40):
        np.testing.assert_allclose(np.bincount(splits[classes == label], minlength=3), [12, 4, 4], atol=1)


def test_a_long_tail_keeps_the_shares() -> None:
    classes = np.concatenate([np.arange(300), np.repeat(np.arange(300, 330), 20)])
    splits = assign_splits(np.arange(900), classes, SHARES, seed=1, must_train=set())
    np.testing.assert_allclose(np.bincount(splits) / 900, [0.6, 0.2, 0.2], atol=0.05)


def test_a_class_that_nothing_else_teaches_goes_to_train_first() -> None:
    classes = np.arange(50)
    splits = assign_splits(np.arange(50), classes, SHARES, seed=1, must_train=set(range(25)))
    assert (splits[:25] == 0).all() and np.bincount(splits).tolist() == [30, 10, 10]


def test_a_share_of_zero_gets_nothing() -> None:
    only_test = SplitShares(train=0.0, val=0.0, test=1.0)
    assert (assign_splits(np.arange(9), np.arange(9), only_test, seed=1, must_train={0}) == 2).all()


def test_the_seed_decides() -> None:
    classes = np.repeat(np.arange(10), 10)
    a, b, c = (assign_splits(np.arange(100), classes, SHARES, seed=seed, must_train=set()) for seed in (1, 1, 2))
    assert (a == b).all() and (a != c).any()


def test_the_cap_takes_turns_between_sources() -> None:
    classes, sources = [0] * 30 + [1] * 2, [0] * 25 + [1] * 5 + [0] * 2
    kept = cap_training(classes, sources, [str(i) for i in range(32)], 8, seed=3)
    assert [kept[:25].sum(), kept[25:30].sum(), kept[30:].sum()] == [4, 4, 2]


def rows(groups: list[int], source: Source = Source.SCANNED) -> np.ndarray:
    return np.array([(0, source, 0, group) for group in groups], dtype=ROW_DTYPE)


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
