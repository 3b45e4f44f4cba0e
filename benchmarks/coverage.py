"""How often intervals of 95 % hold the true value, with 10, 30 and 100 rows: ours, and Student's for comparison.

    python -m benchmarks.coverage --repetitions 2000

Scores and paired differences are drawn from distributions that are met in evaluations. Prints a table in Markdown.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable

from prompt_registry_plugin.evaluation.grades import grade_of
from prompt_registry_plugin.evaluation.intervals import score_interval
from prompt_registry_plugin.evaluation.statistics import PairedDifference, mean_interval, paired_difference
from prompt_registry_plugin.records import Interval

ROWS = (10, 30, 100)
Draw = Callable[[random.Random], float]

SCORES: dict[str, tuple[Draw, float]] = {
    "right in 95 of 100": (lambda rng: float(rng.random() < 0.95), 0.95),
    "right in 60 of 100": (lambda rng: float(rng.random() < 0.6), 0.6),
    "graded, mostly right (beta 8, 2)": (lambda rng: rng.betavariate(8, 2), 0.8),
    "all or nothing, graded (beta 0.5, 0.5)": (lambda rng: rng.betavariate(0.5, 0.5), 0.5),
    "half a point lost in 5 of 100": (lambda rng: 0.5 if rng.random() < 0.05 else 1.0, 0.975),
}
"""Scores with their true mean."""


def _changes(up: float, down: float) -> Draw:
    def draw(rng: random.Random) -> float:
        at = rng.random()
        return 1.0 if at < up else -1.0 if at < up + down else 0.0

    return draw


DIFFERENCES: dict[str, tuple[Draw, float]] = {
    "3 of 100 rows better": (_changes(0.03, 0.0), 0.03),
    "10 better, 2 worse": (_changes(0.1, 0.02), 0.08),
    "20 better, 20 worse": (_changes(0.2, 0.2), 0.0),
    "graded, no gain (spread 0.25)": (lambda rng: max(-1.0, min(1.0, rng.gauss(0, 0.25))), 0.0),
    "graded, gain 0.05 (spread 0.25)": (lambda rng: max(-1.0, min(1.0, rng.gauss(0.05, 0.25))), 0.05),
}
"""Paired differences with their true mean."""


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    print(
        "| 95% intervals hold the true value in | 10 rows | 30 | 100 | Student's: 10 rows | 30 | 100 |\n|---|---|---|---|---|---|---|"
    )
    for name, (draw, mean) in SCORES.items():
        samples = {n: [[draw(rng) for _ in range(n)] for _ in range(arguments.repetitions)] for n in ROWS}
        _print_row(name, mean, samples, score_interval, mean_interval)
    for name, (draw, mean) in DIFFERENCES.items():
        samples = {n: [[draw(rng) for _ in range(n)] for _ in range(arguments.repetitions)] for n in ROWS}
        _print_row(f"difference: {name}", mean, samples, lambda values: _paired(values).difference, mean_interval)
    print("\n| of tests, graded proven / likely or proven / worse | 10 rows | 30 | 100 |\n|---|---|---|---|")
    for name, (draw, _mean) in DIFFERENCES.items():
        cells = []
        for n in ROWS:
            grades = [grade_of(_paired([draw(rng) for _ in range(n)])) for _ in range(arguments.repetitions)]
            counts = (grades.count("proven"), grades.count("proven") + grades.count("likely"), grades.count("worse"))
            cells.append(" / ".join(f"{count / arguments.repetitions:.3f}" for count in counts))
        print(f"| {name} | {' | '.join(cells)} |")


def _paired(differences: list[float]) -> PairedDifference:
    before = [max(0.0, -difference) for difference in differences]
    return paired_difference(before, [b + difference for b, difference in zip(before, differences, strict=True)])


def _print_row(
    name: str,
    mean: float,
    samples: dict[int, list[list[float]]],
    ours: Callable[[list[float]], Interval],
    students: Callable[[list[float]], Interval],
) -> None:
    cells = [f"{_share_held(samples[n], make, mean):.3f}" for make in (ours, students) for n in ROWS]
    print(f"| {name} | {' | '.join(cells)} |", flush=True)


def _share_held(samples: list[list[float]], make: Callable[[list[float]], Interval], mean: float) -> float:
    held = 0
    for values in samples:
        interval = make(values)
        assert interval.low is not None
        assert interval.high is not None
        held += interval.low - 1e-9 <= mean <= interval.high + 1e-9
    return held / len(samples)


if __name__ == "__main__":
    main()
