"""Errors of the OpenAI client in one line that says what to do. No key and no login is in it, even if a server repeats them."""

from __future__ import annotations

import os
from typing import Any

from prompt_registry_plugin.models.servers import Server

_LONGEST = 600  # characters; a proxy may answer with a page


def explain(error: Any, server: Server, name: str, url: str) -> str:
    """Return what failed and what to do. `error` is an `openai.OpenAIError`, `url` the server's address as it may be shown."""
    import openai

    at = f"model {name!r} at {url}"
    if isinstance(error, openai.APITimeoutError):
        return f"{at}: {type(error).__name__}: the server did not answer in time"
    if isinstance(error, openai.APIConnectionError):
        return f"{at}: no server can be reached there ({_cause(error, server)}); {_to_reach(server)}"
    if isinstance(error, openai.AuthenticationError):
        return f"{at}: {_about_key(server)}"
    said = server.hide(str(error))[:_LONGEST]
    if isinstance(error, openai.NotFoundError):
        return f"{at}: {_not_found(error, server, name)} ({said})"
    return f"{at}: {type(error).__name__}: {said}"


def no_such_model(server: Server, name: str, url: str, names: list[str]) -> str:
    """Return the error for a model that a server does not have, with the names that it has."""
    has = f"; it has {', '.join(sorted(names)[:10])}" if names else "; it has no models yet"
    return f"model {name!r} at {url}: {_to_get(server, name)}{has}"


def not_compatible(server: Server, name: str, url: str) -> str:
    """Return the error for a server that answers in another protocol."""
    where = server.address_variable or "the address"
    return f"model {name!r}: {url} answers, but not as an OpenAI-compatible server does; does {where} lack a /v1?"


def _cause(error: BaseException, server: Server) -> str:
    cause = error.__cause__ or error
    return f"{type(error).__name__}: {server.hide(str(cause))}"[:_LONGEST]


def _to_reach(server: Server) -> str:
    if server.is_ollama:
        return "start it with `ollama serve`, or set OLLAMA_HOST to its address"
    if server.url:
        return "start the server, or correct the address in the model's name"
    return "check the network, or OPENAI_BASE_URL" if os.environ.get("OPENAI_BASE_URL") else "check the network"


def _about_key(server: Server) -> str:
    """Return what to do about a refused key. What the server says may repeat the key in parts, so it is left out."""
    if server.login:
        return "the server refuses the login in the address (401); correct it"
    if os.environ.get(server.key_variable):
        return f"the server refuses the key in {server.key_variable} (401); set the right one"
    return f"the server wants a key (401); set {server.key_variable}"


def _not_found(error: Any, server: Server, name: str) -> str:
    if "model" in f"{error.code} {error.message}".lower():
        return _to_get(server, name)
    return f"the server has no such page; does {server.address_variable or 'the address'} lack a /v1?"


def _to_get(server: Server, name: str) -> str:
    if server.is_ollama:
        return f"there is no such model; get it with `ollama pull {name}`"
    return "there is no such model; name one that the server lists under /models"
