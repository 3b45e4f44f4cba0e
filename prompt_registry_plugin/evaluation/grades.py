"""Grades of a difference: what a user may believe about it, in one word."""

from __future__ import annotations

from typing import Literal, get_args

from prompt_registry_plugin.evaluation.statistics import CONFIDENCE, PairedDifference

Grade = Literal["worse", "open", "likely", "proven"]
"""From the worst to the best. `proven`: the 95 % interval of the gain is above zero. `likely`: the probability that it is better is 0.9 or
more. `worse`: the interval is below zero. `open`: the examples do not tell."""

LIKELY = 0.9
"""The probability of being better from which a gain is likely."""


def grade_of(paired: PairedDifference, p_value: float | None = None) -> Grade:
    """Return the grade of a difference. `p_value` takes the place of its own, if it was corrected for several comparisons."""
    is_significant = paired.p_value < 1 - CONFIDENCE if p_value is None else p_value < 1 - CONFIDENCE
    if paired.proves_loss and is_significant:
        return "worse"
    if paired.proves_gain and is_significant:
        return "proven"
    return "likely" if paired.p_better >= LIKELY else "open"


def reaches(grade: Grade, wanted: Grade) -> bool:
    """Return whether a grade is as good as another, or better."""
    order = get_args(Grade)
    return bool(order.index(grade) >= order.index(wanted))


def describe_evidence(grade: Grade, paired: PairedDifference) -> str:
    """Return the figures behind a grade, such as `+0.041 [-0.004, +0.086] on 60 examples, better with probability 0.94`."""
    n = paired.difference.n
    on = f" on {n} example{'' if n == 1 else 's'}" if n else ""
    odds = f", better with probability {probability(paired.p_better)}" if grade in ("likely", "open") else ""
    return f"{gain_of(paired)}{on}{odds}"


def gain_of(paired: PairedDifference) -> str:
    """Return the mean difference with its interval and signs, such as `+0.041 [-0.004, +0.086]`."""
    difference = paired.difference
    bounds = "" if difference.low is None or difference.high is None else f" [{difference.low:+.3f}, {difference.high:+.3f}]"
    return f"{difference.mean:+.3f}{bounds}"


def probability(value: float) -> str:
    """Return a probability with two digits, and never as 1.00 or 0.00."""
    return f"{min(0.99, max(0.01, value)):.2f}"
