"""Each way that LangChain and LangGraph code gives a text to a model: recorded and adopted in one process, served in another."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import prompt_registry_plugin as pr

from .conftest import ROOT, run_python

MARK = "[v2] "


class Stub(BaseHTTPRequestHandler):
    """OpenAI's protocol as far as the agent needs it; keeps the requests."""

    requests: list[dict[str, Any]]

    def log_message(self, *_: Any) -> None:
        """Nothing."""

    def do_POST(self) -> None:
        """Answer with the word yes, in the form that was asked for."""
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.requests.append(body)
        if body.get("stream"):
            chunks = [{"content": "yes", "role": "assistant"}, {}]
            events = [self._completion(body, "delta", delta, bool(not delta)) for delta in chunks]
            data = "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"
            return self._send("text/event-stream", data)
        if "input" in body:
            content = [{"type": "output_text", "text": "yes", "annotations": []}]
            message = {"id": "m", "type": "message", "role": "assistant", "status": "completed", "content": content}
            rest = {"parallel_tool_calls": True, "tool_choice": "auto", "tools": [], "status": "completed"}
            answer = {"id": "r", "object": "response", "created_at": 1, "model": "m", "output": [message], **rest}
        elif "prompt" in body:
            answer = {"id": "c", "object": "text_completion", "created": 1, "model": "m", "usage": {}}
            answer["choices"] = [{"index": 0, "text": "yes", "finish_reason": "stop", "logprobs": None}]
        elif isinstance(body.get("tool_choice"), dict):
            function = {"name": body["tool_choice"]["function"]["name"], "arguments": '{"answer": "yes"}'}
            call = {"id": "t", "type": "function", "function": function}
            answer = self._completion(body, "message", {"role": "assistant", "content": None, "tool_calls": [call]}, True)
        else:
            text = '{"answer": "yes"}' if body.get("response_format") else "yes"
            answer = self._completion(body, "message", {"role": "assistant", "content": text}, True)
        return self._send("application/json", json.dumps(answer))

    def _completion(self, body: dict[str, Any], key: str, message: dict[str, Any], is_last: bool) -> dict[str, Any]:
        kind = "chat.completion.chunk" if key == "delta" else "chat.completion"
        choice = {"index": 0, key: message, "finish_reason": "stop" if is_last else None}
        return {"id": "c", "created": 1, "model": body["model"], "object": kind, "choices": [choice]}

    def _send(self, kind: str, text: str) -> None:
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """The requests that reach a simulated provider on loopback; the official client is pointed at it."""
    handler = type("Handler", (Stub,), {"requests": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{server.server_port}/v1")
        monkeypatch.setenv("OPENAI_API_KEY", "sk-simulated-key-000000000000")
        yield handler.requests
        server.shutdown()


RUN = "import agent\nagent.run({user!r}, {topic!r})"
RECORD = """
import json, agent
import prompt_registry_plugin as pr
pr.enable("langgraph")
with pr.record() as trace:
    agent.run("Ada Lovelace", "the history of mathematical tables")
adopted = pr.adopt(trace, descriptions=True)
print(json.dumps({"names": [version.name for version in adopted], "table": str(adopted)}))
"""
SERVE = "import prompt_registry_plugin as pr\npr.enable('langgraph')\npr.current_registry()\n" + RUN


def python(code: str, folder: Path) -> str:
    done = run_python(f"import sys; sys.path.insert(0, {str(folder)!r})\n{code}", cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the agent's module."""
    shutil.copyfile(ROOT / "tests" / "langchain_agent.py", tmp_path / "agent.py")
    return tmp_path


@pytest.mark.process
@pytest.mark.server
def test_every_style_is_adopted_and_served_in_another_process(folder: Path, requests: list[dict[str, Any]]) -> None:
    """With another user and topic. Requests are the agent's own but for the mark of the promoted versions."""
    other = {"user": "Grace O'Hopper", "topic": "compilers {and} their bugs"}
    recorded = json.loads(python(RECORD, folder).splitlines()[-1])
    assert {"agent.CLERK", "agent.CHARTS", "agent.SUMMARY", "agent.by_agents.system_prompt"} <= set(recorded["names"])
    before = list(requests)
    requests.clear()
    python(RUN.format(**other), folder)
    bare = list(requests)
    requests.clear()
    python(SERVE.format(**other), folder)
    assert sorted(map(json.dumps, requests)) == sorted(map(json.dumps, bare)), "adopting changes nothing by itself"
    assert len(before) == len(bare)
    requests.clear()
    for name in recorded["names"]:
        template = pr.load_prompt(name).template
        new = MARK + template if isinstance(template, str) else [{**part, "content": MARK + part["content"]} for part in template]
        pr.set_prompt_alias(name, "production", pr.register_prompt(name, new).version)
    python(SERVE.format(**other), folder)
    served = [json.dumps(request) for request in requests]
    assert sorted(text.replace(MARK, "") for text in served) == sorted(map(json.dumps, bare))
    assert [text.count(MARK) for text in served] == [
        *[2] * 8,  # by_format: system and user, in each call style
        *[1, 1],  # by_f_string: a system text, and a plain string
        3,  # by_outer_template: the template's two messages, and the prompt that is its value
        1,  # by_template
        *[3, 1],  # by_blocks: two system blocks and one of the user's; a developer's message
        *[1, 1, 2, 2],  # by_descriptions: a tool, also streamed; a schema and its field, as output and as a tool
        *[4, 1],  # by_agents: the reader's prompt, its tool, and two descriptions of the other middleware's tool
        1,  # by_completion
    ]
    assert MARK + MARK not in "".join(served)
