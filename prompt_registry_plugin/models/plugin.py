"""The built-in models: `offline:task`, `offline:reflection` and `openai:<name>`."""

from __future__ import annotations

from typing import Any

from prompt_registry_plugin.errors import UserError
from prompt_registry_plugin.hookspecs import hookimpl
from prompt_registry_plugin.protocols import Model


@hookimpl
def prompt_registry_model(spec: Any) -> Model | None:
    """Resolves strings; `openai:/name` is read as well, since MLflow writes it so."""
    if not isinstance(spec, str):
        return None
    provider, colon, name = spec.partition(":")
    name = name.removeprefix("/")
    if not colon or not name:
        return None
    if provider == "offline":
        from prompt_registry_plugin.models.offline import OfflineModel, OfflineSettings

        role, _, seed = name.partition("?seed=")
        settings = OfflineSettings(seed=int(seed) if seed.isdigit() else 0)
        if role == "task":
            return OfflineModel("task", settings)
        if role == "reflection":
            return OfflineModel("reflection", settings)
        raise UserError(f"there is no simulated model {spec!r}; there are 'offline:task' and 'offline:reflection'")
    if provider == "openai":
        from prompt_registry_plugin.models.openai import OpenAIModel

        return OpenAIModel(name)
    return None
