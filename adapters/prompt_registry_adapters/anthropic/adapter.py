"""Switching the adapter on and off: the transport of both clients is wrapped, which those of clouds and a subclass's have as well.

A client's `middleware=[…]` is the official place, but belongs to one client.
"""

from __future__ import annotations

from collections.abc import Iterable

from prompt_registry_adapters.clients.adapter import ClientAdapter
from prompt_registry_plugin.frameworks.adapter import Framework, Seam


class AnthropicAdapter(ClientAdapter):
    """Serves adopted texts in messages, and records the calls."""

    name = "anthropic"
    framework = Framework("the Anthropic client", "anthropic", "anthropic", "anthropic", lowest="0.75", below="3")

    def seams(self) -> Iterable[Seam]:
        """Return the methods that send a request."""
        from anthropic import _base_client

        from prompt_registry_adapters.clients.anthropic_messages import Messages
        from prompt_registry_adapters.clients.requests import client_seams

        return client_seams(_base_client, {"/messages": Messages()}, self.switch)
