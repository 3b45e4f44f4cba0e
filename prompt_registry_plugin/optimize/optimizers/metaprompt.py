"""One rewrite of every prompt: from a few failures, or from nothing if there are no examples."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from prompt_registry_plugin.concurrency import all_of
from prompt_registry_plugin.evaluation.scoring import scored_pairs
from prompt_registry_plugin.optimize.engine.components import components, with_component
from prompt_registry_plugin.optimize.engine.problem import OptimizationResult, Problem
from prompt_registry_plugin.optimize.optimizers.commit_queue.blame import Blame
from prompt_registry_plugin.optimize.optimizers.proposal import propose
from prompt_registry_plugin.optimize.optimizers.reflection import Evidence
from prompt_registry_plugin.records import Candidate, Example

# Both were chosen, not measured.
_EXAMPLES = 20  # examples that failures are looked for in
_MAX_FAILURES = 4  # of a component, in one reflection: enough to see what they have in common


class MetaPrompt:
    """Rewrites every prompt once. With examples, the rewrite is kept only if it is better than the baseline on the validation set.

    `guidelines` are sentences that are added to the request to the reflection model.
    """

    name = "metaprompt"
    reflects = True
    needs_data = False
    sees_rollouts_only = True  # so examples without any are as good as held out

    def __init__(self, guidelines: str | None = None) -> None:
        self._guidelines = [f"Besides, follow these guidelines: {guidelines}"] if guidelines else []

    async def optimize(self, problem: Problem) -> OptimizationResult:
        """Return the rewrite, or the baseline if it is not better."""
        failures = await self._failures(problem, problem.train[:_EXAMPLES])
        keys = list(problem.baseline_components)
        texts = await all_of(
            propose(problem, problem.baseline, key, failures.get(key, ()), guidelines=self._guidelines, may_repeat=True)
            for key in keys  # a resumed run proposes what it had proposed
        )
        made = problem.baseline
        for key, text in zip(keys, texts, strict=True):
            if text is not None and text != components(made.templates)[key]:
                made = with_component(made, key, text, "rewritten")
        if made is problem.baseline or not problem.validation:
            return OptimizationResult(made)
        made = Candidate(made.templates, problem.baseline.id, "rewritten")
        problem.decide(made, "proposed")
        examples = problem.affordable(problem.validation, problem.baseline, made)
        if not examples:
            problem.tell("message", "the budget does not pay for comparing the rewrite with the baseline, so the baseline stays")
            return OptimizationResult(problem.baseline)
        before, after = await all_of(problem.evaluate(candidate, examples) for candidate in (problem.baseline, made))
        old, new = scored_pairs(before, after)
        scores = [fmean(values) if values else 0.0 for values in (old, new)]
        better = scores[1] > scores[0]
        reason = f"{scores[0]:.3f} → {scores[1]:.3f} on {len(examples)} examples"
        problem.decide(made, "accepted" if better else "rejected", reason)
        return OptimizationResult(made if better else problem.baseline, max(scores))

    async def _failures(self, problem: Problem, examples: Sequence[Example]) -> dict[str, list[Evidence]]:
        """Return failures of the baseline by component."""
        examples = problem.affordable(examples, problem.baseline)
        rollouts = await problem.evaluate(problem.baseline, examples)
        blame = Blame(problem.baseline_components)
        blame.set_thresholds(rollouts)
        found: dict[str, list[Evidence]] = {}
        for example, rollout in zip(examples, rollouts, strict=True):
            for (component, _), items in blame.failures(rollout).items():
                listed = found.setdefault(component, [])
                if len(listed) < _MAX_FAILURES and example not in [evidence.example for evidence in listed]:
                    listed.append(Evidence(example, rollout, items))
        return found
