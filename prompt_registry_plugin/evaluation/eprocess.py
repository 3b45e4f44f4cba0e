"""A test that may be looked at after every example: betting on paired differences (Waudby-Smith & Ramdas 2023).

Somebody who bets on differences above zero, with no true gain, multiplies a stake by 40 with a probability of 2.5 % at most, however
long the game lasts (Ville's inequality). So a gain is proven as soon as the stake has grown that much, and examples can be added until
then. A test of a fixed size allows one look only.

The bet is spread over a grid of sizes, so the outcome does not depend on the order of the examples.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean

from prompt_registry_plugin.evaluation.statistics import CONFIDENCE
from prompt_registry_plugin.records import Interval

ENOUGH = 2 / (1 - CONFIDENCE)
"""The factor on the stake from which a gain is proven: 40, for one side of a 95 % interval."""

# Shares of the stake, each with a twelfth of it at the start. The best one is about mean / (variance + mean²): 0.1 to 0.3 for scores of
# 0 and 1 that change in every third row, up to 0.9 for graded ones that mostly rise.
_BETS = (0.03, 0.06, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.95)
_HALVINGS = 40


def e_value(differences: Sequence[float], mean: float = 0.0) -> float:
    """Return the factor on a stake that was bet on a true mean above `mean`, from 0; differences are from -1 to 1."""
    if mean <= -1:
        return math.inf
    gains = [sum(math.log1p(bet / (1 + mean) * (d - mean)) for d in differences) for bet in _BETS]
    highest = max(gains)
    return math.exp(min(700.0, highest)) * fmean(math.exp(gain - highest) for gain in gains)


def anytime_interval(differences: Sequence[float]) -> Interval:
    """Return the mean difference with a 95 % interval that holds however often it is looked at. Its bounds are above zero if, and only
    if, `e_value` is 40 or more."""
    n = len(differences)
    if not n:
        return Interval(0.0, None, None, 0)
    low, high = _lower_bound(differences), -_lower_bound([-d for d in differences])
    return Interval(fmean(differences), low, high, n)


def _lower_bound(differences: Sequence[float]) -> float:
    low, high = -1.0, fmean(differences)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if e_value(differences, middle) >= ENOUGH else (low, middle)
    return low
