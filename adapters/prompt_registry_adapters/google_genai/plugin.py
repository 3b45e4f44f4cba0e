"""The entry point; importing it does not import the client."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from prompt_registry_plugin import hookimpl

if TYPE_CHECKING:
    from prompt_registry_plugin.protocols import Adapter


@hookimpl
def prompt_registry_adapters() -> Sequence[Adapter]:
    """The adapter of the client `google-genai`."""
    from prompt_registry_adapters.google_genai.adapter import GoogleGenAIAdapter

    return [GoogleGenAIAdapter()]
