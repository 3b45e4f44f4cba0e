"""Evaluating: every row once, failures as failures, and mistakes told before money is spent."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import prompt_registry_plugin as pr
from prompt_registry_plugin.evaluation.options import Event
from tests.waiting import HANG

ROWS = [{"inputs": {"n": i}, "expectations": {"expected_response": str(i * 2)}} for i in range(30)]


def double(n: int) -> str:
    return str(n * 2)


@pr.scorer
def half_point(outputs: str, expectations: Mapping[str, Any]) -> float:
    return 0.5


def test_every_row_is_run_once_and_scored_by_every_scorer() -> None:
    """In order, with intervals by scorer and over all."""
    result = pr.evaluate(predict_fn=double, data=ROWS, scorers=["exact_match", half_point])
    assert [rollout.outputs for rollout in result.rollouts] == [str(i * 2) for i in range(30)]
    assert result.scores["exact_match"].mean == 1.0
    assert result.scores["half_point"].mean == 0.5
    assert (result.score.mean, result.score.n) == (0.75, 30)
    assert result.failures == []
    assert result.cost is None


async def test_sync_and_async_targets_run_at_once() -> None:
    """After the first call, which is alone, 15 are under way at once and no more: they wait for one another. Context reaches all."""
    prompt = pr.register_prompt("p", "{{n}}")
    most, now, lock, full = 0, 0, threading.Lock(), threading.Event()

    def enter() -> None:
        nonlocal most, now
        with lock:
            now += 1
            most = max(most, now)
            if now == 15:
                full.set()

    def leave() -> None:
        nonlocal now
        with lock:
            now -= 1

    def sync_target(n: int) -> str:
        enter()
        if n:
            full.wait(HANG)
        leave()
        return str(prompt.format(n=n))

    async def async_target(n: int) -> str:
        enter()
        while n and not full.is_set():
            await asyncio.sleep(0.001)
        leave()
        return str(prompt.format(n=n))

    for target in (sync_target, async_target):
        most = 0
        full.clear()
        result = await pr.aevaluate(
            predict_fn=target,
            data=ROWS,
            scorers=[half_point],
            prompts={"p": "candidate {{n}}"},
            options=pr.RunOptions(concurrency=15),
        )
        assert [r.outputs for r in result.rollouts] == [f"candidate {i}" for i in range(30)]
        assert most == 15


@pytest.mark.usefixtures("short_waits")
def test_a_raising_target_is_a_failed_rollout_not_a_text() -> None:
    """It scores 0 and keeps its error; the others are not touched."""

    def fails_on_seven(n: int) -> str:
        if n == 7:
            raise ConnectionError("429 slow down")
        return double(n)

    result = pr.evaluate(predict_fn=fails_on_seven, data=ROWS, scorers=["exact_match"])
    (failure,) = result.failures
    assert (failure.error, failure.score, failure.outputs, failure.scores) == ("ConnectionError: 429 slow down", 0.0, None, {})
    assert result.score.mean == pytest.approx(29 / 30)


def test_a_target_that_always_fails_costs_three_calls() -> None:
    """Not thirty."""
    calls = []

    def broken(n: int) -> str:
        calls.append(n)
        raise ValueError("no route to model")

    with pytest.raises(pr.errors.TargetFailed, match=r"failed on 3 examples.*no route to model"):
        pr.evaluate(predict_fn=broken, data=ROWS, scorers=["exact_match"])
    assert len(calls) == 3


@pytest.mark.parametrize("value", [None, "0.9", float("inf"), [1], {}])
def test_a_scorer_that_returns_no_number_costs_one_call(value: object) -> None:
    """The error names the scorer and what it returned."""
    calls = []

    def target(n: int) -> str:
        calls.append(n)
        return ""

    @pr.scorer
    def odd(outputs: str) -> object:
        return value

    with pytest.raises(pr.errors.InvalidScore, match="'odd'"):
        pr.evaluate(predict_fn=target, data=ROWS, scorers=[odd])
    assert len(calls) == 1


def test_a_scorer_that_raises() -> None:
    """At the first row it ends the evaluation; later it is that row's failure."""

    @pr.scorer
    def always(outputs: str) -> float:
        raise KeyError("label")

    with pytest.raises(pr.errors.InvalidScore, match=r"'always'.*KeyError"):
        pr.evaluate(predict_fn=double, data=ROWS, scorers=[always])

    @pr.scorer
    async def sometimes(inputs: Mapping[str, Any], outputs: str) -> float:
        return 1 / (inputs["n"] - 9)

    result = pr.evaluate(predict_fn=double, data=ROWS, scorers=[sometimes])
    assert [rollout.error for rollout in result.failures] == ["scorer 'sometimes' failed: ZeroDivisionError: division by zero"]


def test_scorers_may_be_functions_return_feedback_and_see_the_trace() -> None:
    """And an aggregation of one's own joins them."""
    prompt = pr.register_prompt("p", "{{n}}")

    def target(n: int) -> str:
        return str(prompt.format(n=n))

    def renders(trace: pr.Trace) -> int:
        return len(trace.prompts)

    def check_two_things(outputs: str) -> pr.Feedback:
        return pr.Feedback(0.25, [pr.Item("short", True), pr.Item("polite", False, component="p", key="tone")], "so so")

    result = pr.evaluate(
        predict_fn=target,
        data=ROWS,
        scorers=[renders, check_two_things],
        aggregation=lambda scores: scores["renders"] * 2 - scores["check_two_things"],
    )
    assert result.score.mean == 1.75
    assert result.rollouts[0].scores["check_two_things"].rationale == "so so"
    assert [item.ok for item in result.rollouts[0].scores["check_two_things"].items] == [True, False]


@pytest.mark.parametrize(
    ("scorers", "reason"),
    [([], "at least one"), (["exact_mach"], "did you mean 'exact_match'"), ("exact_match", "list of scorers"),
     ([lambda result: 1], "'result' is none"), ([half_point, half_point], "two scorers")],
)  # fmt: skip
def test_bad_scorers_are_told(scorers: Any, reason: str) -> None:
    """Before anything is run."""
    with pytest.raises(pr.UserError, match=reason):
        pr.evaluate(predict_fn=double, data=ROWS, scorers=scorers)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ([], "has no rows"),
        ([{"n": 1}], "row 1 of data has no 'inputs'"),
        ([ROWS[0], {"inputs": {"m": 1}}], r"row 2 of data does not fit: double\(n"),
        ([{"inputs": {"n": 1}, "expectations": 5}], "'expectations' of row 1"),
        ([{"inputs": {"n": object()}}], "row 1 of data is not JSON"),
        ([5], "row 1 of data is a mapping"),
        ({"inputs": {}}, "list of rows"),
        ("missing.jsonl", "cannot read missing.jsonl"),
    ],
)
def test_bad_rows_are_told(data: Any, reason: str) -> None:
    """With their number, before anything is run."""
    with pytest.raises(pr.errors.InvalidExample, match=reason):
        pr.evaluate(predict_fn=double, data=data, scorers=["exact_match"])


def test_rows_from_a_file_and_from_outputs(tmp_path: Path) -> None:
    """JSON Lines, blank lines skipped; `outputs` means the expected response; a bad line is named."""
    path = tmp_path / "rows.jsonl"
    path.write_text('{"inputs": {"n": 2}, "outputs": "4"}\n\n{"inputs": {"n": 3}, "outputs": "7"}\n')
    assert pr.evaluate(predict_fn=double, data=path, scorers=["exact_match"]).score.mean == 0.5
    path.write_text('{"inputs": {"n": 2}}\n{oops\n')
    with pytest.raises(pr.errors.InvalidExample, match="line 2"):
        pr.evaluate(predict_fn=double, data=str(path), scorers=["exact_match"])


def test_prompts_that_the_target_never_renders_are_an_error() -> None:
    """One of them, or all."""
    prompt = pr.register_prompt("used", "{{n}}")

    def target(n: int) -> str:
        return str(prompt.format(n=n))

    with pytest.raises(pr.errors.PromptNotRendered, match="'unused' never rendered"):
        pr.evaluate(predict_fn=target, data=ROWS, scorers=[half_point], prompts={"used": "x", "unused": "y"})
    with pytest.raises(pr.errors.PromptNotRendered, match="'unused' never rendered"):
        pr.evaluate(predict_fn=target, data=ROWS, scorers=[half_point], prompts={"unused": "y"})


@pytest.mark.parametrize("target", [5, "nonsense", "no_such_module:x", "json:no_such", dict])
def test_bad_targets_are_told(target: Any) -> None:
    """With what is accepted."""
    with pytest.raises(pr.UserError):
        pr.evaluate(predict_fn=target, data=ROWS, scorers=["exact_match"])


async def test_sync_evaluate_works_inside_a_running_loop() -> None:
    """As in a notebook."""
    assert pr.evaluate(predict_fn=double, data=ROWS, scorers=["exact_match"]).score.mean == 1.0


def test_events_count_up() -> None:
    """Whoever listens gets every rollout."""
    events: list[Event] = []
    pr.evaluate(predict_fn=double, data=ROWS, scorers=["exact_match"], options=pr.RunOptions(on_event=events.append))
    assert [event.done for event in events if event.kind == "rollout"] == list(range(1, 31))
    assert (events[0].kind, events[-1].kind, events[-1].best) == ("started", "finished", 1.0)


def test_sync_runs_share_one_event_loop() -> None:
    """Async clients keep connections that die with their loop: an agent that was evaluated once can be evaluated again."""
    import asyncio

    loops: list[object] = []

    async def predict(x: int) -> str:
        loops.append(asyncio.get_running_loop())
        return str(x)

    for _ in range(2):
        pr.evaluate(
            predict_fn=predict, data=[{"inputs": {"x": 1}, "expectations": {"expected_response": "1"}}], scorers=["exact_match"]
        )
    assert len(set(map(id, loops))) == 1


def test_a_credential_in_an_error_is_masked(registry: pr.PromptRegistry) -> None:
    """In the row that failed, in what is raised when all fail, and in what a scorer says."""
    secret = "sk-proj-" + "a1B2c3D4" * 5

    def fails(text: str) -> str:
        if text == "b":
            raise RuntimeError(f"no access with {secret}")
        return text

    rows = [{"inputs": {"text": text}, "expectations": {"expected_response": text}} for text in "ab"]
    result = pr.evaluate(predict_fn=fails, data=rows, scorers=["exact_match"])
    [failed] = result.failures
    assert "no access with" in str(failed.error)
    with pytest.raises(pr.errors.TargetFailed) as raised:
        pr.evaluate(predict_fn=fails, data=rows[1:], scorers=["exact_match"])
    assert secret not in f"{failed.error}{raised.value}"
