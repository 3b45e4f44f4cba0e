"""Rollouts that are paid for: each (candidate, example) pair is run once, stored when it ends, and shared by everything that asks for it.

A model that is unreachable makes every rollout fail, and stored failures would count against the candidates for good. Failures in a row
are therefore held back until a rollout succeeds, which makes them ordinary failures. Too many of them end the optimization run, and
they are not stored, so that a resumed one runs these pairs again.

On a stop, rollouts in flight finish, because they cost money already; those that wait for a slot are cancelled.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import NamedTuple

from prompt_registry_plugin.errors import BudgetExhausted, TargetFailed
from prompt_registry_plugin.evaluation.runner import Runner
from prompt_registry_plugin.optimize.engine.budget import Meter
from prompt_registry_plugin.optimize.engine.stale import fail_if_stale
from prompt_registry_plugin.protocols import RunTable
from prompt_registry_plugin.records import Candidate, Example, Rollout

MAX_FAILURES = 20
"""Failures in a row that end an optimization run. More than the 16 that run at once by default: one bad moment is not an outage."""


class _Pair(NamedTuple):
    candidate_id: str
    example_id: str


class _Failure(NamedTuple):
    ended: float  # seconds of the monotonic clock
    rollout: Rollout


class Ledger:
    """The rollouts of one optimization run on one split, within the budget of `meter`. It belongs to one event loop."""

    failed: int
    """Failed rollouts, also those that are held back."""
    unscored: list[str]
    """Why rollouts have no score, one reason for each."""

    def __init__(
        self, runner: Runner, runs: RunTable, run_id: str, split: str, meter: Meter, on_rollout: Callable[[], None]
    ) -> None:
        self._runner, self._runs, self._run_id, self._split, self._on_rollout = runner, runs, run_id, split, on_rollout
        self.meter = meter
        # A pair is here from the moment it is asked for, so that two workers that ask at once wait for one rollout.
        self._futures: dict[_Pair, asyncio.Future[Rollout]] = {}
        self._by_example: dict[str, list[Rollout]] = defaultdict(list)
        self._in_flight: set[_Pair] = set()
        self._finished = 0
        self.failed = 0
        self.unscored = []
        self._failures: list[_Failure] = []  # since the last success, oldest first: not stored yet
        for rollout in runs.rollouts(run_id, split):
            self._add(rollout)

    @property
    def finished(self) -> int:
        """Rollouts that have ended."""
        return self._finished

    def record(self, rollout: Rollout) -> None:
        """Store a rollout that was run outside the ledger, and count it."""
        self._runs.add_rollout(self._run_id, self._split, rollout)
        self._add(rollout)

    def has_started(self, candidate: Candidate, example: Example) -> bool:
        """Return whether the rollout of a candidate on an example has at least been asked for."""
        return _Pair(candidate.id, example.id) in self._futures

    def result(self, candidate: Candidate, example: Example) -> Rollout | None:
        """Return the rollout of a candidate on an example; None if it has not ended."""
        future = self._futures.get(_Pair(candidate.id, example.id))
        return future.result() if future is not None and future.done() else None

    def for_example(self, example: Example) -> Sequence[Rollout]:
        """Return the rollouts on an example that have ended, of all candidates, oldest first."""
        return self._by_example[example.id]

    async def run(self, candidate: Candidate, examples: Sequence[Example]) -> list[Rollout]:
        """Return the rollouts of a candidate, in the order of the examples. Those that were run before cost nothing.

        Raises `BudgetExhausted`, before any starts, if the budget has not enough left for all of them.
        """
        new = [e for e in {e.id: e for e in examples}.values() if not self.has_started(candidate, e)]
        if len(new) > self.meter.remaining:
            raise BudgetExhausted(
                f"{len(new)} rollouts were asked for, and the budget of {self.meter.budget} has {self.meter.remaining} left"
            )
        for example in new:
            self.meter.begin()
            self._futures[_Pair(candidate.id, example.id)] = asyncio.create_task(self._run_pair(candidate, example))
        # Shielded: a cancelled worker must not cancel a rollout that is paid for, or that another worker waits for too.
        return [await asyncio.shield(self._futures[_Pair(candidate.id, example.id)]) for example in examples]

    async def drain(self) -> None:
        """Cancel the rollouts that wait for a slot, and wait for those in flight."""
        for pair, future in list(self._futures.items()):
            if not future.done() and pair not in self._in_flight:
                future.cancel()
                del self._futures[pair]
                self.meter.cancel()
        waiting = [future for future in self._futures.values() if not future.done()]
        if waiting:
            await asyncio.wait(waiting)
        for future in self._futures.values():
            if not future.cancelled():
                future.exception()  # retrieved here, or asyncio logs one that no worker waits for any more
        if not self._is_outage:
            self._store_failures()

    async def _run_pair(self, candidate: Candidate, example: Example) -> Rollout:
        async with self._runner.slots:
            self._in_flight.add(_Pair(candidate.id, example.id))
            began = time.monotonic()
            rollout = fail_if_stale(await self._runner.run(candidate, example), self._by_example[example.id])
            self.meter.end(rollout)
        if rollout.error is None:
            self._store_failures(before=began)
            self._runs.add_rollout(self._run_id, self._split, rollout)
        else:
            self._failures.append(_Failure(time.monotonic(), rollout))
            self.failed += 1
        if self._is_outage:
            raise TargetFailed(
                f"{len(self._failures)} rollouts in a row failed, so the optimization run was stopped; the last one: {rollout.error}"
            )
        self._finished += 1
        self._note_missing_score(rollout)
        self._by_example[example.id].append(rollout)
        self._on_rollout()
        return rollout

    def _add(self, rollout: Rollout) -> None:
        """Count a rollout that is stored already."""
        future = asyncio.get_running_loop().create_future()
        future.set_result(rollout)
        self._futures[_Pair(rollout.candidate_id, rollout.example_id)] = future
        self._by_example[rollout.example_id].append(rollout)
        self.meter.begin()
        self.meter.end(rollout)
        self._finished += 1
        self.failed += rollout.error is not None
        self._note_missing_score(rollout)

    def _note_missing_score(self, rollout: Rollout) -> None:
        if rollout.unscored is not None:
            self.unscored.append(rollout.unscored)

    @property
    def _is_outage(self) -> bool:
        # One candidate may break the target on every example: its own failures say nothing about the model.
        return len(self._failures) >= MAX_FAILURES and len({failure.rollout.candidate_id for failure in self._failures}) > 1

    def _store_failures(self, before: float = math.inf) -> None:
        """Store the failures that ended before a successful rollout began: the model was reachable after them."""
        while self._failures and self._failures[0].ended <= before:
            self._runs.add_rollout(self._run_id, self._split, self._failures.pop(0).rollout)
