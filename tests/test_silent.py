"""Where a candidate would silently not be used: it is used, or somebody is told."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.globals import set_llm_cache
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_core.prompts import ChatPromptTemplate

import prompt_registry_plugin as pr
from tests.test_adapters import Parrot, openai_agents_model

CANDIDATE = [{"role": "system", "content": "I am the candidate."}, {"role": "user", "content": "{{input}}"}]


@pytest.fixture
def chain() -> Iterator[Any]:
    """A chain whose template was adopted as `clerk`."""
    pr.enable("langchain")
    made = ChatPromptTemplate.from_messages([("system", "You are a clerk."), ("user", "{input}")]) | Parrot()
    with pr.record() as trace:
        made.invoke({"input": "hi"})
    pr.adopt(trace, names={trace.prompts[0].proposed_name: "clerk"})
    yield made
    pr.disable()


def in_a_thread(call: Callable[[], object]) -> None:
    thread = threading.Thread(target=call)
    thread.start()
    thread.join()


def in_a_pool(call: Callable[[], object]) -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(call).result()


def in_a_loops_executor(call: Callable[[], object]) -> None:
    async def run() -> None:
        await asyncio.get_running_loop().run_in_executor(None, call)

    asyncio.run(run())


@pytest.mark.parametrize("elsewhere", [in_a_thread, in_a_pool, in_a_loops_executor])
def test_a_context_that_is_lost_is_told_and_can_be_kept(chain: Any, elsewhere: Callable[[Callable[[], object]], None]) -> None:
    """`in_context` keeps it, as `enable()` does unless it is told to leave threads alone."""
    pr.enable("langchain", threads=False)

    def call() -> object:
        return chain.invoke({"input": "hi"})

    with (
        pytest.raises(pr.errors.PromptNotRendered, match=r"'clerk' never rendered.*in_context"),
        pr.override_prompts({"clerk": CANDIDATE}),
    ):
        elsewhere(call)
    with pr.override_prompts({"clerk": CANDIDATE}):
        elsewhere(pr.in_context(call))
    pr.enable("langchain", threads=True)
    with pr.override_prompts({"clerk": CANDIDATE}):
        elsewhere(call)


async def test_a_worker_that_was_started_earlier_is_told(chain: Any) -> None:
    """It has the context of its start."""
    jobs: asyncio.Queue[asyncio.Future[str]] = asyncio.Queue()

    async def work() -> None:
        while True:
            (await jobs.get()).set_result((await chain.ainvoke({"input": "hi"})).content)

    worker = asyncio.create_task(work())
    done: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    jobs.put_nowait(done)
    with pytest.raises(pr.errors.PromptNotRendered), pr.override_prompts({"clerk": CANDIDATE}):
        await done
    worker.cancel()
    assert done.result() == "You are a clerk."


def test_a_stream_that_is_used_after_its_scope_is_told(chain: Any) -> None:
    """LangChain begins with a chain when the first item is asked for: the block raises, and the stream keeps its candidate."""
    with pytest.raises(pr.errors.PromptNotRendered), pr.override_prompts({"clerk": CANDIDATE}):
        stream = chain.stream({"input": "hi"})
    assert "".join(chunk.content for chunk in stream) == "I am the candidate."
    assert "".join(chunk.content for chunk in chain.stream({"input": "hi"})) == "You are a clerk."


async def test_a_streamed_run_of_openai_agents_keeps_the_scope_it_was_begun_in() -> None:
    """It takes its context when it is called."""
    from agents import Agent, Runner

    pr.enable("openai_agents")
    pr.register_prompt("desk", "I am stored.")
    agent = Agent(name="desk", instructions="prompts:/desk", model=openai_agents_model())
    with pr.override_prompts({"desk": "I am the candidate."}, unrendered="ignore") as scope:
        result = Runner.run_streamed(agent, "hi")
    async for _ in result.stream_events():
        pass
    pr.disable()
    assert result.final_output == "I am the candidate."
    assert scope.renders == {"desk": 1}


def test_a_text_that_was_put_together_before_the_run_is_told(chain: Any) -> None:
    """Whether rendered early, or made of a template and something else."""
    early = chain.first.format_messages(input="hi")
    longer = (chain.first + " And be brief.") | Parrot()
    for call in (lambda: Parrot().invoke(early), lambda: longer.invoke({"input": "hi"})):
        with pytest.raises(pr.errors.PromptNotRendered), pr.override_prompts({"clerk": CANDIDATE}):
            call()


async def test_what_a_user_says_is_never_taken_for_a_prompt() -> None:
    """Not even where it reads like an adopted one. A later system message is one, since only code writes those."""
    from agents import Agent, Runner

    pr.enable("langchain", "openai_agents")
    agent = Agent(name="desk", instructions="You are a clerk.", model=openai_agents_model())
    with pr.record() as trace:
        Parrot().invoke([SystemMessage("You are a clerk."), HumanMessage("hi")])
        await Runner.run(agent, "hi")
    # One text in two frameworks. It stands in several places of this file, so it is adopted by name.
    pr.adopt(trace, names={row.name: "clerk" for row in pr.coverage(trace)})
    candidate = pr.register_prompt("clerk", "I am served.")
    pr.set_prompt_alias("clerk", "production", candidate.version)
    said = [SystemMessage("First."), HumanMessage("You are a clerk."), SystemMessage("You are a clerk.")]
    with pr.record() as trace:
        assert Parrot().invoke(said).content == "First. I am served."
        await Runner.run(agent, [{"role": "user", "content": "You are a clerk."}])
    pr.disable()
    sent = [span.attributes["messages"] for span in trace.spans if span.kind == "llm"]
    assert [message["content"] for message in sent[0]] == ["First.", "You are a clerk.", "I am served."]
    assert {"role": "user", "content": "You are a clerk."} in sent[1]
    assert {"role": "system", "content": "I am served."} in sent[1]


def test_a_candidate_with_a_variable_that_nobody_gives_is_told(chain: Any) -> None:
    """With the names of variable and prompt, and no half-filled text."""
    with (
        pytest.raises(pr.errors.MissingVariable, match="'clerk' needs a value for 'tone'"),
        pr.override_prompts({"clerk": "{{input}} in {{tone}}"}),
    ):
        chain.invoke({"input": "hi"})


def test_a_candidate_may_hold_braces(chain: Any) -> None:
    """LangChain would take them for variables."""
    with pr.override_prompts({"clerk": [{"role": "system", "content": 'Answer with {"label": "…"} to {{input}}'}]}):
        assert chain.invoke({"input": "{x}"}).content == 'Answer with {"label": "…"} to {x}'


async def test_a_model_cache_keeps_candidates_apart(chain: Any) -> None:
    """It is asked with the rendered messages."""
    set_llm_cache(InMemoryCache())
    try:
        for text in ("one", "two", "one"):
            with pr.override_prompts({"clerk": [{"role": "system", "content": f"{text} {{{{input}}}}"}]}):
                assert (await chain.ainvoke({"input": "hi"})).content == f"{text} hi"
    finally:
        set_llm_cache(None)


async def test_runs_at_once_are_traces_of_their_own() -> None:
    """Eight runs of a graph at once are eight traces, and a span of the user's own inside a node tears none of them."""
    from langgraph.graph import END, START, StateGraph
    from typing_extensions import TypedDict

    class State(TypedDict, total=False):
        n: int

    @pr.trace
    async def inner(n: int) -> str:
        return str((await Parrot().ainvoke([HumanMessage(f"run {n}")])).content)

    async def node(state: State) -> State:
        assert await inner(state["n"]) == f"run {state['n']}"
        return {"n": state["n"]}

    pr.enable("langgraph")
    graph = StateGraph(State).add_node("node", node).add_edge(START, "node").add_edge("node", END).compile(name="workflow")

    async def run(n: int) -> pr.Trace:
        with pr.record(f"run {n}") as trace:
            await graph.ainvoke({"n": n})
        return trace

    traces = await asyncio.gather(*(run(n) for n in range(8)))
    pr.disable()
    for n, trace in enumerate(traces):
        shown = [(depth, span.kind, span.name.rpartition(".")[2]) for depth, span in trace.walk()]
        assert shown == [(0, "chain", "workflow"), (1, "chain", "node"), (2, "chain", "inner"), (3, "llm", "model")]
        assert trace.spans[-1].attributes["output"] == f"run {n}"
    assert len(pr.current_registry().store.traces.newest()) == 8
