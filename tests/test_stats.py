"""Our statistics against scipy's, and against what they promise."""

from __future__ import annotations

import random
from statistics import fmean

import pytest
from scipy import stats as scipy_stats

from prompt_registry_plugin.evaluation.statistics import mean_interval, paired_difference, t_quantile


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
