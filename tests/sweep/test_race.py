"""Who leaves a race, when it ends, and what is said of those that are left: on reads that are made up."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from ocr_sweep.metrics import Clusters
from ocr_sweep.sweep.confirmation.race import Race, Rules
from ocr_sweep.sweep.confirmation.standing import Entrant, Images, Reads, Standing

CLASSES = np.repeat(np.arange(50), 10)
IMAGES = Images(Clusters.of(CLASSES, np.arange(500)), macro=True)


def training(right: float, seed: int, luck: float = 0.01) -> Reads:
    """Images that are read right with a chance that the seed moves a little."""
    rng = np.random.default_rng(seed)
    return (rng.random(500) < right + rng.normal(0, luck)).astype(np.int8)


def entrant(trial: int, right: float, rounds: int, *, cost: float = 1.0, seed: int = 0) -> Entrant:
    return Entrant(trial, cost, tuple(training(right, 1000 * seed + 100 * trial + number) for number in range(rounds)))


def race(*entrants: Entrant, rounds: int = 5, first_look: int = 2) -> Race:
    return Race(entrants, Rules(rounds, first_look), IMAGES)


@pytest.mark.parametrize("rounds", [1, 2, 3, 5, 20])
@pytest.mark.parametrize("first_look", [1, 2, 4])
def test_the_looks_spend_the_error_once(rounds: int, first_look: int) -> None:
    rules = Rules(rounds, first_look)
    spent = [rules.tail(number) for number in range(min(first_look, rounds), rounds + 1)]
    assert sum(spent) == pytest.approx(0.025)
    assert spent[1:] == sorted(spent[1:]) and min(spent) > 0.0, "later looks may spend more"


def test_who_is_clearly_worse_leaves_at_the_first_look_and_is_trained_no_more() -> None:
    found = race(entrant(0, 0.6, 5), entrant(1, 0.93, 5), entrant(2, 0.9, 5))
    first = found.left[0]
    assert (first.trial, first.round, first.leader) == (0, 2, 1)
    assert first.behind.low > 0 and first.behind.value == pytest.approx(0.33, abs=0.05)
    assert found.trainings <= 2 + 2 * found.round < 15


def test_a_race_ends_when_only_one_is_left() -> None:
    found = race(entrant(0, 0.6, 5), entrant(1, 0.95, 5))
    assert (found.end, found.round, found.running) == ("the answer is clear", 2, [1])


def test_a_race_ends_when_more_seeds_would_change_nothing_and_runs_on_while_they_might() -> None:
    same = tuple(training(0.9, number) for number in range(5))
    found = race(Entrant(0, 1.0, same), Entrant(1, 1.0, same))
    assert (found.end, found.round) == ("more seeds would hardly tell more apart", 2)
    shifted = tuple(np.where(np.arange(500) < 12, 0, one).astype(np.int8) for one in same)
    assert race(Entrant(0, 1.0, shifted), Entrant(1, 1.0, same)).round > 2


@pytest.mark.parametrize("seed", range(6))
def test_decisions_rest_on_complete_rounds_whoever_is_first(seed: int) -> None:
    entrants = [entrant(trial, right, 5, seed=seed) for trial, right in enumerate((0.88, 0.9, 0.84, 0.8))]
    whole = race(*entrants)
    rng = np.random.default_rng(seed)
    done = [0] * 4
    while min(done) < 5:
        done[int(rng.integers(4))] += 1  # some are far ahead, some far behind
        part = race(*[Entrant(e.trial, e.cost, e.rounds[: min(5, n)]) for e, n in zip(entrants, done, strict=True)])
        assert part.left == whole.left[: len(part.left)]
        assert {left.round for left in whole.left[len(part.left) :]} <= set(range(part.round + 1, 6)), "a look is whole"
        assert not part.over or (part.end, part.running) == (whole.end, whole.running)


def test_nobody_leaves_before_the_first_look() -> None:
    assert race(entrant(0, 0.5, 5), entrant(1, 0.95, 5), first_look=4).left[0].round == 4


def test_a_training_without_a_result_holds_nobody_up() -> None:
    good, bad = entrant(1, 0.95, 3), entrant(0, 0.6, 3)
    found = race(Entrant(0, 1.0, (bad.rounds[0], None, bad.rounds[2])), good, rounds=3)
    assert found.left[0].trial == 0 and found.running == [1]
    lost = race(Entrant(0, 1.0, (None, None, None)), good, rounds=3)
    assert lost.over and lost.ranked == [1] and not lost.left, "nothing is known of it"


def test_one_training_each_drops_nobody_unless_the_base_was_trained_twice() -> None:
    good, bad = entrant(1, 0.95, 1), entrant(0, 0.5, 1)
    alone = race(bad, good, rounds=1)
    assert not alone.left and not alone.standing.knows_seeds
    twice = Entrant(0, 1.0, bad.rounds, (float(np.mean(training(0.5, 77))),))
    assert race(twice, good, rounds=1).standing.knows_seeds


def test_a_wide_spread_over_seeds_keeps_a_loser_in() -> None:
    steady = [training(0.9, 1), training(0.9, 2)]
    unsteady = [training(0.95, 3), training(0.7, 4)]
    found = race(Entrant(0, 1.0, tuple(steady)), Entrant(1, 1.0, tuple(unsteady)), rounds=2)
    assert not found.left, "the mean is 7 points lower, and another seed might lift it"


@pytest.mark.parametrize(("costs", "chosen"), [((1, 1, 1), 1), ((1, 2, 1), 0), ((3, 2, 1), 1), ((2, 2, 1), 1)])
def test_the_cheapest_within_a_standard_error_is_chosen(costs: Sequence[float], chosen: int) -> None:
    same = [training(0.9, number) for number in range(2)]
    better = [np.where(np.arange(500) == 3, 1, one).astype(np.int8) for one in same]
    worse = [np.where(np.arange(500) < 15, 0, one).astype(np.int8) for one in same]
    found = race(*[Entrant(i, costs[i], tuple(r)) for i, r in enumerate((same, better, worse))], rounds=2)
    assert found.ranked[0] in (0, 1) and found.chosen() == (chosen if found.ranked[0] == 1 else 0)


def test_the_interval_of_the_chosen_reaches_lower_for_more_candidates() -> None:
    two = race(*[entrant(trial, 0.9, 2) for trial in range(2)], rounds=2)
    many = race(*[entrant(trial, 0.9, 2) for trial in range(9)], rounds=2)
    plain = two.standing.accuracy(0).share()
    ends = [found.accuracy(0).low for found in (two, many)]
    assert ends[1] < ends[0] < plain.low
    assert two.accuracy(0).high == pytest.approx(plain.high)


def test_a_difference_seen_from_the_other_side_changes_its_sign() -> None:
    found = race(entrant(0, 0.85, 5), entrant(1, 0.9, 5))
    there, back = found.difference(1, 0), found.difference(0, 1)
    assert (there.value, there.low, there.high) == pytest.approx((-back.value, -back.high, -back.low))


def test_writers_that_stand_and_fall_together_widen_a_difference() -> None:
    rng = np.random.default_rng(0)
    writers = rng.integers(0, 8, 500)
    liked = rng.random(8) < 0.5  # each of the two reads other writers
    reads = [
        tuple((rng.random(500) < np.where(liked[writers] == own, 0.97, 0.83)).astype(np.int8) for _ in range(2)) for own in (0, 1)
    ]
    entrants = [Entrant(trial, 1.0, one) for trial, one in enumerate(reads)]
    alone, grouped = (
        Standing(entrants, {0: 2, 1: 2}, Images(Clusters.of(CLASSES, groups), macro=True)).difference(0, 1)
        for groups in (np.arange(500), writers)
    )
    assert grouped.value == alone.value and grouped.error > 2 * alone.error and grouped.freedom < 8


def test_where_rounds_judge_images_of_their_own_what_a_round_does_to_all_is_no_luck_of_seeds() -> None:
    hard = (0.95, 0.75, 0.9)  # by fold
    images = Images(Clusters.of(CLASSES, np.arange(500)), macro=True, folds=True)
    entrants = []
    for trial, gain in enumerate((0.0, 0.02)):
        rounds = [
            np.where(np.arange(500) % 3 == fold, training(hard[fold] + gain, 10 * trial + fold, 0.0), -1) for fold in range(3)
        ]
        entrants.append(Entrant(trial, 1.0, tuple(one.astype(np.int8) for one in rounds)))
    counted = {0: 3, 1: 3}
    by_round = Standing(entrants, counted, images).noise
    ignored = Standing(entrants, counted, Images(Clusters.of(CLASSES, np.arange(500)), macro=True)).noise
    assert by_round.freedom == 2 and ignored.freedom == 4
    assert by_round.variance < 0.2 * ignored.variance
