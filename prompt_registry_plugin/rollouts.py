"""One candidate on one example: run, recorded, scored. Evaluations and optimizers are built on it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import Any

from prompt_registry_plugin.concurrency import ContextPool
from prompt_registry_plugin.errors import InvalidExample, InvalidScore, TargetFailed, UserError, did_you_mean
from prompt_registry_plugin.plugins import PluginManager
from prompt_registry_plugin.protocols import Scorer, Target
from prompt_registry_plugin.records import Candidate, Example, Price, Rollout, Score, Usage
from prompt_registry_plugin.scope import not_rendered, override_prompts, recording
from prompt_registry_plugin.scorers.scorer import FunctionScorer, to_score
from prompt_registry_plugin.targets import resolve_target
from prompt_registry_plugin.tracing import Trace, usage_of

Aggregation = Callable[[Mapping[str, float]], float]
_PROBES, _RENDER_PROBES = 3, 20


class Runner:
    """Runs rollouts of one target with one set of scorers. Use it in a `with` block: leaving waits for its threads."""

    def __init__(
        self,
        predict_fn: Any,
        scorers: Sequence[Any],
        *,
        plugins: PluginManager,
        concurrency: int,
        aggregation: Aggregation | None = None,
        prices: Mapping[str, Price] | None = None,
    ) -> None:
        self._pool = ContextPool(concurrency)
        self.target: Target = resolve_target(predict_fn, self._pool, plugins)
        self.scorers = resolve_scorers(scorers, plugins)
        self._aggregation = aggregation or _mean
        self._prices = dict(prices or {})
        self.slots = asyncio.Semaphore(concurrency)

    def check(self, examples: Sequence[Example], what: str) -> None:
        """Raises `InvalidExample` for the first example whose inputs the target does not take; runs nothing."""
        for number, example in enumerate(examples, 1):
            if problem := self.target.check(example.inputs):
                raise InvalidExample(f"row {number} of {what} does not fit: {problem}")

    async def __call__(self, candidate: Candidate, example: Example) -> Rollout:
        """The rollout, as soon as a slot is free; a target that raised is a rollout with an error."""
        async with self.slots:
            return await self.run(candidate, example)

    async def probe(self, candidate: Candidate, examples: Sequence[Example]) -> list[Rollout]:
        """The first rollouts of a run, one by one until one succeeds, so that a mistake costs a call and not a budget.

        Raises `InvalidScore` for a scorer's fault, `TargetFailed` when the target raises three times, and `PromptNotRendered` when
        it answers twenty examples without rendering any of the candidate's prompts (on a branch they may come later).
        """
        done: list[Rollout] = []
        raised = 0
        for example in examples[:_RENDER_PROBES]:
            done.append(await self.run(candidate, example, strict=True))
            if done[-1].error is None:
                return done
            raised += bool(any(done[-1].renders.values()) or not candidate.templates or done[-1].outputs is None)
            if raised == min(_PROBES, len(examples)):
                raise TargetFailed(f"{self.target.name} failed on {raised} examples, so nothing more was tried; {done[-1].error}")
        if raised:
            raise TargetFailed(f"{self.target.name} failed on the first {len(done)} examples; {done[-1].error}")
        raise not_rendered(sorted(candidate.templates))

    async def run(self, candidate: Candidate, example: Example, *, strict: bool = False) -> Rollout:
        """The rollout at once. With `strict` a scorer's fault is raised as `InvalidScore` rather than recorded."""
        trace, started, outputs, error = Trace("rollout"), time.perf_counter(), None, None
        scores: dict[str, Score] = {}
        score = 0.0
        with override_prompts(candidate.templates, unrendered="ignore") as scope, recording(trace):
            try:
                outputs = await self.target(example.inputs)
            except asyncio.CancelledError as caught:
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    raise  # it is us who are stopped, not a task of the agent's own
                error = f"CancelledError: {caught}"
            except (Exception, SystemExit) as caught:  # noqa: BLE001  the boundary of one rollout: whatever a user's agent raises
                error = f"{type(caught).__name__}: {caught}"
        seconds, renders = time.perf_counter() - started, scope.renders
        if error is None and candidate.templates and not any(renders.values()):
            error = str(not_rendered(sorted(renders)))
        if error is None:
            scores, score, error = await self._score(example, outputs, trace, strict)
        return Rollout(
            example_id=example.id,
            candidate_id=candidate.id,
            outputs=outputs,
            scores=scores,
            score=score,
            seconds=seconds,
            usage=trace.usage,
            error=error,
            outputs_by_prompt=trace.outputs_by_prompt() or _by_prompt(outputs, candidate),
            renders=renders,
            cost=self._cost(trace),
        )

    async def _score(
        self, example: Example, outputs: Any, trace: Trace, strict: bool
    ) -> tuple[dict[str, Score], float, str | None]:
        """The scores, their aggregate, and what went wrong."""
        scores: dict[str, Score] = {}
        at = "aggregation"
        try:
            for scorer in self.scorers:
                at = f"scorer {scorer.name!r}"
                value = await scorer(inputs=example.inputs, outputs=outputs, expectations=example.expectations, trace=trace)
                scores[scorer.name] = to_score(value, scorer.name)
            at = "aggregation"
            total = self._aggregation({name: score.value for name, score in scores.items()})
            return scores, to_score(total, at).value, None
        except Exception as caught:  # the boundary of one example's scoring: whatever a user's scorer raises
            problem = caught if isinstance(caught, UserError) else f"{type(caught).__name__}: {caught}"
            if strict:
                raise InvalidScore(f"{at} failed on example {dict(example.inputs)!r:.200}: {problem}") from caught
            return scores, 0.0, f"{at} failed: {problem}"

    def _cost(self, trace: Trace) -> float | None:
        total = 0.0
        for span in trace.spans:
            if span.kind == "llm":
                price = self._prices.get(span.name)
                if price is None:
                    return None
                total += price.of(usage_of(span))
        return total if self._prices else None

    def __enter__(self) -> Runner:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._pool.close()


def resolve_scorers(scorers: Sequence[Any], plugins: PluginManager) -> list[Scorer]:
    """Scorers from scorers, plain functions and names of installed ones. Raises `UserError` for unknown names and two alike."""
    if isinstance(scorers, str) or not isinstance(scorers, Sequence):
        raise UserError("scorers is a list of scorers")
    if not scorers:
        raise UserError("at least one scorer is needed, such as 'exact_match' or a function with @scorer")
    known: dict[str, Scorer] = {s.name: s for listed in plugins.hook.prompt_registry_scorers() for s in listed}
    found: list[Scorer] = []
    for scorer in scorers:
        if isinstance(scorer, str) and scorer not in known:
            raise UserError(
                f"no scorer is called {scorer!r}{did_you_mean(scorer, known) or '; there are ' + ', '.join(sorted(known))}"
            )
        if isinstance(scorer, str):
            found.append(known[scorer])
        else:
            found.append(scorer if hasattr(scorer, "name") else FunctionScorer(scorer))
    names = [scorer.name for scorer in found]
    if twice := [name for name in names if names.count(name) > 1]:
        raise UserError(f"two scorers are called {twice[0]!r}; give them different names")
    return found


def usage_over(rollouts: Sequence[Rollout]) -> Usage:
    """The tokens of many rollouts."""
    return sum((rollout.usage for rollout in rollouts), Usage())


def cost_over(rollouts: Sequence[Rollout]) -> float | None:
    """US dollars of many rollouts; None when a price is not known."""
    costs = [rollout.cost for rollout in rollouts]
    return None if any(cost is None for cost in costs) else sum(cost for cost in costs if cost is not None)


def _by_prompt(outputs: Any, candidate: Candidate) -> dict[str, str]:
    """What each prompt's model answered, as a target says whose model calls nobody traces: by answering with a mapping by prompt name."""
    if not isinstance(outputs, Mapping):
        return {}
    return {name: outputs[name] for name in candidate.templates if isinstance(outputs.get(name), str)}


def _mean(scores: Mapping[str, float]) -> float:
    return fmean(scores.values())
