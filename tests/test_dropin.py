"""Prompts by name, in the place where each framework takes a prompt."""

from __future__ import annotations

import copy
import pickle
import sys
from dataclasses import dataclass
from typing import Any

import pytest
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_core.prompts import ChatPromptTemplate
from prompt_registry_adapters.langchain import RegistryChatPrompt, RegistryMiddleware, RegistryPrompt

import prompt_registry_plugin as pr
from tests.test_adapters import Parrot, openai_agents_model, pydantic_model

URI = "prompts:/support@production"


@pytest.fixture(autouse=True)
def support() -> None:
    """A text and a chat, each with a production alias."""
    pr.register_prompt("support", "You help {{name}}.")
    pr.set_prompt_alias("support", "production", 1)
    pr.register_prompt(
        "chat", [{"role": "system", "content": "S {{name}}"}, {"type": "placeholder", "name": "history", "optional": True}]
    )
    pr.set_prompt_alias("chat", "production", 1)


def promote(name: str, template: Any) -> None:
    pr.set_prompt_alias(name, "production", pr.register_prompt(name, template).version)


def test_a_text_template_follows_its_alias() -> None:
    """In a chain, with partial variables, pickled and copied; no adapter has to be on."""
    prompt = RegistryPrompt(URI)
    chain = prompt | Parrot()
    assert prompt.input_variables == ["name"]
    assert chain.invoke({"name": "Ann"}).content == "You help Ann."
    assert chain.invoke("Ann").content == "You help Ann.", "one variable needs no mapping"
    for other in (
        prompt.partial(name="Bob"),
        pickle.loads(pickle.dumps(prompt.partial(name="Bob"))),
        copy.deepcopy(prompt.partial(name="Bob")),
    ):
        assert other.invoke({}).to_string() == "You help Bob."
    promote("support", "You serve {{name}} in {{language}}.")
    assert chain.invoke({"name": "Ann", "language": "French"}).content == "You serve Ann in French."
    with pytest.raises(pr.errors.MissingVariable, match="'language'"):
        chain.invoke({"name": "Ann"})


async def test_a_chat_template_follows_its_alias() -> None:
    """Alone, nested in a chat template, async; histories are LangChain's own messages."""
    prompt = RegistryChatPrompt("prompts:/chat@production")
    nested = ChatPromptTemplate.from_messages([prompt, ("user", "{question}")])
    history = [HumanMessage("{{name}}")]
    assert prompt.invoke({"name": "Ann", "history": history}).to_messages() == [SystemMessage("S Ann"), *history]
    promote("chat", [{"role": "system", "content": "T {{name}}"}])
    assert (await nested.ainvoke({"name": "Ann", "question": "?"})).to_messages() == [SystemMessage("T Ann"), HumanMessage("?")]
    with pytest.raises(pr.errors.InvalidTemplate, match="use RegistryChatPrompt"):
        RegistryPrompt("prompts:/chat@production").invoke({"name": "Ann"})


def test_a_version_gives_its_template() -> None:
    """Of exactly that version, for a text and for a chat."""
    assert pr.load_prompt("support").to_langchain().format(name="Ann") == "You help Ann."
    template = pr.load_prompt("chat").to_langchain()
    promote("chat", [{"role": "system", "content": "moved"}])
    assert template.format_messages(name="Ann") == [SystemMessage("S Ann")]


def test_a_version_without_langchain_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """`to_langchain` raises `PluginError` with the command."""
    version = pr.load_prompt("support")
    monkeypatch.delitem(sys.modules, "prompt_registry_adapters.langchain.prompts")
    monkeypatch.setitem(sys.modules, "langchain_core.prompts", None)
    with pytest.raises(
        pr.errors.PluginError, match=r"LangChain is not installed: pip install 'prompt-registry-plugin\[langchain\]'"
    ):
        version.to_langchain()


def test_templates_can_be_made_before_their_prompt_exists() -> None:
    """A module that makes them has to be importable; whoever renders one is told."""
    prompt = RegistryPrompt("prompts:/later@production")
    with pytest.raises(pr.errors.PromptNotFound, match="later"):
        prompt.format()


def test_candidates_reach_drop_in_templates() -> None:
    """By name, and what was rendered is recorded with its version."""
    chain = RegistryPrompt(URI) | Parrot()
    with pr.override_prompts({"support": "C {{name}}"}):
        assert chain.invoke({"name": "Ann"}).content == "C Ann"
    pr.enable("langchain")
    with pr.record() as trace:
        chain.invoke({"name": "Ann"})
    assert [(use.name, use.version) for use in trace.prompts] == [("support", 1)]


async def test_a_middleware_gives_an_agent_its_system_prompt() -> None:
    """With variables from the state and from its own values; sync and async."""
    from langchain.agents import create_agent

    agent = create_agent(Parrot(), tools=[], middleware=[RegistryMiddleware(URI, name="Ann")])
    given = {"messages": [{"role": "user", "content": "hi"}]}
    assert agent.invoke(given)["messages"][-1].content == "You help Ann."
    promote("support", "You serve {{name}}.")
    assert (await agent.ainvoke(given))["messages"][-1].content == "You serve Ann."


@pytest.mark.parametrize("is_first", [True, False])
def test_a_middleware_keeps_what_others_add(is_first: bool) -> None:
    """Before or after this one, their blocks stay as they are, with every key of theirs."""
    from langchain.agents import create_agent
    from langchain.agents.middleware import AgentMiddleware

    class Rules(AgentMiddleware):
        """Adds a block, as LangChain's own middlewares do."""

        def wrap_model_call(self, request: Any, handler: Any) -> Any:
            """The call with one more block."""
            blocks = request.system_message.content_blocks if request.system_message else []
            added = {"type": "text", "text": "Be kind.", "cache_control": {"type": "ephemeral"}}
            return handler(request.override(system_message=SystemMessage([*blocks, added])))

    seen: list[Any] = []

    class Ear(AgentMiddleware):
        """Keeps the system message that goes to the model."""

        def wrap_model_call(self, request: Any, handler: Any) -> Any:
            """The call, unchanged."""
            seen.append(request.system_message.content)
            return handler(request)

    ours = RegistryMiddleware(URI, name="Ann")
    both: list[Any] = [ours, Rules()] if is_first else [Rules(), ours]
    agent = create_agent(Parrot(), tools=[], middleware=[*both, Ear()])
    agent.invoke({"messages": [{"role": "user", "content": "hi"}]})
    assert [block["text"] for block in seen[0]] == ["You help Ann.", "Be kind."]
    assert seen[0][1]["cache_control"] == {"type": "ephemeral"}


@dataclass
class Deps:
    """What an agent is given."""

    name: str


@pytest.mark.parametrize("deps", [Deps("Ann"), {"name": "Ann"}])
@pytest.mark.parametrize("by_uri", [True, False])
async def test_pydantic_ai_instructions_by_name(deps: Any, by_uri: bool) -> None:
    """As a function, and, once the adapter is on, as a URI; variables come from `deps`; a broken URI is an error."""
    from prompt_registry_adapters.pydantic_ai import registry_instructions
    from pydantic_ai import Agent

    if by_uri:
        pr.enable("pydantic_ai")
    agent: Any = Agent(pydantic_model(), instructions=URI if by_uri else registry_instructions(URI))
    assert (await agent.run("hi", deps=deps)).output == "You help Ann."
    promote("support", "You serve {{name}}.")
    assert (await agent.run("hi", deps=deps)).output == "You serve Ann."
    with pytest.raises(pr.errors.MissingVariable):
        await agent.run("hi")


@pytest.mark.parametrize("by_uri", [True, False])
async def test_openai_agents_instructions_by_name(by_uri: bool) -> None:
    """As a function, and, once the adapter is on, as a URI; variables come from the run's context."""
    from agents import Agent, Runner
    from prompt_registry_adapters.openai_agents import registry_instructions

    if by_uri:
        pr.enable("openai_agents")
    agent: Any = Agent(name="a", instructions=URI if by_uri else registry_instructions(URI), model=openai_agents_model())
    assert (await Runner.run(agent, "hi", context=Deps("Ann"))).final_output == "You help Ann."
    promote("support", "You serve {{name}}.")
    assert (await Runner.run(agent, "hi", context={"name": "Ann"})).final_output == "You serve Ann."


async def test_a_later_turn_sends_what_the_first_one_sent() -> None:
    """Pydantic AI keeps system prompts in the history: a conversation goes on with the version that it began with."""
    from pydantic_ai import Agent

    pr.enable("pydantic_ai")
    agent = Agent(pydantic_model(), name="clerk", system_prompt="You are a clerk.")
    with pr.record() as trace:
        await agent.run("hi")
    [adopted] = pr.adopt(trace, names={row.name: "clerk/system" for row in pr.coverage(trace)})
    promote(adopted.name, "You are the second clerk.")
    first = await agent.run("hi")
    promote(adopted.name, "You are the third clerk.")
    second = await agent.run("again", message_history=first.all_messages())
    assert (first.output, second.output) == ("You are the second clerk.", "You are the second clerk.")
    assert (await agent.run("new")).output == "You are the third clerk."


async def test_sub_agents_and_handoffs_hang_together() -> None:
    """An agent as a tool, and one that a run hands over to: one tree, each model call under its agent."""
    pytest.importorskip("agents.testing", reason="older versions of the SDK bring no scripted model")
    from agents import Agent, ModelSettings, Runner, function_tool
    from agents.testing import ScriptedModel, assistant_message, function_call

    pr.enable("openai_agents")

    @function_tool
    def lookup(word: str) -> str:
        """Looks a word up."""
        return f"{word} found"

    expert = Agent(
        name="expert", instructions="You are the expert.", model=ScriptedModel([[assistant_message("done")]], emit_traces=True)
    )
    steps = [[function_call("lookup", {"word": "x"}, call_id="1")], [function_call("transfer_to_expert", {}, call_id="2")]]
    front = Agent(
        name="front",
        instructions="You are the front.",
        model=ScriptedModel(steps, emit_traces=True),
        tools=[lookup],
        handoffs=[expert],
        model_settings=ModelSettings(),
    )
    with pr.record() as trace:
        result = await Runner.run(front, "hi")
    assert result.final_output == "done"
    spans = {span.id: span for span in trace.spans}
    named = [(span.kind, span.name, spans[span.parent_id].name if span.parent_id else None) for span in trace.spans]
    assert ("tool", "lookup", "front") in named
    assert {row.place for row in pr.coverage(trace) if row.role == "system"} == {"front/instructions", "expert/instructions"}
    assert {spans[span.parent_id or ""].name for span in trace.spans if span.kind == "llm"} == {"front", "expert"}


async def test_a_history_that_is_handed_in_is_never_touched() -> None:
    """Not even where its system prompt reads like an adopted one."""
    from pydantic_ai import Agent
    from pydantic_ai.messages import ModelRequest, ModelResponse, SystemPromptPart, TextPart, UserPromptPart

    pr.enable("pydantic_ai")
    with pr.record() as trace:
        await Agent(pydantic_model(), name="clerk", system_prompt="You are a clerk.").run("hi")
    [adopted] = pr.adopt(trace, names={row.name: "clerk/system" for row in pr.coverage(trace)})
    promote(adopted.name, "You are the second clerk.")
    history = [ModelRequest([SystemPromptPart("You are a clerk."), UserPromptPart("hi")]), ModelResponse([TextPart("yes")])]
    result = await Agent(pydantic_model(), name="other").run("again", message_history=history)
    assert result.output == "You are a clerk."
    assert history[0].parts[0].content == "You are a clerk."


async def test_a_failed_request_ends_its_span_with_its_error() -> None:
    """A rate limit, say."""
    from pydantic_ai import Agent
    from pydantic_ai.models.function import FunctionModel

    def fails(_messages: Any, _info: Any) -> Any:
        raise RuntimeError("rate limit")

    pr.enable("pydantic_ai")
    agent = Agent(FunctionModel(fails), instructions="Be brief.")
    with pr.record() as trace, pytest.raises(RuntimeError):
        await agent.run("hi")
    assert [(span.kind, span.error) for span in trace.spans if span.kind != "prompt"] == [
        ("agent", "RuntimeError: rate limit"), ("llm", "RuntimeError: rate limit"),
    ]  # fmt: skip
    assert all(span.ended_at is not None for span in trace.spans)


async def test_only_what_a_prompt_needs_of_a_context_is_looked_at_and_recorded() -> None:
    """Dependencies hold clients and personal data; a field that is not set is no error."""
    from dataclasses import field

    from pydantic_ai import Agent

    @dataclass
    class Everything:
        name: str
        ssn: str = "123-45-6789"
        client: object = field(init=False)

    pr.enable("pydantic_ai")
    agent = Agent(pydantic_model(), instructions=URI)
    with pr.record() as trace:
        assert (await agent.run("hi", deps=Everything("Ann"))).output == "You help Ann."
    assert [span.attributes["variables"] for span in trace.spans if span.kind == "prompt"] == [{"name": "Ann"}]


def test_a_trace_is_stored_as_it_was_when_its_recording_ended() -> None:
    """An agent goes on with its own dictionaries."""
    state: dict[str, Any] = {"messages": ["one"]}
    with pr.record() as trace:
        pr.load_prompt("support").format(name="Ann", other=state)
    state["messages"].append("later")
    stored = pr.current_registry().store.traces.get(trace.id)
    assert stored is not None
    assert stored.spans[0].attributes["variables"]["other"] == {"messages": ["one"]}


def test_traces_of_child_processes_are_stored() -> None:
    """`multiprocessing` ends its processes without waiting for threads."""
    import multiprocessing

    context = multiprocessing.get_context("spawn")
    child = context.Process(target=record_once)
    child.start()
    child.join()
    assert [trace.name for trace in pr.current_registry().store.traces.newest()] == ["in a child"]


def record_once() -> None:
    with pr.record("in a child"):
        pass


def test_a_program_may_close_its_own_loop() -> None:
    """Ours is not the thread's current one."""
    import asyncio

    from prompt_registry_plugin.concurrency import run_sync

    async def one() -> int:
        return 1

    assert run_sync(one()) == 1
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    loop.close()
    asyncio.set_event_loop(None)
    assert run_sync(one()) == 1


async def test_pydantic_ai_tools_are_described_by_name() -> None:
    """With variables from `deps`; the model is shown the text, and its span names the prompt."""
    from pydantic_ai import Agent, Tool
    from pydantic_ai.messages import ModelResponse, TextPart
    from pydantic_ai.models.function import FunctionModel

    pr.enable("pydantic_ai")
    pr.register_prompt("tools/search", "Searches {{name}}'s mail.")
    model = FunctionModel(lambda messages, info: ModelResponse(parts=[TextPart(str(info.function_tools[0].description))]))
    tool = Tool(lambda: "found", name="search", description="prompts:/tools/search")
    agent = Agent(model, deps_type=Deps, tools=[tool])
    with pr.record() as trace:
        assert (await agent.run("hi", deps=Deps("Ada"))).output == "Searches Ada's mail."
    shown = next(span for span in trace.spans if span.kind == "llm")
    assert shown.attributes["descriptions"] == {"tools/search": "Searches Ada's mail."}
    assert trace.outputs_by_prompt() == {"tools/search": "Searches Ada's mail."}
    with pr.override_prompts({"tools/search": "Candidate."}):
        assert (await agent.run("hi", deps=Deps("Ada"))).output == "Candidate."


async def test_openai_agents_tools_and_handoffs_are_described_by_name() -> None:
    """The model is shown the text; the agent's own objects stay as they were."""
    from agents import Agent, Model, ModelResponse, Runner, Usage, function_tool
    from openai.types.responses import ResponseOutputMessage, ResponseOutputText

    class Reader(Model):
        """A simulated model that says how its tools are described."""

        async def get_response(self, *_args: Any, tools: Any, handoffs: Any, **_kwargs: Any) -> Any:
            text = " | ".join([tools[0].description, handoffs[0].tool_description])
            part = ResponseOutputText(type="output_text", text=text, annotations=[])
            message = ResponseOutputMessage(id="1", type="message", role="assistant", status="completed", content=[part])
            return ModelResponse(output=[message], usage=Usage(), response_id=None)

        def stream_response(self, *_args: Any, **_kwargs: Any) -> Any:
            raise NotImplementedError

    pr.enable("openai_agents")
    pr.register_prompts(
        [pr.protocols.NewVersion("tools/search", "Searches."), pr.protocols.NewVersion("handoffs/expert", "Knows more.")]
    )
    search = function_tool(lambda: "found", name_override="search", description_override="prompts:/tools/search")
    expert = Agent(name="expert", handoff_description="prompts:/handoffs/expert")
    agent = Agent(name="front", model=Reader(), tools=[search], handoffs=[expert])
    with pr.record() as trace:
        said = (await Runner.run(agent, "hi")).final_output
    assert said == "Searches. | Handoff to the expert agent to handle the request. Knows more."
    assert set(trace.outputs_by_prompt()) == {"tools/search", "handoffs/expert"}
    assert search.description == "prompts:/tools/search"
    assert expert.handoff_description == "prompts:/handoffs/expert"


async def test_a_capability_does_it_for_one_agent() -> None:
    """With no adapter switched on, and once only where one is."""
    from prompt_registry_adapters.pydantic_ai import RegistryCapability
    from pydantic_ai import Agent

    pr.register_prompt("clerk", "You serve {{name}}.")
    pr.set_prompt_alias("clerk", "production", 1)
    agent = Agent(pydantic_model(), deps_type=Deps, instructions="prompts:/clerk@production", capabilities=[RegistryCapability()])
    other = Agent(pydantic_model(), name="other", instructions="prompts:/clerk@production")
    for enabled in (False, True):
        if enabled:
            pr.enable("pydantic_ai")
        with pr.record() as trace:
            assert (await agent.run("hi", deps=Deps("Ann"))).output == "You serve Ann."
        assert [span.kind for span in trace.spans] == ["agent", "prompt", "llm"], enabled
    pr.disable()
    assert (await other.run("hi")).output == "prompts:/clerk@production"


@pytest.mark.parametrize(
    ("framework", "distribution"),
    [
        ("langchain", "langchain-core"),
        ("pydantic_ai", "pydantic-ai-slim"),
        ("openai_agents", "openai-agents"),
        ("langgraph", "langgraph"),
    ],
)
def test_an_unknown_version_is_told_once_and_left_alone(
    framework: str, distribution: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """No method is replaced; what the framework officially offers works, and so do prompts by name."""
    from agents import Agent as OpenAIAgent
    from langchain_core.language_models import FakeListChatModel
    from langchain_core.prompts import ChatPromptTemplate
    from pydantic_ai.capabilities.combined import CombinedCapability

    from prompt_registry_plugin.frameworks import adapter, notices

    pr.disable()
    before = [dict(vars(owner)) for owner in (ChatPromptTemplate, CombinedCapability, OpenAIAgent)]
    installed = adapter.version
    monkeypatch.setattr(adapter, "version", lambda name: "99.1.0" if name == distribution else installed(name))
    monkeypatch.setattr(notices, "_shown", set())
    for _ in range(2):
        assert framework in pr.enable(framework)
        if framework == "langchain":
            chain = ChatPromptTemplate.from_messages(["hi"]) | FakeListChatModel(responses=["yes"])
            with pr.record() as trace:
                chain.invoke({})
            assert [span.kind for span in trace.spans] == ["chain", "llm"], "callbacks are official"
        if framework != "langgraph":  # which brings LangChain, whose version is known
            assert [dict(vars(owner)) for owner in (ChatPromptTemplate, CombinedCapability, OpenAIAgent)] == before
        pr.disable()
    said = [record.message for record in caplog.records if "99.1.0 is not among the known versions" in record.message]
    assert len(said) == 1


def test_a_method_that_is_gone_is_told_and_none_is_replaced(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A framework may change within the versions that we know."""
    from langchain_core.language_models import BaseChatModel
    from langchain_core.prompts import PromptTemplate

    from prompt_registry_plugin.frameworks import notices

    pr.disable()
    monkeypatch.setattr(notices, "_shown", set())
    original = PromptTemplate.__dict__["format"]
    monkeypatch.delattr(BaseChatModel, "_convert_input")
    pr.enable("langchain")
    assert PromptTemplate.__dict__["format"] is original
    assert "LangChain has changed: BaseChatModel._convert_input is not there" in caplog.text
    pr.disable()


async def test_a_model_that_passes_on_calls_is_left_alone() -> None:
    """With the adapter on, whether or not somebody records; a call that goes through two models is one span."""
    from agents import Agent, ModelProvider, RunConfig, Runner

    inner = openai_agents_model()

    class Proxy:
        def __getattr__(self, name: str) -> Any:
            return getattr(inner, name)

    class Wrapper(type(inner)):  # type: ignore[misc]
        async def get_response(self, *args: Any, **kwargs: Any) -> Any:
            return await inner.get_response(*args, **kwargs)

        def stream_response(self, *args: Any, **kwargs: Any) -> Any:
            return inner.stream_response(*args, **kwargs)

    class Provider(ModelProvider):
        def get_model(self, model_name: str | None) -> Any:
            return Proxy() if model_name == "proxy" else Wrapper()

    pr.enable("openai_agents")
    await Runner.run(Agent("warm", instructions="x", model=inner), "hi")
    for model, spans in (("proxy", {0, 1}), ("wrapper", {1})):
        agent = Agent("clerk", instructions="You are a clerk.", model=model)
        config = RunConfig(model_provider=Provider())
        with pr.record() as trace:
            assert (await Runner.run(agent, "hi", run_config=config)).final_output == "You are a clerk."
            streamed = Runner.run_streamed(agent, "hi", run_config=config)
            async for _ in streamed.stream_events():
                pass
        assert streamed.final_output == "You are a clerk."
        assert sum(span.kind == "llm" for span in trace.spans) in {2 * n for n in spans}


async def test_methods_that_come_and_go_do_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    """What replaces a model's method for a while takes ours with it: the next run meets it again, and `disable` restores the rest."""
    from agents import Agent, Runner

    class Sub(type(openai_agents_model())):  # type: ignore[misc]
        pass

    pr.enable("openai_agents")
    model = Sub()
    agent = Agent("clerk", instructions="You are a clerk.", model=model)
    with monkeypatch.context() as patched:
        patched.setattr(Sub, "get_response", Sub.__mro__[1].__dict__["get_response"], raising=False)
        await Runner.run(agent, "hi")
    assert "get_response" not in vars(Sub)
    with pr.record() as trace:
        await Runner.run(agent, "hi")
    assert [span.kind for span in trace.spans].count("llm") == 1
    pr.disable()
    assert not hasattr(Agent.get_system_prompt, "__wrapped__")
