"""How examples are divided: held out for the final test, for comparing candidates, and to learn from."""

from __future__ import annotations

import logging
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from prompt_registry_plugin.datasets.examples import Data, is_empty, same_inputs, split_examples, unique
from prompt_registry_plugin.errors import InvalidExample
from prompt_registry_plugin.optimize.engine.budget import Budget
from prompt_registry_plugin.records import Example, digest
from prompt_registry_plugin.registry.functions import examples_of

logger = logging.getLogger(__name__)

# Measured in `benchmarks.few_rows` on 30, 60, 120 and 240 rows of messages (56 runs a rule): of the winners that are truly better by 0.04
# or more, 30 % held out showed 54 % as likely or proven, 40 % held out 63 %, half of them 65 %. With 240 rows, half of them left the search
# too few: the mean true gain was 0.068, and 0.089 with 40 %.
_HELD_OUT_SHARE, _HELD_OUT_SHARE_OF_FEW = 0.4, 0.5
_FEW = 100  # held-out rows up to which half of all are held out
# Half of 20 rows are 10. With fewer than 6 pairs, a permutation test cannot reach p < 0.05 (2 / 2 ** 5 = 0.06).
_ENOUGH_TO_HOLD_OUT = 20
_VALIDATION_SHARE = 0.4  # of the training examples; chosen, not measured
_FEWEST_TO_DIVIDE = 30  # 40 % of 30 are 12: with fewer than 18 examples to learn from, kinds of mistakes are seen once or never
# In the same study, runs that learned from and compared on the same rows gained 0.055, and those that kept 40 % of them apart 0.042.
_ENOUGH_FOR_VALIDATION = 150
FewRows = Literal["apart", "some", "all"]
"""Which of 30 to 149 training examples candidates are compared on: 40 % that nothing is learned from, 40 % of all, or all. Comparing on
all is best for an optimizer that does so in blocks, and too dear for one that runs each candidate on all of them."""
# Held-out examples beyond these add little: with a spread of 0.25, 250 prove a gain of 0.045 in four of five runs, and 500 one of 0.03.
_MOST_HELD_OUT = 250
# The test costs as much as the search at most, but even the smallest budget gets enough examples for a gain of 0.12.
FEWEST_HELD_OUT = 30
# Of examples that the user gives as `eval_data`, whatever the search costs. The others stay for `prove`.
_MOST_GIVEN = 500


def hold_out(train_data: Data | None, eval_data: Data | None, seed: int, budget: Budget) -> dict[str, list[Example]]:
    """Return the examples by split: `train`, and `held_out` if some are held out.

    Without `eval_data`, half of 20 or more training rows are held out, up to 100, and 40 % of more than 250, but no more than
    `proof_rows`; with an empty one, none are.
    Raises `InvalidExample` if the same inputs are in both.
    """
    if train_data is None or is_empty(train_data):
        if eval_data is None or is_empty(eval_data):
            return {"train": []}
        return {"train": [], "held_out": unique(examples_of(eval_data, "eval_data"))}
    train = unique(examples_of(train_data, "train_data"))
    if eval_data is None:
        if len(train) < _ENOUGH_TO_HOLD_OUT:
            return {"train": train}
        train, held_out = split_examples(train, _share_held_out(len(train), budget), seed)
        return {"train": train, "held_out": held_out}
    if is_empty(eval_data):
        return {"train": train}
    held_out = unique(examples_of(eval_data, "eval_data"))
    _check_overlap(train, held_out)
    return {"train": train, "held_out": held_out}


def held_out_sizes(rows: Sequence[Example], seed: int = 0, budget: Budget | None = None) -> tuple[int, int]:
    """Return (training examples, held-out examples) for rows that are given as `train_data` alone."""
    splits = hold_out(list(rows), None, seed, budget or Budget())
    return len(splits["train"]), len(splits.get("held_out", ()))


def proof_rows(budget: Budget) -> int:
    """Return how many examples the held-out test may take: as `budget.proof` says, or as many as they are worth.

    That is 250, and fewer if the test would cost more rollouts than the search.
    """
    if budget.proof is not None:
        return budget.proof // 2
    return _MOST_HELD_OUT if budget.rollouts is None else min(_MOST_HELD_OUT, max(FEWEST_HELD_OUT, budget.rollouts // 2))


def with_proof(budget: Budget, held_out: int, *, given: bool) -> Budget:
    """Return the budget with the rollouts that the test on `held_out` examples takes at most; `given`: as `eval_data`."""
    rows = _MOST_GIVEN if given and budget.proof is None else proof_rows(budget)
    return replace(budget, proof=2 * min(held_out, rows) or None)


def _share_held_out(rows: int, budget: Budget) -> float:
    """Return the share of `rows` that is held out. A `budget.proof` of the user's may take up to half of them."""
    if budget.proof is not None:
        return min(0.5, proof_rows(budget) / rows)
    worth = max(_HELD_OUT_SHARE * rows, min(_HELD_OUT_SHARE_OF_FEW * rows, _FEW))
    return min(worth, proof_rows(budget)) / rows


def validation_rows(train: int) -> int:
    """Return how many of `train` rows are kept for comparing candidates only."""
    return round(train * _VALIDATION_SHARE) if train >= _ENOUGH_FOR_VALIDATION else 0


def split_validation(
    examples: Sequence[Example], rng: random.Random, few: FewRows = "some"
) -> tuple[list[Example], list[Example]]:
    """Return (examples to learn from, examples to compare on), both in a random order; `few` decides for 30 to 149 examples.

    The same twice for fewer.
    """
    order = list(examples)
    rng.shuffle(order)
    n = round(len(order) * _VALIDATION_SHARE)
    if len(order) < _FEWEST_TO_DIVIDE:
        return order, order
    if few == "apart" or len(order) >= _ENOUGH_FOR_VALIDATION:
        return order[n:], order[:n]
    return order, order if few == "all" else order[:n]


def _check_overlap(train: Sequence[Example], held_out: Sequence[Example]) -> None:
    """Raise `InvalidExample` if inputs are in both splits; log a warning if some are nearly the same."""
    inputs, simplified = {digest(example.inputs) for example in train}, {same_inputs(example) for example in train}
    if both := [example for example in held_out if digest(example.inputs) in inputs]:
        raise InvalidExample(
            f"{len(both)} rows are in both train_data and eval_data, such as {dict(both[0].inputs)!r:.120}; remove them from one"
        )
    if near := [example for example in held_out if same_inputs(example) in simplified]:
        logger.warning(
            "%d of %d held-out examples are training examples in other case, spacing or punctuation, such as %.120s: "
            "the held-out score may be too high. Remove them from one of the two.",
            len(near),
            len(held_out),
            dict(near[0].inputs),
        )
