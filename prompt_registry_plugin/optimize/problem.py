"""What an optimizer is given: everything any algorithm needs, and nothing that it can get wrong.

Rollouts are budgeted, run concurrently, stored as they finish and never paid twice; proposals and decisions are stored too.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from prompt_registry_plugin.errors import BudgetExhausted
from prompt_registry_plugin.optimize.budget import Meter
from prompt_registry_plugin.optimize.components import components
from prompt_registry_plugin.options import Event, OnEvent
from prompt_registry_plugin.protocols import CandidateRecord, Model, RunTable
from prompt_registry_plugin.records import EMPTY, Candidate, CandidateStatus, Example, Rollout, Usage
from prompt_registry_plugin.rollouts import Runner


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
    meter: Meter
    concurrency: int
    random: random.Random
    run_id: str
    history: Sequence[CandidateRecord]
    _runner: Runner
    _reflection_model: Model
    _runs: RunTable
    _on_event: OnEvent
    _known: dict[tuple[str, str], asyncio.Future[Rollout]] = field(default_factory=dict)
    _started: float = field(default_factory=time.monotonic)
    best_score: float | None = None
    reflection_usage: Usage = field(default_factory=Usage)
    _waiting: set[asyncio.Task[Rollout]] = field(default_factory=set)

    @property
    def remaining(self) -> int:
        """Rollouts that are left."""
        return self.meter.remaining

    @property
    def baseline_components(self) -> dict[str, str]:
        """The texts to improve, by component key."""
        return components(self.baseline.templates)

    def restore(self, rollouts: Sequence[Rollout]) -> None:
        """Takes over what was already paid for, by an earlier process or before the search."""
        loop = asyncio.get_running_loop()
        for rollout in rollouts:
            known = self._known[rollout.candidate_id, rollout.example_id] = loop.create_future()
            known.set_result(rollout)
        self.meter.take(len(rollouts))

    def seen(self, candidate: Candidate, example: Example) -> Rollout | None:
        """The finished rollout of a candidate on an example, if there is one."""
        known = self._known.get((candidate.id, example.id))
        return known.result() if known is not None and known.done() and not known.cancelled() else None

    def started(self, candidate: Candidate, example: Example) -> bool:
        """Whether a rollout of a candidate on an example was at least begun."""
        return (candidate.id, example.id) in self._known

    async def evaluate(self, candidate: Candidate, examples: Sequence[Example]) -> list[Rollout]:
        """The rollouts, in order; those that were already paid for are free.

        Raises `BudgetExhausted`, before anything is started, when what is left does not pay for all of them.
        """
        new = list({e.id: e for e in examples if (candidate.id, e.id) not in self._known}.values())
        self.meter.take(len(new))
        for example in new:
            task = asyncio.create_task(self._pay(candidate, example))
            self._waiting.add(task)
            task.add_done_callback(self._waiting.discard)
            self._known[candidate.id, example.id] = task
        # Shielded: whoever is cancelled while waiting must not take a rollout down that is paid for, or shared.
        return [await asyncio.shield(self._known[candidate.id, example.id]) for example in examples]

    async def reflect(self, prompt: str) -> str:
        """The reflection model's answer. Raises `ModelUnavailable`."""
        reply = await self._reflection_model([{"role": "user", "content": prompt}])
        self.reflection_usage += reply.usage
        return reply.text

    def decide(self, candidate: Candidate, status: CandidateStatus, text: str = "", detail: Mapping[str, Any] = EMPTY) -> None:
        """Stores what became of a candidate, and tells whoever watches."""
        self._runs.add_candidate(self.run_id, CandidateRecord(candidate, status, {**detail, "text": text}))
        self._tell("candidate", text)

    def note_best(self, score: float) -> None:
        """Sets the score that the progress bar shows: an estimate on training examples, not a result."""
        self.best_score = score

    async def settle(self) -> None:
        """Waits for the rollouts in flight, which are stored as they finish."""
        while self._waiting:
            await asyncio.wait(set(self._waiting))

    async def _pay(self, candidate: Candidate, example: Example) -> Rollout:
        rollout = await self._runner(candidate, example)
        self._runs.add_rollout(self.run_id, "train", rollout)
        self._tell("rollout")
        return rollout

    def _tell(self, kind: Any, text: str = "") -> None:
        done, total = self.meter.spent - len(self._waiting), self.meter.budget.rollouts
        self._on_event(Event(kind, "optimize", max(done, 0), total, self.best_score, text))


__all__ = ["BudgetExhausted", "Optimizer", "Problem"]
