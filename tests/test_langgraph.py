"""The banking example's untouched graph, over a real connection to the simulated model."""

from __future__ import annotations

import asyncio
import importlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypedDict

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langgraph.graph import START, StateGraph
from prompt_registry_adapters.langchain.places import place_here
from pydantic import Field

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


class Ear(BaseChatModel):
    """A scripted model that keeps the system texts that it was given."""

    heard: list[str] = Field(default_factory=list)

    @property
    def _llm_type(self) -> str:
        return "ear"

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        """Nothing to bind."""
        return self

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        self.heard.append(str(messages[0].content))
        return ChatResult(generations=[ChatGeneration(message=AIMessage("hi"))])


class Conversation(TypedDict, total=False):
    """A graph's state."""

    messages: list[Any]


def team(model: Any) -> Any:
    """Agents in a graph of a name: two named ones with the same text, an unnamed one, and one that a node's function calls."""
    from langchain.agents import create_agent

    alice = create_agent(model, tools=[], name="alice", system_prompt="You are a patient clerk of the bank.")
    bob = create_agent(model, tools=[], name="bob", system_prompt="You are a patient clerk of the bank.")
    unnamed = create_agent(model, tools=[], system_prompt="You look after the vault.")
    carol = create_agent(model, tools=[], name="carol", system_prompt="You answer the telephone.")
    builder = StateGraph(Conversation)
    builder.add_node("first", alice).add_node("second", bob).add_node("third", unnamed)
    builder.add_node("fourth", lambda state: {"messages": carol.invoke(state)["messages"]})
    builder.add_edge(START, "first").add_edge("first", "second").add_edge("second", "third").add_edge("third", "fourth")
    return builder.compile(name="team")


SAID: Any = {"messages": [("user", "hello")]}


async def test_agents_in_one_graph_are_named_after_themselves() -> None:
    """Also those with the same text, each served by itself while nobody records, in every call style of the graph."""
    pr.enable("langgraph")
    model = Ear()
    graph = team(model)
    with pr.record() as trace:
        graph.invoke(SAID)
    places = [span.attributes["place"] for span in trace.spans if span.kind == "llm"]
    assert [(place["graph"], place["node"]) for place in places] == [
        ("alice", "model"),
        ("bob", "model"),
        ("third", "model"),
        ("carol", "model"),
    ]
    pr.adopt(trace)
    names = [prompt.name for prompt in pr.search_prompts()]
    assert {"alice/model", "bob/model"} <= set(names), "one text is two prompts, named by place"
    assert not any(name.endswith("-2") for name in names if name.startswith(("alice", "bob", "carol", "team")))
    for name in names:
        version = pr.register_prompt(name, f"{name}: {pr.load_prompt(name).template}")
        pr.set_prompt_alias(name, "production", version.version)

    async def astream() -> None:
        async for _ in graph.astream(SAID, stream_mode="updates"):
            pass

    expected = None
    for style in (
        lambda: graph.invoke(SAID),
        lambda: list(graph.stream(SAID, stream_mode="messages", subgraphs=True)),
        lambda: graph.batch([SAID]),
        lambda: asyncio.run(graph.ainvoke(SAID)),
        lambda: asyncio.run(astream()),
    ):
        model.heard.clear()
        await asyncio.to_thread(style)
        assert model.heard[:2] == [f"{name}/model: You are a patient clerk of the bank." for name in ("alice", "bob")]
        expected = expected or list(model.heard)
        assert model.heard == expected
        assert all(": You" in text for text in model.heard)


def test_a_stream_that_is_left_early_leaves_no_graph_behind() -> None:
    """The name of a graph is known inside of its nodes only."""
    pr.enable("langgraph")
    steps = team(Ear()).stream(SAID)
    next(steps)
    assert place_here() is None
    steps.close()
    seen = []
    builder = StateGraph(Conversation).add_node("only", lambda state: seen.append(place_here()) or {}).add_edge(START, "only")
    builder.compile().invoke(SAID)
    builder.compile(name="named").invoke(SAID)
    assert [(place.graph, place.node) for place in seen] == [(None, "only"), ("named", "only")]
