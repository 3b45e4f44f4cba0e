"""A Google GenAI client with the name of a model, or `google:<name>`, as a model."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from prompt_registry_adapters.clients.model import ClientModel, renamed, split_system
from prompt_registry_plugin.errors import PluginError, UserError
from prompt_registry_plugin.protocols import Reply
from prompt_registry_plugin.records import Usage

_NAMES = {"max_tokens": "max_output_tokens", "stop": "stop_sequences"}


class GoogleGenAIModel(ClientModel):
    """Asks for generated content."""

    def method(self, client: Any) -> Callable[..., Any]:
        """Return `models.generate_content`."""
        models = client.models if self._make is None else client.aio.models
        return models.generate_content  # type: ignore[no-any-return]

    def request(self, messages: Sequence[Mapping[str, Any]], params: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments; system messages become the system instruction."""
        system, others = split_system(messages)
        roles = {"assistant": "model"}
        contents = [
            {"role": roles.get(message["role"], message["role"]), "parts": [{"text": str(message["content"])}]}
            for message in others
        ]
        config = {**renamed(params, _NAMES), **({"system_instruction": system} if system else {})}
        return {"model": self.name, "contents": contents, "config": config}

    def reply(self, answer: Any) -> Reply:
        """Return the text of the first candidate; thoughts count as answered."""
        used = answer.usage_metadata
        given = [getattr(used, name, None) or 0 for name in ("prompt_token_count", "tool_use_prompt_token_count")]
        said = [getattr(used, name, None) or 0 for name in ("candidates_token_count", "thoughts_token_count")]
        return Reply(answer.text or "", Usage(sum(given), sum(said), 1))

    async def close(self, client: Any) -> None:
        """Close both sides of the client."""
        await client.aio.aclose()
        client.close()


def named_model(name: str) -> GoogleGenAIModel:
    """Return the model of a name. Raises `PluginError` without the package, `UserError` without `GOOGLE_API_KEY` or `GEMINI_API_KEY`."""
    try:
        from google.genai import Client
    except ImportError as error:
        raise PluginError(
            "the Google GenAI client is not installed: pip install 'prompt-registry-plugin[google-genai]'"
        ) from error
    if not any(os.environ.get(key) for key in ("GOOGLE_API_KEY", "GEMINI_API_KEY", "GOOGLE_GENAI_USE_VERTEXAI")):
        raise UserError(f"model {name!r} needs the environment variable GOOGLE_API_KEY or GEMINI_API_KEY")
    return GoogleGenAIModel(name, make=Client)
