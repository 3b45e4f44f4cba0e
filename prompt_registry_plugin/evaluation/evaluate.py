"""Evaluate a target on examples, with the registry's prompts or with given ones."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from prompt_registry_plugin.concurrency import all_of, blocking
from prompt_registry_plugin.datasets.examples import Data
from prompt_registry_plugin.errors import StoreUnavailable
from prompt_registry_plugin.evaluation.cache import RolloutCache
from prompt_registry_plugin.evaluation.intervals import positive_interval, score_interval
from prompt_registry_plugin.evaluation.options import Event, OnEvent, RunOptions
from prompt_registry_plugin.evaluation.progress import default_progress
from prompt_registry_plugin.evaluation.runner import Runner, cost_over, usage_over
from prompt_registry_plugin.evaluation.scoring import Aggregation, scores_of
from prompt_registry_plugin.evaluation.targets import describe_call
from prompt_registry_plugin.frameworks.enabling import enabled
from prompt_registry_plugin.interrupts import StopSignals
from prompt_registry_plugin.moved import CalledModule
from prompt_registry_plugin.prompts.context import unrendered_error
from prompt_registry_plugin.records import Candidate, Example, Interval, Rollout, Template, Usage, utc_now
from prompt_registry_plugin.registry.base import RegistryBase
from prompt_registry_plugin.registry.current import current_registry
from prompt_registry_plugin.registry.functions import examples_of

_SAMPLE = 20
"""Rows after which a target that uses no prompt at all is told. They show a prompt that one row in seven reaches with 95%."""

_NOT_SERVED = (
    "No adapter is enabled, so the agent's own texts were measured, and not the versions of the prompts that were adopted from it. "
    "To measure those, call pr.enable() first."
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, repr=False)
class EvaluationResult:
    """The rollouts of a target, and their totals and means."""

    rollouts: Sequence[Rollout]
    """One for each example, in the order of the examples; failed ones too."""
    scorers: Sequence[str]
    """The names of the scorers, in the order in which they were given."""

    def __repr__(self) -> str:
        each = ", ".join(f"{name} {score}" for name, score in self.scores.items())
        unscored = f"; {len(self.unscored)} without a score, such as: {self.unscored[0].unscored}" if self.unscored else ""
        some = "".join(f"; {name!r} on {count} rows" for name, count in self.reached.items() if count < len(self.rollouts))
        return (
            f"<evaluation of {len(self.rollouts)} rows: score {self.score}; {each}; {len(self.failures)} failed{some}{unscored}>"
        )

    @property
    def score(self) -> Interval:
        """The mean of the aggregated scores with its 95 % interval; failed rollouts count as 0, and rows without a score do not count."""
        return score_interval(scores_of(self.rollouts))

    @property
    def scores(self) -> dict[str, Interval]:
        """The mean score by scorer with its 95 % interval; failed rollouts count as 0, and answers that it gave no score do not count."""
        counted = {
            name: [0.0 if r.unscored is None and r.error is not None else r.scores[name].value for r in self.rollouts
                   if name in r.scores or (r.unscored is None and r.error is not None)]
            for name in self.scorers
        }  # fmt: skip
        return {name: score_interval(values) for name, values in counted.items()}

    @property
    def failures(self) -> list[Rollout]:
        """The rollouts that failed: the target raised, which counts as 0, or a scorer did, so that there is no score."""
        return [rollout for rollout in self.rollouts if rollout.error is not None]

    @property
    def reached(self) -> dict[str, int]:
        """The number of rows that rendered each of the given prompts, by name. The other rows were routed elsewhere, or failed."""
        names = {name for rollout in self.rollouts for name in rollout.renders}
        return {name: sum(bool(rollout.renders.get(name)) for rollout in self.rollouts) for name in sorted(names)}

    @property
    def unscored(self) -> list[Rollout]:
        """The rollouts without a score: a judge gave none that can be read, or a scorer raised or returned NaN. `unscored` says why."""
        return [rollout for rollout in self.rollouts if rollout.unscored is not None]

    @property
    def seconds(self) -> Interval:
        """The mean time of a rollout, in seconds, with its 95 % interval. Waiting for a slot does not count."""
        return positive_interval([rollout.seconds for rollout in self.rollouts])

    @property
    def usage(self) -> Usage:
        """Tokens and model calls of the target over all rollouts, where an adapter reports them; judges do not count."""
        return usage_over(self.rollouts)

    @property
    def cost(self) -> float | None:
        """US dollars of the target over all rollouts; None when a model's price is not known. Judges do not count."""
        return cost_over(self.rollouts)


async def aevaluate(
    *,
    predict_fn: Any,
    data: Data,
    scorers: Sequence[Any],
    prompts: Mapping[str, Template] | None = None,
    aggregation: Aggregation | None = None,
    options: RunOptions | None = None,
) -> EvaluationResult:
    """Run `predict_fn` once on every row of `data`, and score each answer with every scorer.

    `predict_fn` is a function of the row's inputs, an object of an installed framework, `"module:name"`, `"agent.py:name"`, or what
    `target(…)` returned. Progress says first how a row becomes the call. Answers become plain data (JSON data) before they are scored:
    models and dataclasses are mappings of their fields, messages are texts, and generators are collected. `prompts` are templates by
    prompt name that are used instead of the registry's. The aggregated score of a row is the mean of its scores, or what `aggregation`
    returns for them. A row on which the target raises is a failed rollout with a score of 0, never a scored text; so is one on which a
    prompt was used without its template in another thread or process. A row that is routed elsewhere is scored like any other. A row
    that a scorer gives no score is left out of the means, and counted in `unscored`.

    Raises `InvalidExample` before anything is run, `InvalidScore` after the first rollout, `TargetFailed` when the first three
    fail, and `PromptNotRendered` when one of `prompts` was rendered on no row.
    """
    return await run_evaluation(
        predict_fn, examples_of(data), scorers, prompts or {}, aggregation, options or RunOptions(), set()
    )


async def run_evaluation(
    predict_fn: Any,
    examples: Sequence[Example],
    scorers: Sequence[Any],
    prompts: Mapping[str, Template],
    aggregation: Aggregation | None,
    options: RunOptions,
    announced: set[str],
) -> EvaluationResult:
    """Do what `aevaluate` does. Progress says how a row becomes the call, unless the line is in `announced`, to which it is added."""
    candidate = Candidate(dict(prompts))
    registry = current_registry()
    with Runner(
        predict_fn,
        scorers,
        plugins=registry.plugins,
        options=options,
        aggregation=aggregation,
    ) as runner:
        runner.check(examples, "data")
        cache = None if options.cache is None else RolloutCache(registry, options, predict_fn, runner.scorers, aggregation)
        resume = "" if cache is None else f" What is finished is cached as {options.cache!r}: the same call continues from there."
        with StopSignals(lambda: f"nothing is waited for.{resume}"), default_progress(options.on_event) as on_event:
            line = describe_call(runner.target, examples[0].inputs)
            rollouts = await run_all(runner, candidate, examples, on_event, cache, "" if line in announced else line)
            announced.add(line)
            if not prompts and _NOT_SERVED not in announced and _are_adopted_texts_unused(registry, rollouts):
                announced.add(_NOT_SERVED)
                logger.warning(_NOT_SERVED)
    return EvaluationResult(rollouts, [scorer.name for scorer in runner.scorers])


evaluate = blocking(aevaluate)


async def run_all(
    runner: Runner,
    candidate: Candidate,
    examples: Sequence[Example],
    on_event: OnEvent,
    cache: RolloutCache | None,
    announcement: str = "",
) -> list[Rollout]:
    """Return one rollout for each example, in order; those that are cached are not run again. Raises as `aevaluate` does.

    `announcement` is the text of the first event.
    """
    total, done, scored, score = len(examples), 0, 0, 0.0
    rollouts: list[Rollout | None] = [None] * total if cache is None else cache.find(candidate, examples)
    left = [i for i, rollout in enumerate(rollouts) if rollout is None]
    on_event(Event("started", "evaluate", 0, total, text=announcement))

    def count(rollout: Rollout) -> None:
        nonlocal done, scored, score
        done += 1
        if rollout.score is not None:
            scored, score = scored + 1, score + rollout.score
        on_event(Event("rollout", "evaluate", done, total, score / scored if scored else None))

    def store(i: int, rollout: Rollout, began: datetime) -> None:
        rollouts[i] = rollout
        if cache is not None:
            cache.add(candidate, examples[i], rollout, began)
        count(rollout)

    async def run(i: int) -> None:
        began = utc_now()
        store(i, await runner(candidate, examples[i]), began)

    for cached in rollouts:
        if cached is not None:
            count(cached)
    if left:
        began = utc_now()
        # One by one until one succeeds, so that a mistake costs a call and not all of them.
        probed = await runner.probe(candidate, [examples[i] for i in left])
        for i, rollout in zip(left, probed, strict=False):
            store(i, rollout, began)
        left = left[len(probed) :]
        if not any(_uses_prompts(candidate, rollout) for rollout in rollouts if rollout is not None):
            # Spread over the rows, which may be sorted by where they go.
            await all_of(run(i) for i in left[:: max(1, -(-len(left) // _SAMPLE))])
            answered = [rollout for rollout in rollouts if rollout is not None and rollout.error is None]
            if len(answered) >= _SAMPLE // 2 and not any(_uses_prompts(candidate, rollout) for rollout in answered):
                raise unrendered_error(sorted(candidate.templates), len(answered))
            left = [i for i in left if rollouts[i] is None]
        await all_of(run(i) for i in left)
    every = [rollout for rollout in rollouts if rollout is not None]
    if never := [name for name in candidate.templates if not any(rollout.renders.get(name) for rollout in every)]:
        raise unrendered_error(never, len(every))
    on_event(Event("finished", "evaluate", total, total, score / scored if scored else None))
    return every


def _are_adopted_texts_unused(registry: RegistryBase, rollouts: Sequence[Rollout]) -> bool:
    """Whether the registry has adopted texts, and nothing that could serve them to the target is on."""
    if enabled() or any(rollout.prompts for rollout in rollouts):
        return False
    read = getattr(registry.store.prompts, "text_bindings", None)
    with suppress(StoreUnavailable):  # what was measured is worth more than this remark
        return read is not None and bool(read())
    return False


def _uses_prompts(candidate: Candidate, rollout: Rollout) -> bool:
    """Whether a rollout shows that the target uses prompts of the registry, perhaps others than the candidate's: then it may be routing."""
    return not candidate.templates or any(rollout.renders.values()) or bool(rollout.prompts)


# In 0.1.0, `prompt_registry_plugin.evaluation.evaluate` was the function.
sys.modules[__name__].__class__ = CalledModule
