"""Rollouts that are paid for: each started once, stored when it finishes, and shared by whoever asks for it.

A model that is gone makes every rollout fail. Failures in a row are therefore held back until one succeeds, which makes them
ordinary failures; when there are too many, the run ends, and they are forgotten, so that a resumed run does not believe them.

A stop lets the rollouts in flight finish, since they cost money already, and takes back those that were only waiting for a slot.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import defaultdict
from collections.abc import Callable, Sequence

from prompt_registry_plugin.errors import BudgetExhausted, TargetFailed
from prompt_registry_plugin.evaluation.runner import Runner
from prompt_registry_plugin.optimize.engine.budget import Meter
from prompt_registry_plugin.protocols import RunTable
from prompt_registry_plugin.records import Candidate, Example, Rollout

Key = tuple[str, str]  # candidate id, example id
MAX_FAILURES = 20  # in a row, over more than one candidate (one alone may be its own fault)


class Ledger:
    """The rollouts of one run on one split, as far as `meter` lets them begin."""

    def __init__(self, runner: Runner, runs: RunTable, run_id: str, split: str, meter: Meter, tell: Callable[[], None]) -> None:
        self._runner, self._runs, self._run_id, self._split, self._tell = runner, runs, run_id, split, tell
        self.meter = meter
        self._known: dict[Key, asyncio.Future[Rollout]] = {}
        self._by_example: dict[str, list[Rollout]] = defaultdict(list)
        self._in_flight: set[Key] = set()
        self._finished = 0
        self.failed = 0
        self._doubtful: list[tuple[float, Rollout]] = []  # with when they ended
        for rollout in runs.rollouts(run_id, split):
            self.keep(rollout)

    @property
    def finished(self) -> int:
        """Rollouts that are done."""
        return self._finished

    def keep(self, rollout: Rollout) -> None:
        """Takes over a rollout that was paid for elsewhere."""
        known = self._known[rollout.candidate_id, rollout.example_id] = asyncio.get_running_loop().create_future()
        known.set_result(rollout)
        self._by_example[rollout.example_id].append(rollout)
        self.meter.begin()
        self.meter.end(rollout)
        self._finished += 1
        self.failed += rollout.error is not None

    def started(self, candidate: Candidate, example: Example) -> bool:
        """Whether a rollout was at least begun."""
        return (candidate.id, example.id) in self._known

    def seen(self, candidate: Candidate, example: Example) -> Rollout | None:
        """The finished rollout of a candidate on an example, if there is one."""
        known = self._known.get((candidate.id, example.id))
        return known.result() if known is not None and known.done() else None

    def on(self, example: Example) -> Sequence[Rollout]:
        """The finished rollouts on an example, of whatever candidates."""
        return self._by_example[example.id]

    async def run(self, candidate: Candidate, examples: Sequence[Example]) -> list[Rollout]:
        """The rollouts, in order; those that were already paid for are free.

        Raises `BudgetExhausted`, before anything is started, when what is left does not pay for all of them.
        """
        new = [e for e in {e.id: e for e in examples}.values() if not self.started(candidate, e)]
        if len(new) > self.meter.affordable:
            raise BudgetExhausted(
                f"{len(new)} rollouts were asked for, and the budget of {self.meter.budget} has {self.meter.affordable} left"
            )
        for example in new:
            self.meter.begin()
            self._known[candidate.id, example.id] = asyncio.create_task(self._pay(candidate, example))
        # Shielded: whoever is cancelled while waiting must not take a rollout down that is paid for, or shared.
        return [await asyncio.shield(self._known[candidate.id, example.id]) for example in examples]

    async def settle(self) -> None:
        """Takes back what has not begun to run, and waits for what has."""
        for key, future in list(self._known.items()):
            if not future.done() and key not in self._in_flight:
                future.cancel()
                del self._known[key]
                self.meter.take_back()
        waiting = [future for future in self._known.values() if not future.done()]
        if waiting:
            await asyncio.wait(waiting)
        for future in self._known.values():
            if not future.cancelled():
                future.exception()  # looked at, so that it is not reported as forgotten
        if not self._gone:
            self._store_doubtful()

    async def _pay(self, candidate: Candidate, example: Example) -> Rollout:
        async with self._runner.slots:
            self._in_flight.add((candidate.id, example.id))
            began = time.monotonic()
            rollout = await self._runner.run(candidate, example)
            self.meter.end(rollout)
        if rollout.error is None:
            self._store_doubtful(before=began)
            self._runs.add_rollout(self._run_id, self._split, rollout)
        else:
            self._doubtful.append((time.monotonic(), rollout))
            self.failed += 1
        if self._gone:
            raise TargetFailed(
                f"{len(self._doubtful)} rollouts in a row failed, so the run was stopped; the last one: {rollout.error}"
            )
        self._finished += 1
        self._by_example[example.id].append(rollout)
        self._tell()
        return rollout

    @property
    def _gone(self) -> bool:
        return len(self._doubtful) >= MAX_FAILURES and len({rollout.candidate_id for _, rollout in self._doubtful}) > 1

    def _store_doubtful(self, before: float = math.inf) -> None:
        """Stores the failures that ended before a success began: it shows that all was well again."""
        while self._doubtful and self._doubtful[0][0] <= before:
            self._runs.add_rollout(self._run_id, self._split, self._doubtful.pop(0)[1])
