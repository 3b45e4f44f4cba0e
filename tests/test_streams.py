"""Streams that begin in `with record()` and are read after it: recorded whole, in one trace, or told."""

from __future__ import annotations

import asyncio
import copy
import gc
import inspect
import logging
import pickle
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

import prompt_registry_plugin as pr
from prompt_registry_plugin.prompts.context import current_recorder
from prompt_registry_plugin.recording import unfinished
from tests.test_silent import openai_agents_model


@pytest.fixture(autouse=True)
def plan(registry: pr.PromptRegistry) -> pr.PromptVersion:
    return registry.register_prompt("plan", "stored")


def say() -> str:
    return str(pr.load_prompt("plan").format())


@pr.trace
def words() -> Iterator[str]:
    """Two items, each a prompt."""
    yield say()
    yield say()


@pr.trace
async def async_words() -> AsyncIterator[str]:
    """Two items, each a prompt."""
    yield say()
    await asyncio.sleep(0)
    yield say()


class Response:
    """What a web framework sends after the function that made it has returned, in tasks and threads of its own."""

    def __init__(self, content: Any) -> None:
        self.content = content

    async def send(self) -> list[Any]:
        if hasattr(self.content, "__aiter__"):
            return [item async for item in self.content]
        items = iter(self.content)
        done = object()
        sent = []
        while (item := await asyncio.to_thread(next, items, done)) is not done:
            sent.append(item)
        return sent


def endpoint(make: Callable[[], Any]) -> Response:
    """As written in many programs: the block ends before anything is made."""
    with pr.record("chat"):
        return Response(make())


def chat() -> Any:
    (found,) = pr.search_traces(name="chat")
    return found


@pytest.mark.parametrize("make", [words, async_words])
def test_a_traced_generator_is_recorded_to_its_end(make: Callable[[], Any]) -> None:
    """One trace, stored when the stream ends; the code that reads is no part of it."""
    response = endpoint(make)
    assert pr.search_traces(name="chat") == [], "not stored yet"
    assert asyncio.run(response.send()) == ["stored", "stored"]
    spans = chat().spans
    assert [span.kind for span in spans] == ["chain", "prompt", "prompt"]
    assert [span.parent_id for span in spans] == [None, spans[0].id, spans[0].id]
    assert spans[0].attributes["output"] == ["stored", "stored"]
    assert all(span.ended_at is not None for span in spans)
    say()
    assert len(chat().spans) == 3


def test_a_stream_keeps_the_candidate_of_its_block() -> None:
    """And nothing else does: what is read beside it has the stored text."""
    with pr.override_prompts({"plan": "candidate"}, unrendered="ignore") as scope:
        stream = words()
    assert next(stream) == "candidate"
    assert say() == "stored"
    assert next(stream) == "candidate"
    assert list(stream) == []
    assert scope.renders == {"plan": 2}


@pytest.mark.parametrize("how", ["never begun", "begun", "closed"])
def test_a_stream_that_is_left_stores_what_there_is(how: str) -> None:
    """Also one that nobody ever begins, once it is forgotten."""
    stream = endpoint(words).content
    if how != "never begun":
        next(stream)
    if how == "closed":
        stream.close()
    del stream
    gc.collect()
    assert [span.kind for span in chat().spans] == ([] if how == "never begun" else ["chain", "prompt"])
    assert pr.search_traces(failed=True) == []


def test_closing_the_registry_stores_a_stream_that_is_still_read(registry: pr.PromptRegistry) -> None:
    """As it is then; what it makes later is not recorded, and harms nobody."""
    with pr.open_registry("sqlite:///other.db") as other, pr.use_registry(other):
        other.register_prompt("plan", "other")
        stream = endpoint(words).content
        assert next(stream) == "other"
    with pr.open_registry("sqlite:///other.db") as other:
        (found,) = other.search_traces()
        assert [span.kind for span in found.spans] == ["chain", "prompt"]
        assert found.spans[0].attributes["unfinished"] is True
    assert next(stream) == "stored"


def test_a_traced_generator_function_stays_one() -> None:
    """Frameworks ask, such as FastAPI for its dependencies and pytest for its fixtures; as a method it is bound."""

    class Agent:
        @pr.trace
        def words(self, count: int = 2) -> Iterator[int]:
            """Numbers."""
            yield from range(count)

    assert inspect.isgeneratorfunction(words)
    assert inspect.isasyncgenfunction(async_words)
    assert list(Agent().words(1)) == [0]
    assert str(inspect.signature(Agent().words)) == "(count: 'int' = 2) -> 'Iterator[int]'"
    assert (Agent.words.__name__, Agent.words.__doc__) == ("words", "Numbers.")
    assert inspect.isgenerator(words())
    assert inspect.isgeneratorfunction(Agent().words)


def langchain_stream() -> Any:
    from langchain_core.language_models import FakeListChatModel
    from langchain_core.prompts import ChatPromptTemplate

    return ChatPromptTemplate.from_messages(["You are a clerk."]) | FakeListChatModel(responses=["yes"])


@pytest.mark.parametrize("way", ["stream", "astream", "astream_events", "model.stream", "model.astream"])
def test_streams_of_langchain_are_recorded(way: str) -> None:
    """Of a chain and of a model."""
    pr.enable("langchain")
    chain = langchain_stream()
    owner, _, name = way.rpartition(".")
    runnable, given = (chain.last, "hi") if owner else (chain, {})
    assert asyncio.run(endpoint(lambda: getattr(runnable, name)(given)).send())
    (model,) = (span for span in chat().spans if span.kind == "llm")
    assert model.attributes["output"] == "yes"


@pytest.mark.parametrize("way", ["stream", "astream"])
def test_streams_of_langgraph_are_recorded(way: str) -> None:
    """The graph's span has its nodes."""
    from langgraph.graph import START, StateGraph

    pr.enable("langgraph")
    graph = StateGraph(dict)  # type: ignore[type-var]
    graph.add_node("answer", lambda state: {"text": langchain_stream().invoke({}).content})
    graph.add_edge(START, "answer")
    app: Any = graph.compile(name="desk")
    assert asyncio.run(endpoint(lambda: getattr(app, way)({})).send())
    assert [span.name for span in chat().spans if span.kind == "chain"] == ["desk", "answer"]
    assert [span.attributes["output"] for span in chat().spans if span.kind == "llm"] == ["yes"]


async def test_streamed_runs_of_openai_agents_are_recorded() -> None:
    """Their task goes on after the block."""
    from agents import Agent, Runner

    pr.enable("openai_agents")
    agent = Agent(name="desk", instructions="You are a clerk.", model=openai_agents_model())
    with pr.record("chat"):
        result = Runner.run_streamed(agent, "hi")
    async for _ in result.stream_events():
        pass
    await asyncio.sleep(0)
    assert [span.kind for span in chat().spans if span.kind in ("agent", "llm")] == ["agent", "llm"]
    assert all(span.ended_at is not None for span in chat().spans)
    assert current_recorder() is None


def test_what_cannot_be_recorded_is_told_once(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """A generator of one's own makes nothing in the block; a task that still runs is left. The advice says where the `with` belongs."""
    monkeypatch.setattr(unfinished, "_reported", set())

    def plain() -> Iterator[str]:
        yield say()

    async def leave() -> None:
        @pr.trace
        async def wait() -> None:
            await asyncio.sleep(3600)

        with pr.record("left"):
            task = asyncio.create_task(wait())
            await asyncio.sleep(0)
        task.cancel()

    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert asyncio.run(endpoint(plain).send()) == ["stored"]
            asyncio.run(leave())
    told = [record.message for record in caplog.records]
    assert len(told) == 2
    assert "'chat' is empty" in told[0]
    assert "wait' was still running" in told[1]
    assert all("put `with record()` into the generator that reads it" in message for message in told)
    assert pr.search_traces(name="left")[0].spans[0].attributes["unfinished"] is True


def test_a_traced_generator_function_is_pickled_and_copied_by_its_name_as_any_function_is() -> None:
    """Pools of processes and frameworks that copy their settings do that."""
    assert pickle.loads(pickle.dumps(words)) is words
    assert copy.deepcopy({"tool": async_words})["tool"] is async_words
