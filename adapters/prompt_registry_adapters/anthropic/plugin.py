"""The entry point; importing it does not import the client."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from prompt_registry_plugin import hookimpl

if TYPE_CHECKING:
    from prompt_registry_plugin.protocols import Adapter, Model

_CLIENTS = ("Anthropic", "AsyncAnthropic", "AnthropicVertex", "AsyncAnthropicVertex", "AnthropicBedrock", "AsyncAnthropicBedrock")


@hookimpl
def prompt_registry_adapters() -> Sequence[Adapter]:
    """The adapter of the client `anthropic`."""
    from prompt_registry_adapters.anthropic.adapter import AnthropicAdapter

    return [AnthropicAdapter()]


@hookimpl
def prompt_registry_model(spec: Any) -> Model | None:
    """A client and the name of a model, `(client, "name")`, or `anthropic:<name>`."""
    from prompt_registry_adapters.clients.model import client_and_name, name_of

    if (name := name_of(spec, "anthropic")) is not None:
        from prompt_registry_adapters.anthropic.model import named_model

        return named_model(name)
    found = client_and_name(spec, "anthropic", _CLIENTS)
    if found is None:
        return None
    from prompt_registry_adapters.anthropic.model import AnthropicModel

    return AnthropicModel(found[1], found[0])
