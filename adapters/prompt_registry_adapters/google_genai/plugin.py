"""The entry point; importing it does not import the client."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from prompt_registry_plugin import hookimpl

if TYPE_CHECKING:
    from prompt_registry_plugin.protocols import Adapter, Model

_CLIENTS = ("Client",)


@hookimpl
def prompt_registry_adapters() -> Sequence[Adapter]:
    """The adapter of the client `google-genai`."""
    from prompt_registry_adapters.google_genai.adapter import GoogleGenAIAdapter

    return [GoogleGenAIAdapter()]


@hookimpl
def prompt_registry_model(spec: Any) -> Model | None:
    """A client and the name of a model, `(client, "name")`, or `google:<name>`."""
    from prompt_registry_adapters.clients.model import client_and_name, name_of

    if (name := name_of(spec, "google")) is not None:
        from prompt_registry_adapters.google_genai.model import named_model

        return named_model(name)
    found = client_and_name(spec, "google.genai", _CLIENTS)
    if found is None:
        return None
    from prompt_registry_adapters.google_genai.model import GoogleGenAIModel

    return GoogleGenAIModel(found[1], found[0])
