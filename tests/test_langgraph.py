"""The banking example's untouched graph, over a real connection to the simulated model."""

from __future__ import annotations

import asyncio
import importlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypedDict

import pytest

import prompt_registry_plugin as pr
from tests.conftest import ROOT

MESSAGE = "How long does a transfer from Europe take?"


@pytest.fixture
def graph(openai_environment: str) -> Any:
    """The example's graph, enabled, with a client for this session's server."""
    from examples.banking import agent

    pr.enable("langgraph")
    return importlib.reload(agent).graph


def test_the_example_knows_nothing_of_us() -> None:
    """Not a word."""
    text = (ROOT / "examples" / "banking" / "agent.py").read_text()
    assert "prompt_registry" not in text


def test_both_prompts_are_discovered_under_names_from_their_place(graph: Any) -> None:
    """Folder from the module, name from the node; the tree shows nodes, prompts and models."""
    with pr.record("banking") as trace:
        answer = graph.invoke({"message": MESSAGE})
    assert answer["department"] == "transfers"
    assert [use.proposed_name for use in trace.prompts] == ["banking/route", "banking/classify"]
    assert [(depth, span.kind, span.name) for depth, span in trace.walk()] == [
        (0, "chain", "LangGraph"),
        (1, "chain", "route"),
        (2, "prompt", "banking/route (discovered)"),
        (2, "llm", "gpt-5-mini"),
        (1, "chain", "classify"),
        (2, "prompt", "banking/classify (discovered)"),
        (2, "llm", "gpt-5-mini"),
    ]
    assert trace.usage.calls == 2
    assert trace.usage.input_tokens > 50


def test_a_named_graph_gives_its_name_to_the_folder(openai_environment: str) -> None:
    """`compile(name=…)` is more telling than the module."""
    from examples.banking import agent

    pr.enable("langgraph")
    with pr.record() as trace:
        agent.builder.compile(name="triage").invoke({"message": MESSAGE})
    assert [use.proposed_name for use in trace.prompts] == ["triage/route", "triage/classify"]


def test_the_same_graph_answers_with_what_the_alias_points_at(graph: Any) -> None:
    """Promote, roll back, promote: in one process, without rebuilding anything."""
    with pr.record() as trace:
        graph.invoke({"message": MESSAGE})
    route, _ = pr.adopt(trace)
    messages = [
        {"role": "system", "content": "Labels: a_only, b_only. Answer with the label only.\n- b_only: transfer"},
        *route.template[1:],
    ]
    pr.register_prompt("banking/route", messages)
    answers = []
    for act in (None, 2, "back", 2):
        if act == "back":
            pr.rollback("banking/route")
        elif act:
            pr.set_prompt_alias("banking/route", "production", act)
        answers.append(graph.invoke({"message": MESSAGE})["department"])
    assert answers == ["transfers", "b_only", "transfers", "b_only"]


async def test_candidates_at_once_through_the_graph(graph: Any) -> None:
    """Eight in tasks and eight in threads, each answering with its own label."""
    with pr.record() as trace:
        graph.invoke({"message": MESSAGE})
    route, _ = pr.adopt(trace)

    def scope(i: int) -> Any:
        text = f"Labels: label_{i}, other_{i}. Answer with the label only.\n- label_{i}: transfer"
        return pr.override_prompts({"banking/route": [{"role": "system", "content": text}, *route.template[1:]]})

    async def in_task(i: int) -> str:
        with scope(i):
            return str((await graph.ainvoke({"message": MESSAGE}))["department"])

    def in_thread(i: int) -> str:
        with scope(i):
            return str(graph.invoke({"message": MESSAGE})["department"])

    expected = [f"label_{i}" for i in range(8)]
    assert await asyncio.gather(*(in_task(i) for i in range(8))) == expected
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(8) as pool:
        assert await asyncio.gather(*(loop.run_in_executor(pool, in_thread, i) for i in range(8))) == expected


async def test_a_graph_is_a_target(graph: Any) -> None:
    """Rows are checked against its state, and its last state is the answer."""
    data = [{"inputs": {"message": MESSAGE}, "expectations": {"department": "transfers"}}]
    result = await pr.aevaluate(predict_fn=graph, data=data, scorers=["exact_match"])
    assert result.score.mean == 1.0
    assert result.usage.calls == 2
    with pytest.raises(pr.errors.InvalidExample, match=r"row 1 .* no input 'massage'; its state has"):
        await pr.aevaluate(predict_fn=graph, data=[{"inputs": {"massage": "x"}}], scorers=["exact_match"])


async def test_a_graph_with_a_node_cache_is_refused() -> None:
    """It would answer for one candidate with what another produced."""
    from langgraph.cache.memory import InMemoryCache
    from langgraph.graph import START, StateGraph
    from langgraph.types import CachePolicy

    class State(TypedDict, total=False):
        x: str

    builder = StateGraph(State)
    builder.add_node("node", lambda state: state, cache_policy=CachePolicy())
    builder.add_edge(START, "node")
    pr.enable("langgraph")
    with pytest.raises(pr.errors.InvalidExample, match="caches its answers"):
        await pr.aevaluate(
            predict_fn=builder.compile(cache=InMemoryCache()), data=[{"inputs": {"x": "1"}}], scorers=["exact_match"]
        )
