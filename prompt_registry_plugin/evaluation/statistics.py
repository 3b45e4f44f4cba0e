"""Means with intervals, paired comparison and correction for several comparisons, in plain Python.

The package would otherwise need scipy for three formulas; the tests check them against it.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean, stdev

from prompt_registry_plugin.records import Interval

CONFIDENCE = 0.95
"""The share of repetitions in which an interval contains the true mean."""

# Permutations of the test. The standard error of a p-value near 0.05 is then 0.002, well below what a decision turns on.
_PERMUTATIONS = 10_000
# Values that an interval needs. With fewer, Student's t is so wide, and the approximation of it so rough, that it says nothing.
_MIN_FOR_INTERVAL = 4


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """How much one set of scores exceeds another, example by example."""

    difference: Interval
    """The mean of the differences with its 95 % interval, in the unit of the scores."""
    p_value: float
    """The two-sided p-value of a sign-flip permutation test, from 0 to 1."""

    @property
    def proves_gain(self) -> bool:
        """Whether the whole interval is above zero and chance is an unlikely explanation.

        The p-value matters for a handful of examples that all differ alike: their interval has no width.
        """
        return self.difference.low is not None and self.difference.low > 0 and self.p_value < 1 - CONFIDENCE


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

    The permutation test flips the signs of the differences at random, 10,000 times (Fisher's randomization test). It assumes nothing
    about their distribution, which matters for scores that are mostly 0 or 1. The same `seed` gives the same p-value.
    """
    differences = [b - a for a, b in zip(before, after, strict=True)]
    observed = abs(sum(differences))
    nonzero = [difference for difference in differences if difference]
    rng = random.Random(seed)  # noqa: S311  a permutation test, not a secret
    extreme = 0
    for _ in range(_PERMUTATIONS if nonzero else 0):
        signs = rng.getrandbits(len(nonzero))
        total = sum(d if signs >> i & 1 else -d for i, d in enumerate(nonzero))
        extreme += abs(total) >= observed - 1e-12  # equal except for rounding
    # The observed signs are one of the permutations: without the 1, a p-value could be 0, which no finite sample supports.
    p_value = (extreme + 1) / (_PERMUTATIONS + 1) if nonzero else 1.0
    return PairedDifference(mean_interval(differences), p_value)


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
