"""Responses of models' SDKs and results of agents' runs as answers: over a server on loopback, or made from the packages' own types."""

from __future__ import annotations

import gc
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from agents import Agent as OpenAIAgent
from agents import Runner, set_tracing_disabled
from anthropic.types import Message
from anthropic.types.raw_message_stream_event import RawMessageStreamEvent
from google.genai.types import GenerateContentResponse
from langchain.agents import create_agent
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langchain_core.prompts import ChatPromptTemplate
from langgraph.graph import START, MessagesState, StateGraph
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel, TypeAdapter
from pydantic_ai import Agent
from pydantic_ai.models.test import TestModel

import prompt_registry_plugin as pr
from prompt_registry_plugin.plain.answers import answer_data
from prompt_registry_plugin.plain.streams import joined
from tests.model_server import ModelServer, model_server

pytestmark = pytest.mark.server
QUIET = pr.RunOptions(on_event=lambda _event: None)
TOOL = {
    "type": "function",
    "function": {"name": "find", "parameters": {"type": "object", "properties": {"q": {"type": "string"}}}},
}
FLAT_TOOL: Any = {"type": "function", "strict": False, **TOOL["function"]}  # type: ignore[dict-item]
CALL = {"tool_calls": [{"name": "find", "arguments": {"q": "x"}}]}
ASKED: list[Any] = [{"role": "user", "content": "hi"}]


class Label(BaseModel):
    label: str


@pytest.fixture(autouse=True)
def collect() -> Iterator[None]:
    """Collect the loops and connections that frameworks leave open, while nobody is warned of it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        yield
        gc.collect()


@pytest.fixture(scope="module")
def shared_server() -> Iterator[ModelServer]:
    """One server for all: frameworks keep their clients, and connections to a server that is gone."""
    with model_server() as running:
        yield running


@pytest.fixture
def server(shared_server: ModelServer, monkeypatch: pytest.MonkeyPatch) -> ModelServer:
    monkeypatch.setenv("OPENAI_BASE_URL", shared_server.url)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-simulated-key-000000000000")
    set_tracing_disabled(True)
    return shared_server


def outputs_of(predict_fn: Any, expected: Any, **inputs: Any) -> Any:
    """Return what scorers see, after checking that `exact_match` finds it equal to what is expected."""
    row = {"inputs": inputs or {"q": "hi"}, "expectations": {"expected_response": expected}}
    result = pr.evaluate(predict_fn=predict_fn, data=[row], scorers=["exact_match"], options=QUIET)
    assert result.score.mean == 1.0, result.rollouts[0]
    return result.rollouts[0].outputs


async def streamed(q: str) -> AsyncIterator[Any]:
    async with AsyncOpenAI() as client:
        async for chunk in await client.chat.completions.create(model="m", messages=ASKED, stream=True):
            yield chunk


STYLES: dict[str, tuple[Callable[[str], Any], Any]] = {
    "chat": (lambda q: OpenAI().chat.completions.create(model="m", messages=ASKED), "done"),
    "message": (lambda q: OpenAI().chat.completions.create(model="m", messages=ASKED).choices[0].message, "done"),
    "raw": (lambda q: OpenAI().chat.completions.with_raw_response.create(model="m", messages=ASKED), "done"),
    "parsed": (lambda q: OpenAI().chat.completions.parse(model="m", messages=ASKED, response_format=Label), {"label": "x"}),
    "tools": (lambda q: OpenAI().chat.completions.create(model="m", messages=ASKED, tools=[TOOL]), CALL),  # type: ignore[list-item]
    "streamed tools": (
        lambda q: OpenAI().chat.completions.create(model="m", messages=ASKED, tools=[TOOL], stream=True),  # type: ignore[list-item]
        CALL,
    ),
    "streamed": (lambda q: OpenAI().chat.completions.create(model="m", messages=ASKED, stream=True), "done"),
    "streamed async": (streamed, "done"),
    "responses": (lambda q: OpenAI().responses.create(model="m", input="hi"), "done"),
    "responses parsed": (lambda q: OpenAI().responses.parse(model="m", input="hi", text_format=Label), {"label": "x"}),
    "responses tools": (lambda q: OpenAI().responses.create(model="m", input="hi", tools=[FLAT_TOOL]), CALL),
    "responses streamed": (lambda q: OpenAI().responses.create(model="m", input="hi", stream=True), "done"),
}  # fmt: skip


@pytest.mark.parametrize("style", STYLES)
def test_responses_of_the_openai_client(server: Any, style: str) -> None:
    """In each style the answer is what the model said."""
    function, expected = STYLES[style]
    assert outputs_of(function, expected) == expected


def test_responses_of_other_clients() -> None:
    """Anthropic's and Gemini's, whole and in pieces."""
    usage = {"input_tokens": 1, "output_tokens": 1}
    head = {"id": "1", "type": "message", "role": "assistant", "model": "m", "stop_sequence": None, "usage": usage}
    text, use = {"type": "text", "text": "hi"}, {"type": "tool_use", "id": "1", "name": "find", "input": {"q": "x"}}
    whole = Message.model_validate({**head, "stop_reason": "tool_use", "content": [text, use]})
    assert answer_data(whole) == {"content": "hi", **CALL}
    assert answer_data(Message.model_validate({**head, "stop_reason": "end_turn", "content": [text]})) == "hi"
    adapter: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
    events = [
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hi"}},
        {"type": "content_block_start", "index": 1, "content_block": {**use, "input": {}}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": '{"q": "x"}'}},
    ]
    assert joined([adapter.validate_python(event) for event in events]) == {"content": "hi", **CALL}
    parts: list[Any] = [{"text": "hm", "thought": True}, {"text": "hi"}, {"function_call": {"name": "find", "args": {"q": "x"}}}]
    made = [GenerateContentResponse.model_validate({"candidates": [{"content": {"parts": [part]}}]}) for part in parts]
    assert joined(made) == {"content": "hi", **CALL}
    assert answer_data(made[1]) == "hi"


@dataclass
class Ticket:
    label: str
    urgent: bool = False


def test_results_of_agents() -> None:
    """The result of a run of Pydantic AI is its output, whatever its type; a deferred tool call is the answer."""
    agent = Agent(TestModel(custom_output_args={"label": "card"}), output_type=Ticket)
    expected = {"label": "card", "urgent": False}
    assert outputs_of(agent, expected) == expected
    assert outputs_of(lambda q: agent.run_sync(q), expected) == expected
    plain = Agent(TestModel(custom_output_text="done"))
    assert outputs_of(lambda q: plain.run_sync(q).all_messages(), "done") == "done"
    assert outputs_of(lambda q: plain.run_sync(q).all_messages()[-1], "done") == "done"


def test_results_of_openai_agents(server: Any) -> None:
    """A run, a streamed run, and a model as output."""
    agent = OpenAIAgent(name="a", model="gpt-test")
    typed = OpenAIAgent(name="b", model="gpt-test", output_type=Label)

    async def run(q: str) -> Any:
        return await Runner.run(typed, q)

    async def stream(q: str) -> Any:
        return Runner.run_streamed(agent, q)

    assert outputs_of(agent, "done") == "done"
    assert outputs_of(typed, {"label": "x"}) == {"label": "x"}
    assert outputs_of(run, {"label": "x"}) == {"label": "x"}
    assert outputs_of(stream, "done") == "done"


def test_chains_and_graphs(server: Any) -> None:
    """`prompt | model`, a graph of messages, and `create_agent(response_format=…)`, passed as they are and through a function."""
    from langchain_openai import ChatOpenAI

    chain = ChatPromptTemplate.from_messages([("user", "{q}")]) | FakeListChatModel(responses=["done"])
    assert outputs_of(chain, "done") == "done"
    assert outputs_of(lambda q: chain.stream({"q": q}), "done") == "done"
    model = FakeListChatModel(responses=["done"])
    graph = (
        StateGraph(MessagesState).add_node("say", lambda s: {"messages": [model.invoke(s["messages"])]}).add_edge(START, "say")
    )
    compiled = graph.compile()
    assert outputs_of(compiled, "done") == "done"
    assert outputs_of(compiled, "done", messages=[{"role": "user", "content": "hi"}]) == "done"
    assert outputs_of(lambda q: compiled.invoke({"messages": [("user", q)]}), "done") == "done"  # type: ignore[arg-type]
    agent: Any = create_agent(ChatOpenAI(model="gpt-test"), tools=[], response_format=Label)
    assert outputs_of(agent, {"label": "x"}) == {"label": "x"}
    assert outputs_of(lambda q: agent.invoke({"messages": [("user", q)]}), {"label": "x"}) == {"label": "x"}
    bound = ChatOpenAI(model="gpt-test").bind_tools([TOOL])
    assert outputs_of(bound, CALL) == CALL
    assert (
        outputs_of(lambda q: bound.invoke(q).tool_calls, CALL) != CALL
    )  # LangChain's mappings are plain data, and stay as they are
    assert outputs_of(ChatOpenAI(model="gpt-test").with_structured_output(Label), {"label": "x"}) == {"label": "x"}
