"""Every adapter, in every call style of its framework, with the framework's own objects and a model that says what it was shown."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack
from operator import add
from typing import Annotated, Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.prompts import ChatPromptTemplate, FewShotPromptTemplate, PromptTemplate
from langgraph.func import entrypoint, task
from langgraph.graph import END, START, StateGraph
from langgraph.types import Send
from typing_extensions import TypedDict

from prompt_registry_plugin.testing import AdapterConformance


class Parrot(BaseChatModel):
    """A simulated chat model: it answers with the system message that it was shown, or else with everything."""

    def _generate(self, messages: list[BaseMessage], *_args: Any, **_kwargs: Any) -> ChatResult:
        said = [str(message.content) for message in messages if isinstance(message, SystemMessage)]
        text = " ".join(said or [str(message.content) for message in messages])
        return ChatResult(generations=[ChatGeneration(message=AIMessage(text))])

    def bind_tools(self, *_args: Any, **_kwargs: Any) -> Any:
        return self

    @property
    def _llm_type(self) -> str:
        return "parrot"


async def collect(stream: Any) -> list[Any]:
    return [item async for item in stream]


RUNNABLE_INPUT = {"input": "hello"}


class TestLangChainChat(AdapterConformance):
    """A chat template and a model."""

    framework = "langchain"

    def make_agent(self, instructions: str) -> Any:
        return ChatPromptTemplate.from_messages([("system", instructions), ("user", "{input}")]) | Parrot()

    def call_styles(self) -> Mapping[str, Any]:
        async def ainvoke(chain: Any, text: str) -> str:
            return (await chain.ainvoke({"input": text})).content

        async def astream(chain: Any, text: str) -> str:
            return "".join(chunk.content for chunk in await collect(chain.astream({"input": text})))

        async def abatch(chain: Any, text: str) -> str:
            return (await chain.abatch([{"input": text}, {"input": text}]))[1].content

        async def astream_events(chain: Any, text: str) -> str:
            events = await collect(chain.astream_events({"input": text}, version="v2"))
            return str([event["data"]["output"].content for event in events if event["event"] == "on_chat_model_end"])

        return {
            "invoke": lambda chain, text: chain.invoke({"input": text}).content,
            "stream": lambda chain, text: "".join(chunk.content for chunk in chain.stream({"input": text})),
            "batch": lambda chain, text: chain.batch([{"input": text}, {"input": text}])[1].content,
            "ainvoke": ainvoke,
            "astream": astream,
            "abatch": abatch,
            "astream_events": astream_events,
        }

    def make_target(self, agent: Any) -> Any:
        return agent | (lambda message: message.content)


class TestLangChainText(TestLangChainChat):
    """A text template."""

    def make_agent(self, instructions: str) -> Any:
        return PromptTemplate.from_template(instructions) | Parrot()


class TestLangChainFewShot(TestLangChainChat):
    """A few-shot template, whose prefix, examples and suffix are one text to us."""

    takes_uris = False

    def make_agent(self, instructions: str) -> Any:
        example = PromptTemplate.from_template("Q: {q} A: {a}")
        few_shot = FewShotPromptTemplate(
            prefix=instructions,
            examples=[{"q": "1", "a": "2"}],
            example_prompt=example,
            suffix="Q: {input}",
            input_variables=["input"],
        )
        return few_shot | Parrot()


class TestLangChainByHand(TestLangChainChat):
    """Messages that a function builds by hand."""

    def make_agent(self, instructions: str) -> Any:
        from langchain_core.runnables import RunnableLambda

        def build(given: Any) -> list[BaseMessage]:
            return [SystemMessage(instructions), HumanMessage(given["input"])]

        return RunnableLambda(build) | Parrot()


class State(TypedDict, total=False):
    """A workflow's state."""

    input: str
    parts: Annotated[list[str], add]


class TestLangGraph(AdapterConformance):
    """A graph whose node holds a chain, reached by Send as well."""

    framework = "langgraph"

    def make_agent(self, instructions: str) -> Any:
        chain = ChatPromptTemplate.from_messages([("system", instructions), ("user", "{input}")]) | Parrot()

        def sync_node(state: State) -> State:
            return {"parts": [chain.invoke({"input": state["input"]}).content]}

        async def async_node(state: State) -> State:
            return {"parts": [(await chain.ainvoke({"input": state["input"]})).content]}

        from langchain_core.runnables import RunnableLambda

        graph = StateGraph(State)
        graph.add_node("work", RunnableLambda(sync_node, afunc=async_node))
        graph.add_conditional_edges(START, lambda state: [Send("work", {"input": state["input"]}) for _ in range(2)])
        graph.add_edge("work", END)
        return graph.compile(name="workflow")

    def call_styles(self) -> Mapping[str, Any]:
        async def ainvoke(graph: Any, text: str) -> str:
            return str((await graph.ainvoke({"input": text}))["parts"])

        async def astream(graph: Any, text: str) -> str:
            return str(await collect(graph.astream({"input": text})))

        async def abatch(graph: Any, text: str) -> str:
            return str((await graph.abatch([{"input": text}] * 2))[1]["parts"])

        async def astream_events(graph: Any, text: str) -> str:
            events = await collect(graph.astream_events({"input": text}, version="v2"))
            return str([event["data"]["output"].content for event in events if event["event"] == "on_chat_model_end"])

        return {
            "invoke": lambda graph, text: str(graph.invoke({"input": text})["parts"]),
            "stream": lambda graph, text: str(list(graph.stream({"input": text}))),
            "batch": lambda graph, text: str(graph.batch([{"input": text}] * 2)[1]["parts"]),
            "ainvoke": ainvoke,
            "astream": astream,
            "abatch": abatch,
            "astream_events": astream_events,
        }


class TestLangGraphFunctional(AdapterConformance):
    """`@entrypoint` and `@task`."""

    framework = "langgraph"

    def make_agent(self, instructions: str) -> Any:
        chain = ChatPromptTemplate.from_messages([("system", instructions), ("user", "{input}")]) | Parrot()

        @task
        def step(text: str) -> str:
            return str(chain.invoke({"input": text}).content)

        @entrypoint()
        def workflow(given: dict[str, str]) -> str:
            return step(given["input"]).result()

        return workflow

    def call_styles(self) -> Mapping[str, Any]:
        return {
            "invoke": lambda workflow, text: workflow.invoke({"input": text}),
            "stream": lambda workflow, text: str(list(workflow.stream({"input": text}))),
        }

    def make_target(self, agent: Any) -> Any:
        # A sync entrypoint that waits for a sync task takes two threads of a loop's executor when it is run from async code,
        # and enough of them at once wait for one another for ever: LangGraph's limit, which a function does not meet.
        return lambda input: agent.invoke({"input": input})


class TestLangGraphFunctionalAsync(AdapterConformance):
    """`@entrypoint` and `@task` as coroutine functions."""

    framework = "langgraph"

    def make_agent(self, instructions: str) -> Any:
        chain = ChatPromptTemplate.from_messages([("system", instructions), ("user", "{input}")]) | Parrot()

        @task
        async def step(text: str) -> str:
            return str((await chain.ainvoke({"input": text})).content)

        @entrypoint()
        async def workflow(given: dict[str, str]) -> str:
            return await step(given["input"])

        return workflow

    def call_styles(self) -> Mapping[str, Any]:
        async def ainvoke(workflow: Any, text: str) -> str:
            return str(await workflow.ainvoke({"input": text}))

        async def astream(workflow: Any, text: str) -> str:
            return str(await collect(workflow.astream({"input": text})))

        return {"ainvoke": ainvoke, "astream": astream}


class TestCreateAgent(AdapterConformance):
    """`create_agent` with a middleware and a tool."""

    framework = "langchain"

    def make_agent(self, instructions: str) -> Any:
        from langchain.agents import create_agent
        from langchain.agents.middleware import AgentMiddleware

        class Nothing(AgentMiddleware):
            def wrap_model_call(self, request: Any, handler: Any) -> Any:
                return handler(request)

            async def awrap_model_call(self, request: Any, handler: Any) -> Any:
                return await handler(request)

        def lookup(word: str) -> str:
            """Looks a word up."""
            return word

        return create_agent(Parrot(), tools=[lookup], system_prompt=instructions, middleware=[Nothing()])

    def call_styles(self) -> Mapping[str, Any]:
        def as_messages(text: str) -> dict[str, Any]:
            return {"messages": [{"role": "user", "content": text}]}

        async def ainvoke(agent: Any, text: str) -> str:
            return str((await agent.ainvoke(as_messages(text)))["messages"][-1].content)

        async def astream(agent: Any, text: str) -> str:
            return str(await collect(agent.astream(as_messages(text))))

        return {
            "invoke": lambda agent, text: str(agent.invoke(as_messages(text))["messages"][-1].content),
            "stream": lambda agent, text: str(list(agent.stream(as_messages(text)))),
            "batch": lambda agent, text: str(agent.batch([as_messages(text)] * 2)[1]["messages"][-1].content),
            "ainvoke": ainvoke,
            "astream": astream,
        }


class LeavesLoopsOpen:
    """`run_sync` of both frameworks makes an event loop in a thread that has none, and leaves it to the garbage collector."""

    @pytest.fixture(autouse=True)
    def collect(self) -> Iterator[None]:
        """Collects what they leave while nobody is warned of it."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            yield
            gc.collect()


def pydantic_model() -> Any:
    from pydantic_ai.messages import ModelResponse, SystemPromptPart, TextPart
    from pydantic_ai.models.function import FunctionModel

    def join_instructions(messages: Any, info: Any) -> str:
        system = [part.content for message in messages for part in message.parts if isinstance(part, SystemPromptPart)]
        return " ".join(filter(None, [info.instructions, *system]))

    async def stream(messages: Any, info: Any) -> Any:
        for word in join_instructions(messages, info).split(" "):
            yield f"{word} "

    return FunctionModel(
        lambda messages, info: ModelResponse(parts=[TextPart(join_instructions(messages, info))]), stream_function=stream
    )


class TestPydanticAIInstructions(LeavesLoopsOpen, AdapterConformance):
    """An agent's instructions."""

    framework = "pydantic_ai"

    def make_agent(self, instructions: str) -> Any:
        from pydantic_ai import Agent

        return Agent(pydantic_model(), name="clerk", instructions=instructions)

    def call_styles(self) -> Mapping[str, Any]:
        async def run(agent: Any, text: str) -> str:
            return str((await agent.run(text)).output)

        async def run_stream(agent: Any, text: str) -> str:
            async with agent.run_stream(text) as result:
                return str(await result.get_output())

        async def iterate(agent: Any, text: str) -> str:
            async with agent.iter(text) as agent_run:
                async for _ in agent_run:
                    pass
            return str(agent_run.result.output)

        async def run_stream_events(agent: Any, text: str) -> str:
            async with AsyncExitStack() as stack:
                events = agent.run_stream_events(text)
                if hasattr(events, "__aenter__"):  # from 2.0 on
                    events = await stack.enter_async_context(events)
                return str([event.result.output async for event in events if type(event).__name__ == "AgentRunResultEvent"])

        return {
            "run": run,
            "run_sync": lambda agent, text: str(agent.run_sync(text).output),
            "run_stream": run_stream,
            "iter": iterate,
            "run_stream_events": run_stream_events,
        }


class TestPydanticAISubAgent(TestPydanticAIInstructions):
    """An agent that another one asks through a tool."""

    def make_agent(self, instructions: str) -> Any:
        from pydantic_ai import Agent
        from pydantic_ai.messages import ModelResponse, TextPart, ToolCallPart, ToolReturnPart
        from pydantic_ai.models.function import DeltaToolCall, FunctionModel

        def heard(messages: Any) -> str | None:
            parts = [part for part in messages[-1].parts if isinstance(part, ToolReturnPart)]
            return str(parts[0].content) if parts else None

        def answer(messages: Any, info: Any) -> Any:
            said = heard(messages)
            return ModelResponse(parts=[TextPart(said) if said is not None else ToolCallPart("ask_clerk", {})])

        async def stream(messages: Any, info: Any) -> Any:
            said = heard(messages)
            yield said if said is not None else {0: DeltaToolCall(name="ask_clerk", json_args="{}")}

        clerk = Agent(pydantic_model(), name="clerk", instructions=instructions)
        desk = Agent(FunctionModel(answer, stream_function=stream), name="desk", instructions="You are at the desk.")

        @desk.tool_plain
        async def ask_clerk() -> str:
            return str((await clerk.run("hello")).output)

        return desk


class TestPydanticAISystemPrompt(TestPydanticAIInstructions):
    """An agent's system prompt."""

    def make_agent(self, instructions: str) -> Any:
        from pydantic_ai import Agent

        return Agent(pydantic_model(), name="clerk", system_prompt=instructions)


PARAMETERS = ("system_instructions", "input", "model_settings", "tools", "output_schema", "handoffs")
SHOWN = ("system_instructions", "input", "tools", "handoffs")


def openai_agents_model(calls_first: bool = False) -> Any:
    from agents import Model, ModelResponse, Usage
    from agents.tracing import generation_span
    from openai.types.responses import (
        Response,
        ResponseCompletedEvent,
        ResponseFunctionToolCall,
        ResponseOutputMessage,
        ResponseOutputText,
    )

    class Echo(Model):
        """A simulated model: it answers with its instructions, or first calls its tool or handoff and answers with what that said."""

        def message(self, system_instructions: Any, input: Any, tools: Any, handoffs: Any) -> Any:
            text = str(system_instructions)
            if calls_first:
                outputs = [item["output"] for item in input if isinstance(item, dict) and "output" in item]
                if not outputs:
                    name = handoffs[0].tool_name if handoffs else tools[0].name
                    return ResponseFunctionToolCall(
                        call_id="c", name=name, arguments='{"input": "hello"}' if tools else "{}", type="function_call"
                    )
                text = str(outputs[-1])
            part = ResponseOutputText(type="output_text", text=text, annotations=[])
            return ResponseOutputMessage(id="1", type="message", role="assistant", status="completed", content=[part])

        async def get_response(self, *args: Any, **kwargs: Any) -> Any:
            given = {**dict(zip(PARAMETERS, args, strict=False)), **kwargs}
            with generation_span(model="echo", input=[{"role": "user", "content": str(given["input"])}]) as span:
                message = self.message(**{name: given[name] for name in SHOWN})
                span.span_data.output = [message.model_dump()]
                return ModelResponse(output=[message], usage=Usage(), response_id=None)

        async def stream_response(self, *args: Any, **kwargs: Any) -> Any:
            given = {**dict(zip(PARAMETERS, args, strict=False)), **kwargs}
            with generation_span(model="echo", input=[{"role": "user", "content": str(given["input"])}]) as span:
                message = self.message(**{name: given[name] for name in SHOWN})
                span.span_data.output = [message.model_dump()]
                response = Response(
                    id="1",
                    created_at=0,
                    model="echo",
                    object="response",
                    output=[message],
                    parallel_tool_calls=False,
                    tool_choice="auto",
                    tools=[],
                )
                yield ResponseCompletedEvent(type="response.completed", response=response, sequence_number=0)

    return Echo()


class TestOpenAIAgents(LeavesLoopsOpen, AdapterConformance):
    """An agent's instructions."""

    framework = "openai_agents"

    @pytest.fixture(autouse=True)
    def without_the_vendors_exporter(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nothing may be sent anywhere."""
        monkeypatch.delenv("OPENAI_API_KEY", raising=False)

    def make_agent(self, instructions: str) -> Any:
        from agents import Agent

        return Agent(name="clerk", instructions=instructions, model=openai_agents_model())

    def run_config(self) -> Any:
        return None

    def call_styles(self) -> Mapping[str, Any]:
        from agents import Runner

        config = self.run_config()

        async def run(agent: Any, text: str) -> str:
            return str((await Runner.run(agent, text, run_config=config)).final_output)

        async def run_streamed(agent: Any, text: str) -> str:
            result = Runner.run_streamed(agent, text, run_config=config)
            async for _ in result.stream_events():
                pass
            return str(result.final_output)

        return {
            "run": run,
            "run_sync": lambda agent, text: str(Runner.run_sync(agent, text, run_config=config).final_output),
            "run_streamed": run_streamed,
        }


class TestOpenAIAgentsWithoutTheirTracing(TestOpenAIAgents):
    """Many switch the SDK's tracing off, which is for OpenAI's own platform; ours does not need it."""

    def run_config(self) -> Any:
        from agents import RunConfig

        return RunConfig(tracing_disabled=True)


class TestOpenAIAgentsHandoff(TestOpenAIAgents):
    """An agent that another one hands over to."""

    def make_agent(self, instructions: str) -> Any:
        from agents import Agent

        clerk = super().make_agent(instructions)
        return Agent(
            name="desk", instructions="You are at the desk.", model=openai_agents_model(calls_first=True), handoffs=[clerk]
        )


class TestOpenAIAgentsAsTool(TestOpenAIAgents):
    """An agent that is a tool of another one, which says what the tool said."""

    def make_agent(self, instructions: str) -> Any:
        from agents import Agent

        tool = super().make_agent(instructions).as_tool("ask_clerk", "Asks the clerk.")
        return Agent(name="desk", instructions="You are at the desk.", model=openai_agents_model(calls_first=True), tools=[tool])
