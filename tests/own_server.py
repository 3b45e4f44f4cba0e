"""A server on loopback that speaks OpenAI's protocol: a list of models, a key that it wants, and the simulated model behind it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from typing import Any, ClassVar, cast

from prompt_registry_plugin.models.offline.model import OfflineModel, Role
from tests.loopback import QuietHandler, serving

MODELS = {"org/task:1b": "task", "llama3.2:latest": "task", "org/reflection:8b@q4": "reflection", "judge": "judge"}


class OwnServer(ThreadingHTTPServer):
    """Refuses requests whose `Authorization` is not `wants`, and models that are not in `MODELS`."""

    daemon_threads = True
    request_queue_size = 64
    wants: str | None
    """The header that is wanted; None if any is."""
    seen: list[tuple[str, str, dict[str, Any]]]
    """Path, `Authorization` and body of each request so far."""
    repeats: str
    """What the error about a model repeats."""
    refuses_after: int | None
    """Requests after which every other is refused; None for no limit."""

    @property
    def host(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.server_port}"

    @property
    def keys(self) -> set[str]:
        """The headers `Authorization` so far."""
        return {key for _, key, _ in self.seen}


@contextmanager
def own_server() -> Iterator[OwnServer]:
    """A block in which the server runs."""
    server = OwnServer(("127.0.0.1", 0), _Handler)
    server.wants, server.seen, server.refuses_after, server.repeats = None, [], None, ""
    with serving(server):
        yield server


class _Handler(QuietHandler):
    server: OwnServer
    errors: ClassVar[dict[int, str]] = {404: "model_not_found", 401: "invalid_api_key"}

    def do_GET(self) -> None:
        if self._is_allowed({}):
            self._send(200, {"object": "list", "data": [{"id": name, "object": "model"} for name in MODELS]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if not self._is_allowed(body):
            return
        name = body.get("model", "")
        if self.path != "/v1/chat/completions":
            self._send(404, {"error": f"page not found {self.server.repeats}"})
        elif (role := MODELS.get(name) or MODELS.get(f"{name}:latest")) is None:
            self._refuse(404, f"The model `{name}` does not exist.")
        elif self.server.refuses_after is not None and len(self.server.seen) > self.server.refuses_after:
            self._refuse(400, "it was told to fail")
        else:
            self._answer(body, OfflineModel(cast("Role", role)).reply(body["messages"]).text)

    def _answer(self, body: dict[str, Any], text: str) -> None:
        used = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
        whole = {"id": "1", "object": "chat.completion", "created": 1, "model": body["model"], "usage": used}
        if not body.get("stream"):
            message = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
            self._send(200, {**whole, "choices": [message]})
            return
        chunk = {**whole, "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": text}}]}
        self._send(200, f"data: {json.dumps(chunk)}\n\ndata: [DONE]\n\n")

    def _is_allowed(self, body: dict[str, Any]) -> bool:
        key = self.headers["authorization"] or ""
        self.server.seen.append((self.path, key, body))
        if self.server.wants in (None, key):
            return True
        self._refuse(401, f"Incorrect key provided: {key}")  # some servers repeat it
        return False

    def _refuse(self, status: int, message: str) -> None:
        self._send(status, {"error": {"message": message, "type": "error", "code": self.errors.get(status)}})

    def _send(self, status: int, data: dict[str, Any] | str) -> None:
        kind = "text/event-stream" if isinstance(data, str) else "application/json"
        self.send(status, kind, (data if isinstance(data, str) else json.dumps(data)).encode())
