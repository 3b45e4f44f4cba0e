"""Our statistics against scipy's, and against what they promise."""

from __future__ import annotations

import random
from statistics import fmean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from prompt_registry_plugin.evaluation.eprocess import ENOUGH, anytime_interval, e_value
from prompt_registry_plugin.evaluation.intervals import beta_cdf, exact_interval, positive_interval, score_interval
from prompt_registry_plugin.evaluation.statistics import mean_interval, paired_difference, t_quantile

SCORES = st.lists(st.one_of(st.sampled_from([0.0, 0.5, 1.0]), st.floats(0, 1)), min_size=1, max_size=40)


@pytest.mark.parametrize("degrees", [3, 4, 5, 10, 30, 299])
def test_t_quantiles(degrees: int) -> None:
    """Within one percent from three degrees of freedom on, much closer from ten."""
    exact = scipy_stats.t.ppf(0.975, degrees)
    assert t_quantile(0.975, degrees) == pytest.approx(exact, rel=0.01 if degrees < 10 else 1e-4)


def test_intervals_are_students() -> None:
    """Mean and bounds as scipy has them."""
    values = [random.Random(1).gauss(3, 2) for _ in range(40)]
    half = float(scipy_stats.t.ppf(0.975, 39) * scipy_stats.sem(values))
    interval = mean_interval(values)
    assert interval.low == pytest.approx(fmean(values) - half, rel=1e-4)
    assert interval.high == pytest.approx(fmean(values) + half, rel=1e-4)
    assert "[" in str(interval)


def test_few_values_have_no_bounds() -> None:
    """Rather than made-up ones."""
    assert mean_interval([]).n == 0
    assert (mean_interval([1.0, 2.0]).mean, mean_interval([1.0, 2.0]).low) == (1.5, None)
    assert not paired_difference([0.0, 0.0], [1.0, 1.0]).proves_gain


def test_intervals_cover() -> None:
    """About 95 of 100 intervals hold the true mean."""
    rng = random.Random(5)
    covered = 0
    for _ in range(400):
        interval = mean_interval([rng.gauss(1, 1) for _ in range(12)])
        assert interval.low is not None
        assert interval.high is not None
        covered += interval.low <= 1 <= interval.high
    assert 0.92 <= covered / 400 <= 0.98


def test_paired_differences_and_permutation() -> None:
    """The p-value is scipy's, up to chance; a clear gain is proven and noise is not."""
    rng = random.Random(2)
    before = [rng.random() for _ in range(60)]
    after = [b + rng.gauss(0.05, 0.15) for b in before]
    ours = paired_difference(before, after)
    theirs = scipy_stats.permutation_test(
        (after, before),
        lambda a, b: fmean(x - y for x, y in zip(a, b, strict=True)),
        permutation_type="samples",
        n_resamples=9999,
        rng=3,
    )
    assert ours.p_value == pytest.approx(theirs.pvalue, abs=0.02)
    assert paired_difference(before, [b + 0.3 for b in before]).proves_gain
    assert not paired_difference(before, rng.sample(before, 60)).proves_gain
    skewed = paired_difference([0.0] * 11, [0.01] * 10 + [1.0])
    assert skewed.p_value < 0.05, "all differences are positive"
    assert not skewed.proves_gain, "but their interval holds zero"
    same = paired_difference(before, before)
    assert (same.p_value, same.difference.mean) == (1.0, 0.0)


@pytest.mark.parametrize("n", [1, 3, 10, 30, 100, 5000])
def test_intervals_of_right_and_wrong_are_clopper_and_pearsons(n: int) -> None:
    """The bounds are scipy's, for any number of right answers."""
    for right in {0, 1, n // 3, n // 2, n - 1, n}:
        theirs = scipy_stats.binomtest(right, n).proportion_ci(method="exact")
        assert exact_interval(right, n) == pytest.approx((theirs.low, theirs.high), abs=1e-9)
        interval = score_interval([1.0] * right + [0.0] * (n - right))
        assert (interval.low, interval.high) == exact_interval(right, n)


@pytest.mark.parametrize(("a", "b"), [(0.5, 0.5), (1, 30), (17, 4), (400, 800)])
def test_the_beta_distribution(a: float, b: float) -> None:
    """The distribution function is scipy's."""
    for x in (0.0, 0.001, 0.2, 0.33, 0.5, 0.9, 0.999, 1.0):
        assert beta_cdf(x, a, b) == pytest.approx(float(scipy_stats.beta.cdf(x, a, b)), abs=1e-10)


@given(SCORES)
@settings(max_examples=150, deadline=None)
def test_intervals_of_scores_stay_within_their_bounds(scores: list[float]) -> None:
    """From 0 to 1, around the mean, and never without width."""
    interval = score_interval(scores)
    assert interval.low is not None
    assert interval.high is not None
    assert 0 <= interval.low <= interval.mean + 1e-12
    assert interval.mean - 1e-12 <= interval.high <= 1
    assert interval.high - interval.low > 0.01


@pytest.mark.parametrize("n", [10, 30, 100])
def test_intervals_of_scores_hold_the_true_mean(n: int) -> None:
    """In 95 of 100 repetitions or more, for scores on which Student's fails: mostly right ones, and rare mistakes of half a point."""
    rng = random.Random(n)
    for draw, mean in (
        (lambda: float(rng.random() < 0.95), 0.95),
        (lambda: 0.5 if rng.random() < 0.05 else 1.0, 0.975),
        (lambda: rng.betavariate(0.5, 0.5), 0.5),
    ):
        intervals = [score_interval([draw() for _ in range(n)]) for _ in range(200)]
        held = sum((i.low or 0) - 1e-9 <= mean <= (i.high or 1) + 1e-9 for i in intervals)
        assert held / 200 >= 0.93, "0.95, less what 200 repetitions leave to chance"


@pytest.mark.parametrize(("up", "down"), [(0.03, 0.0), (0.1, 0.02), (0.2, 0.2)])
@pytest.mark.parametrize("n", [10, 30, 100])
def test_intervals_of_differences_hold_the_true_one(n: int, up: float, down: float) -> None:
    """Also where most rows do not differ, and the sample may have none that do."""
    rng = random.Random(n)
    held = 0
    for _ in range(150):
        draws = [rng.random() for _ in range(n)]
        after = [1.0 if draw < up else 0.0 if draw < up + down else 0.5 for draw in draws]
        before = [0.0 if draw < up else 1.0 if draw < up + down else 0.5 for draw in draws]
        difference = paired_difference(before, after).difference
        assert difference.low is not None
        assert difference.high is not None
        assert -1 <= difference.low <= difference.mean <= difference.high <= 1
        held += difference.low - 1e-9 <= up - down <= difference.high + 1e-9
    assert held / 150 >= 0.92


def test_times_are_not_negative() -> None:
    """Whatever their spread."""
    interval = positive_interval([0.01, 0.01, 0.01, 5.0])
    assert interval.low == 0
    assert mean_interval([0.01, 0.01, 0.01, 5.0]).low < 0  # type: ignore[operator]


@pytest.mark.parametrize(("differences", "better"), [([0.2] * 3, 1 - 1 / 16), ([0.0] * 9, 0.5), ([0.5, -0.5], 0.5)])
def test_the_probability_of_being_better(differences: list[float], better: float) -> None:
    """All flips of the signs are counted, ties by half."""
    assert paired_difference([0.5] * len(differences), [0.5 + d for d in differences]).p_better == pytest.approx(better)


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=60), st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_a_stake_does_not_depend_on_the_order(differences: list[float], rng: random.Random) -> None:
    """And the interval is above zero if, and only if, the stake has grown enough."""
    value, interval = e_value(differences), anytime_interval(differences)
    shuffled = rng.sample(differences, len(differences))
    assert e_value(shuffled) == pytest.approx(value, rel=1e-6)
    assert interval.low is not None
    assert interval.high is not None
    assert -1 <= interval.low <= interval.high <= 1
    if abs(value - ENOUGH) > 1e-6:
        assert (interval.low > 0) == (value > ENOUGH)


def test_a_stake_hardly_ever_grows_without_a_gain() -> None:
    """Looked at after each of 300 examples, in 200 games; a true gain is found."""
    rng = random.Random(11)
    fooled = 0
    for _ in range(200):
        differences: list[float] = []
        for _ in range(15):
            differences += [rng.choice([-0.5, 0.0, 0.0, 0.5]) for _ in range(20)]
            if e_value(differences) >= ENOUGH:
                fooled += 1
                break
    assert fooled <= 8, "2.5 % are 5"
    assert e_value([max(-1.0, min(1.0, rng.gauss(0.1, 0.25))) for _ in range(250)]) >= ENOUGH
