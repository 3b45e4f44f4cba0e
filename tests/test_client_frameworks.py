"""Frameworks over bare clients: one call of a model is one span, whichever adapters are on, and is served once."""

from __future__ import annotations

import asyncio
import gc
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import agents
import openai
import pytest
from agents import Runner
from langchain.agents import create_agent
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_openai import ChatOpenAI
from langgraph.graph import END, START, StateGraph
from pydantic_ai import Agent
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider
from typing_extensions import TypedDict

import prompt_registry_plugin as pr
from tests.client_server import ClientServer, client_server

pytestmark = [
    pytest.mark.server,
    *(pytest.mark.filterwarnings(f"ignore::{name}") for name in ("ResourceWarning", "pytest.PytestUnraisableExceptionWarning")),
]
RULES = "You are the clerk of the harbour who counts sails."
OTHER = "You are the second clerk."
MESSAGES = [SystemMessage(RULES), HumanMessage("hello")]


@pytest.fixture(scope="module")
def server() -> Iterator[ClientServer]:
    with client_server() as running:
        yield running


def styles(url: str) -> dict[str, Callable[[], Any]]:
    """Each call style of each framework, with an answer of its own to wait for or not."""
    base = f"{url}/v1"
    return {**_langchain(url, base), **_pydantic_ai(url, base), **_openai_agents(base)}


def _langchain(url: str, base: str) -> dict[str, Callable[[], Any]]:
    given: dict[str, Any] = {"model": "m", "base_url": base, "api_key": "k"}
    chat, responses = ChatOpenAI(**given), ChatOpenAI(**given, use_responses_api=True)
    claude = ChatAnthropic(model="m", base_url=url, api_key="k")  # type: ignore[call-arg]

    async def astream(model: Any) -> str:
        return "".join([chunk.text async for chunk in model.astream(MESSAGES)])

    async def ainvoke(model: Any) -> str:
        return (await model.ainvoke(MESSAGES)).text

    def agent() -> str:
        made = create_agent(chat, [], system_prompt=RULES)
        return made.invoke({"messages": [("user", "hello")]})["messages"][-1].text

    return {
        "chat invoke": lambda: chat.invoke(MESSAGES).text,
        "chat ainvoke": lambda: ainvoke(chat),
        "chat stream": lambda: "".join(chunk.text for chunk in chat.stream(MESSAGES)),
        "chat astream": lambda: astream(chat),
        "responses invoke": lambda: responses.invoke(MESSAGES).text,
        "responses astream": lambda: astream(responses),
        "claude invoke": lambda: claude.invoke(MESSAGES).text,
        "claude astream": lambda: astream(claude),
        "create_agent": agent,
    }


def _pydantic_ai(url: str, base: str) -> dict[str, Callable[[], Any]]:
    def provider() -> OpenAIProvider:
        return OpenAIProvider(openai_client=openai.AsyncOpenAI(base_url=base, api_key="k", max_retries=0))

    def agent(model: Any) -> Agent[None, str]:
        return Agent(model, instructions=RULES, name="p")

    async def run(model: Any) -> str:
        return (await agent(model).run("hello")).output

    async def run_stream(model: Any) -> str:
        async with agent(model).run_stream("hello") as result:
            return await result.get_output()

    return {
        "pydantic run": lambda: run(OpenAIChatModel("m", provider=provider())),
        "pydantic run_stream": lambda: run_stream(OpenAIChatModel("m", provider=provider())),
        "pydantic responses": lambda: run(OpenAIResponsesModel("m", provider=provider())),
        "pydantic claude": lambda: run(AnthropicModel("m", provider=AnthropicProvider(base_url=url, api_key="k"))),
    }


def _openai_agents(base: str) -> dict[str, Callable[[], Any]]:
    def agent(model: type[Any] = agents.OpenAIChatCompletionsModel) -> Any:
        client = openai.AsyncOpenAI(base_url=base, api_key="k")
        return agents.Agent(name="a", instructions=RULES, model=model("m", client))

    async def run(model: type[Any]) -> str:
        return (await Runner.run(agent(model), "hello")).final_output

    async def run_streamed() -> str:
        result = Runner.run_streamed(agent(), "hello")
        async for _event in result.stream_events():
            pass
        return result.final_output

    return {
        "agents run": lambda: run(agents.OpenAIChatCompletionsModel),
        "agents run_streamed": run_streamed,
        "agents responses": lambda: run(agents.OpenAIResponsesModel),
    }


STYLES = sorted(styles("http://127.0.0.1:1"))
ALL = ("langchain", "langgraph", "pydantic_ai", "openai_agents", "openai", "anthropic", "google_genai")
CLIENTS = ("openai", "anthropic", "google_genai")


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """One loop for all: frameworks keep async clients, which die with theirs."""
    with asyncio.Runner() as runner:
        yield runner.get_loop()


@pytest.fixture(autouse=True, scope="module")
def leaves_connections_open() -> Iterator[None]:
    """What frameworks keep is collected while warnings about it are off."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.mark.parametrize("adapters", [ALL, CLIENTS], ids=["all", "clients"])
@pytest.mark.parametrize("name", STYLES)
def test_one_call_is_one_span(
    server: ClientServer, registry: pr.PromptRegistry, loop: asyncio.AbstractEventLoop, name: str, adapters: tuple[str, ...]
) -> None:
    """With the tokens and the answer, and the adopted prompt rendered once."""

    def answer(style: Callable[[], Any]) -> str:
        result = style()
        return str(loop.run_until_complete(result) if asyncio.iscoroutine(result) else result)

    agents.set_tracing_disabled(True)
    pr.enable(*adapters)
    style = styles(server.url)[name]
    with pr.record() as trace:
        assert answer(style) == RULES
    [row] = [row for row in registry.coverage(trace) if row.template == RULES]
    [adopted] = registry.adopt(trace, names={row.name: row.name})
    version = registry.register_prompt(adopted.name, OTHER).version
    registry.set_prompt_alias(adopted.name, "production", version)
    with pr.record() as trace:
        assert answer(style) == OTHER
    [model] = [span for span in trace.spans if span.kind == "llm"]
    assert model.attributes["output"] == OTHER
    if "stream" not in name:  # those of a stream come if the framework asks for them
        assert model.attributes["input_tokens"] == 11
    assert [span.attributes["version"] for span in trace.spans if span.kind == "prompt"] == [version]
    assert len(model.attributes["prompts"]) == 1
    assert answer(style) == OTHER, "not recorded"


def tool_styles(url: str) -> dict[str, Callable[[], Any]]:
    """Agents that call a tool, and then answer: the last message of the second call is what the tool returned."""
    base = f"{url}/v1"

    def weather(place: str) -> str:
        """Look outside."""
        return f"Rain in {place}."

    def chain(model: Any) -> str:
        asked: Any = {"messages": [("user", [{"type": "text", "text": "use a tool"}, {"type": "text", "text": "now"}])]}
        return create_agent(model, [weather], system_prompt=RULES).invoke(asked)["messages"][-1].text

    async def pydantic(model: Any) -> str:
        return (await Agent(model, instructions=RULES, name="p", tools=[weather]).run(["use a tool", "now"])).output

    async def sdk(model: type[Any]) -> str:
        client = openai.AsyncOpenAI(base_url=base, api_key="k")
        agent = agents.Agent(name="a", instructions=RULES, model=model("m", client), tools=[agents.function_tool(weather)])
        return (await Runner.run(agent, "use a tool")).final_output

    given: dict[str, Any] = {"model": "m", "base_url": base, "api_key": "k"}
    provider = OpenAIProvider(openai_client=openai.AsyncOpenAI(base_url=base, api_key="k", max_retries=0))
    return {
        "chat": lambda: chain(ChatOpenAI(**given)),
        "responses": lambda: chain(ChatOpenAI(**given, use_responses_api=True)),
        "claude": lambda: chain(ChatAnthropic(model="m", base_url=url, api_key="k")),  # type: ignore[call-arg]
        "pydantic chat": lambda: pydantic(OpenAIChatModel("m", provider=provider)),
        "pydantic responses": lambda: pydantic(OpenAIResponsesModel("m", provider=provider)),
        "pydantic claude": lambda: pydantic(AnthropicModel("m", provider=AnthropicProvider(base_url=url, api_key="k"))),
        "agents chat": lambda: sdk(agents.OpenAIChatCompletionsModel),
        "agents responses": lambda: sdk(agents.OpenAIResponsesModel),
    }


@pytest.mark.parametrize("name", sorted(tool_styles("http://127.0.0.1:1")))
def test_a_turn_after_a_tool_is_one_span(server: ClientServer, loop: asyncio.AbstractEventLoop, name: str) -> None:
    """A framework writes what a tool returned in its own way."""
    agents.set_tracing_disabled(True)
    pr.enable(*ALL)
    with pr.record() as trace:
        result = tool_styles(server.url)[name]()
        assert RULES in str(loop.run_until_complete(result) if asyncio.iscoroutine(result) else result)
    models = [span for span in trace.spans if span.kind == "llm"]
    assert [len(span.attributes.get("tool_calls") or ()) for span in models] == [1, 0]
    assert "Rain in Rome." in str(models[1].attributes["messages"][-1])


class State(TypedDict, total=False):
    said: str


def test_a_call_in_a_node_hangs_under_the_node(server: ClientServer) -> None:
    """And a node that runs at the same time, with a framework's model and the same words, has a span of its own."""
    pr.enable(*ALL)
    client = openai.OpenAI(base_url=f"{server.url}/v1", api_key="k")
    chat = ChatOpenAI(model="m", base_url=f"{server.url}/v1", api_key="k")  # type: ignore[arg-type]

    def bare(state: State) -> State:
        messages: Any = [{"role": "system", "content": RULES}, {"role": "user", "content": "hello"}]
        client.chat.completions.create(model="bare", messages=messages)
        return {}

    def framework(state: State) -> State:
        chat.invoke(MESSAGES)
        return {}

    graph = StateGraph(State)
    for node in (bare, framework):
        graph.add_node(node.__name__, node)
        graph.add_edge(START, node.__name__)
        graph.add_edge(node.__name__, END)
    compiled = graph.compile(name="harbour")
    for _ in range(5):
        with pr.record() as trace:
            compiled.invoke({})
        spans = {span.id: span for span in trace.spans}
        under = sorted(spans[span.parent_id].name for span in trace.spans if span.kind == "llm")
        assert under == ["bare", "framework"]
