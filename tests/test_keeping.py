"""Evaluations that go on where they were stopped, and pay for no row twice."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import prompt_registry_plugin as pr
from prompt_registry_plugin.evaluation.options import Event
from tests.conftest import ROOT
from tests.waiting import HANG

ROWS = [{"inputs": {"q": str(i)}, "expectations": {"expected_response": f"answer {i}"}} for i in range(10)]
OPTIONS = pr.RunOptions(concurrency=1, cache="nightly")
calls: list[str] = []


def agent(q: str) -> str:
    calls.append(q)
    return pr.load_prompt("prompts:/p@production").format(q=q)


def run(predict_fn: Any = agent, scorers: Any = ("exact_match",), rows: Any = ROWS, **more: Any) -> tuple[list[str], float]:
    """(the rows that the agent was asked, the mean score)."""
    calls.clear()
    result = pr.evaluate(predict_fn=predict_fn, data=rows, scorers=list(scorers), **{"options": OPTIONS, **more})
    return sorted(calls), result.score.mean


@pytest.fixture(autouse=True)
def prompt() -> None:
    pr.register_prompt("p", "answer {{q}}")
    pr.set_prompt_alias("p", "production", 1)


def test_nothing_is_paid_for_twice() -> None:
    """A second evaluation asks nothing, one with more rows asks for these, and without a cache all are asked again."""
    assert run(rows=ROWS[:6]) == (["0", "1", "2", "3", "4", "5"], 1.0)
    assert run() == (["6", "7", "8", "9"], 1.0)
    assert run() == ([], 1.0)
    assert len(run(options=pr.RunOptions())[0]) == len(run(options=pr.RunOptions(cache="other"))[0]) == 10


async def test_a_stopped_evaluation_goes_on() -> None:
    """Stopped after four rows: the next time those that were finished are not run."""

    def stopping(event: Event) -> None:
        if event.kind == "rollout" and event.done == 4:
            task.cancel()

    calls.clear()
    options = pr.RunOptions(concurrency=1, cache="nightly", on_event=stopping)
    task = asyncio.ensure_future(pr.aevaluate(predict_fn=agent, data=ROWS, scorers=["exact_match"], options=options))
    with pytest.raises(asyncio.CancelledError):
        await task
    begun = set(calls)
    calls.clear()
    assert (await pr.aevaluate(predict_fn=agent, data=ROWS, scorers=["exact_match"], options=OPTIONS)).score.mean == 1
    assert 4 <= len(begun) < 10
    assert {str(i) for i in range(10)} - begun <= set(calls) <= {str(i) for i in range(4, 10)}


def test_a_prompt_that_moved_is_asked_again() -> None:
    """A moved alias makes another answer, whoever moved it; a prompt that has nothing to do with it does not."""
    run()
    pr.register_prompt("unrelated", "x")
    assert run() == ([], 1.0)
    pr.register_prompt("p", "no {{q}}")
    pr.set_prompt_alias("p", "production", 2)
    assert run() == ([str(i) for i in range(10)], 0.0)
    assert run() == ([], 0.0)


def test_what_an_include_says_counts() -> None:
    """A change of an included prompt is a change."""
    pr.register_prompt("tone", "answer")
    pr.register_prompt("p", "{{> prompts:/tone}} {{q}}")
    pr.set_prompt_alias("p", "production", 2)
    assert run()[1] == 1
    pr.register_prompt("tone", "reply")
    assert len(run()[0]) == 10


def test_candidates_are_kept_by_their_text() -> None:
    """Comparing a third version with two that were compared before runs the third alone."""
    for text in ("answer {{q}}!", "no {{q}}"):
        pr.register_prompt("p", text)
    uris = [f"prompts:/p/{n}" for n in (1, 2)]
    pr.compare(predict_fn=agent, data=ROWS, scorers=["exact_match"], prompts=uris, options=OPTIONS)
    calls.clear()
    found = pr.compare(predict_fn=agent, data=ROWS, scorers=["exact_match"], prompts=[*uris, "prompts:/p/3"], options=OPTIONS)
    assert len(calls) == 10
    assert [v.result.score.mean for v in found.variants] == [1, 0, 0]


def make_target(word: str) -> Callable[[str], str]:
    def inner(q: str) -> str:
        calls.append(q)
        return f"{word} {q}"

    return inner


def test_another_function_scorer_or_argument_is_another_evaluation() -> None:
    """Its code, what it closes over, the settings of scorers, arguments, expectations: each is told apart."""
    assert run(make_target("answer"))[1] == 1
    assert run(make_target("no")) == ([str(i) for i in range(10)], 0.0)
    assert run(make_target("answer")) == ([], 1.0)
    assert len(run(make_target("answer"), scorers=[pr.scorers.Regex("a")])[0]) == 10
    assert len(run(make_target("answer"), scorers=[pr.scorers.Regex("b")])[0]) == 10
    assert len(run(make_target("answer"), scorers=[pr.scorer(lambda outputs: 1.0)])[0]) == 10
    assert len(run(make_target("answer"), scorers=[pr.scorer(lambda outputs: 0.5)])[0]) == 10
    assert len(run(make_target("answer"), aggregation=min_of)[0]) == 10
    assert len(run(make_target("answer"), rows=[{**row, "expectations": {"expected_response": "x"}} for row in ROWS])[0]) == 10

    def with_model(q: str, model: str) -> str:
        calls.append(q)
        return model

    for model in ("a", "b"):
        options = pr.RunOptions(concurrency=1, cache="nightly", arguments={"model": model})
        assert len(run(with_model, options=options)[0]) == 10


def min_of(scores: Any) -> float:
    return min(scores.values())


def test_failures_are_tried_again() -> None:
    """A failed rollout is not kept."""
    broken.add("3")
    assert run(shaky)[1] == 0.9
    broken.clear()
    assert run(shaky) == (["3"], 1.0)


broken: set[str] = set()


def shaky(q: str) -> str:
    calls.append(q)
    if q in broken:
        raise ValueError("no")
    return f"answer {q}"


def test_rows_that_stand_twice_are_both_run() -> None:
    """Without a cache nothing changes: a row is run as often as it is there."""
    assert len(run(rows=[*ROWS, ROWS[0]], options=pr.RunOptions())[0]) == 11


class Callable_:
    """A target with state."""

    def __init__(self, word: str) -> None:
        self.word = word

    def __call__(self, q: str) -> str:
        calls.append(q)
        return f"{self.word} {q}"


def test_objects_are_told_apart_by_all_they_hold() -> None:
    """Their settings, however deep; what cannot be told from another one like it is never taken for one."""
    assert run(Callable_("answer"))[1] == 1
    assert len(run(Callable_("no"))[0]) == 10
    assert run(Callable_("answer")) == ([], 1.0)
    deep: Any = "answer"
    for _ in range(20):
        deep = [deep]
    other: Any = "no"
    for _ in range(20):
        other = [other]
    assert len(run(holding(deep))[0]) == len(run(holding(other))[0]) == 10
    assert run(holding(deep))[0] == []
    secret = object()
    assert len(run(holding(secret))[0]) == len(run(holding(secret))[0]) == 10


def holding(thing: Any) -> Any:
    def inner(q: str) -> str:
        calls.append(q)
        return f"answer {q}" if thing else ""

    return inner


def test_a_file_of_the_users_that_changed_is_another_agent(tmp_path: Path) -> None:
    """Whatever changed in it: a constant, a node, a helper; sets in code make no difference by themselves."""
    script = """
import sys, prompt_registry_plugin as pr, helper
def agent(q):
    print("asked", q)
    return helper.answer(q) if q in {"a", "b", "c"} else ""
options = pr.RunOptions(concurrency=1, cache="x", on_event=lambda event: None)
rows = [{"inputs": {"q": q}, "expectations": {"expected_response": "a"}} for q in "ab"]
print(pr.evaluate(predict_fn=agent, data=rows, scorers=["exact_match"], options=options).score.mean)
"""
    (tmp_path / "main.py").write_text(script)
    (tmp_path / "helper.py").write_text("def answer(q): return q")

    def run_and_count(seed: str) -> int:
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [sys.executable, "main.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=HANG
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.count("asked")

    assert [run_and_count("1"), run_and_count("2"), run_and_count("3")] == [2, 0, 0]
    (tmp_path / "helper.py").write_text("def answer(q): return q.upper()")
    assert [run_and_count("1"), run_and_count("2")] == [2, 0]


def test_a_prompt_that_was_not_there_and_one_that_only_a_scorer_loads() -> None:
    """Are looked at as well, and so are settings of a prompt whose text is the candidate's."""

    def optional(q: str) -> str:
        calls.append(q)
        found = pr.load_prompt("later", allow_missing=True)
        return found.template if found else f"answer {q}"  # type: ignore[return-value]

    assert run(optional)[1] == 1
    pr.register_prompt("later", "x")
    assert run(optional) == ([str(i) for i in range(10)], 0.0)

    @pr.scorer
    def strict(outputs: str) -> float:
        return float(pr.load_prompt("strictness").template == "1")

    pr.register_prompt("strictness", "1")
    assert run(scorers=[strict])[1] == 1
    pr.register_prompt("strictness", "0")
    assert run(scorers=[strict])[1] == 0
    assert run(prompts={"p": "answer {{q}}"})[1] == 1
    pr.register_prompt("p", "other {{q}}")
    assert run(prompts={"p": "answer {{q}}"}) == ([], 1.0)
    pr.register_prompt("p", "other {{q}}", model_config={"temperature": 1})
    assert len(run(prompts={"p": "answer {{q}}"})[0]) == 10


def test_rows_alike_and_answers_that_json_does_not_hold() -> None:
    """A row under two names is one rollout with two names; a number that JSON does not hold is not kept."""
    twice = [pr.Example(ROWS[0]["inputs"], ROWS[0]["expectations"], name) for name in ("one", "two")]
    run(rows=twice)
    result = pr.evaluate(predict_fn=agent, data=twice, scorers=["exact_match"], options=OPTIONS)
    assert [rollout.example_id for rollout in result.rollouts] == ["one", "two"]
    assert run(rows=twice)[0] == []

    def no_number(q: str) -> Any:
        calls.append(q)
        return (q, float("nan"))

    assert len(run(no_number)[0]) == len(run(no_number)[0]) == 10


def test_a_helper_that_is_imported_late_counts_too(tmp_path: Path) -> None:
    """What a rollout imported by its end is looked at, and what it imports does not make another evaluation of the next variant."""
    script = """
import prompt_registry_plugin as pr
def agent(q):
    from late import answer
    print("asked", q)
    return answer(pr.load_prompt("p").format(q=q))
options = pr.RunOptions(concurrency=1, cache="x", on_event=lambda event: None)
pr.register_prompt("p", "one {{q}}")
pr.register_prompt("p", "two {{q}}", force=False)
pr.compare(predict_fn=agent, data=[{"inputs": {"q": "a"}}], scorers=["length"], prompts=["prompts:/p/1", "prompts:/p/2"], options=options)
"""
    (tmp_path / "main.py").write_text(script)
    (tmp_path / "late.py").write_text("def answer(q): return q")

    def run_and_count() -> int:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PROMPT_REGISTRY_URL": f"sqlite:///{tmp_path}/own.db"}
        done = subprocess.run(
            [sys.executable, "main.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=HANG
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.count("asked")

    assert [run_and_count(), run_and_count()] == [2, 0]
    (tmp_path / "late.py").write_text("def answer(q): return q.upper()")
    assert [run_and_count(), run_and_count()] == [2, 0]


def test_code_without_a_file_is_followed() -> None:
    """As in a notebook: a helper or a global that is defined again makes another answer, and so does the code of a class."""
    scope: dict[str, Any] = {"__name__": "no_file", "calls": calls}
    cell = "def helper(q): return word + ' ' + q\ndef target(q):\n    calls.append(q)\n    return helper(q)\nword = 'answer'"
    exec(cell, scope)
    assert run(scope["target"])[1] == 1
    assert run(scope["target"])[0] == []
    scope["word"] = "no"
    assert run(scope["target"])[1] == 0
    exec("def helper(q): return 'answer ' + q", scope)
    assert run(scope["target"])[1] == 1


def test_globals_prices_and_misses() -> None:
    """A plain global that the target reads, a price, and an alias that was never there: the first two count, the last one holds."""
    global word
    word = "answer"
    assert run(reading_a_global)[1] == 1
    word = "no"
    assert run(reading_a_global)[1] == 0

    def optional(q: str) -> str:
        calls.append(q)
        return str(pr.load_prompt("prompts:/p@staging", allow_missing=True))

    run(optional)
    assert run(optional)[0] == []
    agent_of_ours = pr.PromptAgent("p", "offline:task")
    costs = [
        pr.evaluate(
            predict_fn=agent_of_ours,
            data=ROWS[:2],
            scorers=["length"],
            options=pr.RunOptions(cache="nightly", prices={"offline:task": pr.records.Price(price, 0)}),
        ).cost
        for price in (1, 1000)
    ]
    assert costs[1] == pytest.approx(1000 * (costs[0] or 0))


word = "answer"


def reading_a_global(q: str) -> str:
    calls.append(q)
    return f"{word} {q}"


def test_what_is_shared_is_walked_once() -> None:
    """Twenty levels of the same list twice are twenty steps, not a million."""
    shared: Any = ["x"]
    for _ in range(40):
        shared = [shared, shared]
    assert run(holding(shared))[1] == 1
    assert run(holding(shared))[0] == []
