"""A simulated model on loopback that speaks the protocols of bare clients: chat completions, responses, Anthropic's messages, Gemini.

It answers with the instructions that it was shown, or else with the user's last words. `use a tool` makes it call the first tool,
`fail` is refused, `break` ends a stream in the middle with an error.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from itertools import count
from typing import Any

from tests.loopback import QuietHandler, serving

Events = list[tuple[str, Any]]  # name and data
TOKENS = (11, 7)
_numbers = count()  # frameworks take two answers with one id for the same


class ClientServer(ThreadingHTTPServer):
    """Keeps the paths and bodies of its requests."""

    daemon_threads = True
    request_queue_size = 64
    requests: list[tuple[str, dict[str, Any]]]

    @property
    def url(self) -> str:
        """The base URL, without a path."""
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def last(self) -> dict[str, Any]:
        """The body of the newest request."""
        return self.requests[-1][1]


@contextmanager
def client_server() -> Iterator[ClientServer]:
    """A block in which the server runs."""
    server = ClientServer(("127.0.0.1", 0), _Handler)
    server.requests = []
    with serving(server):
        yield server


class _Handler(QuietHandler):
    server: ClientServer

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.requests.append((self.path, body))
        path = self.path.partition("?")[0]
        if "fail" in json.dumps(body):
            self._send(400, "application/json", json.dumps({"error": {"message": "it was told to fail", "code": 400}}))
        elif path.endswith("/chat/completions"):
            self._answer(_chat(body), _chat_events, body)
        elif path.endswith("/responses"):
            self._answer(_response(body), _response_events, body)
        elif path.endswith(("/messages", ":rawPredict", ":streamRawPredict")):
            self._answer(_message(body), _message_events, body)
        elif path.endswith("enerateContent"):
            self._answer(_gemini(body), _gemini_events, {"stream": "stream" in path, **body})
        else:
            self._send(200, "application/json", "{}")

    def _answer(self, whole: dict[str, Any], events: Any, body: dict[str, Any]) -> None:
        if not body.get("stream"):
            self._send(200, "application/json", json.dumps(whole))
            return
        listed: Events = events(whole, body)
        if "break" in json.dumps(body):
            named = "error" if listed[0][0] else ""
            listed = [*listed[: len(listed) // 2], (named, {"error": {"message": "it broke", "code": 500}})]
        lines = [
            (f"event: {name}\n" if name else "") + f"data: {d if isinstance(d, str) else json.dumps(d)}\n\n" for name, d in listed
        ]
        self._send(200, "text/event-stream", "".join(lines))

    def _send(self, status: int, kind: str, text: str) -> None:
        self.send(status, kind, text.encode())


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return " ".join(filter(None, map(_text, content)))
    if isinstance(content, dict):
        return _text(content.get("text") or content.get("parts") or content.get("content"))
    return ""


def _said(system: list[Any], messages: list[Any], schema: Any = None) -> str:
    """Return the instructions, or else the last message, as an object if one is wanted."""
    said = _text(system) or _text(messages[-1:])
    return json.dumps({"answer": said}) if schema else said


def _is_told(messages: Any, has_results: bool) -> bool:
    return "use a tool" in json.dumps(messages) and not has_results


def _chat(body: dict[str, Any]) -> dict[str, Any]:
    messages = body["messages"]
    system = [message["content"] for message in messages if message["role"] in ("system", "developer")]
    message: dict[str, Any] = {"role": "assistant", "content": _said(system, messages, body.get("response_format"))}
    if body.get("tools") and _is_told(messages, messages[-1]["role"] == "tool"):
        function = {"name": body["tools"][0]["function"]["name"], "arguments": '{"place": "Rome"}'}
        message = {"role": "assistant", "content": None, "tool_calls": [{"id": "c1", "type": "function", "function": function}]}
    return {
        "id": "c",
        "object": "chat.completion",
        "created": 1,
        "model": body["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": TOKENS[0], "completion_tokens": TOKENS[1], "total_tokens": sum(TOKENS)},
    }


def _chat_events(whole: dict[str, Any], body: dict[str, Any]) -> Events:
    message = whole["choices"][0]["message"]
    deltas: list[dict[str, Any]] = [{"content": word} for word in (message["content"] or "").replace(" ", " \0").split("\0")]
    for call in message.get("tool_calls") or ():
        args = call["function"]["arguments"]
        deltas = [
            {"tool_calls": [{**call, "index": 0, "function": {**call["function"], "arguments": args[:5]}}]},
            {"tool_calls": [{"index": 0, "function": {"arguments": args[5:]}}]},
        ]
    head = {**{key: whole[key] for key in ("id", "created", "model")}, "object": "chat.completion.chunk"}
    events: Events = [("", {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}) for delta in deltas]
    events.append(("", {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}))
    if (body.get("stream_options") or {}).get("include_usage"):
        events.append(("", {**head, "choices": [], "usage": whole["usage"]}))
    return [*events, ("", "[DONE]")]


def _response(body: dict[str, Any]) -> dict[str, Any]:
    given = body["input"] if isinstance(body["input"], list) else [{"role": "user", "content": body["input"]}]
    system = [body.get("instructions"), *(item["content"] for item in given if item.get("role") in ("system", "developer"))]
    schema = (body.get("text") or {}).get("format") or {}
    said = _said(system, given, schema.get("type") == "json_schema")
    part = {"type": "output_text", "text": said, "annotations": []}
    item: dict[str, Any] = {"id": "m", "type": "message", "status": "completed", "role": "assistant", "content": [part]}
    if body.get("tools") and _is_told(given, "output" in given[-1]):
        args = '{"place": "Rome"}'
        item = {"id": "f", "type": "function_call", "call_id": "c1", "name": body["tools"][0]["name"], "arguments": args}
    details = {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
    return {
        "id": f"r{next(_numbers)}",
        "object": "response",
        "created_at": 1,
        "status": "completed",
        "model": body["model"],
        "output": [item],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": {"input_tokens": TOKENS[0], "output_tokens": TOKENS[1], "total_tokens": sum(TOKENS), **details},
    }


def _response_events(whole: dict[str, Any], _body: dict[str, Any]) -> Events:
    item = whole["output"][0]
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": {**whole, "status": "in_progress", "output": []}},
        {"type": "response.output_item.added", "output_index": 0, "item": {**item, "status": "in_progress", "content": []}},
    ]
    if item["type"] == "message":
        at = {"output_index": 0, "content_index": 0, "item_id": "m"}
        part = item["content"][0]
        events.append({"type": "response.content_part.added", **at, "part": {**part, "text": ""}})
        events.append({"type": "response.output_text.delta", **at, "delta": part["text"], "logprobs": []})
        events.append({"type": "response.output_text.done", **at, "text": part["text"], "logprobs": []})
    events.append({"type": "response.output_item.done", "output_index": 0, "item": item})
    events.append({"type": "response.completed", "response": whole})
    return [(event["type"], {**event, "sequence_number": i}) for i, event in enumerate(events)]


def _message(body: dict[str, Any]) -> dict[str, Any]:
    messages = body["messages"]
    schema = body.get("output_format") or (body.get("output_config") or {}).get("format")
    block: dict[str, Any] = {"type": "text", "text": _said([body.get("system")], messages, schema)}
    if body.get("tools") and _is_told(messages, "tool_result" in json.dumps(messages)):
        block = {"type": "tool_use", "id": "c1", "name": body["tools"][0]["name"], "input": {"place": "Rome"}}
    return {
        "id": "a",
        "type": "message",
        "role": "assistant",
        "model": body.get("model", "m"),
        "content": [block],
        "stop_reason": "tool_use" if block["type"] == "tool_use" else "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": TOKENS[0] - 4, "cache_read_input_tokens": 4, "output_tokens": TOKENS[1]},
    }


def _message_events(whole: dict[str, Any], _body: dict[str, Any]) -> Events:
    block = whole["content"][0]
    start = {**block, "text": ""} if block["type"] == "text" else {**block, "input": {}}
    if block["type"] == "text":
        deltas = [{"type": "text_delta", "text": word} for word in block["text"].replace(" ", " \0").split("\0")]
    else:
        deltas = [{"type": "input_json_delta", "partial_json": json.dumps(block["input"])}]
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": {**whole, "content": [], "stop_reason": None}},
        {"type": "content_block_start", "index": 0, "content_block": start},
        *({"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": whole["stop_reason"], "stop_sequence": None},
            "usage": {"output_tokens": TOKENS[1]},
        },
        {"type": "message_stop"},
    ]
    return [(event["type"], event) for event in events]


def _gemini(body: dict[str, Any]) -> dict[str, Any]:
    contents = body["contents"]
    schema = (body.get("generationConfig") or {}).get("responseMimeType") == "application/json"
    part: dict[str, Any] = {"text": _said([body.get("systemInstruction")], contents, schema)}
    if body.get("tools") and _is_told(contents, "functionResponse" in json.dumps(contents)):
        function = body["tools"][0]["functionDeclarations"][0]
        part = {"functionCall": {"name": function["name"], "args": {"place": "Rome"}}}
    return {
        "candidates": [{"content": {"role": "model", "parts": [part]}, "finishReason": "STOP", "index": 0}],
        "usageMetadata": {"promptTokenCount": TOKENS[0], "candidatesTokenCount": TOKENS[1], "totalTokenCount": sum(TOKENS)},
        "modelVersion": "g",
    }


def _gemini_events(whole: dict[str, Any], _body: dict[str, Any]) -> Events:
    part = whole["candidates"][0]["content"]["parts"][0]
    words = [{"text": word} for word in part["text"].replace(" ", " \0").split("\0")] if "text" in part else [part]
    events = [{"candidates": [{"content": {"role": "model", "parts": [word]}, "index": 0}]} for word in words]
    return [("", each) for each in (*events[:-1], {**events[-1], "usageMetadata": whole["usageMetadata"]})]
