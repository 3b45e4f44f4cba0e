"""Interrupts, retries that succeeded and streams that were left: what is no failure does not count as one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any, TypedDict

import pytest
from click.testing import CliRunner

import prompt_registry_plugin as pr
from prompt_registry_plugin.cli.main import cli
from prompt_registry_plugin.tracing.trace import Trace


class State(TypedDict):
    text: str


def graph() -> Any:
    """A graph that asks a person, and then calls something that fails twice."""
    from langgraph.checkpoint.memory import InMemorySaver
    from langgraph.graph import END, START, StateGraph
    from langgraph.types import RetryPolicy, interrupt

    left = [1, 1]

    def ask(state: State) -> State:
        return {"text": state["text"] + str(interrupt("Send it?"))}

    def send(state: State) -> State:
        if left and left.pop():
            raise ConnectionError("flaky")
        return {"text": state["text"] + ", sent"}

    built = StateGraph(State)
    built.add_node("ask", ask)
    built.add_node("send", send, retry_policy=RetryPolicy(initial_interval=0.001, retry_on=ConnectionError))
    built.add_edge(START, "ask")
    built.add_edge("ask", "send")
    built.add_edge("send", END)
    return built.compile(checkpointer=InMemorySaver(), name="post")


def stored(name: str) -> Trace:
    (found,) = pr.search_traces(name=name)
    return found


def failed() -> set[str]:
    return {trace.name for trace in pr.search_traces(failed=True)}


def show(trace: Trace) -> str:
    return CliRunner().invoke(cli, ["traces", "show", trace.id]).output


def test_an_interrupted_run_is_two_traces_that_know_each_other() -> None:
    """Neither has failed; the first says what it asks, and each names the other."""
    from langgraph.types import Command

    pr.enable("langgraph")
    app = graph()
    config = {"configurable": {"thread_id": "t1"}}
    with pr.record("other"):
        graph().invoke({"text": "x"}, {"configurable": {"thread_id": "t2"}})
    with pr.record("first"):
        app.invoke({"text": "mail"}, config)
    first = stored("first")
    assert "interrupted, asks: Send it?" in show(first)
    assert "not continued yet" in show(first)
    with pr.record("second"):
        assert app.invoke(Command(resume=" yes"), config) == {"text": "mail yes, sent"}
    second = stored("second")
    assert failed() == set()
    assert f"continued by {second.id[:8]} (second)" in show(first)
    assert f"continues {first.id[:8]} (first)" in show(second)
    assert "continue" not in show(stored("other")).replace("not continued yet", "")


def test_a_retry_that_succeeded_is_told_and_is_no_failure() -> None:
    """The attempts have what went wrong as an attribute; the list counts no error."""
    from langgraph.types import Command

    pr.enable("langgraph")
    app, config = graph(), {"configurable": {"thread_id": "t1"}}
    app.invoke({"text": "mail"}, config)
    with pr.record("retried"):
        app.invoke(Command(resume=""), config)
    attempts = [span for span in stored("retried").spans if span.name == "send"]
    assert [span.attributes.get("recovered") for span in attempts] == ["ConnectionError: flaky"] * 2 + [None]
    assert "recovered from ConnectionError: flaky" in show(stored("retried"))
    assert [summary.errors for summary in pr.current_registry().store.traces.newest(1)] == [0]


def test_an_error_that_came_out_is_a_failure() -> None:
    """At every level that it passed, also if somebody catches it in the block."""

    @pr.trace
    def inner() -> None:
        raise ValueError("mine")

    @pr.trace
    def outer() -> None:
        inner()

    with pytest.raises(ValueError, match="mine"), pr.record("raised"):
        outer()
    with pr.record("caught in the block"), pytest.raises(ValueError, match="mine"):
        outer()
    assert failed() == {"raised", "caught in the block"}
    assert [span.error for span in stored("raised").spans] == ["ValueError: mine"] * 2


def test_what_the_agent_caught_or_tried_again_is_no_failure() -> None:
    """A tool's error that the function above handled, and a call that was repeated by hand."""
    left = [1, 1]

    @pr.trace
    def flaky() -> str:
        if left.pop():
            raise TimeoutError("slow")
        return "done"

    @pr.trace
    def careful() -> str:
        try:
            return flaky()
        except TimeoutError:
            return "sorry"

    with pr.record("caught inside"):
        assert careful() == "sorry"
    left[:] = [0, 1]
    with pr.record("by hand"):
        with pytest.raises(TimeoutError):
            flaky()
        assert flaky() == "done"
    assert failed() == set()
    assert [span.attributes.get("recovered") for span in stored("by hand").spans] == ["TimeoutError: slow", None]


@pr.trace
def words() -> Iterator[str]:
    yield from ("a", "b")


def test_streams_that_are_left_or_cancelled_are_no_failures() -> None:
    """`GeneratorExit`, `StopIteration`, `StopAsyncIteration` and a cancellation are no errors of an agent."""

    def recorded() -> Iterator[str]:
        with pr.record("left"):
            yield from words()

    stream = recorded()
    assert next(stream) == "a"
    stream.close()

    @pr.trace
    def advance(items: Iterator[str]) -> str:
        return next(items)

    with pr.record("at the end"), pytest.raises(StopIteration):
        advance(iter(()))

    @pr.trace
    async def forever() -> AsyncIterator[int]:
        while True:
            yield 1
            await asyncio.sleep(3600)

    async def read() -> None:
        with pr.record("cancelled"):
            async for _ in forever():
                pass

    async def cancel() -> None:
        task = asyncio.create_task(read())
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel())
    assert failed() == set()
    assert {"left", "at the end", "cancelled"} == {trace.name for trace in pr.search_traces()}
    assert stored("cancelled").spans[0].attributes["cancelled"] is True


def test_a_command_to_the_graph_around_is_no_failure() -> None:
    """A handoff out of a subgraph is raised by LangGraph."""
    from langgraph.graph import START, StateGraph
    from langgraph.types import Command

    pr.enable("langgraph")

    def hand_over(state: State) -> Any:
        return Command(goto="end", graph=Command.PARENT, update={"text": "handed over"})

    inner = StateGraph(State)
    inner.add_node("hand_over", hand_over)
    inner.add_edge(START, "hand_over")
    outer = StateGraph(State)
    outer.add_node("inner", inner.compile())
    outer.add_node("end", lambda state: state)
    outer.add_edge(START, "inner")
    with pr.record("handoff"):
        assert outer.compile().invoke({"text": ""}) == {"text": "handed over"}
    assert failed() == set()
    assert all(span.error is None and "recovered" not in span.attributes for span in stored("handoff").spans)


async def test_pydantic_ai_waits_and_retries() -> None:
    """A tool that asks for approval, and one that sends the model back, are no failures."""
    from pydantic_ai import Agent, ApprovalRequired, DeferredToolRequests, ModelRetry
    from pydantic_ai.models.test import TestModel

    pr.enable("pydantic_ai")
    left = [1]
    agent = Agent(TestModel(), output_type=[str, DeferredToolRequests])

    @agent.tool_plain
    def flaky() -> str:
        if left and left.pop():
            raise ModelRetry("again")
        return "done"

    with pr.record("retried"):
        await agent.run("go")

    waiting = Agent(TestModel(), output_type=[str, DeferredToolRequests])

    @waiting.tool_plain
    def delete() -> str:
        raise ApprovalRequired

    with pr.record("waits"):
        assert isinstance((await waiting.run("go")).output, DeferredToolRequests)
    assert failed() == set()
    assert any("interrupt" in span.attributes for span in stored("waits").spans if span.kind == "tool")
