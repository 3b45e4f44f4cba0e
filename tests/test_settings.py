"""The settings of a prompt in the body of the request, over a real connection: from `PromptAgent`, `try` and `serve-prompt`."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

import prompt_registry_plugin as pr
from prompt_registry_plugin.cli.main import main
from prompt_registry_plugin.models import settings
from prompt_registry_plugin.records import Usage
from tests.model_server import ModelServer, model_server
from tests.test_plain_responses import collect as collect  # frameworks leave connections open
from tests.test_trying import ask, serve

pytestmark = pytest.mark.server
TOOL = {"name": "find", "description": "Find a card", "parameters": {"type": "object", "properties": {"q": {"type": "string"}}}}
SCHEMA = {"title": "Label", "type": "object", "properties": {"label": {"type": "string"}}, "required": ["label"]}
STRICT = {"type": "json_schema", "json_schema": {"name": "a", "strict": True, "schema": {}}}
BARE = {"type": "object", "properties": {}}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelServer]:
    settings._logged.clear()
    with model_server() as running:
        monkeypatch.setenv("OPENAI_BASE_URL", running.url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-simulated-key-000000000000")
        yield running


def body_for(server: ModelServer, agent: pr.PromptAgent, inputs: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the body of the one request that an agent sends, without the model's name."""
    agent.predict(inputs or {"q": "x"})
    [body] = server.take_bodies()
    assert body.pop("model") == "gpt-test"
    return body


CONFIG = {
    "provider": "openai",
    "model_name": "gpt-test",
    "temperature": 0.5,
    "topP": 0.9,
    "maxOutputTokens": 50,
    "stop_sequences": ["END"],
    "seed": 7,
    "effort": "low",
    "parallel_tool_calls": False,
    "presence_penalty": 0.1,
    "logit_bias": {"50256": -100},
    "extra_params": {"user": "u1"},
    "api_version": "2024",
    "top_k": 40,
}


def test_settings_tools_and_format_reach_the_model(server: ModelServer, caplog: pytest.LogCaptureFixture) -> None:
    """All of them, by the protocol's names; what the protocol does not have is left out, and said once."""
    pr.register_prompt("p", "Say {{q}}", model_config=CONFIG, response_format=SCHEMA, tools=[TOOL])
    body = body_for(server, pr.PromptAgent("p"))
    sent = {
        "temperature": 0.5,
        "top_p": 0.9,
        "max_tokens": 50,
        "stop": ["END"],
        "seed": 7,
        "reasoning_effort": "low",
        "parallel_tool_calls": False,
        "presence_penalty": 0.1,
        "logit_bias": {"50256": -100},
        "user": "u1",
        "response_format": {"type": "json_schema", "json_schema": {"name": "Label", "schema": SCHEMA}},
        "tools": [{"type": "function", "function": TOOL}],
        "messages": [{"role": "user", "content": "Say x"}],
    }
    assert body == sent
    body_for(server, pr.PromptAgent("p"))
    assert caplog.text.count("is asked without") == 1
    assert "Model 'gpt-test' is asked without 'top_k': it is not a setting of the chat protocol." in caplog.text
    overridden = body_for(server, pr.PromptAgent("p", "openai:gpt-test", temperature=0, stop=None, tools=[]))
    assert overridden["temperature"] == 0


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({"type": "json_object"}, {"type": "json_object"}),
        (STRICT, STRICT),
        (BARE, {"type": "json_schema", "json_schema": {"name": "team_p", "schema": BARE}}),
    ],
)  # fmt: skip
def test_forms_of_a_response_format(server: ModelServer, given: dict[str, Any], sent: dict[str, Any]) -> None:
    """A JSON Schema is named after its title or its prompt; what is in the protocol's form stays as it is."""
    pr.register_prompt("team/p", "Say {{q}}", response_format=given)
    assert body_for(server, pr.PromptAgent("team/p", "openai:gpt-test"))["response_format"] == sent


@pytest.mark.parametrize(
    "tool",
    [
        TOOL,
        {"type": "function", **TOOL},
        {"type": "function", "function": TOOL},
        {"name": "find", "description": "Find a card", "input_schema": TOOL["parameters"]},
    ],
)
def test_forms_of_tools_and_tool_calls_as_answers(server: ModelServer, tool: dict[str, Any]) -> None:
    """Whichever API they are written for, the chat protocol gets its own; and the call that the model makes is the answer."""
    pr.register_prompt("p", "Say {{q}}", tools=[tool])
    agent = pr.PromptAgent("p", "openai:gpt-test")
    expected = {"tool_calls": [{"name": "find", "arguments": {"q": "x"}}]}
    assert agent.predict({"q": "x"}) == expected
    assert server.take_bodies()[0]["tools"] == [{"type": "function", "function": TOOL}]
    row = {"inputs": {"q": "x"}, "expectations": {"expected_response": expected, "expected_tools": ["find"]}}
    result = pr.evaluate(predict_fn=agent, data=[row], scorers=["exact_match", "tool_calls"])
    assert result.score.mean == 1.0
    [trial] = pr.try_prompts("p", {"q": "x"}, models=["openai:gpt-test"], save=True)
    assert (trial.output, trial.answer) == ('→ find(q="x")', expected)
    [row_again] = pr.Dataset.from_traces(pr.search_traces(name="try"))
    assert row_again.expectations == {"expected_response": expected}


def test_answers_in_json_are_data(server: ModelServer) -> None:
    """Where the prompt asks for JSON; scorers compare fields. Elsewhere the answer is text."""
    pr.register_prompt("p", "Say {{q}}", response_format=SCHEMA)
    agent = pr.PromptAgent("p", "openai:gpt-test")
    assert agent.predict({"q": "x"}) == {"label": "x"}
    row = {"inputs": {"q": "x"}, "expectations": {"label": "x"}}
    assert pr.evaluate(predict_fn=agent, data=[row], scorers=["exact_match"]).score.mean == 1.0
    assert pr.PromptAgent("p", lambda messages: "no JSON").predict({"q": "x"}) == "no JSON"
    assert pr.PromptAgent("p", lambda messages: "<think>{}</think>\n[1]").predict({"q": "x"}) == [1]


@pytest.mark.parametrize(
    ("template", "inputs", "options", "messages"),
    [
        ("Be kind.", {"question": "Hi?"}, {}, [("system", "Be kind."), ("user", "Hi?")]),
        ("Be kind.", {"anything": "Hi?"}, {}, [("system", "Be kind."), ("user", "Hi?")]),
        ("Be kind.", {"anything": "Hi?", "more": "x"}, {"input": "anything"}, [("system", "Be kind."), ("user", "Hi?")]),
        ("Be kind to {{name}}.", {"name": "Ann", "input": "Hi?"}, {}, [("system", "Be kind to Ann."), ("user", "Hi?")]),
        ("Be kind to {{name}}.", {"name": "Ann", "team": "x"}, {}, [("user", "Be kind to Ann.")]),
        ("Answer {{question}}", {"question": "Hi?"}, {}, [("user", "Answer Hi?")]),
        ("Answer {{input}}", {"input": "Hi?"}, {"input": "input"}, [("user", "Answer Hi?")]),
        ([("system", "Be kind.")], {"question": "Hi?"}, {}, [("system", "Be kind."), ("user", "Hi?")]),
        ([("system", "Be kind."), ("user", "{{q}}")], {"q": "Hi?", "text": "no"}, {}, [("system", "Be kind."), ("user", "Hi?")]),
        ([("user", "{{q}}"), ("assistant", "?")], {"q": "a", "b": "x"}, {"input": "b"}, [("user", "a"), ("assistant", "?"), ("user", "x")]),
    ],
)  # fmt: skip
def test_instructions_are_the_system_message(
    server: ModelServer, template: Any, inputs: dict[str, str], options: dict[str, Any], messages: list[tuple[str, str]]
) -> None:
    """A text beside the user's message is the system message; one that holds it is the user's. `describe` says the same."""
    if isinstance(template, list):
        template = [{"role": role, "content": content} for role, content in template]
    pr.register_prompt("p", template)
    agent = pr.PromptAgent("p", "openai:gpt-test", **options)
    assert agent.check(inputs) is None
    sent = body_for(server, agent, inputs)["messages"]
    assert [(message["role"], message["content"]) for message in sent] == messages
    line = agent.describe(inputs)
    assert line.endswith(", to gpt-test")
    if isinstance(template, str):
        assert ("as the system message" in line) is (messages[0][0] == "system")


def test_an_input_that_the_row_does_not_have() -> None:
    """Is told before anything is sent."""
    pr.register_prompt("p", "Be kind.")
    with pytest.raises(pr.errors.InvalidExample, match="input='question' names no value of the row, which has 'q'"):
        pr.evaluate(
            predict_fn=pr.PromptAgent("p", "offline:task", input="question"), data=[{"inputs": {"q": "x"}}], scorers=["length"]
        )
    result = pr.evaluate(
        predict_fn=pr.target(pr.PromptAgent("p", "offline:task"), input="q"), data=[{"inputs": {"q": "x"}}], scorers=["length"]
    )
    assert not result.failures


class _Strict(BaseHTTPRequestHandler):
    """A model that refuses some settings by name, as newer models of OpenAI do."""

    refused = ("max_tokens", "temperature")
    bodies: list[dict[str, Any]]

    def log_message(self, *_args: object) -> None:
        """Requests are no output of a test."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.bodies.append(body)
        wrong = next((name for name in self.refused if name in body), None)
        message = f"Unsupported parameter: '{wrong}' is not supported with this model."
        error = {"error": {"message": message, "type": "invalid_request_error", "param": wrong, "code": "unsupported_parameter"}}
        choice = {"index": 0, "message": {"role": "assistant", "content": "done"}, "finish_reason": "stop"}
        answer = {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
        content = json.dumps(answer if wrong is None else error).encode()
        self.send_response(200 if wrong is None else 400)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@contextmanager
def strict_server() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    _Strict.bodies = []
    with ThreadingHTTPServer(("127.0.0.1", 0), _Strict) as listening:
        thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.server_port}/v1", _Strict.bodies
        finally:
            listening.shutdown()
            thread.join()


def test_a_setting_that_the_server_refuses(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """It is sent under its newer name, or left out and said once; later calls do not try it again. Other errors are raised."""
    settings._logged.clear()
    monkeypatch.setenv("OPENAI_API_KEY", "sk-simulated-key-000000000000")
    with strict_server() as (url, bodies):
        monkeypatch.setenv("OPENAI_BASE_URL", url)
        pr.register_prompt("p", "Say {{q}}", model_config={"max_tokens": 9, "temperature": 0, "seed": 1})
        agent = pr.PromptAgent("p", "openai:gpt-test")
        assert agent.predict({"q": "x"}) == "done"
        assert len(bodies) == 3
        assert agent.predict({"q": "x"}) == "done"
        assert len(bodies) == 4
        assert {key: bodies[-1].get(key) for key in ("max_completion_tokens", "max_tokens", "temperature", "seed")} == {
            "max_completion_tokens": 9, "max_tokens": None, "temperature": None, "seed": 1,
        }  # fmt: skip
        assert caplog.text.count("is asked without 'temperature': it does not take it.") == 1
        assert "max_tokens" not in caplog.text
        monkeypatch.setattr(_Strict, "refused", ("messages",))
        with pytest.raises(pr.errors.ModelUnavailable, match="BadRequestError"):
            agent.predict({"q": "x"})


def test_functions_get_the_settings_that_they_take(caplog: pytest.LogCaptureFixture) -> None:
    """By the names of their parameters; the others are said once."""
    settings._logged.clear()
    seen: list[Any] = []

    def model(messages: Any, temperature: float) -> str:
        seen.append(temperature)
        return "x"

    pr.register_prompt("p", "Say {{q}}", model_config={"temperature": 0.5, "seed": 1})
    with caplog.at_level(logging.WARNING):
        assert [pr.PromptAgent("p", model).predict({"q": "x"}) for _ in range(2)] == ["x", "x"]
    assert seen == [0.5, 0.5]
    assert caplog.text.count("is asked without 'seed': it has no parameter of that name.") == 1


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as caught:
        main(list(arguments))
    out = capsys.readouterr()
    return int(caught.value.code or 0), out.out, out.err


def test_try_sends_the_users_input(server: ModelServer, capsys: pytest.CaptureFixture[str], tmp_path: Any) -> None:
    """`--input` is the user's message, `@FILE` reads one; settings go along, and what is left out is in the output once."""
    pr.register_prompt("p", "Be kind to {{name}}.", model_config={"seed": 7, "top_k": 3}, response_format=SCHEMA)
    (tmp_path / "message.txt").write_text("From a file")
    arguments = ["try", "p", "p/1", "--model", "openai:gpt-test", "--set", "name=Ann"]
    code, out, _err = call(capsys, *arguments, "--input", "Hi?")
    bodies = server.take_bodies()
    assert code == 0
    assert [message["content"] for message in bodies[0]["messages"]] == ["Be kind to Ann.", "Hi?"]
    assert [message["role"] for message in bodies[0]["messages"]] == ["system", "user"]
    assert (bodies[0]["seed"], bodies[0]["response_format"]["type"]) == (7, "json_schema")
    assert out.count("Model 'gpt-test' is asked without 'top_k'") == 1
    _code, out, _err = call(capsys, *arguments, "--input", "@message.txt", "--json")
    assert server.take_bodies()[0]["messages"][1]["content"] == "From a file"
    assert json.loads(out)[0]["answer"] == {"label": "x"}
    assert len(json.loads(out)[0]["notes"]) == 1
    call(capsys, *arguments)
    assert [message["role"] for message in server.take_bodies()[0]["messages"]] == ["user"]
    assert call(capsys, *arguments, "--input", "@none.txt")[0] == 2


@pytest.mark.process
def test_serve_prompt_sends_settings_and_the_users_input(server: ModelServer) -> None:
    """The named value of a row is the user's message; an answer in JSON is data."""
    pr.register_prompt("p", "Be kind.", model_config={"seed": 7}, response_format=SCHEMA)
    with serve("p", "--model", "openai:gpt-test", "--input", "ask") as url:
        status, answer = ask(url + "/invocations", {"inputs": [{"ask": "Hi?"}]})
        assert (status, answer) == (200, {"predictions": [{"label": "x"}]})
        assert ask(url + "/invocations", {"inputs": [{"other": "Hi?"}]})[0] == 400
    body = server.take_bodies()[-1]
    assert [(message["role"], message["content"]) for message in body["messages"]] == [("system", "Be kind."), ("user", "Hi?")]
    assert body["seed"] == 7


def test_langchain_models_get_settings_and_tools(server: ModelServer) -> None:
    """As parameters of the call; tools in the form of their provider."""
    from langchain_openai import ChatOpenAI

    pr.register_prompt("p", "Say {{q}}", model_config={"temperature": 0.5, "seed": 7}, tools=[TOOL])
    agent = pr.PromptAgent("p", ChatOpenAI(model="gpt-test"))
    assert agent.predict({"q": "x"}) == {"tool_calls": [{"name": "find", "arguments": {"q": "x"}}]}
    [body] = server.take_bodies()
    assert (body["temperature"], body["seed"], body["tools"][0]["function"]["name"]) == (0.5, 7, "find")


def test_usage_and_spans_of_tool_calls(server: ModelServer) -> None:
    """A recorded call has its tokens and the tools that the model wants called, streamed or not."""
    pr.register_prompt("p", "Say {{q}}", tools=[TOOL])
    [trial] = pr.try_prompts("p", {"q": "x"}, models=["openai:gpt-test"], save=True)
    assert trial.usage == Usage(1, 1, 1)
    [trace] = pr.search_traces(name="try")
    [span] = [span for span in trace.spans if span.kind == "llm"]
    assert span.attributes["tool_calls"] == [{"name": "find", "args": {"q": "x"}}]
