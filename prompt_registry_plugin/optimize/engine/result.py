"""The result of an optimization run."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from prompt_registry_plugin.concurrency import blocking
from prompt_registry_plugin.datasets.examples import Data
from prompt_registry_plugin.errors import UserError
from prompt_registry_plugin.evaluation.grades import Grade
from prompt_registry_plugin.evaluation.options import OnEvent
from prompt_registry_plugin.evaluation.scoring import mean_score
from prompt_registry_plugin.optimize.engine.change import Change, changes_of
from prompt_registry_plugin.optimize.engine.evidence import Afterwards, Evidence
from prompt_registry_plugin.optimize.engine.pareto import ParetoPoint, pareto_front
from prompt_registry_plugin.optimize.engine.proof import HeldOut
from prompt_registry_plugin.optimize.engine.run_config import Register
from prompt_registry_plugin.prompts.version import PromptVersion
from prompt_registry_plugin.protocols import CandidateRecord
from prompt_registry_plugin.records import Candidate, Usage
from prompt_registry_plugin.registry.registry import PromptRegistry

logger = logging.getLogger(__name__)


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
    evidence: Evidence | None = field(default=None, kw_only=True)
    """What the held-out examples, and those of later `prove` calls, say about the winner; None without a test, or if the baseline won."""
    unscored_rollouts: int = field(default=0, kw_only=True)
    """Rollouts without a score, of the search and of the held-out test: they count neither as wrong nor as right."""
    unscored_example: str | None = field(default=None, kw_only=True)
    """Why one of them has no score; None if all have one."""
    unreadable_answers: int = field(default=0, kw_only=True)
    """Answers of the reflection model that could not be read, in all processes that worked on the optimization run."""
    unreadable_example: str | None = field(default=None, kw_only=True)
    """The start of one of these answers, with the reason; None if all could be read."""
    _registry: PromptRegistry = field(repr=False)
    _validation: frozenset[str] = field(repr=False, default=frozenset())
    _register: Register = field(repr=False, default="if_proven")
    _afterwards: Afterwards | None = field(repr=False, default=None)

    @property
    def grade(self) -> Grade | None:
        """`proven` or `likely` better than the baseline, `open` or `worse`; None without a test, or if the baseline won."""
        return None if self.evidence is None else self.evidence.grade

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
        before = mean_score([rollout for rollout in rollouts if rollout.candidate_id == self.baseline.id])
        if self.held_out is None or self.search_score is None or before is None:
            return None
        return self.search_score - before - self.held_out.difference.mean

    @property
    def changes(self) -> Sequence[Change]:
        """The change in all: each text of the winner that differs from the baseline's, beside it; empty if the baseline won."""
        return changes_of(self.baseline, self.winner)

    @property
    def ended(self) -> str:
        """Why the search ended, as a sentence."""
        return next((str(record.detail.get("ended", "")) for record in self.candidates if record.status == "winner"), "")

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

    @property
    def promotable(self) -> Sequence[PromptVersion]:
        """The new versions. If proven ones were asked for (`register="if_proven"`) and the gain is only likely, none."""
        return () if self.grade == "likely" and self._register == "if_proven" else self.optimized_prompts

    def promote(self, alias: str = "production", *, likely: bool = False) -> Sequence[PromptVersion]:
        """Point `alias` of every optimized prompt at its new version, and return these versions; none if none was registered.

        Versions whose gain is only likely stay where they are, with a warning, unless `likely` is True.
        """
        if self.optimized_prompts and not self.promotable and not likely:
            logger.warning(
                "Nothing was promoted to %r: the gain is likely, not proven (%s). Prove it with result.prove(more_data), or promote it "
                "all the same with result.promote(%r, likely=True).", alias, self.evidence, alias,
            )  # fmt: skip
            return ()
        for version in self.optimized_prompts:
            self._registry.set_prompt_alias(version.name, alias, version.version, reason=f"optimization run {self.run_id}")
        return self.optimized_prompts

    async def aprove(
        self, data: Data | None = None, *, budget: int | None = None, on_event: OnEvent | None = None
    ) -> PromptOptimizationResult:
        """Continue the held-out test with more examples, and return the result as it is then.

        `data` are rows that the search and the test have not used; rows that they used, and rows of earlier calls, are not counted
        again. Without `data`, these are the held-out rows that were too many for the test. It runs them in blocks, spends at most
        `budget` rollouts (two a row), and stops as soon as the gain or a loss is proven. You can call it as often as you like: the test
        stays valid (`evaluation.eprocess`). A gain that is likely then is registered as `candidate`, a proven one without an alias.

        Raises `UserError` if there are no such rows, and `InvalidScore` for scores that are not from 0 to 1.
        """
        proven = await self._known_afterwards.prove(self.run_id, data, budget, on_event)
        return replace(self, evidence=proven.evidence, optimized_prompts=proven.registered, registered_because=proven.because)

    prove = blocking(aprove)

    def register(self, alias: str | None = None) -> PromptOptimizationResult:
        """Register the winner whatever its grade, point `alias` at its versions if one is given, and return the result as it is then.

        The versions are tagged with the evidence. `promote` then promotes them. Raises `UserError` if the baseline won.
        """
        registered, because = self._known_afterwards.register(self.run_id, alias)
        return replace(self, optimized_prompts=registered, registered_because=because, _register="always")

    @property
    def _known_afterwards(self) -> Afterwards:
        if self._afterwards is None:
            raise UserError(f"This result has no target. Use: prompt-registry runs prove {self.run_id} --data more.jsonl")
        return self._afterwards

    def __repr__(self) -> str:
        versions = ", ".join(version.uri for version in self.optimized_prompts) or "none"
        unread = f"; {self.unreadable_answers} answers not readable" if self.unreadable_answers else ""
        lost = f"; {self.unscored_rollouts} rollouts without a score" if self.unscored_rollouts else ""
        sizes = "".join(f"; {change.key}: {change.size}" for change in self.changes)
        ended = f"; the search ended: {self.ended}" if self.ended else ""
        done = f"{self.rollouts} rollouts; registered: {versions}{sizes}{ended}{lost}{unread}"
        return f"<optimization run {self.run_id}: {self.registered_because}; {done}>"
