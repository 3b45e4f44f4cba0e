"""What an optimization returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from prompt_registry_plugin.optimize.proof import HeldOut
from prompt_registry_plugin.prompts import PromptVersion
from prompt_registry_plugin.protocols import CandidateRecord
from prompt_registry_plugin.records import Candidate, Usage
from prompt_registry_plugin.registry import PromptRegistry


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

    @property
    def initial_eval_score(self) -> float | None:
        """The baseline's mean score on held-out examples."""
        return None if self.held_out is None else self.held_out.before.score.mean

    @property
    def final_eval_score(self) -> float | None:
        """The winner's mean score on held-out examples."""
        return None if self.held_out is None else self.held_out.after.score.mean

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
