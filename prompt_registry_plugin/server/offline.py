"""The simulated model behind OpenAI's chat completions protocol, so that real clients talk to it over a real connection."""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, get_args

import click
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from prompt_registry_plugin.errors import ModelUnavailable
from prompt_registry_plugin.models.offline import OfflineModel, OfflineSettings
from prompt_registry_plugin.models.offline.judge import is_judgement
from prompt_registry_plugin.models.offline.model import Role
from prompt_registry_plugin.prompts.messages import content_of
from prompt_registry_plugin.protocols import Reply
from prompt_registry_plugin.server.listening import listen, loopback_only

_MAX_BODY = 1_000_000
_MODELS = ("offline-task", "offline-reflection", "offline-judge")
_REWRITE = re.compile(r"\b(?:improve|rewrite|new)\b[^.\n]{0,60}\b(?:instruction|prompt)\b", re.I)
_FENCED = re.compile(r"```|backticks", re.I)


def create_app(settings: OfflineSettings) -> Starlette:
    """The application; `GET /health` tells that it is up and simulated."""
    models_of = {role: OfflineModel(role, settings) for role in get_args(Role)}

    async def chat_completions(request: Request) -> Response:
        try:
            raw = await request.body()
            if len(raw) > _MAX_BODY:
                return _error(413, f"the body is larger than {_MAX_BODY} bytes")
            body = json.loads(raw)
            messages, name = body["messages"], str(body["model"])
        except (ValueError, KeyError, TypeError, RecursionError):
            return _error(400, "the body is a JSON object with 'model' and 'messages'")
        if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages) or not messages:
            return _error(400, "'messages' is a list of at least one object")
        try:
            reply = await models_of[_role(name, messages)](messages)
        except ModelUnavailable as error:
            return _error(500, str(error))
        if body.get("stream"):
            options = body.get("stream_options")
            usage = isinstance(options, dict) and bool(options.get("include_usage"))
            return StreamingResponse(_stream(name, reply, usage), media_type="text/event-stream")
        message = {"role": "assistant", "content": reply.text, "refusal": None}
        choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
        return JSONResponse({**_head(name, "chat.completion"), "choices": [choice], "usage": _usage(reply)})

    async def models(_request: Request) -> Response:
        return JSONResponse(
            {"object": "list", "data": [{"id": name, "object": "model", "owned_by": "simulated"} for name in _MODELS]}
        )

    async def health(_request: Request) -> Response:
        return JSONResponse({"status": "ok", "simulated": True})

    return Starlette(
        routes=[
            Route("/v1/chat/completions", chat_completions, methods=["POST"]),
            Route("/v1/models", models),
            Route("/health", health),
        ],
        middleware=[loopback_only()],
    )


def serve(port: int, settings: OfflineSettings, *, as_json: bool = False) -> None:
    """Serves on loopback until interrupted; prints the address once the port is taken. Raises `ModelUnavailable` when it is not free."""

    def ready(url: str) -> None:
        url = f"{url}/v1"
        click.echo(json.dumps({"url": url, "simulated": True}) if as_json else f"simulated model at {url} (Ctrl-C stops it)")

    listen(create_app(settings), "127.0.0.1", port, ready)


def _role(name: str, messages: Sequence[Mapping[str, Any]]) -> Role:
    """By the model's name, or else by what is asked: whoever tries a program has one server for all of its models."""
    asked = "\n".join(content_of(message) for message in messages)
    if "reflect" in name or _asks_rewrite(asked):
        return "reflection"
    return "judge" if is_judgement(asked) else "task"


def _asks_rewrite(asked: str) -> bool:
    """Return whether a text asks for a new instruction and, after that, speaks of a fence."""
    first = _REWRITE.search(asked)
    return first is not None and _FENCED.search(asked, first.end()) is not None


async def _stream(name: str, reply: Reply, usage: bool) -> AsyncIterator[str]:
    head = _head(name, "chat.completion.chunk")
    pieces = [piece + " " for piece in reply.text.split(" ")]
    pieces[-1] = pieces[-1][:-1]
    for i, piece in enumerate(pieces):
        delta = {"content": piece, **({"role": "assistant"} if i == 0 else {})}
        yield _event({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
    yield _event({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    if usage:
        yield _event({**head, "choices": [], "usage": _usage(reply)})
    yield "data: [DONE]\n\n"


def _event(data: dict[str, Any]) -> str:
    return f"data: {json.dumps(data)}\n\n"


def _head(name: str, kind: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{uuid.uuid4().hex}", "object": kind, "created": int(time.time()), "model": name}


def _usage(reply: Reply) -> dict[str, int]:
    used = reply.usage
    return {
        "prompt_tokens": used.input_tokens,
        "completion_tokens": used.output_tokens,
        "total_tokens": used.input_tokens + used.output_tokens,
    }


def _error(status: int, message: str) -> JSONResponse:
    return JSONResponse({"error": {"message": message, "type": "simulated", "code": None, "param": None}}, status_code=status)
