"""Clients that somebody else has changed, and answers that nobody expected: the agent gets what it would get without the adapter."""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from prompt_registry_adapters.openai.adapter import OpenAIAdapter

import prompt_registry_plugin as pr
from prompt_registry_plugin.frameworks import notices
from tests.client_server import ClientServer, client_server
from tests.conftest import run_python

RULES = "You are the clerk of the harbour who counts ropes."
MESSAGES: Any = [{"role": "system", "content": RULES}, {"role": "user", "content": "hello"}]


@pytest.fixture(scope="module")
def server() -> Iterator[ClientServer]:
    with client_server() as running:
        yield running


@pytest.fixture
def client(server: ClientServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(api_key="k", base_url=f"{server.url}/v1") as made:
        yield made


def answer(client: Any) -> str:
    return str(client.chat.completions.create(model="m", messages=MESSAGES).choices[0].message.content)


def count(client: Any) -> int:
    """The model spans of one call."""
    with pr.record() as trace:
        assert answer(client) == RULES
    return len([span for span in trace.spans if span.kind == "llm"])


@pytest.mark.server
def test_a_subclass_with_a_transport_of_its_own(server: ClientServer) -> None:
    """It asks the base, whatever it does around that."""

    class Counting(openai.OpenAI):
        asked = 0

        def request(self, *args: Any, **kwargs: Any) -> Any:
            self.asked += 1
            return super().request(*args, **kwargs)

    pr.enable("openai")
    with Counting(api_key="k", base_url=f"{server.url}/v1") as client:
        assert count(client) == 1
        assert client.asked == 1


def _wrap_class(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Wrap `request` in the class of the client itself, as instrumentations do."""
    seen: list[str] = []
    original = openai.OpenAI.request

    @functools.wraps(original)
    def request(self: Any, *args: Any, **kwargs: Any) -> Any:
        seen.append("asked")
        return original(self, *args, **kwargs)

    monkeypatch.setattr(openai.OpenAI, "request", request, raising=True)
    return seen


@pytest.mark.server
@pytest.mark.parametrize("first", ["theirs", "ours"])
def test_beside_another_instrumentation(client: openai.OpenAI, monkeypatch: pytest.MonkeyPatch, first: str) -> None:
    """In either order, and again after the adapter was off: one span, and theirs is asked once a call."""
    if first == "ours":
        pr.enable("openai")
    seen = _wrap_class(monkeypatch)
    for calls in (1, 2):
        pr.enable("openai")
        assert count(client) == 1
        assert len(seen) == calls
        pr.disable()
    assert count(client) == 0
    assert len(seen) == 3


@pytest.mark.server
def test_an_unknown_version_is_told_once(
    client: openai.OpenAI, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """And nothing is done."""
    monkeypatch.setattr(OpenAIAdapter, "framework", pr_framework(below="2"))
    notices._shown.clear()
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            pr.enable("openai")
            assert count(client) == 0
            pr.disable()
    assert caplog.text.count("is not among the known versions") == 1


def pr_framework(below: str) -> Any:
    """The facts of the adapter, with another highest version."""
    from dataclasses import replace

    return replace(OpenAIAdapter.framework, below=below)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"choices": None},
        {"choices": [{"message": None}]},
        {"choices": [{"message": {"content": 5, "tool_calls": [{"function": {"name": 3, "arguments": {}}}]}}]},
        {"choices": "several", "usage": "many"},
        [],
        "text",
    ],
)
def test_an_answer_that_nobody_expected(body: Any, caplog: pytest.LogCaptureFixture) -> None:
    """The client gives what it makes of it, and the span ends."""
    http = openai._base_client.httpx2 if hasattr(openai._base_client, "httpx2") else openai._base_client.httpx
    transport = http.MockTransport(lambda request: http.Response(200, json=body))
    with openai.OpenAI(api_key="k", base_url="http://mock/v1", http_client=http.Client(transport=transport)) as client:

        def ask() -> str:
            try:
                return repr(client.chat.completions.create(model="m", messages=MESSAGES))
            except Exception as error:
                return repr(error)

        expected = ask()
        pr.enable("openai")
        with pr.record() as trace:
            assert ask() == expected
        assert [span.kind for span in trace.spans] == ["llm"]
        assert all(span.ended_at is not None for span in trace.spans)


@pytest.mark.parametrize(
    "messages", [[], ["text"], [{"role": "user"}], [{"role": "system", "content": [None, 3, "x"]}], "text", [None]]
)
def test_a_body_that_nobody_expected(messages: Any) -> None:
    """It is sent as it is."""
    sent: list[bytes] = []
    http = openai._base_client.httpx2 if hasattr(openai._base_client, "httpx2") else openai._base_client.httpx

    def keep(request: Any) -> Any:
        sent.append(request.content)
        return http.Response(200, json={"choices": [{"message": {"content": "fine"}}]})

    with openai.OpenAI(
        api_key="k", base_url="http://mock/v1", http_client=http.Client(transport=http.MockTransport(keep))
    ) as client:

        def ask() -> Any:
            return client.post("/chat/completions", body={"model": "m", "messages": messages}, cast_to=object)

        expected = ask()
        pr.enable("openai")
        with pr.record():
            assert ask() == expected
    assert sent[0] == sent[1]


@pytest.mark.process
@pytest.mark.server
def test_a_client_is_not_imported_before_the_program_does(server: ClientServer) -> None:
    """`enable()` waits for it: each takes half a second. Off again, nothing comes of it."""
    program = """
import sys
import prompt_registry_plugin as pr
print(pr.enable("openai"), "openai" in sys.modules)
import openai._base_client as base
print(hasattr(base.SyncAPIClient.request, "__wrapped__"))
pr.disable()
print(hasattr(base.SyncAPIClient.request, "__wrapped__"))
pr.enable("anthropic")
pr.disable()
import anthropic._base_client as base
print(hasattr(base.SyncAPIClient.request, "__wrapped__"))
"""
    done = run_python(program, PROMPT_REGISTRY_URL=os.environ["PROMPT_REGISTRY_URL"])
    assert done.stdout.splitlines() == ["['openai'] False", "True", "False", "False"], done.stderr
