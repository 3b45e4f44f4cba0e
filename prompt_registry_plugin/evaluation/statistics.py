"""Means with intervals, and paired comparison, in plain Python (checked against scipy in the tests)."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean, stdev

from prompt_registry_plugin.records import Interval

CONFIDENCE = 0.95
_PERMUTATIONS = 10_000


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """The mean of paired differences with its 95 % interval, and the two-sided p-value of a sign-flip permutation test."""

    difference: Interval
    p_value: float

    @property
    def proves_gain(self) -> bool:
        """Whether the whole interval lies above zero and chance is an unlikely explanation.

        The second matters for a handful of examples that all differ alike: their interval has no width.
        """
        return self.difference.low is not None and self.difference.low > 0 and self.p_value < 1 - CONFIDENCE


def mean_interval(values: Sequence[float]) -> Interval:
    """The mean with its 95 % interval by Student's t; bounds are None below four values."""
    n = len(values)
    if n == 0:
        return Interval(0.0, None, None, 0)
    mean = fmean(values)
    if n < 4:
        return Interval(mean, None, None, n)
    half = t_quantile(0.5 + CONFIDENCE / 2, n - 1) * stdev(values) / math.sqrt(n)
    return Interval(mean, mean - half, mean + half, n)


def paired_difference(before: Sequence[float], after: Sequence[float], seed: int = 0) -> PairedDifference:
    """How much `after` exceeds `before`, example by example; both in the same order.

    The permutation test flips the signs of the differences at random, 10,000 times (Fisher's randomization test).
    """
    differences = [b - a for a, b in zip(before, after, strict=True)]
    observed = abs(sum(differences))
    nonzero = [difference for difference in differences if difference]
    rng = random.Random(seed)  # noqa: S311  a permutation test, not a secret
    extreme = 0
    for _ in range(_PERMUTATIONS if nonzero else 0):
        signs = rng.getrandbits(len(nonzero))
        total = sum(d if signs >> i & 1 else -d for i, d in enumerate(nonzero))
        extreme += abs(total) >= observed - 1e-12
    p_value = (extreme + 1) / (_PERMUTATIONS + 1) if nonzero else 1.0
    return PairedDifference(mean_interval(differences), p_value)


def t_quantile(p: float, degrees: int) -> float:
    """Student's t quantile by the Cornish-Fisher expansion (Abramowitz & Stegun 26.7.5); within 1 % from 3 degrees on."""
    z = NormalDist().inv_cdf(p)
    terms: tuple[float, ...] = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return float(z + sum(term / degrees**power for power, term in enumerate(terms, 1)))
