"""Bare clients: every call style of `openai`, `anthropic` and `google-genai` is served, recorded and optimized like a framework."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import anthropic
import httpx
import openai
import pytest
from google import genai
from google.genai import types
from pydantic import BaseModel

import prompt_registry_plugin as pr
from prompt_registry_plugin.testing import AdapterConformance
from tests.client_server import ClientServer, client_server

pytestmark = pytest.mark.server  # clients for a loop of a style are made without certificates, which take long to load
USER = [{"role": "user", "content": "hello"}]


class Said(BaseModel):
    """A structured answer."""

    answer: str


@pytest.fixture(scope="module")
def server() -> Iterator[ClientServer]:
    """One server for all: it keeps no state that tests share."""
    with client_server() as running:
        yield running


@pytest.fixture(scope="module")
def open_ai(server: ClientServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(api_key="k", base_url=f"{server.url}/v1", max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def claude(server: ClientServer) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(api_key="k", base_url=server.url, max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def gemini(server: ClientServer) -> Iterator[genai.Client]:
    with genai.Client(api_key="k", http_options={"base_url": server.url}) as client:
        yield client


async def collect(stream: Any) -> list[Any]:
    return [item async for item in stream]


class BareAgent:
    """The instructions of an agent, and the client that it calls."""

    def __init__(self, text: str, client: Any) -> None:
        self.text = text
        self.client = client

    def messages(self, text: str) -> Any:
        return [{"role": "system", "content": self.text}, {"role": "user", "content": text}]


def chunk_text(chunks: Any) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def parsed(text: str) -> str:
    return str(json.loads(text)["answer"]) if text.startswith("{") else text


class TestChatCompletions(AdapterConformance):
    """`client.chat.completions`."""

    framework = "openai"

    @pytest.fixture(autouse=True)
    def client(self, open_ai: openai.OpenAI, server: ClientServer) -> None:
        self.sync = open_ai
        self.new_async = lambda: openai.AsyncOpenAI(
            api_key="k", base_url=f"{server.url}/v1", max_retries=0, http_client=openai.DefaultAsyncHttpxClient(verify=False)
        )

    def make_agent(self, instructions: str) -> Any:
        return BareAgent(instructions, self.sync)

    def make_target(self, agent: Any) -> Any:
        def answer(input: str) -> str:
            return str(self.call_styles()["create"](agent, input))

        return answer

    def call_styles(self) -> Mapping[str, Any]:
        def create(agent: BareAgent, text: str) -> str:
            return agent.client.chat.completions.create(model="m", messages=agent.messages(text)).choices[0].message.content

        def blocks(agent: BareAgent, text: str) -> str:
            messages = [{"role": "developer", "content": [{"type": "text", "text": agent.text}]}, *USER]
            return agent.client.chat.completions.create(model="m", messages=messages).choices[0].message.content

        def parse(agent: BareAgent, text: str) -> str:
            completion = agent.client.chat.completions.parse(model="m", messages=agent.messages(text), response_format=Said)
            return completion.choices[0].message.parsed.answer

        def stream(agent: BareAgent, text: str) -> str:
            return chunk_text(agent.client.chat.completions.create(model="m", messages=agent.messages(text), stream=True))

        def helper(agent: BareAgent, text: str) -> str:
            with agent.client.chat.completions.stream(model="m", messages=agent.messages(text)) as events:
                return events.get_final_completion().choices[0].message.content

        def raw(agent: BareAgent, text: str) -> str:
            response = agent.client.chat.completions.with_raw_response.create(model="m", messages=agent.messages(text))
            return response.parse().choices[0].message.content

        def raw_stream(agent: BareAgent, text: str) -> str:
            raw = agent.client.chat.completions.with_raw_response
            return chunk_text(raw.create(model="m", messages=agent.messages(text), stream=True).parse())

        def streaming_response(agent: BareAgent, text: str) -> str:
            streaming = agent.client.chat.completions.with_streaming_response
            with streaming.create(model="m", messages=agent.messages(text)) as response:
                return response.parse().choices[0].message.content

        async def acreate(agent: BareAgent, text: str) -> str:
            async with self.new_async() as client:
                completion = await client.chat.completions.create(model="m", messages=agent.messages(text))
                return completion.choices[0].message.content

        async def astream(agent: BareAgent, text: str) -> str:
            async with self.new_async() as client:
                events = await client.chat.completions.create(model="m", messages=agent.messages(text), stream=True)
                return chunk_text(await collect(events))

        async def ahelper(agent: BareAgent, text: str) -> str:
            async with (
                self.new_async() as client,
                client.chat.completions.stream(model="m", messages=agent.messages(text)) as events,
            ):
                return (await events.get_final_completion()).choices[0].message.content

        async def aparse(agent: BareAgent, text: str) -> str:
            async with self.new_async() as client:
                given = {"model": "m", "messages": agent.messages(text)}
                return (await client.chat.completions.parse(**given, response_format=Said)).choices[0].message.parsed.answer

        async def araw(agent: BareAgent, text: str) -> str:
            async with self.new_async() as client:
                raw = await client.chat.completions.with_raw_response.create(model="m", messages=agent.messages(text))
                return raw.parse().choices[0].message.content

        async def araw_stream(agent: BareAgent, text: str) -> str:
            async with self.new_async() as client:
                given = {"model": "m", "messages": agent.messages(text), "stream": True}
                raw = await client.chat.completions.with_raw_response.create(**given)
                return chunk_text(await collect(raw.parse()))

        async def astreaming_response(agent: BareAgent, text: str) -> str:
            async with self.new_async() as client:
                streaming = client.chat.completions.with_streaming_response
                async with streaming.create(model="m", messages=agent.messages(text)) as response:
                    return json.loads(await response.text())["choices"][0]["message"]["content"]

        styles = [create, blocks, parse, stream, helper, raw, raw_stream, streaming_response]
        styles += [acreate, astream, ahelper, aparse, araw, araw_stream, astreaming_response]
        return {style.__name__: style for style in styles}


class TestAzure(TestChatCompletions):
    """`AzureOpenAI` in the place of the client."""

    @pytest.fixture(autouse=True)
    def client(self, open_ai: openai.OpenAI, server: ClientServer) -> Any:
        given: dict[str, Any] = {"api_key": "k", "azure_endpoint": server.url, "api_version": "1", "max_retries": 0}
        self.new_async = lambda: openai.AsyncAzureOpenAI(**given, http_client=openai.DefaultAsyncHttpxClient(verify=False))
        with openai.AzureOpenAI(**given) as client:
            self.sync = client
            yield

    def call_styles(self) -> Mapping[str, Any]:
        styles = super().call_styles()
        return {name: styles[name] for name in ("create", "stream", "acreate", "astream")}


class TestModuleClient(TestChatCompletions):
    """The functions of the module `openai`."""

    @pytest.fixture(autouse=True)
    def client(self, server: ClientServer, monkeypatch: pytest.MonkeyPatch) -> Any:
        monkeypatch.setattr(openai, "api_key", "k")
        monkeypatch.setattr(openai, "base_url", f"{server.url}/v1/")
        self.sync = openai
        yield
        openai._reset_client()

    def call_styles(self) -> Mapping[str, Any]:
        styles = super().call_styles()
        return {name: styles[name] for name in ("create", "stream", "helper")}


class TestResponses(TestChatCompletions):
    """`client.responses`."""

    def call_styles(self) -> Mapping[str, Any]:
        def create(agent: BareAgent, text: str) -> str:
            return agent.client.responses.create(model="m", instructions=agent.text, input=text).output_text

        def messages(agent: BareAgent, text: str) -> str:
            return agent.client.responses.create(model="m", input=agent.messages(text)).output_text

        def parse(agent: BareAgent, text: str) -> str:
            given = {"model": "m", "instructions": agent.text, "input": text}
            return agent.client.responses.parse(**given, text_format=Said).output_parsed.answer

        def stream(agent: BareAgent, text: str) -> str:
            events = agent.client.responses.create(model="m", instructions=agent.text, input=text, stream=True)
            return "".join(event.delta for event in events if event.type == "response.output_text.delta")

        def helper(agent: BareAgent, text: str) -> str:
            with agent.client.responses.stream(model="m", instructions=agent.text, input=text) as events:
                return events.get_final_response().output_text

        def raw(agent: BareAgent, text: str) -> str:
            response = agent.client.responses.with_raw_response.create(model="m", instructions=agent.text, input=text)
            return response.parse().output_text

        def streaming_response(agent: BareAgent, text: str) -> str:
            streaming = agent.client.responses.with_streaming_response
            with streaming.create(model="m", instructions=agent.text, input=text) as response:
                return json.loads(response.read())["output"][0]["content"][0]["text"]

        async def acreate(agent: BareAgent, text: str) -> str:
            async with self.new_async() as client:
                return (await client.responses.create(model="m", instructions=agent.text, input=text)).output_text

        async def astream(agent: BareAgent, text: str) -> str:
            async with self.new_async() as client:
                events = await client.responses.create(model="m", instructions=agent.text, input=text, stream=True)
                return "".join(event.delta for event in await collect(events) if event.type == "response.output_text.delta")

        async def ahelper(agent: BareAgent, text: str) -> str:
            async with (
                self.new_async() as client,
                client.responses.stream(model="m", instructions=agent.text, input=text) as events,
            ):
                return (await events.get_final_response()).output_text

        styles = [create, messages, parse, stream, helper, raw, streaming_response, acreate, astream, ahelper]
        return {style.__name__: style for style in styles}


class TestAnthropic(AdapterConformance):
    """`client.messages`, beta or not."""

    framework = "anthropic"

    @pytest.fixture(autouse=True)
    def client(self, claude: anthropic.Anthropic, server: ClientServer) -> None:
        self.sync = claude
        self.new_async = lambda: anthropic.AsyncAnthropic(
            api_key="k", base_url=server.url, max_retries=0, http_client=anthropic.DefaultAsyncHttpxClient(verify=False)
        )

    def make_agent(self, instructions: str) -> Any:
        return BareAgent(instructions, self.sync)

    def make_target(self, agent: Any) -> Any:
        return lambda input: self.call_styles()["create"](agent, input)

    def call_styles(self) -> Mapping[str, Any]:
        def given(agent: BareAgent, text: str) -> dict[str, Any]:
            return {"model": "m", "max_tokens": 9, "system": agent.text, "messages": [{"role": "user", "content": text}]}

        def create(agent: BareAgent, text: str) -> str:
            return agent.client.messages.create(**given(agent, text)).content[0].text

        def blocks(agent: BareAgent, text: str) -> str:
            system = [{"type": "text", "text": agent.text, "cache_control": {"type": "ephemeral"}}]
            return agent.client.messages.create(**{**given(agent, text), "system": system}).content[0].text

        def stream(agent: BareAgent, text: str) -> str:
            events = agent.client.messages.create(**given(agent, text), stream=True)
            return "".join(event.delta.text for event in events if event.type == "content_block_delta")

        def helper(agent: BareAgent, text: str) -> str:
            with agent.client.messages.stream(**given(agent, text)) as events:
                return "".join(events.text_stream)

        def raw(agent: BareAgent, text: str) -> str:
            return agent.client.messages.with_raw_response.create(**given(agent, text)).parse().content[0].text

        def streaming_response(agent: BareAgent, text: str) -> str:
            with agent.client.messages.with_streaming_response.create(**given(agent, text)) as response:
                return response.parse().content[0].text

        def beta(agent: BareAgent, text: str) -> str:
            return agent.client.beta.messages.create(**given(agent, text)).content[0].text

        async def acreate(agent: BareAgent, text: str) -> str:
            async with self.new_async() as client:
                return (await client.messages.create(**given(agent, text))).content[0].text

        async def astream(agent: BareAgent, text: str) -> str:
            async with self.new_async() as client:
                events = await client.messages.create(**given(agent, text), stream=True)
                return "".join(event.delta.text for event in await collect(events) if event.type == "content_block_delta")

        async def ahelper(agent: BareAgent, text: str) -> str:
            async with self.new_async() as client, client.messages.stream(**given(agent, text)) as events:
                return "".join(await collect(events.text_stream))

        async def astreaming_response(agent: BareAgent, text: str) -> str:
            async with (
                self.new_async() as client,
                client.messages.with_streaming_response.create(**given(agent, text)) as response,
            ):
                return (await response.parse()).content[0].text

        styles = [create, blocks, stream, helper, raw, streaming_response, beta, acreate, astream, ahelper, astreaming_response]
        return {style.__name__: style for style in styles}


class TestGemini(AdapterConformance):
    """`client.models`, `client.chats` and their async forms."""

    framework = "google_genai"

    @pytest.fixture(autouse=True)
    def client(self, gemini: genai.Client, server: ClientServer) -> None:
        self.sync = gemini
        quick: dict[str, Any] = {"client_args": {"verify": False}, "async_client_args": {"verify": False}}
        self.new = lambda: genai.Client(api_key="k", http_options={"base_url": server.url, **quick})

    def make_agent(self, instructions: str) -> Any:
        return BareAgent(instructions, self.sync)

    def make_target(self, agent: Any) -> Any:
        return lambda input: self.call_styles()["generate"](agent, input)

    def call_styles(self) -> Mapping[str, Any]:
        def given(agent: BareAgent, text: str) -> dict[str, Any]:
            return {"model": "g", "contents": text, "config": types.GenerateContentConfig(system_instruction=agent.text)}

        def generate(agent: BareAgent, text: str) -> str:
            return agent.client.models.generate_content(**given(agent, text)).text

        def structured(agent: BareAgent, text: str) -> str:
            config = {"system_instruction": agent.text, "response_mime_type": "application/json", "response_schema": Said}
            return agent.client.models.generate_content(model="g", contents=text, config=config).parsed.answer

        def stream(agent: BareAgent, text: str) -> str:
            return "".join(chunk.text for chunk in agent.client.models.generate_content_stream(**given(agent, text)))

        def chat(agent: BareAgent, text: str) -> str:
            return agent.client.chats.create(model="g", config={"system_instruction": agent.text}).send_message(text).text

        async def agenerate(agent: BareAgent, text: str) -> str:
            async with self.new().aio as client:
                return (await client.models.generate_content(**given(agent, text))).text

        async def astream(agent: BareAgent, text: str) -> str:
            async with self.new().aio as client:
                return "".join([chunk.text async for chunk in await client.models.generate_content_stream(**given(agent, text))])

        async def achat(agent: BareAgent, text: str) -> str:
            async with self.new().aio as client:
                chat = client.chats.create(model="g", config={"system_instruction": agent.text})
                return (await chat.send_message(text)).text

        styles = [generate, structured, stream, chat, agenerate, astream, achat]
        return {style.__name__: style for style in styles}


def test_an_answer_that_cannot_be_read_reaches_the_agent(registry: pr.PromptRegistry) -> None:
    """Arguments of a tool that are nested deeper than any parser goes: they are recorded as the text that they are."""
    deep = "[" * 100_000
    call = {"id": "1", "type": "function", "function": {"name": "look", "arguments": deep}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    answer = {"id": "1", "object": "chat.completion", "created": 1, "model": "m",
              "choices": [{"index": 0, "finish_reason": "tool_calls", "message": message}]}  # fmt: skip
    transport = httpx.MockTransport(lambda _request: httpx.Response(200, json=answer))
    pr.enable("openai")
    try:
        with openai.OpenAI(api_key="k", http_client=httpx.Client(transport=transport)) as client, pr.record() as trace:
            got = client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])
            raw = client.chat.completions.with_raw_response.create(model="m", messages=[{"role": "user", "content": "hi"}])
    finally:
        pr.disable("openai")
    assert got.choices[0].message.tool_calls is not None
    assert raw.status_code == 200
    assert [span.attributes["tool_calls"] for span in trace.spans] == [[{"name": "look", "args": deep}]] * 2
