"""Rollouts: run one candidate on one example, record it and score it. Evaluations and optimization runs are built on this."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from prompt_registry_plugin.concurrency import AdaptiveLimit, ContextPool
from prompt_registry_plugin.errors import InvalidExample, InvalidScore, PromptNotRendered, TargetFailed, UserError
from prompt_registry_plugin.evaluation.options import RunOptions
from prompt_registry_plugin.evaluation.remote_work import RemoteWork
from prompt_registry_plugin.evaluation.scoring import Aggregation, ScorerTimeout, Verdict, mean_of, resolve_scorers, score_answer
from prompt_registry_plugin.evaluation.targets import resolve_target
from prompt_registry_plugin.frozen import canonical_json
from prompt_registry_plugin.masking import mask_secrets
from prompt_registry_plugin.plain.answers import answer_data
from prompt_registry_plugin.plugins import PluginManager
from prompt_registry_plugin.prompts.context import lost_context_error, recording, rollout_scope
from prompt_registry_plugin.protocols import Executor, Scorer, Target
from prompt_registry_plugin.recording.costs import cost_of, model_of, with_costs
from prompt_registry_plugin.records import Candidate, Example, Rollout, TemplateFormat, Usage
from prompt_registry_plugin.registry.current import current_registry
from prompt_registry_plugin.retry import patiently
from prompt_registry_plugin.rollout_json import rollout_of
from prompt_registry_plugin.scorers.builtin import Cost
from prompt_registry_plugin.scorers.scorer import FunctionScorer
from prompt_registry_plugin.tracing.recorder import TraceRecorder
from prompt_registry_plugin.tracing.trace import Trace, error_text, usage_of

_MAX_FAILED_PROBES = 3  # a target that raises three times in a row is broken, and not unlucky
_MAX_PROBES = 20  # the smallest budget of a search: `optimize.engine.probe`
_MAX_ANSWERS = 20  # of one prompt in a rollout that is kept: an agent in a loop may give thousands
_PATIENCE = (
    180.0  # seconds for all attempts of one call: the default of three attempts, each with the longest wait a server may ask for
)
# Seconds of a call while nothing is known about the target: a slow agent needs minutes, and one that hangs needs for ever.
_FIRST_TIMEOUT = 600.0
# From the first rollouts on: this many times the slowest of them, and at least so many seconds. Chosen, not measured: a limit that
# ends what is merely slow costs more than one that comes late.
_TIMES_SLOWEST, _LEAST_TIMEOUT = 10, 60.0


class RolloutTimeout(Exception):
    """A target that gave no answer in time. It is not called again: another attempt would take as long."""


class Runner:
    """Runs rollouts of one target with one set of scorers. Use it in a `with` block: leaving it waits for its threads."""

    slots: AdaptiveLimit
    """Limits how many rollouts run at once."""
    timeout: float
    """Seconds of one attempt of the target, and of one of a scorer, at most."""

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
        self._aggregation = aggregation or mean_of
        self._plugins = plugins
        self._options = options
        self._formats = formats or {}
        self._executor: Executor | None = None
        self._work = ""
        if options.executor != "local":
            work = RemoteWork.of(
                predict_fn, scorers, aggregation, options=options, formats=self._formats, registry=current_registry().url
            )
            self._work = work.to_json()
            self._executor = plugins.hook.prompt_registry_executor(name=options.executor)
            if self._executor is None:
                raise UserError(f"no executor is called {options.executor!r}; there are 'local' and 'ray'")
        self.slots = AdaptiveLimit(options.concurrency)
        self.timeout = options.timeout or _FIRST_TIMEOUT

    def set_timeout(self, rollouts: Sequence[Rollout]) -> None:
        """Set the time limit of a call from the first rollouts, unless the options set it."""
        if self._options.timeout is None and rollouts:
            self.timeout = max(_LEAST_TIMEOUT, _TIMES_SLOWEST * max(rollout.seconds for rollout in rollouts))

    def check(self, examples: Sequence[Example], what: str) -> None:
        """Raise `InvalidExample` for the first example whose inputs the target does not take. Runs nothing."""
        for number, example in enumerate(examples, 1):
            if problem := self.target.check(example.inputs):
                raise InvalidExample(f"row {number} of {what} does not fit: {problem}")

    async def __call__(self, candidate: Candidate, example: Example) -> Rollout:
        """Return the rollout of a candidate on an example, as soon as a slot is free. If the target raises, the rollout has an error."""
        async with self.slots:
            return await self.run(candidate, example)

    async def probe(self, candidate: Candidate, examples: Sequence[Example]) -> list[Rollout]:
        """Return the first rollouts, run one by one until one succeeds, so that a mistake costs a call and not a budget.

        Raises `InvalidScore` if a scorer is broken or gives no score three times, `TargetFailed` if the target raises three times, and
        `PromptNotRendered` if it loses the context on twenty examples.
        """
        done: list[Rollout] = []
        raised = unscored = 0
        for example in examples[:_MAX_PROBES]:
            done.append(await self.run(candidate, example, strict=True))
            if done[-1].error is None and done[-1].score is not None:
                return done
            if done[-1].unscored is not None:
                unscored += 1
                if unscored == min(_MAX_FAILED_PROBES, len(examples)):
                    raise InvalidScore(
                        f"None of the first {unscored} answers has a score, so nothing more was tried; {done[-1].unscored}"
                    )
                continue
            raised += bool(any(done[-1].renders.values()) or not candidate.templates or done[-1].outputs is None)
            if raised == min(_MAX_FAILED_PROBES, len(examples)):
                raise TargetFailed(f"{self.target.name} failed on {raised} examples, so nothing more was tried; {done[-1].error}")
        if unscored and any(rollout.error is None for rollout in done):
            return done
        if raised:
            raise TargetFailed(f"{self.target.name} failed on the first {len(done)} examples; {done[-1].error}")
        raise PromptNotRendered(str(done[-1].error))

    async def run(self, candidate: Candidate, example: Example, *, strict: bool = False, local: bool = False) -> Rollout:
        """Return the rollout of a candidate on an example, without waiting for a slot.

        With `strict`, an error in a scorer raises `InvalidScore`. With `strict` or `local`, it runs in this process whatever the executor.
        """
        if self._executor is not None and not strict and not local:
            return await self._run_remotely(self._executor, candidate, example)
        call = await self._call_target(candidate, example)
        costs = [self._cost(each) for each in call.traces]
        verdict, judging = Verdict({}, 0.0), TraceRecorder("judging")
        if call.error is None:
            with recording(judging), rollout_scope({}, None):
                verdict = await self._score(example, call, strict)
        answers = call.trace.answers_by_prompt()
        return Rollout(
            example_id=example.id,
            candidate_id=candidate.id,
            outputs=call.outputs,
            scores=verdict.scores,
            score=verdict.score,
            seconds=call.seconds,
            usage=sum((each.usage for each in call.traces), Usage()),
            error=call.error or (verdict.unscored if verdict.is_fault else None),
            outputs_by_prompt={name: given[-1] for name, given in answers.items()} or _outputs_by_prompt(call),
            answers_by_prompt={name: given[-_MAX_ANSWERS:] for name, given in answers.items()},
            renders=call.renders,
            cost=None if costs[-1] is None else sum(cost or 0.0 for cost in costs),
            judging=judging.usage,
            judging_cost=self._cost(judging) if judging.usage.calls else 0.0,
            prompts={**call.trace.loaded, **judging.loaded},
            unscored=verdict.unscored,
        )

    async def _run_remotely(self, executor: Executor, candidate: Candidate, example: Example) -> Rollout:
        """Return the rollout that an executor ran; if it raises, the rollout has an error."""
        began = time.perf_counter()
        try:
            texts = (
                canonical_json({"templates": candidate.templates, "id": candidate.id}),
                canonical_json({"inputs": example.inputs, "expectations": example.expectations, "id": example.id}),
            )
            return rollout_of(json.loads(await self._in_time(lambda: executor.run(self._work, *texts), RolloutTimeout)))
        except Exception as caught:  # noqa: BLE001  the border to another machine, where anything may go wrong
            error = mask_secrets(f"{self._options.executor}: {error_text(caught)}")
            return Rollout(example.id, candidate.id, None, {}, 0.0, time.perf_counter() - began, Usage(), error)

    async def _call_target(self, candidate: Candidate, example: Example) -> _Call:
        """Return what the target did with the candidate's templates in force, after as many attempts as the options allow."""
        traces: list[TraceRecorder] = []
        started = 0.0
        outputs, error = None, None

        async def attempt() -> Any:
            nonlocal started
            traces.append(TraceRecorder("rollout"))
            started = time.perf_counter()
            with recording(traces[-1]):
                return await self._in_time(lambda: self.target(example.inputs), RolloutTimeout)

        with rollout_scope(candidate.templates, example.inputs, self._formats) as scope:
            try:
                outputs = answer_data(await self._retry(attempt))
            except asyncio.CancelledError as caught:
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    raise  # this rollout is cancelled, and not a task of the agent
                error = mask_secrets(error_text(caught))
            except KeyboardInterrupt:
                raise
            except (Exception, SystemExit) as caught:  # noqa: BLE001  the boundary of one rollout: whatever a user's agent raises
                error = mask_secrets(error_text(caught))
        call = _Call(outputs, error, traces, time.perf_counter() - started, scope.renders)
        call.trace.ended_at = call.trace.started_at + call.seconds
        # The stored prompts were used instead of the candidate's, so the score would say nothing about the candidate. A row in which
        # nobody asked for them went elsewhere, and is a row like any other.
        if error is None and scope.watch is not None and (lost := scope.watch.lost(call.renders)):
            return replace(call, error=str(lost_context_error(lost)))
        return call

    async def _retry(self, function: Callable[[], Awaitable[Any]]) -> Any:
        """Return what `function` returns, called again after transient errors. A rate limit lowers the concurrency of all rollouts."""
        return await patiently(function, attempts=self._options.attempts, patience=_PATIENCE, slow_down=self.slots.slow_down)

    async def _in_time(self, function: Callable[[], Awaitable[Any]], late: type[Exception]) -> Any:
        """Return what `function` returns. Raises `late` if that takes longer than `timeout`; a blocking call is left behind."""
        try:
            async with asyncio.timeout(self.timeout) as limit:
                return await function()
        except TimeoutError:
            if not limit.expired():
                raise
            raise late(f"no answer within {self.timeout:g} s; RunOptions(timeout=…) sets the limit") from None

    async def _score(self, example: Example, call: _Call, strict: bool) -> Verdict:
        """Return the verdict on an answer. With `strict`, a broken scorer raises `InvalidScore`."""

        async def attempt(judge: Callable[[], Awaitable[Any]]) -> Any:
            return await self._retry(lambda: self._in_time(judge, ScorerTimeout))

        trace = self._with_costs_if_judged(call.trace)
        verdict = await score_answer(self.scorers, self._aggregation, example, call.outputs, trace, attempt)
        if strict and verdict.is_fault:
            at, _, problem = (verdict.unscored or "").partition(" failed: ")
            raise InvalidScore(f"{at} failed on example {dict(example.inputs)!r:.200}: {problem}") from verdict.cause
        return verdict

    def _with_costs_if_judged(self, trace: Trace) -> Trace:
        """Return the trace that scorers see, with costs if one of them may look at costs: working them out takes time."""
        if not any(_may_look_at_costs(scorer) for scorer in self.scorers):
            return trace
        return with_costs(trace, self._plugins, self._options.prices)

    def _cost(self, trace: Trace) -> float | None:
        """Return the US dollars of all model calls; None if there were none, or if one has no price."""
        calls = [(model_of(span), usage_of(span)) for span in trace.spans if span.kind == "llm"]
        costs = [cost_of(model, usage, self._options.prices, self._plugins) for model, usage in calls]
        return None if not costs or None in costs else sum(cost for cost in costs if cost is not None)

    def __enter__(self) -> Runner:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._pool.close(wait=kind is None or issubclass(kind, Exception))  # what is stopped waits for no call that blocks
        if self._executor is not None:
            self._executor.close()


@dataclass(frozen=True, slots=True)
class _Call:
    """What the target did on one example, over all attempts."""

    outputs: Any
    """The answer of the last attempt as JSON data; None if it raised."""
    error: str | None
    """The error of the last attempt."""
    traces: Sequence[TraceRecorder]
    """One trace an attempt. All of them cost tokens."""
    seconds: float
    """Seconds of the last attempt."""
    renders: Mapping[str, int]
    """How often each prompt of the candidate was rendered."""

    @property
    def trace(self) -> TraceRecorder:
        """The trace of the last attempt, which is the one that is scored."""
        return self.traces[-1]


def _may_look_at_costs(scorer: Scorer) -> bool:
    """Return whether a scorer may read costs. Of the built-in ones only `Cost` does, and a function needs the trace for it."""
    if isinstance(scorer, FunctionScorer):
        return scorer.takes_trace
    return isinstance(scorer, Cost) or not type(scorer).__module__.startswith("prompt_registry_plugin.scorers.")


def usage_over(rollouts: Sequence[Rollout]) -> Usage:
    """Return the tokens of all rollouts together."""
    return sum((rollout.usage for rollout in rollouts), Usage())


def cost_over(rollouts: Sequence[Rollout]) -> float | None:
    """Return the US dollars of all rollouts together; None if a price is not known."""
    costs = [rollout.cost for rollout in rollouts]
    return None if any(cost is None for cost in costs) else sum(cost for cost in costs if cost is not None)


def _outputs_by_prompt(call: _Call) -> dict[str, str]:
    """Return what the model answered to each prompt, if the target answers with a mapping by prompt name: its calls may not be traced."""
    if not isinstance(call.outputs, Mapping):
        return {}
    ran = [name for name, times in call.renders.items() if times]
    return {name: call.outputs[name] for name in ran if isinstance(call.outputs.get(name), str)}
