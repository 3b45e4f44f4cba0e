"""Intervals of means of scores from 0 to 1: they stay within 0 and 1, and hold the true mean in at least 95 % of repetitions.

Student's interval does neither for few rows: of ten right answers it says [1, 1], and of nine in ten that 1.1 is possible.
`python -m benchmarks.coverage` measures how often each interval holds the true mean.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import fmean

from prompt_registry_plugin.evaluation.statistics import CONFIDENCE, mean_interval
from prompt_registry_plugin.records import Interval

_HALVINGS = 40  # of a search for a bound: it is then exact to 1e-12
# Of the largest bet that cannot lose everything. Waudby-Smith & Ramdas use 1/2 or 3/4; with 1/2, intervals of few rows are wider.
_BOLDNESS = 0.75


def score_interval(values: Sequence[float]) -> Interval:
    """Return the mean of scores with its 95 % interval.

    For scores that are 0 or 1 it is Clopper and Pearson's, for others from 0 to 1 the betting interval of Waudby-Smith and Ramdas.
    Scores beyond 0 and 1 have no known bounds, so theirs is Student's, with None as bounds for fewer than four.
    """
    n = len(values)
    if not n or not all(0 <= value <= 1 for value in values):
        return mean_interval(values)
    low, high = exact_interval(round(sum(values)), n) if all(value in (0, 1) for value in values) else betting_interval(values)
    return Interval(fmean(values), low, high, n)


def positive_interval(values: Sequence[float]) -> Interval:
    """Return the mean of values that cannot be negative, such as seconds, with Student's 95 % interval, cut off at 0."""
    interval = mean_interval(values)
    if interval.low is None or interval.low >= 0:
        return interval
    return Interval(interval.mean, 0.0, interval.high, interval.n)


def exact_interval(successes: int, n: int) -> tuple[float, float]:
    """Return the 95 % interval of a share of `n` by Clopper and Pearson (1934)."""
    tail = (1 - CONFIDENCE) / 2
    low = 0.0 if successes == 0 else _bisect(lambda p: beta_cdf(p, successes, n - successes + 1) < tail)
    high = 1.0 if successes == n else _bisect(lambda p: 1 - beta_cdf(p, successes + 1, n - successes) > tail)
    return low, high


def betting_interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the 95 % interval of the mean of values from 0 to 1 (Waudby-Smith & Ramdas 2023, hedged capital).

    A mean is outside if betting against it, value by value, would have multiplied the stake by 40. That holds for any distribution.
    The bets are sized for `len(values)`, and by the spread of the values before each.
    """
    bets = _bets(values)
    low = _bisect(lambda mean: _is_refuted(values, bets, mean))
    mirrored = [1 - value for value in values]
    high = 1 - _bisect(lambda mean: _is_refuted(mirrored, bets, mean))
    # Neither bound can pass the mean: at the mean, no bet has gained enough. Rounding can.
    return min(low, fmean(values)), max(high, fmean(values))


def _bets(values: Sequence[float]) -> list[float]:
    """Return the size of the bet on each value, from the values before it."""
    aim = 2 * math.log(2 / (1 - CONFIDENCE)) / len(values)
    total, squares, bets = 0.5, 0.25, []  # one invented value of 1/2, with the largest variance that is possible
    for i, value in enumerate(values, 1):
        bets.append(math.sqrt(aim / (squares / i)))
        total += value
        squares += (value - total / (i + 1)) ** 2
    return bets


def _is_refuted(values: Sequence[float], bets: Sequence[float], mean: float) -> bool:
    """Return whether betting that the true mean is above `mean` ever multiplied half of the stake by 2 / 0.05."""
    if mean <= 0:
        return True
    aim, most = math.log(2 / (1 - CONFIDENCE)), _BOLDNESS / mean
    gained = 0.0
    for value, bet in zip(values, bets, strict=True):
        gained += math.log1p(min(bet, most) * (value - mean))
        if gained >= aim:
            return True
    return False


def _bisect(is_below: Callable[[float], bool]) -> float:
    """Return the point from 0 to 1 at which `is_below` turns from True to False."""
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if is_below(middle) else (low, middle)
    return low


def beta_cdf(x: float, a: float, b: float) -> float:
    """Return the distribution function of the beta distribution, by its continued fraction (Abramowitz & Stegun 26.5.8)."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):  # the fraction converges quickly on the other side only
        return 1 - beta_cdf(1 - x, b, a)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)) / a
    return front / _continued_fraction(x, a, b)


def _continued_fraction(x: float, a: float, b: float) -> float:
    """Return the fraction's value by Lentz's method."""
    tiny = 1e-300
    value, c, d = 1.0, 1.0, 0.0
    for i in range(1, 10_000):
        m = i // 2
        term = -(a + m) * (a + b + m) / (a + 2 * m + 1) if i % 2 else m * (b - m) / (a + 2 * m - 1)
        term *= x / (a + 2 * m)
        d = 1 / (1 + term * d or tiny)
        c = 1 + term / c or tiny
        value *= c * d
        if abs(c * d - 1) < 1e-14:
            break
    return value
