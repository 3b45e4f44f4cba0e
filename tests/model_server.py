"""A simulated model on loopback that speaks OpenAI's protocols and keeps the bodies of its requests."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from typing import Any

from tests.loopback import QuietHandler, serving


class ModelServer(ThreadingHTTPServer):
    """Calls each tool or handoff that it is offered first once, and then answers with `done`, or with what an output tool needs."""

    daemon_threads = True
    bodies: list[dict[str, Any]]
    """The bodies of the requests so far."""

    @property
    def url(self) -> str:
        """The base URL for clients."""
        return f"http://127.0.0.1:{self.server_port}/v1"

    def take_bodies(self) -> list[dict[str, Any]]:
        """Return the bodies since the last call."""
        taken, self.bodies = self.bodies, []
        return taken


class _Handler(QuietHandler):
    server: ModelServer

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.bodies.append(body)
        answer = _responses(body) if self.path.endswith("/responses") else _chat(body)
        if body.get("stream"):
            self.send(200, "text/event-stream", _events(answer).encode())
        else:
            self.send(200, "application/json", json.dumps(answer).encode())


@contextmanager
def model_server() -> Iterator[ModelServer]:
    """A block in which the server runs."""
    server = ModelServer(("127.0.0.1", 0), _Handler)
    server.bodies = []
    with serving(server):
        yield server


def _value(schema: Mapping[str, Any]) -> Any:
    return {"integer": 1, "number": 1.0, "boolean": True, "object": {}, "array": []}.get(str(schema.get("type")), "x")


def _example(schema: Mapping[str, Any]) -> str:
    return json.dumps({name: _value(each) for name, each in (schema.get("properties") or {}).items()})


def _to_call(tools: list[dict[str, Any]], called: set[str]) -> dict[str, Any] | None:
    """Return the next tool to call: each one that was not called yet; a tool for the output last."""
    functions = [tool.get("function", tool) for tool in tools]
    left = [tool for tool in functions if tool["name"] not in called]
    left.sort(key=lambda tool: tool["name"].startswith("final_result"))
    return left[0] if left else None


def _chat(body: dict[str, Any]) -> dict[str, Any]:
    calls = [call["function"]["name"] for message in body["messages"] for call in message.get("tool_calls") or ()]
    tool = _to_call(body.get("tools") or [], set(calls))
    message: dict[str, Any] = {"role": "assistant", "content": _text(body.get("response_format"))}
    if tool is not None:
        function = {"name": tool["name"], "arguments": _example(tool["parameters"])}
        message = {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": f"c{len(calls)}", "type": "function", "function": function}],
        }
    return {
        "id": "1",
        "object": "chat.completion",
        "created": 1,
        "model": body["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls" if tool else "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    }


def _text(response_format: Mapping[str, Any] | None) -> str:
    schema = (response_format or {}).get("json_schema") or response_format or {}
    return _example(schema["schema"]) if "schema" in schema else "done"


def _responses(body: dict[str, Any]) -> dict[str, Any]:
    items = body["input"] if isinstance(body["input"], list) else []
    calls = [item["name"] for item in items if item.get("type") == "function_call"]
    tool = _to_call([tool for tool in body.get("tools") or [] if tool["type"] == "function"], set(calls))
    item: dict[str, Any] = {
        "type": "message",
        "id": "m",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "output_text", "text": _text((body.get("text") or {}).get("format")), "annotations": []}],
    }
    if tool is not None:
        item = {
            "type": "function_call",
            "id": f"f{len(calls)}",
            "call_id": f"c{len(calls)}",
            "name": tool["name"],
            "arguments": _example(tool["parameters"]),
            "status": "completed",
        }
    details = {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
    return {
        "id": "r",
        "object": "response",
        "created_at": 1,
        "status": "completed",
        "model": body["model"],
        "output": [item],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2, **details},
    }


def _events(answer: dict[str, Any]) -> str:
    if answer["object"] == "response":
        event = {"type": "response.completed", "sequence_number": 0, "response": answer}
        return f"event: response.completed\ndata: {json.dumps(event)}\n\n"
    choice = answer["choices"][0]
    delta = dict(choice["message"])
    if "tool_calls" in delta:
        delta["tool_calls"] = [{**call, "index": i} for i, call in enumerate(delta["tool_calls"])]
    chunk = {**answer, "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    end = {**chunk, "choices": [{"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}]}
    return "".join(f"data: {json.dumps(each)}\n\n" for each in (chunk, end)) + "data: [DONE]\n\n"
