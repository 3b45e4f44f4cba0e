"""The model that a LangSmith prompt was saved with: its settings, tools and response format."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from prompt_registry_plugin.transfer.formats.credentials import without_credentials
from prompt_registry_plugin.transfer.formats.langsmith_messages import class_of
from prompt_registry_plugin.transfer.formats.model_settings import split_settings

_CLIENT = re.compile(
    r"(?:^|_)base(?:_url)?$|endpoint$|_proxy$|organization$|^(?:max_retries|request_timeout|timeout|streaming|use_responses_api)$"
)
_INTERNAL = frozenset("client async_client root_client root_async_client cache callbacks verbose stream_usage disable_streaming "
                      "output_version name metadata tags profile http_client http_async_client custom_get_token_ids".split())  # fmt: skip


@dataclass(slots=True)
class Model:
    """A model's settings as the registry keeps them."""

    name: str = ""
    """Its class in LangChain."""
    config: dict[str, Any] = field(default_factory=dict)
    response_format: dict[str, Any] | None = None
    tools: list[dict[str, Any]] | None = None
    notes: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def read_model(step: Mapping[str, Any]) -> Model:
    """Return the settings of a model, and of the arguments that are bound to it."""
    bound = step.get("kwargs") or {}
    inner = bound.get("bound") if class_of(step) == "RunnableBinding" else step
    if not class_of(inner):
        return Model(left_out=["the model: it cannot be read"])
    model = Model(class_of(inner))
    settings = dict(inner.get("kwargs") or {}) if isinstance(inner, Mapping) else {}
    settings |= settings.pop("model_kwargs", None) or {}
    if class_of(step) == "RunnableBinding":
        settings |= bound.get("kwargs") or {}
    if "model_name" in settings and "model" not in settings:
        settings["model"] = settings.pop("model_name")
    _read_settings(model, settings)
    return model


def _read_settings(model: Model, settings: dict[str, Any]) -> None:
    settings, model.response_format, model.tools, notes = split_settings(settings)
    model.notes += notes
    for key, value in list(settings.items()):
        if value is None or key in _INTERNAL or (isinstance(value, Mapping) and value.get("type") == "secret"):
            del settings[key]
    for key in [key for key in settings if _CLIENT.search(key)]:
        del settings[key]
        model.notes.append(f"{key!r} stays with the program that calls the model")
    for key in [key for key, value in settings.items() if isinstance(value, Mapping) and "lc" in value]:
        model.left_out.append(f"the model's {key!r}: it is an object of a program")
        del settings[key]
    model.config, dropped = without_credentials(settings, "model")
    model.left_out += dropped
