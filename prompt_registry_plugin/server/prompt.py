"""A prompt with a model as a small HTTP server, with the requests that MLflow's model servers take."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from prompt_registry_plugin.answering import PromptAgent
from prompt_registry_plugin.current import current_registry
from prompt_registry_plugin.errors import PromptRegistryError, RunError, UserError

_MAX_BODY, _MAX_ROWS, _AT_ONCE = 10_000_000, 1_000, 16
LOOPBACK = ("127.0.0.1", "localhost", "::1")


def create_prompt_app(agent: PromptAgent, token: str | None = None) -> Starlette:
    """The application: `POST /invocations`, and `GET /health`, which needs no token. Without a token it answers to loopback names only.

    The body is `{"dataframe_records": [{…}]}`, or `dataframe_split`, `instances` or `inputs`; the answer is `{"predictions": […]}`.
    The prompt is loaded for each request, so that a moved alias counts at once.
    """
    slots = asyncio.Semaphore(_AT_ONCE)

    async def one(row: Mapping[str, Any]) -> str:
        async with slots:
            return await agent(row)

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
            return JSONResponse({"predictions": await asyncio.gather(*(one(row) for row in rows))})
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

    # A page in a browser may send requests to loopback, under a name of its own that leads there.
    only = [] if token else [Middleware(TrustedHostMiddleware, allowed_hosts=list(LOOPBACK))]
    routes = [Route("/invocations", invocations, methods=["POST"]), Route("/health", health), Route("/ping", health)]
    return Starlette(routes=routes, middleware=only)


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
        return json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise UserError(f"the body is not JSON: {error}") from error


def _rows(body: Any) -> Sequence[Mapping[str, Any]]:
    """The sets of values in a request. Raises `UserError`."""
    found: Any = None
    if isinstance(body, dict):
        found = body.get("dataframe_records", body.get("instances", body.get("inputs")))
        split = body.get("dataframe_split")
        if isinstance(split, dict) and isinstance(split.get("columns"), list) and isinstance(split.get("data"), list):
            found = [dict(zip(split["columns"], row, strict=False)) if isinstance(row, list) else row for row in split["data"]]
    rows = [found] if isinstance(found, dict) else found
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise UserError('the body is {"dataframe_records": [{"variable": "value"}]}')
    if len(rows) > _MAX_ROWS:
        raise UserError(f"{len(rows)} rows in one request; at most {_MAX_ROWS} are taken")
    return rows


def _error(status: int, code: str, message: str) -> JSONResponse:
    return JSONResponse({"error_code": code, "message": message}, status_code=status)
