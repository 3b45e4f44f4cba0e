"""Taking a port and serving on it."""

from __future__ import annotations

import socket
from collections.abc import Callable

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

from prompt_registry_plugin.errors import ModelUnavailable

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def loopback_only() -> Middleware:
    """Return a middleware that refuses requests under other names than loopback's.

    A page in a browser may send requests to loopback, under a name of its own that leads there. Starlette makes "[" of `[::1]:8000`.
    """
    return Middleware(TrustedHostMiddleware, allowed_hosts=[*LOOPBACK, "["])


def listen(app: Starlette, host: str, port: int, ready: Callable[[str], None]) -> None:
    """Serves until interrupted; `ready` is told the address once the port is taken. Raises `ModelUnavailable` when it is not free."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen()  # who is told the address may ask at once
    except OSError as error:
        listener.close()
        raise ModelUnavailable(
            f"port {port} on {host} cannot be used: {error.strerror or error}; choose another with --port"
        ) from error
    ready(f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}")
    config = uvicorn.Config(app, log_level="warning", access_log=False, lifespan="off")
    uvicorn.Server(config).run(sockets=[listener])
