"""The result of an optimization run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from prompt_registry_plugin.optimize.engine.pareto import ParetoPoint, pareto_front
from prompt_registry_plugin.optimize.engine.proof import HeldOut
from prompt_registry_plugin.prompts.version import PromptVersion
from prompt_registry_plugin.protocols import CandidateRecord
from prompt_registry_plugin.records import Candidate, Usage
from prompt_registry_plugin.registry.registry import PromptRegistry


@dataclass(frozen=True, repr=False)
class PromptOptimizationResult:
    """The result of an optimization run."""

    run_id: str
    """Id of the optimization run, by which it is shown, resumed and promoted."""
    optimizer_name: str
    """Name of the optimizer."""
    baseline: Candidate
    """The templates that the search started from."""
    winner: Candidate
    """The candidate that the search found best; the baseline if no other was better."""
    optimized_prompts: Sequence[PromptVersion]
    """The new versions of the prompts that changed; empty if none was registered (see `registered_because`)."""
    held_out: HeldOut | None
    """Baseline and winner on held-out examples, which the search never saw; None without held-out examples, or if the baseline won."""
    search_score: float | None
    """The search's own estimate of the winner's mean score. The search chose by it, so it is usually too high."""
    rollouts: int
    """Rollouts of the search, without the held-out test."""
    reflection_usage: Usage
    """Tokens of the reflection model, in all processes that worked on the optimization run."""
    candidates: Sequence[CandidateRecord]
    """All candidates with the last decision about each, oldest first."""
    registered_because: str
    """Why new versions were registered, or why not."""
    failed_rollouts: int
    """Failed rollouts, of the search and of the held-out test."""
    unreadable_answers: int = field(default=0, kw_only=True)
    """Answers of the reflection model that could not be read, in all processes that worked on the optimization run."""
    unreadable_example: str | None = field(default=None, kw_only=True)
    """The start of one of these answers, with the reason; None if all could be read."""
    _registry: PromptRegistry = field(repr=False)
    _validation: frozenset[str] = field(repr=False, default=frozenset())

    @property
    def initial_eval_score(self) -> float | None:
        """The baseline's mean score on held-out examples."""
        return None if self.held_out is None else self.held_out.before.score.mean

    @property
    def final_eval_score(self) -> float | None:
        """The winner's mean score on held-out examples."""
        return None if self.held_out is None else self.held_out.after.score.mean

    @property
    def overfitting(self) -> float | None:
        """The search's own estimate of the gain, minus the gain on held-out examples; None if one of them is not known.

        The estimate is `search_score` minus the baseline's mean score on the training examples.
        """
        rollouts = self._registry.store.runs.rollouts(self.run_id, "train")
        before = [rollout.score for rollout in rollouts if rollout.candidate_id == self.baseline.id]
        if self.held_out is None or self.search_score is None or not before:
            return None
        return self.search_score - fmean(before) - self.held_out.difference.mean

    @property
    def pareto_front(self) -> list[ParetoPoint]:
        """The candidates that no other one beats in score, cost, time and length together, measured on validation examples."""
        rollouts = self._registry.store.runs.rollouts(self.run_id, "train")
        return pareto_front(self.candidates, rollouts, dict.fromkeys(self._validation))

    @property
    def scores_by_scorer(self) -> Mapping[str, tuple[float, float]]:
        """(mean score of the baseline, of the winner) by scorer, on held-out examples; empty without a held-out test."""
        if self.held_out is None:
            return {}
        after = self.held_out.after.scores
        return {name: (score.mean, after[name].mean) for name, score in self.held_out.before.scores.items()}

    def promote(self, alias: str = "production") -> Sequence[PromptVersion]:
        """Point `alias` of every optimized prompt at its new version, and return these versions; none if none was registered."""
        for version in self.optimized_prompts:
            self._registry.set_prompt_alias(version.name, alias, version.version, reason=f"optimization run {self.run_id}")
        return self.optimized_prompts

    def __repr__(self) -> str:
        versions = ", ".join(version.uri for version in self.optimized_prompts) or "none"
        unread = f"; {self.unreadable_answers} answers not readable" if self.unreadable_answers else ""
        return f"<optimization run {self.run_id}: {self.registered_because}; {self.rollouts} rollouts; registered: {versions}{unread}>"
