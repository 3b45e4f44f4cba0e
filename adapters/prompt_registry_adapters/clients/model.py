"""A client and the name of a model, `(client, "name")`, as a `Model`."""

from __future__ import annotations

import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from inspect import Signature
from typing import Any

from prompt_registry_plugin.concurrency import call
from prompt_registry_plugin.errors import ModelUnavailable, UserError
from prompt_registry_plugin.masking import mask_secrets
from prompt_registry_plugin.masking.forms import MARK
from prompt_registry_plugin.protocols import Reply

_KEYS = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "GOOGLE_API_KEY", "GEMINI_API_KEY", "OPENAI_API_KEY")
_SHORTEST_KEY = 4  # characters: a shorter one would be found in ordinary words
_LONGEST = 600  # characters; a proxy may answer with a page


class ClientModel(ABC):
    """Asks the given client, sync or async; with a function in its place, one that is made for each call.

    A client belongs to one event loop, and sync callers may start a new loop for each run.
    """

    simulated = False

    def __init__(self, name: str, client: Any = None, make: Callable[[], Any] | None = None) -> None:
        self.name = name
        self._client = client
        self._make = make

    async def __call__(self, messages: Sequence[Mapping[str, Any]], **params: Any) -> Reply:
        """Return the model's answer. Raises `ModelUnavailable` if the server cannot be reached or refuses."""
        client = self._make() if self._make else self._client
        try:
            return self.reply(await call(self.method(client), **self.request(messages, params)))
        except Exception as error:
            if "unexpected keyword argument" in str(error):
                raise UserError(f"model {self.name!r} does not take a setting that it was given: {error}") from error
            raise ModelUnavailable(f"model {self.name!r} failed: {_explain(error, client)}") from error
        finally:
            if self._make:
                await self.close(client)

    async def check(self) -> None:  # noqa: B027  every model has it
        """Check nothing: the client is the caller's, and may know no call that costs nothing."""

    @abstractmethod
    def method(self, client: Any) -> Callable[..., Any]:
        """Return the method of the client to call."""

    @abstractmethod
    def request(self, messages: Sequence[Mapping[str, Any]], params: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments of the call; `params` have the names of the chat protocol."""

    @abstractmethod
    def reply(self, answer: Any) -> Reply:
        """Return the text and the tokens of an answer."""

    async def close(self, client: Any) -> None:
        """Close a client that was made for the call."""
        await client.close()


def _explain(error: Exception, client: Any) -> str:
    """Return an error of a client in one line, with what to do where that is known, and without keys, which a server may repeat."""
    text = f"{type(error).__name__}: {error}"
    keys = [os.environ.get(name, "") for name in _KEYS] + [str(getattr(client, "api_key", None) or "")]
    for key in sorted(keys, key=len, reverse=True):
        if len(key) >= _SHORTEST_KEY:
            text = text.replace(key, MARK)
    text = mask_secrets(" ".join(text.split()))[:_LONGEST]
    status = getattr(error, "status_code", None) or getattr(error, "code", None)
    if status == 401 or "API_KEY_INVALID" in text or "API key not valid" in text:
        return "the server refuses the key; set the right one in the environment, or in the client that you pass"
    if status == 404:
        return f"the server has no such model; check its name ({text})"
    if type(error).__name__ in ("APIConnectionError", "ConnectError"):
        return f"the server cannot be reached; check the network and the address of the server ({text})"
    return text


def name_of(spec: Any, provider: str) -> str | None:
    """Return the name in `provider:name` or `provider:/name`, or None."""
    if not isinstance(spec, str):
        return None
    given, colon, name = spec.partition(":")
    return name.removeprefix("/") or None if colon and given == provider else None


def client_and_name(spec: Any, module: str, classes: Sequence[str]) -> tuple[Any, str] | None:
    """Return the client and the name of a model, or None for anything else. Raises `UserError` for a client without a name."""
    client, name = spec if isinstance(spec, tuple) and len(spec) == 2 else (spec, None)
    loaded = sys.modules.get(module)  # nobody can hold a client before this was imported
    if not isinstance(client, tuple(kind for each in classes if (kind := getattr(loaded, each, None)) is not None)):
        return None
    if not isinstance(name, str):
        raise UserError(f"a client of {module} answers for many models: pass it with a name, (client, 'the-model')")
    return client, name


def split_system(messages: Sequence[Mapping[str, Any]]) -> tuple[str, list[Mapping[str, Any]]]:
    """Return the system texts as one, and the other messages. Where there is no other, the texts are the user's."""
    system = "\n\n".join(str(message["content"]) for message in messages if message["role"] in ("system", "developer"))
    others = [message for message in messages if message["role"] not in ("system", "developer")]
    return (system, others) if others else ("", [{"role": "user", "content": system}])


def split_known(params: Mapping[str, Any], signature: Signature | None) -> tuple[dict[str, Any], list[str]]:
    """Return the parameters that a method has, and the names of the others."""
    if signature is None or any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values()):
        return dict(params), []
    taken = {name: value for name, value in params.items() if name in signature.parameters}
    return taken, sorted(params.keys() - taken.keys())


def schema_of(response_format: Any) -> dict[str, Any] | None:
    """Return the JSON Schema in a response format of the chat protocol, or None."""
    described = response_format.get("json_schema") if isinstance(response_format, Mapping) else None
    schema = described.get("schema") if isinstance(described, Mapping) else None
    return dict(schema) if isinstance(schema, Mapping) else None


def functions_of(tools: Any) -> list[dict[str, Any]]:
    """Return the functions among tools of the chat protocol: mappings of `name`, `description` and `parameters`."""
    found = [tool.get("function") for tool in tools or () if isinstance(tool, Mapping)]
    return [dict(function) for function in found if isinstance(function, Mapping)]


def renamed(params: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Return the parameters by the client's names."""
    return {names.get(name, name): value for name, value in params.items()}
