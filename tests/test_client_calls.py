"""What a call of a bare client leaves in a recording, however its answer is read, and that nothing of the caller's is changed."""

from __future__ import annotations

import asyncio
import copy
import gc
import json
import sys
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from types import ModuleType
from typing import Any

import anthropic
import openai
import pytest
from google import genai
from google.oauth2.credentials import Credentials

import prompt_registry_plugin as pr
from prompt_registry_plugin.prompts.context import in_context
from tests.client_server import TOKENS, ClientServer, client_server

pytestmark = pytest.mark.server
RULES = "You are the clerk of the harbour who counts boats."  # in no other module, else it is bound to its place
WEATHER = {"type": "object", "properties": {"place": {"type": "string", "description": "The name of a town."}}}


@pytest.fixture(scope="module")
def clients() -> Iterator[Clients]:
    """One client of each kind, and their server."""
    with client_server() as server:
        made = Clients(server)
        yield made
        made.close()


@pytest.fixture(autouse=True)
def adapters_on(registry: pr.PromptRegistry) -> None:
    pr.enable("openai", "anthropic", "google_genai")


class Clients:
    """A call in each protocol, with instructions, a tool and the user's text; its answer whole or as a stream."""

    def __init__(self, server: ClientServer) -> None:
        self.server = server
        self.openai = openai.OpenAI(api_key="k", base_url=f"{server.url}/v1", max_retries=0)
        self.anthropic = anthropic.Anthropic(api_key="k", base_url=server.url, max_retries=0)
        self.gemini = genai.Client(api_key="k", http_options={"base_url": server.url})

    def close(self) -> None:
        for client in (self.openai, self.anthropic, self.gemini):
            client.close()

    def chat(self, text: str, **more: Any) -> Any:
        tool = {"type": "function", "function": {"name": "weather", "description": "Look outside.", "parameters": WEATHER}}
        messages: Any = [{"role": "system", "content": RULES}, {"role": "user", "content": text}]
        return self.openai.chat.completions.create(model="m", messages=messages, tools=[tool], **more)

    def responses(self, text: str, **more: Any) -> Any:
        tool = {"type": "function", "name": "weather", "description": "Look outside.", "parameters": WEATHER, "strict": False}
        return self.openai.responses.create(model="m", instructions=RULES, input=text, tools=[tool], **more)

    def messages(self, text: str, **more: Any) -> Any:
        tool = {"name": "weather", "description": "Look outside.", "input_schema": WEATHER}
        said: Any = [{"role": "user", "content": text}]
        return self.anthropic.messages.create(model="m", max_tokens=9, system=RULES, messages=said, tools=[tool], **more)

    def generate(self, text: str, stream: bool = False) -> Any:
        function = {"name": "weather", "description": "Look outside.", "parameters_json_schema": WEATHER}
        config: Any = {"system_instruction": RULES, "tools": [{"function_declarations": [function]}]}
        models = self.gemini.models
        call = models.generate_content_stream if stream else models.generate_content
        return call(model="m", contents=text, config=config)

    def call(self, protocol: str, text: str, stream: bool) -> Any:
        more = {"stream_options": {"include_usage": True}} if stream and protocol == "chat" else {}
        return getattr(self, protocol)(text, **({"stream": True, **more} if stream else {}))


PROTOCOLS = ("chat", "responses", "messages", "generate")
EVERY = [(protocol, stream) for protocol in PROTOCOLS for stream in (False, True)]


def spans_of(trace: Any) -> list[Any]:
    """The model spans; every span of the trace has ended."""
    assert all(span.ended_at is not None for span in trace.spans)
    return [span for span in trace.spans if span.kind == "llm"]


def record(call: Callable[[], Any]) -> Any:
    """The one model span of a call whose answer is read to its end."""
    with pr.record() as trace:
        answer = call()
        if hasattr(answer, "__next__"):
            list(answer)
    [span] = spans_of(trace)
    return span


@pytest.mark.parametrize(("protocol", "stream"), EVERY)
def test_a_span_holds_the_call_and_its_answer(clients: Clients, protocol: str, stream: bool) -> None:
    """Messages, model, tools with their parameters, tokens (cached ones too), and the text."""
    span = record(lambda: clients.call(protocol, "Good morning.", stream))
    shown = span.attributes
    assert span.name == "m"
    assert [(each["role"], each["content"]) for each in shown["messages"]] == [("system", RULES), ("user", "Good morning.")]
    assert shown["descriptions"] == {"tools/weather": "Look outside.", "tools/weather.place": "The name of a town."}
    assert shown["output"] == RULES
    assert (shown["input_tokens"], shown["output_tokens"]) == TOKENS
    assert shown["place"]["graph"] == "test_client_calls"
    assert span.error is None


@pytest.mark.parametrize(("protocol", "stream"), EVERY)
def test_a_call_of_a_tool_is_an_answer(clients: Clients, protocol: str, stream: bool) -> None:
    """With its arguments as data."""
    span = record(lambda: clients.call(protocol, "Please use a tool.", stream))
    assert span.attributes["tool_calls"] == [{"name": "weather", "args": {"place": "Rome"}}]
    assert span.attributes["output"] == ""


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_refused_call_has_the_error(clients: Clients, protocol: str) -> None:
    """The caller gets the client's own exception."""
    with pr.record() as trace, pytest.raises((openai.BadRequestError, anthropic.BadRequestError, genai.errors.ClientError)):
        clients.call(protocol, "fail", False)
    assert "told to fail" in spans_of(trace)[0].error


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_stream_that_breaks_has_the_error(clients: Clients, protocol: str) -> None:
    """And what was answered until then."""
    with pr.record() as trace, pytest.raises(Exception, match="it broke"):
        list(clients.call(protocol, "break this stream, and say so in many words", True))
    [span] = spans_of(trace)
    assert "it broke" in span.error


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_stream_closed_early_ends_its_span(clients: Clients, protocol: str) -> None:
    """Closed by hand, or dropped, which is seen without the garbage collector where the client frees its stream so."""
    with pr.record() as trace:
        stream = clients.call(protocol, "Good morning.", True)
        next(stream)
        stream.close()
        [closed] = spans_of(trace)
        stream = clients.call(protocol, "Good morning.", True)
        next(stream)
        del stream
        gc.collect()
        stream = clients.call(protocol, "Good morning.", True)
        del stream  # nothing was read
        gc.collect()
        spans = spans_of(trace)
    assert closed.error is None
    assert closed.attributes["output"] in RULES
    assert len(spans) == (2 if protocol == "generate" else 3), "a generator that is never asked sends nothing"


def test_helpers_that_close_the_connection_end_the_span(clients: Clients) -> None:
    """The clients' own context managers do not close the stream that they read."""
    messages: Any = [{"role": "user", "content": "one two three"}]
    with pr.record() as trace:
        with clients.openai.chat.completions.stream(model="m", messages=messages) as chunks:
            next(chunks)
        with clients.openai.responses.stream(model="m", input="one two three") as events:
            next(events)
        with clients.anthropic.messages.stream(model="m", max_tokens=9, messages=messages) as said:
            next(said)
        assert len(spans_of(trace)) == 3


def test_a_raw_response_that_nobody_parses_is_read(clients: Clients) -> None:
    """One that was read already; one whose bytes are read by hand ends when it is closed, and has no answer."""
    messages: Any = [{"role": "user", "content": "one two three"}]
    given: dict[str, Any] = {"model": "m", "messages": messages}
    with pr.record() as trace:
        clients.openai.chat.completions.with_raw_response.create(**given)
        clients.anthropic.messages.with_raw_response.create(**given, max_tokens=9)
        with clients.openai.chat.completions.with_streaming_response.create(**given) as response:
            assert b"one two three" in response.read()
        with clients.openai.chat.completions.with_streaming_response.create(**given) as response:
            assert "one two three" in "".join(response.iter_lines())
        with clients.anthropic.messages.with_streaming_response.create(**given, max_tokens=9):
            pass
    assert [span.attributes["output"] for span in spans_of(trace)] == ["one two three"] * 3 + ["", ""]


def test_two_equal_calls_at_once_are_two_spans(clients: Clients) -> None:
    """In threads and in tasks, in one recording: samples of one question."""
    with pr.record() as trace, ThreadPoolExecutor(4) as pool:
        list(pool.map(in_context(lambda _: clients.chat("Good morning.")), range(4)))
    assert len(spans_of(trace)) == 4

    async def ask() -> None:
        async with openai.AsyncOpenAI(api_key="k", base_url=f"{clients.server.url}/v1") as client:
            await asyncio.gather(*(client.responses.create(model="m", input="hello") for _ in range(4)))

    with pr.record() as trace:
        asyncio.run(ask())
    assert len(spans_of(trace)) == 4


def test_nothing_of_the_callers_is_changed(clients: Clients, registry: pr.PromptRegistry) -> None:
    """Neither when a text is replaced nor when the tokens of a stream are not asked for."""
    with pr.record() as trace:
        clients.chat("Good morning.")
    adopt(registry, trace, RULES, "You are the second clerk.")
    system = [{"type": "text", "text": RULES, "cache_control": {"type": "ephemeral"}}]
    messages: Any = [{"role": "system", "content": system}, {"role": "user", "content": "Good morning."}]
    kept = copy.deepcopy(messages)
    span = record(lambda: clients.openai.chat.completions.create(model="m", messages=messages, stream=True))
    assert messages == kept
    sent = clients.server.last
    assert sent["messages"][0]["content"] == [{**system[0], "text": "You are the second clerk."}]
    assert "stream_options" not in sent
    assert "input_tokens" not in span.attributes
    assert span.attributes["output"] == "You are the second clerk."


def adopt(registry: pr.PromptRegistry, trace: Any, text: str, other: str) -> str:
    """Adopt a text of a recording as it stands, and promote another version. Returns the name."""
    [row] = [row for row in registry.coverage(trace) if row.template == text and row.role != "description"]
    names = {each.name: row.name if each is row else None for each in [row]}
    name = registry.adopt(trace, names=names)[0].name
    registry.set_prompt_alias(name, "production", registry.register_prompt(name, other).version)
    return name


def test_a_version_that_is_tried_is_sent_as_it_is(clients: Clients, registry: pr.PromptRegistry, monkeypatch: Any) -> None:
    """An adopted prompt's first version is not replaced by that of the alias when somebody asks for it, and is one span."""
    with pr.record() as trace:
        clients.chat("Good morning.")
    name = adopt(registry, trace, RULES, "You are the second clerk.")
    monkeypatch.setenv("OPENAI_BASE_URL", f"{clients.server.url}/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    agent = pr.PromptAgent(f"prompts:/{name}/1", "openai:m")
    with pr.record() as trace:
        assert agent.predict({}) == RULES
    assert len(spans_of(trace)) == 1
    assert "second" in clients.chat("Good morning.").choices[0].message.content


def test_an_address_in_a_text_is_loaded(clients: Clients, registry: pr.PromptRegistry) -> None:
    """Also where nothing was adopted and nothing is recorded. Whoever writes to the agent cannot choose what is loaded."""
    registry.register_prompt("clerk", "I am by name.")
    registry.set_prompt_alias("clerk", "production", 1)
    uri = "prompts:/clerk@production"
    create = clients.openai.responses.create
    assert create(model="m", instructions=uri, input="hello").output_text == "I am by name."
    assert create(model="m", input=uri).output_text == uri
    with pytest.raises(pr.errors.PromptNotFound):
        create(model="m", instructions="prompts:/nobody@production", input="hello")
    function = {"name": "weather", "description": uri, "parameters": WEATHER}
    clients.openai.chat.completions.create(
        model="m", messages=[{"role": "user", "content": "hello"}], tools=[{"type": "function", "function": function}]
    )
    assert clients.server.last["tools"][0]["function"]["description"] == "I am by name."


AGENT = """
RULES = "You advise {name} about the mooring fees of the old harbour."


def ask(client, name, text):
    messages = [{"role": "system", "content": RULES.format(name=name)}, {"role": "user", "content": text}]
    return client.chat.completions.create(model="m", messages=messages).choices[0].message.content


def ask_question(client, name):
    return ask(client, name, "How much is a night?")


def ask_unknown(client, rules):
    messages = [{"role": "system", "content": rules}, {"role": "user", "content": "hello"}]
    return client.chat.completions.create(model="m", messages=messages).choices[0].message.content
"""


@pytest.fixture
def agent(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A program of the user's with two functions."""
    (tmp_path / "harbour_agent.py").write_text(AGENT)
    monkeypatch.syspath_prepend(str(tmp_path))
    import harbour_agent  # type: ignore[import-not-found]

    yield harbour_agent
    del sys.modules["harbour_agent"]


def test_a_template_of_the_source_is_adopted_with_its_variables(
    clients: Clients, registry: pr.PromptRegistry, agent: ModuleType
) -> None:
    """Adopted from one call, it serves every other one."""
    with pr.record() as trace:
        agent.ask(clients.openai, "Ann", "How much?")
    [adopted] = registry.adopt(trace)
    assert adopted.template == "You advise {{name}} about the mooring fees of the old harbour."
    version = registry.register_prompt(adopted.name, "Tell {{name}} the fees.").version
    registry.set_prompt_alias(adopted.name, "production", version)
    assert agent.ask(clients.openai, "Bob", "How much?") == "Tell Bob the fees."


def test_a_text_without_a_template_is_listed_with_the_reason(
    clients: Clients, registry: pr.PromptRegistry, agent: ModuleType
) -> None:
    """It may have values in it: it is not proposed, at whichever customer it was recorded. The place is the caller's function."""
    with pr.record() as trace:
        agent.ask_unknown(clients.openai, json.loads('"The customer who calls is Ann."'))
        agent.ask_unknown(clients.openai, json.loads('"The customer who calls is Bob."'))
    assert len(registry.adopt(trace)) == 0
    rows = [row for row in registry.coverage(trace) if row.role == "system"]
    assert [(row.place, row.state) for row in rows] == [("harbour_agent/ask_unknown", "not adoptable")]
    assert "gives this text exactly" in rows[0].detail


def test_a_question_is_no_prompt(clients: Clients, registry: pr.PromptRegistry, agent: ModuleType) -> None:
    """A short message of a user's that stands in the program: nothing tells it from a prompt, so it is adopted by name only."""
    with pr.record() as trace:
        agent.ask_question(clients.openai, "Ann")
    assert len(registry.adopt(trace)) == 1
    [row] = [row for row in registry.coverage(trace) if row.role == "user"]
    assert (row.state, row.template) == ("not adoptable", "How much is a night?")
    assert "adopt it by name" in row.detail
    assert len(registry.adopt(trace, names={row.name: "question"})) == 2


def test_clients_of_clouds(clients: Clients) -> None:
    """Vertex AI, of both: the path and the body differ, and only behind the seam."""
    url = clients.server.url
    google: dict[str, Any] = {"vertexai": True, "project": "p", "location": "l", "credentials": Credentials("token")}
    with genai.Client(**google, http_options={"base_url": url}) as vertex:
        config: Any = {"system_instruction": RULES}
        span = record(lambda: vertex.models.generate_content(model="gemini-x", contents="hello", config=config))
    assert (span.name, span.attributes["output"]) == ("gemini-x", RULES)
    with anthropic.AnthropicVertex(region="r", project_id="p", access_token="t", base_url=url) as claude:
        said: Any = [{"role": "user", "content": "hello"}]
        span = record(lambda: claude.messages.create(model="c", max_tokens=9, system=RULES, messages=said))
    assert (span.name, span.attributes["output"]) == ("c", RULES)
    assert clients.server.requests[-1][0].endswith(":rawPredict")


def test_a_tool_runner_has_a_span_for_each_call(clients: Clients) -> None:
    """Anthropic's runner calls the tool itself; Gemini's client does where it is given a function."""

    @anthropic.beta_tool
    def weather(place: str) -> str:
        """Look outside."""
        return f"Rain in {place}."

    messages: Any = [{"role": "user", "content": "use a tool"}]
    with pr.record() as trace:
        clients.anthropic.beta.messages.tool_runner(model="m", max_tokens=9, messages=messages, tools=[weather]).until_done()
    calls = spans_of(trace)
    assert [len(span.attributes.get("tool_calls", ())) for span in calls] == [1, 0]
    assert calls[1].attributes["messages"][-1] == {"role": "tool", "content": "Rain in Rome."}

    def look(place: str) -> str:
        """Look outside."""
        return f"Rain in {place}."

    look.__annotations__ = {"place": str, "return": str}  # older clients do not read them from texts
    with pr.record() as trace:
        clients.gemini.models.generate_content(model="m", contents="use a tool", config={"tools": [look]})
    calls = spans_of(trace)
    assert [len(span.attributes.get("tool_calls", ())) for span in calls] == [1, 0]
    assert calls[1].attributes["messages"][-1] == {"role": "tool", "content": "Rain in Rome."}


def test_a_call_that_is_not_recorded_is_in_the_table(clients: Clients, registry: pr.PromptRegistry) -> None:
    """Another transport, in a module that is imported after the adapter was enabled, or before."""
    pr.disable()
    pr.enable("openai", "google_genai")
    titles = {"realtime.connect", *(["interactions.create"] if hasattr(genai.Client, "interactions") else [])}
    with pr.record() as trace, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some versions warn that it is experimental
        with suppress(Exception):  # the server knows neither
            clients.openai.realtime.connect(model="m").__enter__()
        with suppress(Exception):
            clients.gemini.interactions.create(model="m", input="fail")
    rows = {row.words: row for row in registry.coverage(trace)}
    assert rows.keys() == titles
    assert {row.state for row in rows.values()} == {"not adoptable"}
    assert "another transport" in rows["realtime.connect"].detail
    assert rows["realtime.connect"].place.startswith("test_client_calls/")
    assert len(registry.adopt(trace)) == 0
    pr.disable()
    assert not hasattr(type(clients.openai.realtime).connect, "__wrapped__")


def test_tools_that_a_bare_agent_called_are_scored(clients: Clients) -> None:
    """No framework records the tools that it runs, so what the model called counts."""

    def agent(input: str) -> str:
        return str(clients.chat(input).choices[0].message.tool_calls)

    wanted = {"expected_tools": [{"name": "weather", "arguments": {"place": "Rome"}}]}
    rows = [{"inputs": {"input": f"Please use a tool, {i}."}, "expectations": wanted} for i in range(2)]
    assert pr.evaluate(predict_fn=agent, data=rows, scorers=[pr.scorers.ToolCalls()]).score.mean == 1.0


def test_what_is_no_call_of_a_model_is_left_alone(clients: Clients) -> None:
    """Counting, embeddings, files: no span."""
    with pr.record() as trace:
        clients.openai.post("/embeddings", body={"input": "hello", "model": "m"}, cast_to=object)
        clients.anthropic.messages.count_tokens(model="m", messages=[{"role": "user", "content": "hello"}])
        clients.gemini.models.count_tokens(model="m", contents="hello")
    assert spans_of(trace) == []
