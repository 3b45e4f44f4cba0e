"""What an optimizer is given: everything any algorithm needs, and nothing that it can get wrong.

Rollouts are budgeted, run concurrently, stored as they finish and never paid twice; proposals and decisions are stored too.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from prompt_registry_plugin.errors import BudgetExhausted
from prompt_registry_plugin.optimize.budget import Meter
from prompt_registry_plugin.optimize.components import components
from prompt_registry_plugin.optimize.ledger import Ledger
from prompt_registry_plugin.options import Event, EventKind, OnEvent
from prompt_registry_plugin.protocols import CandidateRecord, Model, ReflectionRecord, Reply, RunTable
from prompt_registry_plugin.records import EMPTY, Candidate, CandidateStatus, Example, Rollout, Usage
from prompt_registry_plugin.retrying import is_passing, retry_after


class Optimizer(Protocol):
    """A search. It keeps no state between runs; what a resumed run knows comes from `problem.history` and stored rollouts."""

    name: str

    async def optimize(self, problem: Problem) -> Candidate:
        """The best candidate that was found, which may be the baseline."""


@dataclass
class Problem:
    """One optimization run, as its optimizer sees it."""

    baseline: Candidate
    train: Sequence[Example]
    concurrency: int
    random: random.Random
    run_id: str
    _ledger: Ledger
    _reflection_model: Model
    _runs: RunTable
    _on_event: OnEvent
    _price: Callable[[Usage], float | None]
    best_score: float | None = None
    reflection_usage: Usage = field(default_factory=Usage)
    history: list[CandidateRecord] = field(default_factory=list)
    reflections: list[ReflectionRecord] = field(default_factory=list)

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

    def check_budget(self, rollout: Rollout) -> None:
        """Raises `UserError` when the budget is in something that this target does not report."""
        self._ledger.meter.check(rollout)

    @property
    def baseline_components(self) -> dict[str, str]:
        """The texts to improve, by component key."""
        return components(self.baseline.templates)

    def seen(self, candidate: Candidate, example: Example) -> Rollout | None:
        """The finished rollout of a candidate on an example, if there is one."""
        return self._ledger.seen(candidate, example)

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

        Raises `ModelUnavailable`, and `BudgetExhausted`, before the model is asked, when what is left may not pay for it.
        """
        meter = self._ledger.meter
        aside = meter.set_aside(prompt)
        if aside is None:
            raise BudgetExhausted(f"a reflection may not fit into what is left of {meter.budget}")
        try:
            reply = await self._ask(prompt)
        finally:
            meter.give_back(aside)
        cost = self._price(reply.usage)
        record = ReflectionRecord(purpose, reply.text, reply.usage, cost, detail)
        self._runs.add_reflection(self.run_id, record)
        self.count(record)
        return reply.text

    async def _ask(self, prompt: str) -> Reply:
        from stamina import retry_context

        async for attempt in retry_context(on=_is_worth_waiting_for, attempts=3, timeout=120, wait_initial=0.2, wait_max=20):
            with attempt:
                return await self._reflection_model([{"role": "user", "content": prompt}])
        raise AssertionError("retry_context returns or raises")

    def count(self, record: ReflectionRecord) -> None:
        """Takes a reflection into account that was paid for."""
        self.reflections.append(record)
        self.reflection_usage += record.usage
        self._ledger.meter.reflected(record.usage, record.cost)

    def status(self, candidate: Candidate) -> CandidateStatus | None:
        """What was decided last about a candidate, in this process or an earlier one."""
        return next((record.status for record in reversed(self.history) if record.candidate.id == candidate.id), None)

    def decide(self, candidate: Candidate, status: CandidateStatus, text: str = "", detail: Mapping[str, Any] = EMPTY) -> None:
        """Stores what became of a candidate, and tells whoever watches. What was noted before stays, unless `detail` has it anew."""
        earlier = next((r.detail for r in reversed(self.history) if r.candidate.id == candidate.id), EMPTY)
        record = CandidateRecord(candidate, status, {**earlier, **detail, **({"text": text} if text else {})})
        self.history = [r for r in self.history if r.candidate.id != candidate.id] + [record]
        self._runs.add_candidate(self.run_id, record)
        self.tell("candidate", text)

    def note_best(self, score: float) -> None:
        """Sets the score that the progress bar shows: an estimate on training examples, not a result."""
        self.best_score = score

    def tell(self, kind: EventKind = "rollout", text: str = "") -> None:
        """Reports progress to whoever watches."""
        meter = self._ledger.meter
        detail = {
            "tokens": meter.tokens,
            "dollars": meter.dollars,
            "seconds": meter.seconds,
            "reflections": len(self.reflections),
        }
        self._on_event(Event(kind, "optimize", self._ledger.finished, meter.total, self.best_score, text, detail))


def _is_worth_waiting_for(error: Exception) -> bool | float:
    asked = retry_after(error)
    return is_passing(error) and (True if asked is None else asked)


__all__ = ["BudgetExhausted", "Optimizer", "Problem"]
