"""Grades of a difference: what a user may believe about it, in one word."""

from __future__ import annotations

from typing import Any, Literal, get_args

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


def describe_grade(grade: Grade, paired: PairedDifference) -> str:
    """Return the grade with its evidence, such as `likely better (probability 0.94): +0.041 [-0.004, +0.086] on 60 examples`."""
    words = {
        "proven": "proven better",
        "likely": f"likely better (probability {probability(paired.p_better)})",
        "open": f"open (probability of being better {probability(paired.p_better)})",
        "worse": "worse",
    }
    return f"{words[grade]}: {gain_of(paired)} on {paired.difference.n} examples"


def gain_of(paired: PairedDifference) -> str:
    """Return the mean difference with its interval and signs, such as `+0.041 [-0.004, +0.086]`."""
    difference = paired.difference
    bounds = "" if difference.low is None or difference.high is None else f" [{difference.low:+.3f}, {difference.high:+.3f}]"
    return f"{difference.mean:+.3f}{bounds}"


def probability(value: float) -> str:
    """Return a probability with two digits, and never as 1.00 or 0.00."""
    return f"{min(0.99, max(0.01, value)):.2f}"


def evidence_of(grade: Grade, paired: PairedDifference) -> dict[str, Any]:
    """Return the grade and its evidence as JSON data."""
    difference = paired.difference
    return {
        "grade": grade,
        "p_better": paired.p_better,
        "p_value": paired.p_value,
        "difference": [difference.mean, difference.low, difference.high],
        "examples": difference.n,
    }
