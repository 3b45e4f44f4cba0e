"""Means with intervals, paired comparison and correction for several comparisons, in plain Python.

The package would otherwise need scipy for three formulas; the tests check them against it.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist, fmean, stdev

from prompt_registry_plugin.records import Interval

CONFIDENCE = 0.95
"""The share of repetitions in which an interval contains the true mean."""

# Permutations of the test. The standard error of a p-value near 0.05 is then 0.002, well below what a decision turns on.
_PERMUTATIONS = 10_000
# Different sums up to which all flips are counted: 12 differences have no more. It is faster than a sample, and exact.
_MOST_SUMS = 4096
_DIGITS = 11  # of a sum: rounding would otherwise tell equal ones apart
# Differences from which the sum of random flips is as good as normal: a p-value is then exact to its third digit.
_ENOUGH_FOR_NORMAL = 400
_ROUNDING = 1e-9  # sums that differ by less are equal
# Values that an interval needs. With fewer, Student's t is so wide, and the approximation of it so rough, that it says nothing.
_MIN_FOR_INTERVAL = 4


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """How much one set of scores exceeds another, example by example."""

    difference: Interval
    """The mean of the differences with its 95 % interval, in the unit of the scores."""
    p_value: float
    """The two-sided p-value of a sign-flip permutation test, from 0 to 1."""
    p_better: float = 0.5
    """The probability that the mean is above zero, from 0 to 1: one less the one-sided p-value of the same test, ties counted by half."""

    @property
    def proves_gain(self) -> bool:
        """Whether the whole interval is above zero. Chance is then an unlikely explanation too: the p-value is below 0.05."""
        return self.difference.low is not None and self.difference.low > 0 and self.p_value < 1 - CONFIDENCE

    @property
    def proves_loss(self) -> bool:
        """Whether the whole interval is below zero, and the p-value below 0.05."""
        return self.difference.high is not None and self.difference.high < 0 and self.p_value < 1 - CONFIDENCE


def mean_interval(values: Sequence[float]) -> Interval:
    """Return the mean with its 95 % interval by Student's t; the bounds are None for fewer than four values."""
    n = len(values)
    if n == 0:
        return Interval(0.0, None, None, 0)
    mean = fmean(values)
    if n < _MIN_FOR_INTERVAL:
        return Interval(mean, None, None, n)
    half = t_quantile(0.5 + CONFIDENCE / 2, n - 1) * stdev(values) / math.sqrt(n)
    return Interval(mean, mean - half, mean + half, n)


def paired_difference(before: Sequence[float], after: Sequence[float], seed: int = 0) -> PairedDifference:
    """Return how much `after` exceeds `before`, example by example; both are in the same order.

    The permutation test flips the signs of the differences (Fisher's randomization test): in all ways for scores of a few steps or up
    to 12 differences, in 10,000 at random for others, and by their normal limit for more than 400. It assumes nothing about their
    distribution, which matters for scores that are mostly 0 or 1. The same `seed` gives the same p-value. Unless the p-value is below
    0.05, an interval that leaves zero out is widened up to it: both say the same.
    """
    differences = [b - a for a, b in zip(before, after, strict=True)]
    is_bounded = all(0 <= score <= 1 for score in (*before, *after))
    greater, equal, flips = _count_flips([difference for difference in differences if difference], seed)
    p_value = 1.0 if equal == flips else min(1.0, 2 * min(greater + equal, flips - greater) / flips)
    interval = _difference_interval(differences, 1.0 if is_bounded else None)
    if p_value >= 1 - CONFIDENCE and interval.low is not None and interval.high is not None:
        interval = replace(interval, low=min(interval.low, 0.0), high=max(interval.high, 0.0))
    return PairedDifference(interval, p_value, 1 - (greater + equal / 2) / flips)


def _count_flips(differences: Sequence[float], seed: int) -> tuple[int, int, int]:
    """Return in how many flips of the signs the sum is greater than the observed one, in how many it is equal, and the number of flips."""
    observed = sum(differences)
    if len(differences) > _ENOUGH_FOR_NORMAL:
        above = 1 - NormalDist().cdf(observed / math.sqrt(sum(d * d for d in differences)))
        return round(above * _PERMUTATIONS), 1, _PERMUTATIONS + 1
    sums = _all_sums(differences) or _some_sums(differences, seed)
    greater = sum(count for total, count in sums.items() if total - observed > _ROUNDING)
    equal = sum(count for total, count in sums.items() if abs(total - observed) <= _ROUNDING)
    return greater, equal, sum(sums.values())


def _all_sums(differences: Sequence[float]) -> Counter[float] | None:
    """Return how many of all flips have each sum; None if there are too many different sums.

    Scores of a few steps have few sums, whatever the number of examples.
    """
    sums = Counter({0.0: 1})
    for difference in differences:
        flipped: Counter[float] = Counter()
        for total, count in sums.items():
            flipped[round(total + difference, _DIGITS)] += count
            flipped[round(total - difference, _DIGITS)] += count
        sums = flipped
        if len(sums) > _MOST_SUMS:
            return None
    return sums


def _some_sums(differences: Sequence[float], seed: int) -> Counter[float]:
    """Return how many of 10,000 flips have each sum. The observed signs are one more: without them, a p-value could be 0."""
    rng, n = random.Random(seed), len(differences)  # noqa: S311  a permutation test, not a secret
    sums = Counter({sum(differences): 1})
    for _ in range(_PERMUTATIONS):
        signs = rng.getrandbits(n)
        sums[sum(d if signs >> i & 1 else -d for i, d in enumerate(differences))] += 1
    return sums


def _difference_interval(differences: Sequence[float], bound: float | None) -> Interval:
    """Return the mean difference with its 95 % interval, within plus and minus `bound`.

    It is Student's after two invented differences, one won and one lost by as much as the largest of the others (Bonett & Price 2012,
    for differences of shares). Without them, rows that hardly differ have an interval without width, which the next row leaves.
    """
    n = len(differences)
    plain = mean_interval(differences)
    if plain.low is None:
        return plain
    largest = max(map(abs, differences)) or bound or 0.0
    mean = sum(differences) / (n + 2)
    variance = (sum(d * d for d in differences) + 2 * largest**2) / (n + 2) - mean**2
    half = t_quantile(0.5 + CONFIDENCE / 2, n - 1) * math.sqrt(max(0.0, variance) / (n + 2))
    low, high = min(mean - half, plain.mean), max(mean + half, plain.mean)
    return Interval(plain.mean, low, high, n) if bound is None else Interval(plain.mean, max(low, -bound), min(high, bound), n)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number by the step-down method of Holm (1979), in the given order.

    The chance that any of them is below 0.05 by accident is then at most 5 %, whether or not the comparisons are independent.
    """
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    corrected, least = [1.0] * len(p_values), 0.0
    for rank, i in enumerate(order):
        least = max(least, min(1.0, p_values[i] * (len(p_values) - rank)))
        corrected[i] = least
    return corrected


def t_quantile(p: float, degrees: int) -> float:
    """Return a quantile of Student's t by the Cornish-Fisher expansion (Abramowitz & Stegun 26.7.5).

    It is within 1 % of the exact value from 3 degrees of freedom on.
    """
    z = NormalDist().inv_cdf(p)
    terms: tuple[float, ...] = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return float(z + sum(term / degrees**power for power, term in enumerate(terms, 1)))
