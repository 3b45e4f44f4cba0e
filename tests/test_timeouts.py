"""Calls that hang: each is given up after its limit, and neither a run nor its budget in seconds waits for one."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

import prompt_registry_plugin as pr
from prompt_registry_plugin.evaluation import runner
from prompt_registry_plugin.workers import Workers
from tests import simulated_target as target
from tests.waiting import HANG

FOR_EVER = threading.Event()
SHORT = 1.0  # seconds


def hangs_on(name: str) -> Any:
    """The target, which hangs on texts with this name; blocking."""

    def predict(text: str) -> dict[str, str]:
        if name in text:
            FOR_EVER.wait(HANG)
        return target.predict(text)

    return predict


def test_a_blocking_call_that_hangs_is_a_failed_rollout() -> None:
    """The others go on, though as many hang as may run at once."""
    pr.register_prompt("sort", target.SORT)
    pr.register_prompt("name", target.NAME)
    options = pr.RunOptions(concurrency=3, timeout=SHORT, on_event=lambda event: None)
    result = pr.evaluate(predict_fn=hangs_on("oak"), data=target.rows(4), scorers=[target.right], options=options)
    late = [rollout for rollout in result.failures if "RolloutTimeout" in str(rollout.error)]
    assert len(late) >= 4
    assert "no answer within 1 s; RunOptions(timeout=…) sets the limit" in str(late[0].error)
    assert sum(rollout.error is None for rollout in result.rollouts) > 30


def test_a_scorer_that_hangs_leaves_a_row_without_a_score() -> None:
    """It says nothing about the answer."""

    @pr.scorer
    async def judged(inputs: Mapping[str, Any]) -> float:
        if inputs["n"] == 3:
            await asyncio.Event().wait()
        return 1.0

    options = pr.RunOptions(timeout=SHORT, on_event=lambda event: None)
    data = [{"inputs": {"n": n}} for n in range(6)]
    result = pr.evaluate(predict_fn=lambda n: n, data=data, scorers=[judged], options=options)
    assert [rollout.outputs for rollout in result.unscored] == [3]
    assert (result.score.mean, result.failures) == (1.0, [])


def test_a_run_takes_its_limit_from_the_first_rollouts(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says so, and what hangs later is given up."""
    monkeypatch.setattr(runner, "_LEAST_TIMEOUT", SHORT)
    monkeypatch.setattr(runner, "_TIMES_SLOWEST", 1.0)
    said: list[str] = []
    options = pr.RunOptions(concurrency=4, on_event=lambda event: said.append(event.text))
    rows = [
        *target.rows(2),
        *({"inputs": {"text": f"oak hangs{n}"}, "expectations": target.rows(1)[2]["expectations"]} for n in range(3)),
    ]
    result = pr.optimize_prompts(
        predict_fn=hangs_on("hangs"), train_data=rows[:32], eval_data=rows[32:], prompt_uris=target.register(), scorers=[target.right],
        reflection_model=target.reflect, budget=60, options=options,
    )  # fmt: skip
    assert any("a call of the target may take" in text for text in said)
    assert result.held_out is not None
    assert all("RolloutTimeout" in str(rollout.error) for rollout in result.held_out.after.rollouts)


@pytest.mark.parametrize("what", ["target", "reflection", "probe"])
def test_a_budget_in_seconds_holds_though_a_call_hangs(what: str) -> None:
    """Each call is cut off where the budget ends; what was found by then is the result."""
    calls = 0

    def predict(text: str) -> dict[str, str]:
        nonlocal calls
        calls += 1
        if (what == "target" and calls == 24) or (what == "probe" and calls == 1):
            FOR_EVER.wait(HANG)
        return target.predict(text)

    async def reflect(messages: Sequence[Mapping[str, Any]]) -> str:
        if what == "reflection":
            await asyncio.Event().wait()
        return await target.reflect(messages)

    def run() -> pr.PromptOptimizationResult:
        return pr.optimize_prompts(
            predict_fn=predict, train_data=target.rows(8), eval_data=[], prompt_uris=target.register(), scorers=[target.right],
            reflection_model=reflect, budget=pr.Budget(seconds=1.5), options=pr.RunOptions(on_event=lambda event: None),
        )  # fmt: skip

    began = time.monotonic()
    if what == "probe":
        with pytest.raises(pr.errors.BudgetTooSmall, match="ended before the target answered"):
            run()
    else:
        assert run().rollouts >= 20
    assert time.monotonic() - began < HANG / 4, "it waited for a call that hangs"


@pytest.mark.parametrize("wrong", [0, -1, True, float("inf"), "60"])
def test_a_time_limit_is_a_positive_number(wrong: Any) -> None:
    """Of seconds."""
    with pytest.raises(pr.UserError, match="timeout is a positive number of seconds"):
        pr.RunOptions(timeout=wrong)


def test_a_pool_does_not_wait_for_what_was_given_up() -> None:
    """Another thread takes the place of one that hangs."""
    pool = Workers(1)
    hanging = pool.submit(FOR_EVER.wait, HANG)
    waiting = pool.submit(lambda: 5)
    pool.give_up(hanging)
    assert waiting.result(HANG) == 5
    pool.shutdown(wait=True)
    with pytest.raises(RuntimeError, match="closed"):
        pool.submit(print)


@pytest.mark.parametrize("part", ["model", "scorer"])
def test_as_many_sync_calls_run_at_once_as_rollouts(registry: pr.PromptRegistry, part: str) -> None:
    """A sync model or scorer that waits for a thread would spend its time limit on that, and count as a failure."""
    registry.register_prompt("greet", "Hi {{name}}")
    most = 40
    together = threading.Barrier(most)
    calls = iter(range(most + 1))

    def meet() -> None:
        if next(calls):  # the first one is the probe, which runs alone
            together.wait(HANG)

    def model(messages: Sequence[Mapping[str, Any]]) -> str:
        if part == "model":
            meet()
        return "Hi"

    @pr.scorer
    def judged(outputs: str) -> float:
        if part == "scorer":
            meet()
        return float(outputs == "Hi")

    options = pr.RunOptions(concurrency=most, attempts=1, on_event=lambda event: None)
    rows = [{"inputs": {"name": str(n)}} for n in range(most + 1)]
    result = pr.evaluate(predict_fn=pr.PromptAgent("greet", model), data=rows, scorers=[judged], options=options)
    assert (result.failures, result.unscored, result.score.mean) == ([], [], 1.0)
