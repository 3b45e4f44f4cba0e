"""A prompt with a model as a small HTTP server, with the requests that MLflow's model servers take."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from prompt_registry_plugin.concurrency import all_of
from prompt_registry_plugin.errors import PromptRegistryError, RunError, UserError
from prompt_registry_plugin.models.prompt_agent import PromptAgent
from prompt_registry_plugin.registry.current import current_registry
from prompt_registry_plugin.server.listening import LOOPBACK as LOOPBACK
from prompt_registry_plugin.server.listening import loopback_only

_MAX_BODY, _MAX_ROWS, _AT_ONCE = 10_000_000, 1_000, 16
_FORMS = ("dataframe_records", "dataframe_split", "instances", "inputs")


def create_prompt_app(agent: PromptAgent, token: str | None = None) -> Starlette:
    """The application: `POST /invocations`, and `GET /health`, which needs no token. Without a token it answers to loopback names only.

    The body is `{"dataframe_records": [{…}]}`, or `dataframe_split`, `instances` or `inputs`; the answer is `{"predictions": […]}`:
    a text for each row, data if the prompt asks for JSON, and a mapping of `tool_calls` if the model calls tools.
    The prompt is loaded for each request, so that a moved alias counts at once.
    """
    slots = asyncio.Semaphore(_AT_ONCE)

    async def one(row: Mapping[str, Any]) -> Any:
        async with slots:
            return _sendable(await agent(row))

    async def invocations(request: Request) -> Response:
        if token is not None and not _has_token(request, token):
            return _error(401, "UNAUTHENTICATED", "send the token as `Authorization: Bearer …`")
        if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            return _error(415, "BAD_REQUEST", "the body is JSON: send `Content-Type: application/json`")
        try:
            raw = await _body(request)
            rows = _rows(raw)
            for number, row in enumerate(rows, 1):
                if problem := agent.check(row):
                    raise UserError(f"row {number}: {problem}")
            return JSONResponse({"predictions": await all_of(one(row) for row in rows)})
        except UserError as error:
            return _error(400, "BAD_REQUEST", str(error))
        except RunError as error:
            return _error(502, "TEMPORARILY_UNAVAILABLE", str(error))

    async def health(_request: Request) -> Response:
        try:
            version = await current_registry().aload_prompt(agent.prompt)
            model = agent.model_of(version)
        except PromptRegistryError as error:
            return _error(503, "TEMPORARILY_UNAVAILABLE", str(error))
        return JSONResponse({"status": "ok", "prompt": version.uri, "model": model.name, "simulated": model.simulated})

    only = [] if token else [loopback_only()]
    routes = [Route("/invocations", invocations, methods=["POST"]), Route("/health", health), Route("/ping", health)]
    return Starlette(routes=routes, middleware=only, exception_handlers={HTTPException: _refuse})


def _sendable(answer: Any) -> Any:
    """An answer without halves of characters, which are no JSON."""
    if isinstance(answer, str):
        return answer.encode("utf-8", "replace").decode()
    if isinstance(answer, dict):
        return {_sendable(key): _sendable(value) for key, value in answer.items()}
    return [_sendable(item) for item in answer] if isinstance(answer, list) else answer


def _has_token(request: Request, token: str) -> bool:
    said = request.headers.get("authorization", "")
    return secrets.compare_digest(said.encode(), f"Bearer {token}".encode())


async def _body(request: Request) -> Any:
    """The JSON of a request; what is too large is not read to its end."""
    raw = b""
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > _MAX_BODY:
            raise UserError(f"the body is larger than {_MAX_BODY} bytes")
    try:
        body = json.loads(raw)
        json.dumps(body, ensure_ascii=False).encode()  # half a character, as in "\\ud800", cannot be sent to a model
        return body
    except (ValueError, RecursionError) as error:
        raise UserError(f"the body is not JSON: {error}") from error


def _rows(body: Any) -> Sequence[Mapping[str, Any]]:
    """The sets of values in a request. Raises `UserError`."""
    given = [name for name in _FORMS if isinstance(body, dict) and name in body]
    if len(given) != 1:
        raise UserError(f'the body is {{"dataframe_records": [{{"variable": "value"}}]}}, or one of {", ".join(_FORMS)}')
    if "params" in body:
        raise UserError("params are settings of the model, which the server was started with; leave them away")
    found = body[given[0]]
    if given == ["dataframe_split"]:
        found = _split(found)
    rows = [found] if isinstance(found, dict) else found
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise UserError(f"{given[0]} is a list of at least one mapping from the prompt's variables to values")
    if len(rows) > _MAX_ROWS:
        raise UserError(f"{len(rows)} rows in one request; at most {_MAX_ROWS} are taken")
    return rows


def _split(found: Any) -> list[dict[str, Any]]:
    """Rows out of columns and cells."""
    columns: Any
    cells: Any
    columns, cells = (found.get("columns"), found.get("data")) if isinstance(found, dict) else (None, None)
    named = isinstance(columns, list) and all(isinstance(column, str) for column in columns)
    if not named or not isinstance(cells, list) or not all(isinstance(row, list) and len(row) == len(columns) for row in cells):
        raise UserError(
            'dataframe_split is {"columns": ["variable"], "data": [["value"]]}, with a cell for each column in each row'
        )
    return [dict(zip(columns, row, strict=True)) for row in cells]


async def _refuse(_request: Request, error: Exception) -> Response:
    """What is asked for in another way, or elsewhere."""
    assert isinstance(error, HTTPException)
    return _error(error.status_code, "BAD_REQUEST", f"{error.detail}: POST /invocations, or GET /health")


def _error(status: int, code: str, message: str) -> JSONResponse:
    return JSONResponse({"error_code": code, "message": message}, status_code=status)
