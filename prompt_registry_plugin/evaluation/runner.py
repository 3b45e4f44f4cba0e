"""One candidate on one example: run, recorded, scored. Evaluations and optimizers are built on it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

from prompt_registry_plugin.concurrency import AdaptiveLimit, ContextPool
from prompt_registry_plugin.errors import InvalidExample, InvalidScore, TargetFailed, UserError, did_you_mean
from prompt_registry_plugin.evaluation.options import RunOptions
from prompt_registry_plugin.evaluation.targets import import_object, reference_to, resolve_target
from prompt_registry_plugin.frameworks import enabling
from prompt_registry_plugin.frozen import canonical_json
from prompt_registry_plugin.plugins import PluginManager
from prompt_registry_plugin.prompts.context import override_prompts, recording, unrendered_error
from prompt_registry_plugin.protocols import Executor, Scorer, Target
from prompt_registry_plugin.recording.costs import cost_of, model_of, with_costs
from prompt_registry_plugin.records import Candidate, Example, Rollout, Score, TemplateFormat, Usage
from prompt_registry_plugin.registry.current import current_registry
from prompt_registry_plugin.retry import patiently
from prompt_registry_plugin.rollout_json import rollout_of
from prompt_registry_plugin.scorers.builtin import Cost
from prompt_registry_plugin.scorers.scorer import FunctionScorer, to_score
from prompt_registry_plugin.tracing.recorder import TraceRecorder
from prompt_registry_plugin.tracing.trace import Trace, usage_of

Aggregation = Callable[[Mapping[str, float]], float]
_PROBES, _RENDER_PROBES = 3, 20
_PATIENCE = 180.0  # seconds for all attempts of one call


class Runner:
    """Runs rollouts of one target with one set of scorers. Use it in a `with` block: leaving waits for its threads."""

    def __init__(
        self,
        predict_fn: Any,
        scorers: Sequence[Any],
        *,
        plugins: PluginManager,
        options: RunOptions,
        aggregation: Aggregation | None = None,
        formats: Mapping[str, TemplateFormat] | None = None,
    ) -> None:
        self._pool = ContextPool(options.concurrency)
        self.target: Target = resolve_target(predict_fn, self._pool, plugins, options.arguments)
        self.scorers = resolve_scorers(scorers, plugins)
        self._aggregation = aggregation or _mean
        self._plugins = plugins
        self._options = options
        self._formats = formats or {}
        self._executor: Executor | None = None
        self._work = ""
        if options.executor != "local":
            self._work = self._described(predict_fn, scorers, aggregation)
            self._executor = plugins.hook.prompt_registry_executor(name=options.executor)
            if self._executor is None:
                raise UserError(f"no executor is called {options.executor!r}; there are 'local' and 'ray'")
        self.slots = AdaptiveLimit(options.concurrency)

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
        raise unrendered_error(sorted(candidate.templates))

    def _described(self, predict_fn: Any, scorers: Sequence[Any], aggregation: Aggregation | None) -> str:
        """What another process has to know. Raises `UserError` for what it could not import."""
        named = {"predict_fn": reference_to(predict_fn), "aggregation": aggregation and reference_to(aggregation)}
        judges = [scorer if isinstance(scorer, str) else reference_to(scorer) for scorer in scorers]
        missing = "predict_fn" if named["predict_fn"] is None else "a scorer" if None in judges else ""
        if missing or (aggregation is not None and named["aggregation"] is None):
            raise UserError(
                f"{missing or 'aggregation'} cannot be imported by name, as executor {self._options.executor!r} has to: "
                "define it at the top of a module, and start the run from its folder"
            )
        registry, options = current_registry(), self._options
        prices = {name: [price.input, price.output] for name, price in options.prices.items()}
        return canonical_json({
            **named, "scorers": judges, "folder": str(Path.cwd()), "registry": registry.url, "adapters": list(enabling.enabled()),
            "prices": prices, "attempts": options.attempts, "arguments": dict(options.arguments), "formats": dict(self._formats),
        })  # fmt: skip

    async def _elsewhere(self, executor: Executor, candidate: Candidate, example: Example) -> Rollout:
        """The rollout, by an executor; what it cannot do is a failed rollout."""
        began = time.perf_counter()
        try:
            done = await executor.run(
                self._work,
                canonical_json({"templates": candidate.templates, "id": candidate.id}),
                canonical_json({"inputs": example.inputs, "expectations": example.expectations, "id": example.id}),
            )
            return rollout_of(json.loads(done))
        except Exception as caught:  # noqa: BLE001  the border to another machine, where anything may go wrong
            error = f"{self._options.executor}: {type(caught).__name__}: {caught}"
            return Rollout(example.id, candidate.id, None, {}, 0.0, time.perf_counter() - began, Usage(), error)

    async def run(self, candidate: Candidate, example: Example, *, strict: bool = False, local: bool = False) -> Rollout:
        """The rollout at once. With `strict` a scorer's fault is raised as `InvalidScore` rather than recorded; that one runs here, as
        one does that is to be `local`."""
        if self._executor is not None and not strict and not local:
            return await self._elsewhere(self._executor, candidate, example)
        attempts: list[tuple[TraceRecorder, float]] = []
        outputs, error = None, None
        scores: dict[str, Score] = {}
        score, judged = 0.0, TraceRecorder("judging")

        async def attempt() -> Any:
            attempts.append((TraceRecorder("rollout"), time.perf_counter()))
            with recording(attempts[-1][0]):
                return await self.target(example.inputs)

        with override_prompts(candidate.templates, unrendered="ignore", template_formats=self._formats) as scope:
            try:
                outputs = await self._patiently(attempt)
            except asyncio.CancelledError as caught:
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    raise  # it is us who are stopped, not a task of the agent's own
                error = f"CancelledError: {caught}"
            except (Exception, SystemExit) as caught:  # noqa: BLE001  the boundary of one rollout: whatever a user's agent raises
                error = f"{type(caught).__name__}: {caught}"
        trace, started = attempts[-1]  # what came of earlier attempts is paid for, and not judged
        seconds, renders = time.perf_counter() - started, scope.renders
        trace.ended_at = trace.started_at + seconds
        if error is None and candidate.templates and not any(renders.values()):
            error = str(unrendered_error(sorted(renders)))
        costs = [self._cost(each) for each, _ in attempts]
        if error is None:
            with recording(judged):
                scores, score, error = await self._score(example, outputs, self._priced(trace), strict)
        return Rollout(
            example_id=example.id,
            candidate_id=candidate.id,
            outputs=outputs,
            scores=scores,
            score=score,
            seconds=seconds,
            usage=sum((each.usage for each, _ in attempts), Usage()),
            error=error,
            outputs_by_prompt=trace.outputs_by_prompt() or _by_prompt(outputs, candidate),
            renders=renders,
            cost=None if costs[-1] is None else sum(cost or 0.0 for cost in costs),
            judging=judged.usage,
            judging_cost=self._cost(judged) if judged.usage.calls else 0.0,
            prompts={**trace.loaded, **judged.loaded},
        )

    async def _patiently(self, function: Callable[[], Awaitable[Any]]) -> Any:
        """What `function` returns, tried as often as the options say. A rate limit slows everything down."""
        return await patiently(function, attempts=self._options.attempts, patience=_PATIENCE, slow_down=self.slots.slow_down)

    async def _score(
        self, example: Example, outputs: Any, trace: Trace, strict: bool
    ) -> tuple[dict[str, Score], float, str | None]:
        """The scores, their aggregate, and what went wrong."""
        scores: dict[str, Score] = {}
        at = "aggregation"
        try:
            for scorer in self.scorers:
                at = f"scorer {scorer.name!r}"
                judge = partial(scorer, inputs=example.inputs, outputs=outputs, expectations=example.expectations, trace=trace)
                value = await self._patiently(judge)
                scores[scorer.name] = to_score(value, scorer.name)
            at = "aggregation"
            total = self._aggregation({name: score.value for name, score in scores.items()})
            return scores, to_score(total, at).value, None
        except Exception as caught:  # the boundary of one example's scoring: whatever a user's scorer raises
            problem = caught if isinstance(caught, UserError) else f"{type(caught).__name__}: {caught}"
            if strict:
                raise InvalidScore(f"{at} failed on example {dict(example.inputs)!r:.200}: {problem}") from caught
            return scores, 0.0, f"{at} failed: {problem}"

    def _priced(self, trace: Trace) -> Trace:
        """The trace that is judged: with costs where a scorer is about them."""
        if not any(_may_look_at_costs(scorer) for scorer in self.scorers):
            return trace
        return with_costs(trace, self._plugins, self._options.prices)

    def _cost(self, trace: Trace) -> float | None:
        """US dollars of all model calls; None when there were none or one has no price."""
        calls = [(model_of(span), usage_of(span)) for span in trace.spans if span.kind == "llm"]
        costs = [cost_of(model, usage, self._options.prices, self._plugins) for model, usage in calls]
        return None if not costs or None in costs else sum(cost for cost in costs if cost is not None)

    def __enter__(self) -> Runner:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._pool.close()
        if self._executor is not None:
            self._executor.close()


def _may_look_at_costs(scorer: Scorer) -> bool:
    """Our own do not, but for the one that is about them; a function only where it takes the trace."""
    if isinstance(scorer, FunctionScorer):
        return scorer.takes_trace
    return isinstance(scorer, Cost) or not type(scorer).__module__.startswith("prompt_registry_plugin.scorers.")


def resolve_scorers(scorers: Sequence[Any], plugins: PluginManager) -> list[Scorer]:
    """Scorers from scorers, plain functions, names of installed ones, `"module:name"`. Raises `UserError` for unknown and like names."""
    if isinstance(scorers, str) or not isinstance(scorers, Sequence):
        raise UserError("scorers is a list of scorers")
    if not scorers:
        raise UserError("at least one scorer is needed, such as 'exact_match' or a function with @scorer")
    known: dict[str, Scorer] = {s.name: s for listed in plugins.hook.prompt_registry_scorers() for s in listed}
    found: list[Scorer] = []
    for named in scorers:
        scorer = import_object(named) if isinstance(named, str) and ":" in named else named
        if isinstance(scorer, str) and scorer not in known:
            raise UserError(
                f"no scorer is called {scorer!r}{did_you_mean(scorer, known) or '; there are ' + ', '.join(sorted(known))}"
            )
        if isinstance(scorer, str):
            found.append(known[scorer])
        else:
            foreign: Scorer | None = plugins.hook.prompt_registry_as_scorer(obj=scorer)
            found.append(foreign or (scorer if hasattr(scorer, "name") else FunctionScorer(scorer)))
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
