"""The built-in models: `offline:task`, `offline:reflection`, `offline:judge`, `openai:<name>`, `ollama:<name>` and `openai+http://…:<name>`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast, get_args

from prompt_registry_plugin.errors import UserError
from prompt_registry_plugin.hookspecs import hookimpl

if TYPE_CHECKING:
    from prompt_registry_plugin.protocols import Model


@hookimpl
def prompt_registry_model(spec: Any) -> Model | None:
    """Return the model that a string names, or None. `openai:/name` works too, since MLflow writes it so."""
    if not isinstance(spec, str):
        return None
    provider, colon, name = spec.partition(":")
    name = name.removeprefix("/")
    if not colon or not name:
        return None
    if provider == "offline":
        from prompt_registry_plugin.models.offline.model import OfflineModel, OfflineSettings, Role

        role, _, seed = name.partition("?seed=")
        settings = OfflineSettings(seed=int(seed) if seed.isdigit() else 0)
        if role in get_args(Role):
            return OfflineModel(cast("Role", role), settings)
        raise UserError(
            f"there is no simulated model {spec!r}; there are {', '.join(f'offline:{role}' for role in get_args(Role))}"
        )
    if provider == "openai":
        from prompt_registry_plugin.models.openai import OpenAIModel

        return OpenAIModel(name)
    if provider == "ollama":
        from prompt_registry_plugin.models.openai import OpenAIModel
        from prompt_registry_plugin.models.servers import ollama

        return OpenAIModel(name, ollama())
    if provider in ("openai+http", "openai+https"):
        from prompt_registry_plugin.models.openai import OpenAIModel
        from prompt_registry_plugin.models.servers import server_and_name

        server, name = server_and_name(spec)
        return OpenAIModel(name, server)
    return None
