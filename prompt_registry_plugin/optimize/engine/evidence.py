"""The evidence for a winner: its grade with the figures behind it, as it is stored, tagged and said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any, Protocol

from prompt_registry_plugin.datasets.examples import Data
from prompt_registry_plugin.evaluation.eprocess import ENOUGH, anytime_interval, e_value
from prompt_registry_plugin.evaluation.grades import LIKELY, Grade, describe_evidence, gain_of, grade_of, probability
from prompt_registry_plugin.evaluation.options import OnEvent
from prompt_registry_plugin.evaluation.statistics import PairedDifference, paired_difference
from prompt_registry_plugin.prompts.version import PromptVersion
from prompt_registry_plugin.records import Interval

# In `benchmarks.few_rows`, more than 90 % of the winners were truly better where a gain was possible, and none where none was: 0.6 is
# between the two. Of 96 runs on messages, 64 % of the winners that were better by 0.04 or more then ended as likely or proven, and 57 %
# with 0.5; of 120 runs without a gain, 11 % and 8 %.
PRIOR = 0.6
"""The probability that the winner of a search is better, before the held-out examples say anything."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the examples that no decision used say about the winner of an optimization run."""

    grade: Grade
    """`proven` or `likely` better than the baseline, `open` or `worse`."""
    before: float
    """Mean score of the baseline on these examples."""
    after: float
    """Mean score of the winner on them."""
    paired: PairedDifference
    """The gain example by example: its 95 % interval, the probability that it is above zero, and the p-value."""
    e_value: float | None = None
    """The factor on a stake that was bet on the gain, example by example; None for the held-out test, which has a fixed size."""

    @property
    def difference(self) -> Interval:
        """The mean gain of an example with its 95 % interval, which holds at every look if there is an `e_value`."""
        return self.paired.difference

    @property
    def p_better(self) -> float:
        """The probability that the winner is better, from 0 to 1; 0.6 before any example (`PRIOR`)."""
        return self.paired.p_better

    @property
    def is_settled(self) -> bool:
        """Whether more examples are not needed: betting on the gain, or on a loss, has proven it."""
        return self.e_value is not None and (self.e_value >= ENOUGH or self.grade == "worse")

    def __str__(self) -> str:
        said = describe_evidence(self.grade, self.paired)
        return said if self.e_value is None else f"{said}, stake × {self.e_value:.3g} (proven from × {ENOUGH:.0f})"

    def tags(self) -> dict[str, str]:
        """Return the tags of a version that this is the evidence for."""
        return {
            "held_out_before": f"{self.before:.4f}",
            "held_out_after": f"{self.after:.4f}",
            "held_out_examples": str(self.difference.n),
            "gain": gain_of(self.paired),
            "grade": self.grade,
            "p_better": probability(self.p_better),
        }

    def to_json(self) -> dict[str, Any]:
        """Return what is stored in the result of the optimization run."""
        return {
            "grade": self.grade,
            "initial_eval_score": self.before,
            "final_eval_score": self.after,
            "difference": [self.difference.mean, self.difference.low, self.difference.high],
            "p_value": self.paired.p_value,
            "p_better": self.p_better,
            "examples": self.difference.n,
            "e_value": self.e_value,
        }


@dataclass(frozen=True, slots=True)
class Proven:
    """The outcome of continuing a held-out test."""

    evidence: Evidence
    """What all examples say, those of the run and of every call since."""
    registered: Sequence[PromptVersion]
    """The versions that are registered for the run now; empty if none are."""
    because: str
    """Why they are registered, or why not, and how to continue."""
    skipped: int
    """Rows of this call that were not run, since the search or the test had used their inputs, or because they came twice."""


class Afterwards(Protocol):
    """What can still be done with the winner of a finished optimization run (`optimize.proving`)."""

    async def prove(self, run_id: str, data: Data | None, budget: int | None, on_event: OnEvent | None) -> Proven:
        """Continue the held-out test with more examples."""

    def register(self, run_id: str, alias: str | None) -> tuple[Sequence[PromptVersion], str]:
        """Register the winner whatever its grade; return its versions and the reason."""


def of_test(before: Sequence[float], after: Sequence[float]) -> Evidence:
    """Return the evidence of a test of fixed size: scores of baseline and winner on the same examples, in the same order."""
    paired = _with_prior(paired_difference(before, after))
    return Evidence(grade_of(paired), _mean(before), _mean(after), paired)


def _with_prior(paired: PairedDifference) -> PairedDifference:
    """Return a difference whose probability of being better counts that the search preferred the winner, on other examples."""
    odds = PRIOR / (1 - PRIOR) * paired.p_better
    return replace(paired, p_better=odds / (odds + 1 - paired.p_better))


def _mean(scores: Sequence[float]) -> float:
    return fmean(scores) if scores else 0.0


def of_continued(before: Sequence[float], after: Sequence[float], test: Grade | None) -> Evidence:
    """Return the evidence of a test that is looked at again and again; `test` is the grade of the first test, of fixed size.

    Scores are from 0 to 1. A gain is proven if the first test proved it, or if the stake has grown enough since. That a run without a
    gain is ever called proven has a probability of 2.5 % in the first test, and of 2.5 % in all that follows.
    """
    differences = [b - a for a, b in zip(before, after, strict=True)]
    plain = _with_prior(paired_difference(before, after))
    paired = PairedDifference(anytime_interval(differences), plain.p_value, plain.p_better)
    value = e_value(differences)
    grade: Grade = "likely" if paired.p_better >= LIKELY else "open"
    if e_value([-difference for difference in differences]) >= ENOUGH:
        grade = "worse"
    elif value >= ENOUGH or test == "proven":
        grade = "proven"
    return Evidence(grade, fmean(before), fmean(after), paired, value)


def stored_evidence(result: Mapping[str, Any] | None) -> Evidence | None:
    """Return the evidence in the stored result of an optimization run, also of one by version 0.1.0; None without a held-out test."""
    if not result or result.get("difference") is None or result.get("final_eval_score") is None:
        return None
    mean, low, high = result["difference"]
    p_value = result.get("p_value")
    p_value = 1.0 if p_value is None else p_value
    # Version 0.1.0 stored no probability and no number of examples. Its two-sided p-value says as much.
    p_better = result.get("p_better", 1 - p_value / 2 if mean > 0 else p_value / 2)
    paired = PairedDifference(Interval(mean, low, high, result.get("examples", 0)), p_value, p_better)
    paired = paired if "p_better" in result else _with_prior(paired)
    grade = result.get("grade") or grade_of(paired)
    return Evidence(grade, result["initial_eval_score"], result["final_eval_score"], paired, result.get("e_value"))
