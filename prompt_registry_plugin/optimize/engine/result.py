"""What an optimization returns."""

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
    """The outcome of a run.

    `initial_eval_score` and `final_eval_score` are means on held-out examples, which the search never saw; `held_out` has both
    evaluations and their paired difference. They are None when there were no examples to hold out. `search_score` is the search's own
    estimate, on the examples it chose with: expect it to flatter. `optimized_prompts` are the registered versions of the
    prompts that changed; it is empty when no gain was proven (see `registered_because`).
    """

    run_id: str
    optimizer_name: str
    baseline: Candidate
    winner: Candidate
    optimized_prompts: Sequence[PromptVersion]
    held_out: HeldOut | None
    search_score: float | None
    rollouts: int
    reflection_usage: Usage
    candidates: Sequence[CandidateRecord]
    registered_because: str
    failed_rollouts: int
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
        """The gain that the search believed in less the gain on held-out examples; None where one of them is not known.

        The search's gain is its own estimate of the winner less the baseline's mean on the examples it searched on.
        """
        rollouts = self._registry.store.runs.rollouts(self.run_id, "train")
        before = [rollout.score for rollout in rollouts if rollout.candidate_id == self.baseline.id]
        if self.held_out is None or self.search_score is None or not before:
            return None
        return self.search_score - fmean(before) - self.held_out.difference.mean

    @property
    def pareto_front(self) -> list[ParetoPoint]:
        """The candidates that no other beats in score, cost, time and length together, by the search's validation examples."""
        rollouts = self._registry.store.runs.rollouts(self.run_id, "train")
        return pareto_front(self.candidates, rollouts, dict.fromkeys(self._validation))

    @property
    def scores_by_scorer(self) -> Mapping[str, tuple[float, float]]:
        """Mean before and after by scorer, on held-out examples."""
        if self.held_out is None:
            return {}
        after = self.held_out.after.scores
        return {name: (score.mean, after[name].mean) for name, score in self.held_out.before.scores.items()}

    def promote(self, alias: str = "production") -> Sequence[PromptVersion]:
        """Points `alias` of every optimized prompt at its new version, and returns these; none when nothing was registered."""
        for version in self.optimized_prompts:
            self._registry.set_prompt_alias(version.name, alias, version.version, reason=f"optimization run {self.run_id}")
        return self.optimized_prompts

    def __repr__(self) -> str:
        versions = ", ".join(version.uri for version in self.optimized_prompts) or "none"
        return f"<optimization run {self.run_id}: {self.registered_because}; {self.rollouts} rollouts; registered: {versions}>"
