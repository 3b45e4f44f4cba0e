"""One variant of a comparison: its evaluation, and its difference from the first variant."""

from __future__ import annotations

from dataclasses import dataclass

from prompt_registry_plugin.evaluation.evaluate import EvaluationResult
from prompt_registry_plugin.evaluation.grades import Grade, grade_of
from prompt_registry_plugin.evaluation.statistics import PairedDifference

MEASURES = ("score", "failures", "unscored", "seconds", "cost", "tokens")
"""What every variant can be measured by, besides its scorers."""


@dataclass(frozen=True, slots=True)
class Variant:
    """A version of the prompts, a model or a target, with its evaluation."""

    name: str
    """The target, the prompts and the model, as far as they vary; `as it is` when nothing does."""
    result: EvaluationResult
    """The rollouts, in the order of the examples."""
    difference: PairedDifference | None = None
    """How much the score exceeds the first variant's, example by example; None for the first variant."""
    p_value: float | None = None
    """The p-value of the difference, corrected for the number of variants (Holm, 1979); None for the first variant."""
    prompt: str = ""
    """The prompt versions, such as `support/3`; empty when none were given."""
    model: str = ""
    """The model, as it was given; empty when none was."""

    @property
    def grade(self) -> Grade | None:
        """`proven` better than the first variant, `likely` better, `open` or `worse`; None for the first variant.

        With several variants, `proven` and `worse` count the corrected p-value.
        """
        return None if self.difference is None else grade_of(self.difference, self.p_value)

    @property
    def regressed(self) -> bool:
        """Whether it is worse than the first variant: the whole interval of the difference is below zero."""
        return self.difference is not None and self.difference.difference.high is not None and self.difference.difference.high < 0

    def measure(self, name: str) -> float | None:
        """Return a figure by name, or None when it is not known.

        `score` and the name of a scorer are means, `failures` and `unscored` numbers of rollouts; `seconds`, `cost` (US dollars)
        and `tokens`
        (input and output) are means over the rollouts.
        """
        result, n = self.result, len(self.result.rollouts)
        if name == "failures":
            return float(len(result.failures))
        if name == "unscored":
            return float(len(result.unscored))
        if name == "cost":
            return None if result.cost is None else result.cost / n
        if name == "tokens":
            return (result.usage.input_tokens + result.usage.output_tokens) / n
        interval = {"score": result.score, "seconds": result.seconds, **result.scores}.get(name)
        return None if interval is None else interval.mean
