"""Rows from the traces of agents, in every framework: the same agent answers them as it did."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda
from pydantic import BaseModel

import prompt_registry_plugin as pr
from tests.test_adapters import Parrot, openai_agents_model

QUIET = pr.RunOptions(on_event=lambda event: None)


def rows_of_last() -> list[tuple[Any, Any]]:
    """Inputs and expected response of the row that the newest trace makes."""
    pr.current_registry().flush()
    newest = pr.current_registry().store.traces.newest(1)[0].id
    trace = pr.current_registry().store.traces.get(newest)
    assert trace is not None
    return [(dict(row.inputs), row.expectations["expected_response"]) for row in pr.Dataset.from_traces([trace])]


def check_round_trip(target: Any, inputs: Mapping[str, Any], output: Any) -> None:
    """The newest trace makes this row, and the target answers it as it did."""
    assert rows_of_last() == [(inputs, output)]
    rows = pr.Dataset.from_traces(pr.search_traces(max_results=1))
    result = pr.evaluate(predict_fn=target, data=rows, scorers=["exact_match"], options=QUIET)
    assert [(rollout.error, rollout.score) for rollout in result.rollouts] == [(None, 1.0)]


@dataclass
class Ticket:
    """An answer of a function."""

    city: str
    urgent: bool


class Place(BaseModel):
    """An answer of an agent."""

    city: str
    kind: Literal["town", "village"] = "town"


def test_a_chain_of_langchain() -> None:
    """A mapping, a text for the only variable, a message as the answer, a model alone."""
    pr.enable("langchain")
    prompt = ChatPromptTemplate.from_messages([("system", "To {language}."), ("user", "{text}")])
    chain = prompt | Parrot()
    with pr.record():
        chain.invoke({"language": "French", "text": "Hello"})
    check_round_trip(chain, {"language": "French", "text": "Hello"}, "To French.")
    one = ChatPromptTemplate.from_messages([("system", "Shout."), ("user", "{text}")]) | Parrot()
    with pr.record():
        one.invoke("Hello")  # type: ignore[arg-type]
    check_round_trip(one, {"text": "Hello"}, "Shout.")
    model = Parrot()
    with pr.record():
        model.invoke([SystemMessage("You are kind."), HumanMessage("Hello")])
    assert rows_of_last() == [({"input": "Hello"}, "You are kind.")]
    with pr.record():
        model.invoke("Hello")
    check_round_trip(model, {"input": "Hello"}, "Hello")

    def shout(text: str) -> str:
        return text.upper()

    with pr.record():
        (RunnableLambda(shout) | RunnableLambda(str.strip)).invoke("hello")
    check_round_trip(RunnableLambda(shout) | RunnableLambda(str.strip), {"input": "hello"}, "HELLO")


def make_agent(**settings: Any) -> Any:
    from langchain.agents import create_agent

    return create_agent(Parrot(), tools=[], system_prompt="You are the desk.", name="desk", **settings)


def test_agents_and_graphs_of_langgraph() -> None:
    """What the user says is the input, and the last message is the answer; a state of one's own is the row."""
    from langgraph.graph import END, START, StateGraph
    from typing_extensions import TypedDict

    pr.enable("langgraph")
    agent = make_agent()
    with pr.record():
        agent.invoke({"messages": [{"role": "user", "content": "Money back?"}]})
    check_round_trip(agent, {"input": "Money back?"}, "You are the desk.")
    with pr.record():
        agent.invoke({"messages": [("user", "Hi"), AIMessage("Hello."), HumanMessage("Money back?")]})
    said = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello."},
        {"role": "user", "content": "Money back?"},
    ]
    check_round_trip(agent, {"messages": said}, "You are the desk.")

    class State(TypedDict, total=False):
        text: str
        answer: str

    graph = StateGraph(State).add_node("work", lambda state: {"answer": state["text"].upper()}).add_edge(START, "work")
    workflow = graph.add_edge("work", END).compile(name="workflow")
    with pr.record():
        workflow.invoke({"text": "hello"})
    check_round_trip(workflow, {"text": "hello"}, {"text": "hello", "answer": "HELLO"})


def test_a_thread_that_goes_on_makes_no_row(caplog: pytest.LogCaptureFixture) -> None:
    """The checkpointer holds what was said before. The first call makes one."""
    from langgraph.checkpoint.memory import InMemorySaver

    pr.enable("langgraph")
    agent = make_agent(checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "1"}}
    for text in ("Hi", "Money back?"):
        with pr.record(text):
            agent.invoke({"messages": [("user", text)]}, config)
    pr.current_registry().flush()
    with caplog.at_level(logging.WARNING):
        rows = pr.Dataset.from_traces(pr.search_traces())
    assert [dict(row.inputs) for row in rows] == [{"input": "Hi"}]
    assert "1 of 2 traces, because they continue a conversation" in caplog.text
    with pytest.raises(pr.errors.InvalidExample, match="continues a conversation"):
        pr.evaluate(predict_fn=agent, data=pr.search_traces(name="Money back?"), scorers=["exact_match"], options=QUIET)


def test_a_resumed_graph_makes_no_row() -> None:
    """What a person answered is not what the agent was asked."""
    from langgraph.checkpoint.memory import InMemorySaver
    from langgraph.graph import END, START, StateGraph
    from langgraph.types import Command, interrupt
    from typing_extensions import TypedDict

    class State(TypedDict, total=False):
        text: str

    pr.enable("langgraph")
    graph = (
        StateGraph(State).add_node("ask", lambda state: {"text": interrupt("Sure?")}).add_edge(START, "ask").add_edge("ask", END)
    )
    workflow = graph.compile(name="workflow", checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "1"}}
    workflow.invoke({"text": "hello"}, config)
    with pr.record():
        workflow.invoke(Command(resume="yes"), config)
    with pytest.raises(pr.errors.InvalidExample):
        rows_of_last()


async def test_agents_of_pydantic_ai() -> None:
    """A text, a model as the answer; a tool that asks another agent is no row; a history makes none."""
    from pydantic_ai import Agent
    from pydantic_ai.messages import ModelResponse, TextPart, ToolCallPart, ToolReturnPart
    from pydantic_ai.models.function import AgentInfo, FunctionModel

    def answer(messages: list[Any], info: AgentInfo) -> ModelResponse:
        if info.output_tools:
            return ModelResponse(parts=[ToolCallPart(info.output_tools[0].name, {"city": "Rome"})])
        if info.function_tools and not isinstance(messages[-1].parts[-1], ToolReturnPart):
            return ModelResponse(parts=[ToolCallPart("forecast", {"city": "Rome"})])
        return ModelResponse(parts=[TextPart(f"Sunny in {messages[-1].parts[-1].content}")])

    pr.enable("pydantic_ai")
    inner = Agent(FunctionModel(answer), name="inner")
    agent = Agent(FunctionModel(answer), instructions="You know the weather.", name="desk")

    @agent.tool_plain
    async def forecast(city: str) -> str:
        return (await inner.run(city)).output

    with pr.record():
        first = await agent.run("Weather?")
    check_round_trip(agent, {"input": "Weather?"}, "Sunny in Sunny in Rome")
    typed = Agent(FunctionModel(answer), output_type=Place, name="typed")
    with pr.record():
        await typed.run("Where?")
    check_round_trip(typed, {"input": "Where?"}, {"city": "Rome", "kind": "town"})
    with pr.record():
        await agent.run("And tomorrow?", message_history=first.all_messages())
    with pytest.raises(pr.errors.InvalidExample):
        rows_of_last()


async def test_agents_of_openai_agents() -> None:
    """A text and the answer of the agent that it was handed over to; fields of a typed answer; a history makes no row."""
    from agents import Agent, Runner
    from openai.types.responses import ResponseFunctionToolCall, ResponseOutputMessage, ResponseOutputText

    model = openai_agents_model()

    def message(system_instructions: Any, input: Any, tools: Any, handoffs: Any) -> Any:
        if handoffs:
            return ResponseFunctionToolCall(call_id="c", name="transfer_to_refunds", arguments="{}", type="function_call")
        text = '{"city": "Rome", "kind": "town"}' if "place" in system_instructions else "Done."
        part = ResponseOutputText(type="output_text", text=text, annotations=[])
        return ResponseOutputMessage(id="1", type="message", role="assistant", status="completed", content=[part])

    model.message = message
    pr.enable("openai_agents")
    refunds = Agent(name="refunds", instructions="You pay back.", model=model)
    triage = Agent(name="triage", instructions="You send on.", model=model, handoffs=[refunds])
    with pr.record():
        result = await Runner.run(triage, "Money back!")
    check_round_trip(triage, {"input": "Money back!"}, "Done.")
    typed = Agent(name="typed", instructions="You name a place.", model=model, output_type=Place)
    with pr.record():
        await Runner.run(typed, "Where?")
    check_round_trip(typed, {"input": "Where?"}, {"city": "Rome", "kind": "town"})
    with pr.record():
        await Runner.run(refunds, [*result.to_input_list(), {"role": "user", "content": "When?"}])
    with pytest.raises(pr.errors.InvalidExample):
        rows_of_last()


def test_functions() -> None:
    """Their arguments, and plain data for a dataclass."""

    @pr.trace
    def answer(question: str, limit: int = 3) -> Any:
        return Ticket(question, limit > 2)

    with pr.record():
        answer("Rome")
    check_round_trip(answer, {"question": "Rome"}, {"city": "Rome", "urgent": True})


async def test_a_prompt_with_a_model() -> None:
    """The variables of the prompt, and what the user says."""
    pr.register_prompt("shop", "Answer {{question}} with the kind only. Kinds: animal, plant.")
    agent = pr.PromptAgent("prompts:/shop", "offline:task")
    with pr.record():
        said = await agent({"question": "oak"})
    check_round_trip(agent, {"question": "oak"}, said)
    pr.register_prompt("rules", "Sort a thing. Kinds: animal, plant.")
    talking = pr.PromptAgent("prompts:/rules", "offline:task")
    with pr.record():
        said = await talking({"input": "oak"})
    check_round_trip(talking, {"input": "oak"}, said)


def test_feedback_counts_and_masked_texts_make_no_row(caplog: pytest.LogCaptureFixture) -> None:
    """As with functions: corrections replace the answer, and a secret is not taken for a row in silence."""
    pr.enable("langgraph")
    agent = make_agent()
    for text in ("one", "two", "my key is sk-proj-abcdefghijklmnopqrstuvwx1234567890"):
        with pr.record(text[:3]):
            agent.invoke({"messages": [("user", text)]})
    pr.current_registry().flush()
    pr.log_feedback(pr.search_traces(name="two")[0].id, False, expectations={"expected_response": "Better."})
    with caplog.at_level(logging.WARNING):
        rows = pr.Dataset.from_traces(pr.search_traces())
    assert [(row.inputs["input"], row.expectations["expected_response"]) for row in rows] == [
        ("one", "You are the desk."),
        ("two", "Better."),
    ]
    assert "a secret was masked" in caplog.text


def test_a_call_that_failed_is_no_accepted_answer() -> None:
    """In an agent as in a function."""
    pr.enable("langgraph")
    from langchain.agents import create_agent

    class Broken(Parrot):
        def _generate(self, *args: Any, **kwargs: Any) -> Any:
            raise ValueError("no route")

    with pytest.raises(ValueError, match="no route"), pr.record():
        create_agent(Broken(), tools=[], name="desk").invoke({"messages": [("user", "Hi")]})
    with pytest.raises(pr.errors.InvalidExample, match="make no row"):
        rows_of_last()


def test_the_command_line_makes_a_dataset_of_traces() -> None:
    """And says how many traces were used."""
    from click.testing import CliRunner

    from prompt_registry_plugin.cli.main import cli

    @pr.trace
    def answer(question: str) -> str:
        return question.upper()

    for text in ("one", "two", "two"):
        with pr.record("asked"):
            answer(text)
    with pr.record("other"):
        pass
    pr.current_registry().flush()
    done = CliRunner().invoke(cli, ["datasets", "from-traces", "asked"])
    assert "datasets:/asked/1 has 2 rows; 2 of them from 4 traces" in done.output
    assert [dict(row.inputs) for row in pr.load_dataset("asked")] == [{"question": "one"}, {"question": "two"}]
    done = CliRunner().invoke(cli, ["annotate", "--name", "other"])
    assert "left out, since their inputs are not known or continue a conversation: 1" in done.output


def test_names_that_no_trace_has_are_told() -> None:
    """On the command line: a mistyped name is not called a trace without inputs."""
    from click.testing import CliRunner

    from prompt_registry_plugin.cli.main import cli

    with pr.record("shop"):
        pass
    for arguments, said in (
        (["--name", "shp"], "no trace with the name 'shp'"),
        (["--prompt", "nope"], "no trace with the prompt 'nope'"),
    ):
        done = CliRunner().invoke(cli, ["datasets", "from-traces", "d", *arguments])
        assert said in str(done.exception)
