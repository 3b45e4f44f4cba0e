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
from contextlib import nullcontext
from typing import NamedTuple

from prompt_registry_plugin.errors import BudgetExhausted, TargetFailed
from prompt_registry_plugin.evaluation.runner import Runner
from prompt_registry_plugin.optimize.engine.budget import Meter
from prompt_registry_plugin.optimize.engine.stale import fail_if_stale
from prompt_registry_plugin.optimize.engine.turns import Turns
from prompt_registry_plugin.protocols import RunTable
from prompt_registry_plugin.records import Candidate, Example, Rollout

MAX_FAILURES = 20
"""Failures in a row that end an optimization run. More than the 16 that run at once by default: one bad moment is not an outage."""


class OutOfTime(BudgetExhausted):
    """The seconds of the budget ended while a call was under way. It is given up."""


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
        self,
        runner: Runner,
        runs: RunTable,
        run_id: str,
        split: str,
        meter: Meter,
        on_rollout: Callable[[], None],
        turns: Turns | None = None,
    ) -> None:
        """With `turns`, what is stored is not taken over at once: it arrives when it is asked for again, in its turn."""
        self._runner, self._runs, self._run_id, self._split, self._on_rollout = runner, runs, run_id, split, on_rollout
        self.meter = meter
        # A pair is here from the moment it is asked for, so that two workers that ask at once wait for one rollout.
        self._futures: dict[_Pair, asyncio.Future[Rollout]] = {}
        self._by_example: dict[str, list[Rollout]] = defaultdict(list)
        self._in_flight: dict[_Pair, float] = {}  # with when it began, by the monotonic clock
        self._finished = 0
        self.failed = 0
        self.unscored = []
        self._failures: list[_Failure] = []  # since the last success, oldest first: not stored yet
        self._turns = turns
        self._stored: dict[_Pair, Rollout] = {}
        for rollout in runs.rollouts(run_id, split):
            if turns is None:
                self._add(rollout)
            else:
                self._stored[_Pair(rollout.candidate_id, rollout.example_id)] = rollout

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
            self._futures[_Pair(candidate.id, example.id)] = self._start(candidate, example)
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

    def replay_probe(self, baseline: Candidate, examples: Sequence[Example]) -> list[Rollout]:
        """Return the stored rollouts of the first examples up to one that succeeded, as a probe does; none without such a one."""
        found: list[Rollout] = []
        for example in examples:
            rollout = self._stored.get(_Pair(baseline.id, example.id))
            if rollout is None:
                return []
            found.append(rollout)
            if rollout.error is None and rollout.score is not None:
                return found
        return []

    def under_way(self) -> list[float]:
        """Return for how many seconds each of the rollouts in flight has been running, the longest first."""
        now = time.monotonic()
        return sorted((now - began for began in self._in_flight.values()), reverse=True)

    def _start(self, candidate: Candidate, example: Example) -> asyncio.Task[Rollout]:
        """Return the task of a rollout. Its turn, if there are turns, and what is left of the time, are those of this moment."""
        turn = nullcontext(None) if self._turns is None else self._turns.turn()
        task = asyncio.create_task(self._run_in_time(candidate, example, turn.__enter__(), self.meter.seconds_left))

        def end(ended: asyncio.Task[Rollout]) -> None:
            turn.__exit__(None, None, None)
            if not ended.cancelled() and isinstance(ended.exception(), OutOfTime):  # retrieved, or asyncio logs it
                self._futures.pop(_Pair(candidate.id, example.id), None)

        task.add_done_callback(end)
        return task

    async def _run_in_time(
        self, candidate: Candidate, example: Example, turn: asyncio.Future[None] | None, seconds: float | None
    ) -> Rollout:
        try:
            async with asyncio.timeout(seconds) as limit:
                rollout = await self._run_pair(candidate, example, turn)
        except TimeoutError:
            if not limit.expired():
                raise
            self.meter.cancel()
            raise OutOfTime(f"the budget of {self.meter.budget} ended while a rollout was under way") from None
        if self._is_outage:
            raise TargetFailed(
                f"{len(self._failures)} rollouts in a row failed, so the optimization run was stopped; the last one: {rollout.error}"
            )
        self._finished += 1
        self._note_missing_score(rollout)
        self._by_example[example.id].append(rollout)
        self._on_rollout()
        return rollout

    async def _run_pair(self, candidate: Candidate, example: Example, turn: asyncio.Future[None] | None) -> Rollout:
        pair, began = _Pair(candidate.id, example.id), -math.inf
        rollout = self._stored.pop(pair, None)
        if rollout is None:
            async with self._runner.slots:
                began = self._in_flight[pair] = time.monotonic()
                try:
                    rollout = fail_if_stale(await self._runner.run(candidate, example), self._by_example[example.id])
                finally:
                    del self._in_flight[pair]
        if rollout.error is None:  # stored before its turn: it is paid for
            self._runs.add_rollout(self._run_id, self._split, rollout)
        if turn is not None:
            await turn
        self.meter.end(rollout)
        if rollout.error is None:
            self._store_failures(before=began)
        else:
            self._failures.append(_Failure(time.monotonic(), rollout))
            self.failed += 1
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
