"""Whose call it is: that of a framework's open span, or one of its own. The spans are begun by hand, as adapters begin them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from google import genai

import prompt_registry_plugin as pr
from prompt_registry_plugin.prompts.context import current_recorder
from prompt_registry_plugin.tracing.recorder import inside
from tests.client_server import client_server

pytestmark = pytest.mark.server
RULES = "You count the nets of the harbour."
USER = {"role": "user", "parts": [{"text": "hello"}]}
RESULT = {"role": "user", "parts": [{"function_response": {"name": "f", "response": {"result": "Rain in Rome."}}}]}
DATA = {"role": "user", "parts": [{"function_response": {"name": "f", "response": {"sky": "grau, naß", "wind": None}}}]}
PICTURE = {"role": "user", "parts": [{"text": "hello"}, {"inline_data": {"data": b"1", "mime_type": "image/png"}}]}


@pytest.fixture(scope="module")
def client() -> Iterator[genai.Client]:
    with client_server() as server, genai.Client(api_key="k", http_options={"base_url": server.url}) as made:
        yield made


def count(client: genai.Client, content: Any, theirs: list[dict[str, Any]], *, beside: bool = False) -> int:
    """The model spans of one call, which is made while a framework's span with these messages is open."""
    pr.enable("google_genai")
    with pr.record() as trace:
        recorder = current_recorder()
        assert recorder is not None
        steps = [recorder.start("chain", name) for name in ("one", "two")]
        with inside(steps[0]):
            span_id = recorder.start_model("theirs", theirs)
        with inside(steps[1] if beside else steps[0]):
            config: Any = {"system_instruction": RULES}
            client.models.generate_content(model="m", contents=[content], config=config)
        for each in (span_id, *steps):
            recorder.finish(each)
    return len([span for span in trace.spans if span.kind == "llm"])


SYSTEM = {"role": "system", "content": RULES}


@pytest.mark.parametrize(
    ("content", "theirs"),
    [
        (USER, [SYSTEM, {"role": "user", "content": "hello"}]),
        (USER, [{"role": "user", "content": " hello\n"}]),
        (USER, [{"role": "system", "content": f"{RULES}\n\nYou are an agent."}, {"role": "user", "content": "hello"}]),
        (PICTURE, [SYSTEM, {"role": "user", "content": [{"type": "text", "text": "hello"}, {"type": "image_url"}]}]),
        (RESULT, [SYSTEM, {"role": "tool", "content": "Rain in Rome."}]),
        (RESULT, [SYSTEM, {"role": "tool", "content": "{'result': 'Rain in Rome.'}"}]),
        (RESULT, [SYSTEM, {"role": "tool", "content": '{"result": "Rain in Rome."}'}]),
        (DATA, [SYSTEM, {"role": "tool", "content": "{'sky': 'grau, naß', 'wind': None}"}]),
    ],
)
def test_a_frameworks_call_is_not_recorded_twice(client: genai.Client, content: Any, theirs: Any) -> None:
    """However the framework writes what it sends."""
    assert count(client, content, theirs) == 1


@pytest.mark.parametrize(
    ("content", "theirs"),
    [
        (USER, [SYSTEM, {"role": "user", "content": "hello there"}]),
        (USER, [{"role": "system", "content": "You are a guard."}, {"role": "user", "content": "hello"}]),
        (RESULT, [SYSTEM, {"role": "tool", "content": "Sun in Rome."}]),
        (RESULT, [SYSTEM, {"role": "user", "content": "hello"}]),
    ],
)
def test_another_call_is_recorded(client: genai.Client, content: Any, theirs: Any) -> None:
    """With other words, or with other instructions, such as those of a guardrail that reads the same question."""
    assert count(client, content, theirs) == 2


def test_a_call_of_a_parallel_step_is_recorded(client: genai.Client) -> None:
    """Although another step sends the very same at this moment."""
    assert count(client, USER, [SYSTEM, {"role": "user", "content": "hello"}], beside=True) == 2
