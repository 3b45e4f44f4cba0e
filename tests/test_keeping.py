"""Evaluations that go on where they were stopped, and pay for no row twice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

import prompt_registry_plugin as pr

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

    def stopping(event: pr.Event) -> None:
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


def made(word: str) -> Callable[[str], str]:
    def inner(q: str) -> str:
        calls.append(q)
        return f"{word} {q}"

    return inner


def test_another_function_scorer_or_argument_is_another_evaluation() -> None:
    """Its code, what it closes over, the settings of scorers, arguments, expectations: each is told apart."""
    assert run(made("answer"))[1] == 1
    assert run(made("no")) == ([str(i) for i in range(10)], 0.0)
    assert run(made("answer")) == ([], 1.0)
    assert len(run(made("answer"), scorers=[pr.Regex("a")])[0]) == 10
    assert len(run(made("answer"), scorers=[pr.Regex("b")])[0]) == 10
    assert len(run(made("answer"), scorers=[pr.scorer(lambda outputs: 1.0)])[0]) == 10
    assert len(run(made("answer"), scorers=[pr.scorer(lambda outputs: 0.5)])[0]) == 10
    assert len(run(made("answer"), aggregation=min_of)[0]) == 10
    assert len(run(made("answer"), rows=[{**row, "expectations": {"expected_response": "x"}} for row in ROWS])[0]) == 10

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
