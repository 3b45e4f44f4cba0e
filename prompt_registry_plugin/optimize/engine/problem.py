"""What an optimizer is given: everything any algorithm needs, and nothing that it can get wrong.

Rollouts are budgeted, run concurrently, stored as they finish and never paid twice; proposals and decisions are stored too.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from prompt_registry_plugin.errors import BudgetExhausted, UserError, did_you_mean
from prompt_registry_plugin.evaluation.options import Event, EventKind, OnEvent
from prompt_registry_plugin.evaluation.statistics import mean_interval
from prompt_registry_plugin.optimize.engine.budget import Meter
from prompt_registry_plugin.optimize.engine.components import components, with_component
from prompt_registry_plugin.optimize.engine.constraints import Constraints, fault_of
from prompt_registry_plugin.optimize.engine.ledger import Ledger
from prompt_registry_plugin.protocols import CandidateRecord, Model, ReflectionRecord, RunTable
from prompt_registry_plugin.records import (
    EMPTY,
    Candidate,
    CandidateStatus,
    Example,
    Interval,
    Rollout,
    TemplateFormat,
    Usage,
    digest,
)
from prompt_registry_plugin.retry import patiently
from prompt_registry_plugin.templates import compile_template


@dataclass(frozen=True, slots=True)
class OptimizationResult:
    """What a search found: the best candidate, which may be the baseline, and its own estimate of the score, which proves nothing."""

    best: Candidate
    score: float | None = None


class Optimizer(Protocol):
    """A search. It keeps no state between runs; what a resumed run knows comes from `problem.history` and stored rollouts."""

    name: str

    async def optimize(self, problem: Problem) -> OptimizationResult:
        """Improves `problem.baseline`, on `problem.train`; compares on `problem.validation`, which nothing is learned from."""


@dataclass
class Problem:
    """One optimization run, as its optimizer sees it. Nothing here knows a framework, a model's client or a database."""

    baseline: Candidate
    train: Sequence[Example]  # to learn from, in a seeded order
    validation: Sequence[Example]  # to compare on; the same as `train` where there are few examples
    formats: Mapping[str, TemplateFormat]
    constraints: Constraints
    concurrency: int
    random: random.Random
    run_id: str
    _ledger: Ledger
    _reflection_model: Model
    _runs: RunTable
    _on_event: OnEvent
    _price: Callable[[Usage], float | None]
    best: Interval | None = None  # the search's own estimate
    reflection_usage: Usage = field(default_factory=Usage)
    history: list[CandidateRecord] = field(default_factory=list)
    reflections: list[ReflectionRecord] = field(default_factory=list)
    _doing: list[str] = field(default_factory=list)
    # Answers of an earlier process that were not asked for again yet, by what was asked.
    _answers: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    @property
    def budget(self) -> int:
        """Rollouts of the whole run; where the budget is in something else, as many as that is likely to pay for."""
        return self._ledger.meter.total

    @property
    def remaining(self) -> int:
        """Rollouts that may still start."""
        return self._ledger.meter.affordable

    @property
    def spent(self) -> Meter:
        """What the run has spent so far: `rollouts`, `tokens`, `dollars`, `seconds`."""
        return self._ledger.meter

    @property
    def finished(self) -> int:
        """Rollouts that are done."""
        return self._ledger.finished

    def check_budget(self, rollout: Rollout | None = None) -> None:
        """Raises `UserError` when the budget is in something that the reflection model, or the target of a rollout, does not report."""
        if rollout is not None:
            self._ledger.meter.check(rollout)
        elif self._ledger.meter.budget.dollars is not None:
            self._ledger.meter.check_reflections([self._price(Usage(1000, 0, 1)), self._price(Usage(0, 1000, 1))])

    def affordable(self, examples: Sequence[Example], *candidates: Candidate) -> list[Example]:
        """The first of the examples on which all candidates can be run with what is left; what was run already is free."""
        left, found = self.remaining, []
        for example in examples:
            left -= sum(not self.started(candidate, example) for candidate in candidates)
            if left < 0:
                break
            found.append(example)
        return found

    @property
    def baseline_components(self) -> dict[str, str]:
        """The texts to improve, by component key: the name of a prompt, or `name#2` for the second message of a chat prompt."""
        return components(self.baseline.templates)

    def format_of(self, key: str) -> TemplateFormat:
        """The template format of a component."""
        return self.formats.get(key.partition("#")[0], "double_brace")

    def variables(self, key: str) -> frozenset[str]:
        """The variables of a component, all of which a new text has to keep."""
        return frozenset(compile_template(self.baseline_components[key], key, self.format_of(key)).variables)

    def fault(self, key: str, text: str, current: str) -> str | None:
        """Why a text may not replace the `current` one of a component, or None."""
        return fault_of(text, self.baseline_components[key], current, self.constraints, self.format_of(key))

    def rules(self, key: str) -> list[str]:
        """What a reflection model has to be told of the limits of a component."""
        return self.constraints.rules(self.baseline_components[key], self.format_of(key))

    def replace(self, candidate: Candidate, key: str, text: str, note: str = "") -> Candidate:
        """The child of `candidate` in which component `key` reads `text`. Raises `UserError` for a text that may not stand there."""
        known = components(candidate.templates)
        if key not in known:
            raise UserError(f"no component is called {key!r}{did_you_mean(key, known) or '; there are ' + ', '.join(known)}")
        current = known[key]
        if text != current and (fault := self.fault(key, text, current)):
            raise UserError(f"{key} cannot become {text!r:.60}: {fault}")
        return with_component(candidate, key, text, note)

    def seen(self, candidate: Candidate, example: Example) -> Rollout | None:
        """The finished rollout of a candidate on an example, if there is one."""
        return self._ledger.seen(candidate, example)

    def on(self, example: Example) -> Sequence[Rollout]:
        """The finished rollouts on an example, of whatever candidates, oldest first."""
        return self._ledger.on(example)

    def started(self, candidate: Candidate, example: Example) -> bool:
        """Whether a rollout of a candidate on an example was at least begun."""
        return self._ledger.started(candidate, example)

    async def evaluate(self, candidate: Candidate, examples: Sequence[Example]) -> list[Rollout]:
        """The rollouts, in order; those that were already paid for are free.

        Raises `BudgetExhausted`, before anything is started, when what is left does not pay for all of them.
        """
        return await self._ledger.run(candidate, examples)

    def take_over(self, rollout: Rollout) -> None:
        """Keeps a rollout that was run before the search; it counts against the budget."""
        self._runs.add_rollout(self.run_id, "train", rollout)
        self._ledger.keep(rollout)

    async def reflect(self, prompt: str, *, purpose: str = "edit", detail: Mapping[str, Any] = EMPTY) -> str:
        """The reflection model's answer, which is stored with what it was for; errors that pass by themselves are waited out.

        A resumed run that asks what it asked before gets the stored answer, once for each time it was paid for. Raises
        `ModelUnavailable`, and `BudgetExhausted`, before the model is asked, when what is left may not pay for it.
        """
        asked = digest(prompt)
        if self._answers[asked]:
            return self._answers[asked].pop(0)
        meter = self._ledger.meter
        aside = meter.set_aside(prompt)
        if aside is None:
            raise BudgetExhausted(f"a reflection may not fit into what is left of {meter.budget}")
        try:
            reply = await patiently(
                lambda: self._reflection_model([{"role": "user", "content": prompt}]), attempts=3, patience=120
            )
        finally:
            meter.give_back(aside)
        cost = self._price(reply.usage)
        record = ReflectionRecord(purpose, reply.text, reply.usage, cost, {**detail, "asked": asked})
        self._runs.add_reflection(self.run_id, record)
        self._count(record)
        return reply.text

    def restore(self, records: Sequence[ReflectionRecord]) -> None:
        """Takes over the reflections that an earlier process paid for."""
        for record in records:
            self._count(record)
            self._answers[record.detail.get("asked", "")].append(record.answer)

    def _count(self, record: ReflectionRecord) -> None:
        self.reflections.append(record)
        self.reflection_usage += record.usage
        self._ledger.meter.reflected(record.usage, record.cost)

    def status(self, candidate: Candidate) -> CandidateStatus | None:
        """What was decided last about a candidate, in this process or an earlier one."""
        return next((record.status for record in reversed(self.history) if record.candidate.id == candidate.id), None)

    def decide(self, candidate: Candidate, status: CandidateStatus, text: str = "", detail: Mapping[str, Any] = EMPTY) -> None:
        """Stores what became of a candidate, and tells whoever watches. What was noted before stays, unless `detail` has it anew."""
        earlier = next((r.detail for r in reversed(self.history) if r.candidate.id == candidate.id), EMPTY)
        said = {"text": text} if text else {}
        now = {"at": self._ledger.finished, "best": None if self.best is None else self.best.mean}
        record = CandidateRecord(candidate, status, {**earlier, **detail, **said, **now})
        self.history = [r for r in self.history if r.candidate.id != candidate.id] + [record]
        self._runs.add_candidate(self.run_id, record)
        self.tell("candidate", text)

    @property
    def best_score(self) -> float | None:
        """The score that was noted as the best so far."""
        return None if self.best is None else self.best.mean

    def note_best(self, scores: float | Sequence[float]) -> None:
        """Sets the score that is shown as the best so far, or the scores that it is the mean of: an estimate, not a result."""
        self.best = Interval(scores, None, None, 1) if isinstance(scores, int | float) else mean_interval(scores)

    @contextmanager
    def doing(self, what: str) -> Iterator[None]:
        """Shows what is being worked on while the block lasts."""
        self._doing.append(what)
        try:
            yield
        finally:
            self._doing.remove(what)

    def tell(self, kind: EventKind = "rollout", text: str = "") -> None:
        """Reports progress to whoever watches."""
        meter = self._ledger.meter
        detail = {
            "budget": str(meter.budget), "tokens": meter.tokens, "dollars": meter.dollars, "seconds": meter.seconds,
            "reflections": len(self.reflections), "candidates": len(self.history), "now": list(self._doing),
            "kept": sum(record.status in ("committed", "checkpoint") for record in self.history),
            "interval": None if self.best is None or self.best.low is None else [self.best.low, self.best.high],
        }  # fmt: skip
        self._on_event(Event(kind, "optimize", self._ledger.finished, meter.total, self.best_score, text, detail))


__all__ = ["BudgetExhausted", "OptimizationResult", "Optimizer", "Problem"]
