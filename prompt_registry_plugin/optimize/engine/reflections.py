"""Answers of the reflection model: budgeted before they are asked for, stored with their cost, and never paid for twice."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any

from prompt_registry_plugin.errors import BudgetExhausted, ModelUnavailable
from prompt_registry_plugin.models.answers import CutOff, is_cut_off, plain_text
from prompt_registry_plugin.optimize.engine.budget import Meter
from prompt_registry_plugin.optimize.engine.turns import Turns
from prompt_registry_plugin.protocols import Model, ReflectionRecord, Reply, RunTable
from prompt_registry_plugin.records import Usage, digest
from prompt_registry_plugin.retry import patiently

_ATTEMPTS = 3  # of one reflection, if its error is transient
_TIMEOUT = 600.0  # seconds of one attempt: what the official clients wait, and no answer is written for so long
_PATIENCE = 120.0  # seconds for all of them: two of the longest waits that a server may ask for


class Reflections:
    """The reflection model of one optimization run, within the budget of `meter`.

    A resumed optimization run replays its search from stored rollouts, so it asks the same questions again. It gets the answers of
    the earlier process, each as often as it was paid for.
    """

    records: list[ReflectionRecord]
    """All answers so far, oldest first."""
    usage: Usage
    """Their tokens."""

    def __init__(
        self,
        model: Model,
        runs: RunTable,
        run_id: str,
        meter: Meter,
        price: Callable[[Usage], float | None],
        turns: Turns | None = None,
    ) -> None:
        """With `turns`, answers arrive in their turn, those of an earlier process too."""
        self._model, self._runs, self._run_id, self._meter, self._price = model, runs, run_id, meter, price
        self.records = []
        self.usage = Usage()
        self._turns = turns
        self._unused: dict[str, list[ReflectionRecord]] = defaultdict(list)  # of an earlier process, by digest of the prompt
        for record in runs.reflections(run_id):
            if turns is None:
                self._count(record)
            self._unused[record.detail.get("asked", "")].append(record)

    def check_budget(self) -> None:
        """Raise `UserError` if the budget is in dollars and the price of the model is not known."""
        if self._meter.budget.dollars is not None:
            self._meter.check_reflections([self._price(Usage(1000, 0, 1)), self._price(Usage(0, 1000, 1))])

    async def ask(
        self, prompt: str, purpose: str, detail: Mapping[str, Any], unreadable: Callable[[str], str] = lambda answer: ""
    ) -> str:
        """Return the model's answer to a prompt, and store it with its `purpose` and `detail`. Transient errors are retried.

        Raises `ModelUnavailable`, and `BudgetExhausted`, before the model is called, if the budget has not enough left for it.
        """
        with nullcontext() if self._turns is None else self._turns.turn() as turn:
            asked = digest(prompt)
            if self._unused[asked]:
                record = self._unused[asked].pop(0)
            else:
                record = await self._ask(prompt, purpose, {**detail, "asked": asked}, unreadable)
            if turn is not None:
                await turn
                self._count(record)
            return CutOff(record.answer) if record.detail.get("cut_off") else record.answer

    async def _ask(
        self, prompt: str, purpose: str, detail: Mapping[str, Any], unreadable: Callable[[str], str]
    ) -> ReflectionRecord:
        reserved = self._meter.reserve(prompt)
        if reserved is None:
            raise BudgetExhausted(f"a reflection may not fit into what is left of {self._meter.budget}")
        try:
            reply = await patiently(lambda: self._call_model(prompt), attempts=_ATTEMPTS, patience=_PATIENCE)
        finally:
            self._meter.release(reserved)
        answer = plain_text(reply.text) or ""  # a model of a plugin may return None or a list of parts
        cut_off = {"cut_off": True} if is_cut_off(reply.finish_reason) else {}
        reason = unreadable(CutOff(answer) if cut_off else answer)
        why = {"unreadable": reason, **cut_off} if reason else cut_off
        record = ReflectionRecord(purpose, answer, reply.usage, self._price(reply.usage), {**detail, **why})
        self._runs.add_reflection(self._run_id, record)
        if self._turns is None:
            self._count(record)
        return record

    async def _call_model(self, prompt: str) -> Reply:
        """Return the model's reply. Raises `ModelUnavailable` if it does not come in time, and `BudgetExhausted` if the budget ends."""
        left = self._meter.seconds_left
        try:
            async with asyncio.timeout(_TIMEOUT if left is None else min(left, _TIMEOUT)) as limit:
                return await self._model([{"role": "user", "content": prompt}])
        except TimeoutError:
            if not limit.expired():
                raise
            if left is not None and left < _TIMEOUT:
                raise BudgetExhausted(f"the budget of {self._meter.budget} ended while a reflection was under way") from None
            raise ModelUnavailable(f"model {self._model.name!r} gave no answer within {_TIMEOUT:g} s") from None

    def _count(self, record: ReflectionRecord) -> None:
        self.records.append(record)
        self.usage += record.usage
        self._meter.count_reflection(record.usage, record.cost)
