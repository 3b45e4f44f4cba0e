"""What an optimizer is given: everything any algorithm needs, and nothing that it can get wrong.

Rollouts are budgeted, run concurrently, stored as they finish and never paid twice; proposals and decisions are stored too.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from prompt_registry_plugin.errors import BudgetExhausted
from prompt_registry_plugin.optimize.components import components
from prompt_registry_plugin.optimize.ledger import Ledger
from prompt_registry_plugin.options import Event, EventKind, OnEvent
from prompt_registry_plugin.protocols import CandidateRecord, Model, RunTable
from prompt_registry_plugin.records import EMPTY, Candidate, CandidateStatus, Example, Rollout, Usage


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
    best_score: float | None = None
    reflection_usage: Usage = field(default_factory=Usage)
    history: list[CandidateRecord] = field(default_factory=list)

    @property
    def budget(self) -> int:
        """Rollouts of the whole run."""
        return self._ledger.limit

    @property
    def remaining(self) -> int:
        """Rollouts that may still start."""
        return self._ledger.limit - self._ledger.spent

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

    async def reflect(self, prompt: str) -> str:
        """The reflection model's answer. Raises `ModelUnavailable`."""
        reply = await self._reflection_model([{"role": "user", "content": prompt}])
        self.reflection_usage += reply.usage
        return reply.text

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
        self._on_event(Event(kind, "optimize", self._ledger.finished, self._ledger.limit, self.best_score, text))


__all__ = ["BudgetExhausted", "Optimizer", "Problem"]
