"""A Google GenAI client with the name of a model, or `google:<name>`, as a model."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from prompt_registry_adapters.clients.model import ClientModel, functions_of, renamed, schema_of, split_system
from prompt_registry_plugin.errors import PluginError, UserError
from prompt_registry_plugin.models.settings import note_left_out
from prompt_registry_plugin.plain.messages import parts_answer
from prompt_registry_plugin.protocols import Reply
from prompt_registry_plugin.records import Usage

_NAMES = {
    "max_tokens": "max_output_tokens",
    "max_completion_tokens": "max_output_tokens",
    "stop": "stop_sequences",
    "n": "candidate_count",
}


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
        from google.genai.types import GenerateContentConfig

        contents = [
            {"role": roles.get(message["role"], message["role"]), "parts": [{"text": str(message["content"])}]}
            for message in others
        ]
        given = content_settings(params)
        unknown = sorted(given.keys() - GenerateContentConfig.model_fields.keys())
        note_left_out(self.name, unknown)
        taken = {name: value for name, value in given.items() if name not in unknown}
        config = {**taken, **({"system_instruction": system} if system else {})}
        return {"model": self.name, "contents": contents, "config": config}

    def reply(self, answer: Any) -> Reply:
        """Return the text of the first candidate; thoughts count as answered."""
        used = answer.usage_metadata
        given = [getattr(used, name, None) or 0 for name in ("prompt_token_count", "tool_use_prompt_token_count")]
        said = [getattr(used, name, None) or 0 for name in ("candidates_token_count", "thoughts_token_count")]
        usage = Usage(sum(given), sum(said), 1)
        parts = getattr(answer.candidates[0].content, "parts", None) if answer.candidates else None
        found = parts_answer(parts or ())
        if isinstance(found, str):
            return Reply(found, usage)
        return Reply(found.get("content", ""), usage, found["tool_calls"])

    async def close(self, client: Any) -> None:
        """Close both sides of the client."""
        await client.aio.aclose()
        client.close()


def content_settings(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings of the chat protocol by the names of `GenerateContentConfig`; others as they are."""
    made = renamed(params, _NAMES)
    if isinstance(made.get("stop_sequences"), str):
        made["stop_sequences"] = [made["stop_sequences"]]
    wanted = made.pop("response_format", None)
    if isinstance(wanted, Mapping) and wanted.get("type") in ("json_schema", "json_object"):
        made["response_mime_type"] = "application/json"
        if (schema := schema_of(wanted)) is not None:
            made["response_json_schema"] = schema
    if functions := functions_of(made.pop("tools", None)):
        made["tools"] = [{"function_declarations": [_declaration(function) for function in functions]}]
    if (choice := made.pop("tool_choice", None)) is not None:
        made["tool_config"] = {"function_calling_config": _calling(choice)}
    return made


def _declaration(function: Mapping[str, Any]) -> dict[str, Any]:
    shown = {key: function[key] for key in ("name", "description") if key in function}
    return {**shown, **({"parameters_json_schema": function["parameters"]} if function.get("parameters") else {})}


def _calling(choice: Any) -> dict[str, Any]:
    if isinstance(choice, Mapping) and isinstance(choice.get("function"), Mapping):
        return {"mode": "ANY", "allowed_function_names": [choice["function"].get("name")]}
    return {"mode": {"required": "ANY", "none": "NONE"}.get(str(choice), "AUTO")}


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
