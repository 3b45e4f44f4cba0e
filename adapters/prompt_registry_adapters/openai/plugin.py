"""The entry point; importing it does not import the client."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from prompt_registry_plugin import hookimpl

if TYPE_CHECKING:
    from prompt_registry_plugin.protocols import Adapter, Model

_CLIENTS = ("OpenAI", "AsyncOpenAI")


@hookimpl
def prompt_registry_adapters() -> Sequence[Adapter]:
    """The adapter of the client `openai`."""
    from prompt_registry_adapters.openai.adapter import OpenAIAdapter

    return [OpenAIAdapter()]


@hookimpl
def prompt_registry_model(spec: Any) -> Model | None:
    """A client and the name of a model, `(client, "name")`."""
    from prompt_registry_adapters.clients.model import client_and_name

    found = client_and_name(spec, "openai", _CLIENTS)
    if found is None:
        return None
    from prompt_registry_adapters.openai.model import OpenAIClientModel

    return OpenAIClientModel(found[1], found[0])
