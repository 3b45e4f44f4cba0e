"""A client with the name of a model, and `anthropic:` and `google:` names, wherever a model is taken."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest
from google import genai

import prompt_registry_plugin as pr
from prompt_registry_plugin.models import settings
from prompt_registry_plugin.models.resolve import resolve_model
from tests.client_server import ClientServer, client_server

MESSAGES: Any = [
    {"role": "system", "content": "Answer like a pirate."},
    {"role": "user", "content": "hello"},
    {"role": "assistant", "content": "Ahoy."},
    {"role": "user", "content": "How are you?"},
]


@pytest.fixture(scope="module")
def server() -> Iterator[ClientServer]:
    with client_server() as running:
        yield running


def clients(url: str) -> list[Any]:
    """One of each kind, sync and async."""
    return [
        openai.OpenAI(api_key="k", base_url=f"{url}/v1"),
        openai.AsyncOpenAI(api_key="k", base_url=f"{url}/v1"),
        anthropic.Anthropic(api_key="k", base_url=url),
        anthropic.AsyncAnthropic(api_key="k", base_url=url),
        genai.Client(api_key="k", http_options={"base_url": url}),
    ]


@pytest.mark.server
@pytest.mark.parametrize("i", range(5))
def test_a_client_with_a_name_is_a_model(server: ClientServer, registry: pr.PromptRegistry, i: int) -> None:
    """It is asked with system texts and settings as its protocol has them; its answer, tokens and span are as of any model."""
    pr.enable("openai", "anthropic", "google_genai")

    async def ask() -> Any:
        client = clients(server.url)[i]
        model = resolve_model((client, "m"))
        await model.check()
        reply = await model(MESSAGES, temperature=0, max_tokens=5, stop=["x"])
        if asyncio.iscoroutinefunction(client.close):
            await client.close()
        else:
            client.close()
        return model.name, reply

    name, reply = asyncio.run(ask())
    assert (name, reply.text) == ("m", "Answer like a pirate.")
    assert (reply.usage.input_tokens, reply.usage.output_tokens, reply.usage.calls) == (11, 7, 1)
    sent = server.last
    limits = sent.get("generationConfig") or sent
    assert limits["temperature"] == 0
    assert 5 in (limits.get("max_tokens"), limits.get("maxOutputTokens"))


@pytest.mark.server
def test_agents_and_judges_take_it(server: ClientServer, registry: pr.PromptRegistry) -> None:
    """One span a call, although the adapter of the client is on."""
    pr.enable("anthropic")
    registry.register_prompt("greet", "Say {{word}}.")
    with anthropic.Anthropic(api_key="k", base_url=server.url) as client:
        agent = pr.PromptAgent("prompts:/greet/1", (client, "m"))
        with pr.record() as trace:
            assert agent.predict({"word": "ahoy"}) == "Say ahoy."
        assert [span.name for span in trace.spans if span.kind == "llm"] == ["m"]
        assert pr.scorers.Correctness((client, "m")).name == "correctness"


@pytest.mark.server
def test_models_by_name(server: ClientServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """`anthropic:` and `google:`, with the keys and addresses that the clients read from the environment."""
    for name, value in {"ANTHROPIC_BASE_URL": server.url, "GOOGLE_GEMINI_BASE_URL": server.url}.items():
        monkeypatch.setenv(name, value)
    for spec, key in (("anthropic:m", "ANTHROPIC_API_KEY"), ("google:/m", "GEMINI_API_KEY")):
        monkeypatch.delenv(key, raising=False)
        with pytest.raises(pr.UserError, match=key):
            resolve_model(spec)
        monkeypatch.setenv(key, "k")
        reply = asyncio.run(resolve_model(spec)(MESSAGES))
        assert (reply.text, reply.usage.input_tokens) == ("Answer like a pirate.", 11)


def test_a_client_without_a_name_is_refused() -> None:
    """The error says what to write."""
    with openai.OpenAI(api_key="k") as client, pytest.raises(pr.UserError, match=r"\(client, 'the-model'\)"):
        resolve_model(client)  # type: ignore[arg-type]
    with pytest.raises(pr.UserError, match="no installed plugin"):
        resolve_model(("no client", "m"))


TOOL = {"name": "find", "description": "Find a card", "parameters": {"type": "object", "properties": {"q": {"type": "string"}}}}
SCHEMA = {"title": "Label", "type": "object", "properties": {"label": {"type": "string"}}}
CONFIG = {
    "temperature": 0.5,
    "max_tokens": 9,
    "stop_sequences": ["END"],
    "seed": 7,
    "top_k": 3,
    "effort": "low",
    "tool_choice": "required",
}


@pytest.mark.server
@pytest.mark.parametrize(
    ("i", "sent", "left_out"),
    [
        (
            0,
            {
                "temperature": 0.5, "max_tokens": 9, "stop": ["END"], "seed": 7, "reasoning_effort": "low", "tool_choice": "required",
                "tools": [{"type": "function", "function": TOOL}],
                "response_format": {"type": "json_schema", "json_schema": {"name": "Label", "schema": SCHEMA}},
            },
            ["top_k"],
        ),
        (
            2,
            {
                "temperature": 0.5, "max_tokens": 9, "stop_sequences": ["END"], "top_k": 3, "tool_choice": {"type": "any"},
                "tools": [{"name": "find", "description": "Find a card", "input_schema": TOOL["parameters"]}],
                "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": SCHEMA}},
            },
            ["seed"],
        ),
        (
            4,
            {
                "temperature": 0.5, "maxOutputTokens": 9, "stopSequences": ["END"], "seed": 7, "topK": 3,
                "responseMimeType": "application/json", "responseJsonSchema": SCHEMA,
            },
            ["reasoning_effort"],
        ),
    ],
)  # fmt: skip
def test_settings_of_a_prompt_in_each_protocol(
    server: ClientServer, caplog: pytest.LogCaptureFixture, i: int, sent: dict[str, Any], left_out: list[str]
) -> None:
    """Tools, response format and settings are sent as each protocol has them; a setting that it does not have is named once."""
    settings._logged.clear()
    pr.register_prompt("p", "Say {{q}}", model_config=CONFIG, response_format=SCHEMA, tools=[TOOL])
    with clients(server.url)[i] as client:
        agent = pr.PromptAgent("p", (client, "m"))
        assert [agent.predict({"q": "x"}) for _ in range(2)]
    body = server.last
    found = {**body, **body.get("generationConfig", {})}
    assert {key: found.get(key) for key in sent} == sent
    if i == 4:
        [tool] = body["tools"]
        [declared] = tool["functionDeclarations"]
        schema = declared.get("parametersJsonSchema") or declared.get(
            "parameters_json_schema"
        )  # the client writes what it is given
        assert (declared["name"], schema) == ("find", TOOL["parameters"]), declared
        config = body["toolConfig"]
        assert (config.get("functionCallingConfig") or config["function_calling_config"])["mode"] == "ANY"
    assert [name for name in CONFIG | {"reasoning_effort": 1} if f"'m' is asked without '{name}'" in caplog.text] == left_out
    assert caplog.text.count("is asked without") == 1
