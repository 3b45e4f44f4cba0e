"""Switching the adapter on and off: four methods of the one object that all of a client's requests pass, of Vertex AI too."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from prompt_registry_adapters.clients.adapter import ClientAdapter
from prompt_registry_plugin.frameworks.adapter import Framework, Seam

if TYPE_CHECKING:
    from prompt_registry_adapters.clients.unrecorded import Unrecorded


class GoogleGenAIAdapter(ClientAdapter):
    """Serves adopted texts in `generate_content` and chats, and records the calls."""

    name = "google_genai"
    framework = Framework("the Google GenAI client", "google.genai", "google-genai", "google-genai", lowest="1.50", below="4")

    def seams(self) -> Iterable[Seam]:
        """Return the methods that send a request."""
        from google.genai._api_client import BaseApiClient

        from prompt_registry_adapters.google_genai import transport

        return [(BaseApiClient, method, wrap(self.switch)) for method, wrap in transport.WRAPPED]

    def unrecorded(self) -> Iterable[Unrecorded]:
        """Return the live API, and the interactions of every version."""
        from prompt_registry_adapters.clients.unrecorded import Unrecorded

        yield Unrecorded("google.genai.live", "AsyncLive", "connect", "live.connect")
        for module, owner in (
            ("_gaos.interactions", "Interactions"),
            ("_interactions.resources.interactions", "InteractionsResource"),
        ):
            for name in (owner, f"Async{owner}"):
                yield Unrecorded(f"google.genai.{module}", name, "create", "interactions.create")
