"""The package `gepa` (Agrawal et al., 2025, "GEPA: Reflective Prompt Evolution") as an optimizer: the extra `gepa`.

The package decides what to try; budget, concurrency within a batch, storage, isolation and resuming are those of the engine. It makes one
proposal after the other, so most of the concurrency stays unused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from prompt_registry_plugin.errors import BudgetExhausted, ModelUnavailable, PluginError, UserError
from prompt_registry_plugin.evaluation.scoring import mean_score
from prompt_registry_plugin.optimize.engine.components import components, with_component
from prompt_registry_plugin.optimize.engine.problem import OptimizationResult, Problem
from prompt_registry_plugin.optimize.optimizers.bridge import Bridge
from prompt_registry_plugin.optimize.optimizers.instruction import read_instruction
from prompt_registry_plugin.optimize.optimizers.reflection import shown_text, step_answer
from prompt_registry_plugin.records import Candidate, Example, Rollout

if TYPE_CHECKING:
    from gepa.core.adapter import EvaluationBatch


# Reflections in a row that end the search: each was retried already, and gepa itself would go on without a model until the budget is spent.
_MAX_UNANSWERED = 3
_SET_BY_THE_ENGINE = ("seed_candidate", "trainset", "valset", "adapter", "reflection_lm", "max_metric_calls", "seed", "logger")


class Gepa:
    """Runs `gepa.optimize` on the engine. `settings` are its keyword arguments, such as `reflection_minibatch_size=6`."""

    name = "gepa"
    reflects = True
    needs_data = True

    def __init__(self, **settings: Any) -> None:
        if find_spec("gepa") is None:
            raise PluginError("the package gepa is not installed: pip install 'prompt-registry-plugin[gepa]'")
        if wrong := [name for name in _SET_BY_THE_ENGINE if name in settings]:
            raise UserError(
                f"gepa's {wrong[0]} is set by optimize_prompts; leave it out, and use the arguments of optimize_prompts"
            )
        self._settings = settings

    async def optimize(self, problem: Problem) -> OptimizationResult:
        """Return the candidate with the best mean score on the validation examples."""
        from gepa.api import optimize

        bridge = Bridge()
        adapter: Any = _Adapter(problem, bridge)

        def read(answer: str, asked: str) -> tuple[str | None, str]:
            return read_instruction(answer, max((text for text in adapter.texts if text in asked), key=len, default=""))

        def reflect(prompt: str | Sequence[Mapping[str, Any]]) -> str:
            text = prompt if isinstance(prompt, str) else "\n\n".join(str(message["content"]) for message in prompt)
            try:
                answer = bridge.wait_for(problem.reflect(text, unreadable=lambda said: read(said, text)[1]))
            except ModelUnavailable as error:
                adapter.unanswered.append(error)
                raise
            adapter.unanswered.clear()
            instruction, why = read(answer, text)
            if instruction is None:
                problem.tell("message", f"an answer of the reflection model could not be read: {why}")
                raise ModelUnavailable(f"the answer could not be read: {why}")  # gepa logs it and continues with another proposal
            return f"```\n{instruction}\n```"  # gepa takes what stands between the first and the last fence

        def search() -> None:
            # Some of its calls cost nothing here, so its own count does not tell when the budget is spent.
            with suppress(BudgetExhausted):
                optimize(
                    seed_candidate=problem.baseline_components,
                    trainset=list(problem.train),
                    valset=list(problem.validation),
                    adapter=adapter,
                    reflection_lm=reflect,
                    max_metric_calls=problem.budget,
                    seed=problem.random.getrandbits(31),
                    logger=_Quiet(),
                    **self._settings,
                )

        await bridge.run(search)
        found: OptimizationResult = adapter.best()
        return found


class _Quiet:
    def log(self, message: str) -> None:
        """Drop the message: progress is reported as events."""


class _Adapter:
    """What `gepa` calls an adapter: it evaluates candidates, and shows the reflection model their rollouts."""

    propose_new_texts = None

    def __init__(self, problem: Problem, bridge: Bridge) -> None:
        self._problem, self._bridge = problem, bridge
        self._validation = {example.id for example in problem.validation}
        self.unanswered: list[ModelUnavailable] = []  # failed reflections in a row, which gepa only logs
        self.texts: set[str] = set(problem.baseline_components.values())  # instructions that a request may quote
        self._means: dict[str, tuple[float, Candidate]] = {}

    def evaluate(
        self, batch: list[Example], candidate: dict[str, str], capture_traces: bool = False
    ) -> EvaluationBatch[Any, Any]:
        """Return the scores of a candidate. One that breaks a constraint scores 0, and costs nothing."""
        from gepa.core.adapter import EvaluationBatch

        if len(self.unanswered) >= _MAX_UNANSWERED:
            raise self.unanswered[-1]
        self.texts |= set(candidate.values())
        made, fault = self._candidate(candidate)
        if fault is not None:
            self._problem.tell("message", f"a proposal of gepa could not be used: {fault}")
            return EvaluationBatch(outputs=[None] * len(batch), scores=[0.0] * len(batch), trajectories=[None] * len(batch))
        if self._problem.status(made) is None:
            self._problem.decide(made, "proposed", f"proposal {len(self._problem.history)} of gepa")
        rollouts = self._bridge.wait_for(self._problem.evaluate(made, batch))
        # gepa has no place for a missing score: the mean of the others changes no comparison of means.
        neutral = mean_score(rollouts) or 0.0
        if {example.id for example in batch} >= self._validation:
            self._means[made.id] = neutral, made
            score, best = max(self._means.values(), key=lambda known: known[0])
            self._problem.note_best(score)
            if best.id == made.id and made.id != self._problem.baseline.id:
                self._problem.decide(made, "checkpoint", f"{score:.3f} on {len(batch)} examples")
        runs = list(zip(batch, rollouts, strict=True))
        return EvaluationBatch(
            outputs=runs, scores=[neutral if r.score is None else r.score for r in rollouts], trajectories=runs
        )

    def make_reflective_dataset(
        self, candidate: dict[str, str], eval_batch: Any, components_to_update: list[str]
    ) -> Mapping[str, Sequence[Mapping[str, Any]]]:
        """Return what the reflection model is shown for each component."""
        runs = [run for run in eval_batch.trajectories or () if run is not None]
        return {
            key: [_evidence(key, example, rollout) for example, rollout in runs if rollout.reached(key)]
            for key in components_to_update
        }

    def best(self) -> OptimizationResult:
        """Return the best candidate of those that were evaluated on all validation examples."""
        if not self._means:
            return OptimizationResult(self._problem.baseline)
        score, candidate = max(self._means.values(), key=lambda known: known[0])
        return OptimizationResult(candidate, score)

    def _candidate(self, texts: Mapping[str, str]) -> tuple[Candidate, str | None]:
        """Return (the candidate with these texts, why it cannot be used or None)."""
        made = self._problem.baseline
        for key, before in components(made.templates).items():
            if texts[key] != before:
                if fault := self._problem.fault(key, texts[key], before):
                    return made, fault
                made = with_component(made, key, texts[key], "gepa")
        return made, None


def as_gepa(obj: Any) -> Gepa | None:
    """Return the optimizer for the function `gepa.optimize`, or for a `functools.partial` of it with settings; None for other objects."""
    function, settings = (obj.func, obj.keywords) if isinstance(obj, partial) and not obj.args else (obj, {})
    if (getattr(function, "__module__", None), getattr(function, "__qualname__", None)) != ("gepa.api", "optimize"):
        return None
    return Gepa(**settings)


def _evidence(key: str, example: Example, rollout: Rollout) -> dict[str, Any]:
    """Return a rollout with the keys that gepa's request names."""
    answer = step_answer(rollout, key.partition("#")[0])
    judged = [score.rationale or "; ".join(item.text for item in score.items) for score in rollout.scores.values()]
    score = "No score. " if rollout.score is None else f"Score {rollout.score:.2f}. "
    feedback = score + " ".join([rollout.error or "", *judged]).strip()
    return {"Inputs": dict(example.inputs), "Generated Outputs": answer or shown_text(rollout.outputs), "Feedback": feedback}
