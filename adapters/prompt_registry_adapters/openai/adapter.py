"""Switching the adapter on and off: the transport of both clients is wrapped, which Azure's and a subclass's have as well."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from prompt_registry_adapters.clients.adapter import ClientAdapter
from prompt_registry_plugin.frameworks.adapter import Framework, Seam

if TYPE_CHECKING:
    from prompt_registry_adapters.clients.unrecorded import Unrecorded


class OpenAIAdapter(ClientAdapter):
    """Serves adopted texts in chat completions and responses, and records the calls."""

    name = "openai"
    framework = Framework("the OpenAI client", "openai", "openai", "openai", lowest="2", below="4")

    def seams(self) -> Iterable[Seam]:
        """Return the methods that send a request."""
        from openai import _base_client

        from prompt_registry_adapters.clients.chat import Chat
        from prompt_registry_adapters.clients.requests import client_seams
        from prompt_registry_adapters.clients.responses import Responses

        return client_seams(_base_client, {"/chat/completions": Chat(), "/responses": Responses()}, self.switch)

    def unrecorded(self) -> Iterable[Unrecorded]:
        """Return the connections that stay open for many calls."""
        from prompt_registry_adapters.clients.unrecorded import Unrecorded

        resources = (
            ("realtime.realtime", "Realtime"),
            ("beta.realtime.realtime", "Realtime"),
            ("responses.responses", "Responses"),
        )
        for module, name in resources:
            for owner in (name, f"Async{name}"):
                yield Unrecorded(f"openai.resources.{module}", owner, "connect", f"{name.lower()}.connect")
