"""`MlflowClient`, as far as prompts go."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from prompt_registry_plugin.mlflow import tracking
from prompt_registry_plugin.mlflow.absent import INSTEAD, NotCarried
from prompt_registry_plugin.mlflow.genai import prompts
from prompt_registry_plugin.prompts.version import PromptVersion
from prompt_registry_plugin.registry.current import current_registry, open_registry, use_registry


class MlflowClient:
    """Prompts by MLflow's method names: of the current registry, or of the one behind `tracking_uri`, for this client alone."""

    def __init__(self, tracking_uri: str | None = None, registry_uri: str | None = None) -> None:
        uri = tracking_uri or registry_uri
        self._registry = None if uri is None else open_registry(tracking.check_uri(uri))

    def _here(self) -> AbstractContextManager[Any]:
        return nullcontext() if self._registry is None else use_registry(self._registry)

    def set_prompt_alias(self, name: str, alias: str, version: int | str) -> None:
        """Points an alias at a version."""
        with self._here():
            prompts.set_prompt_alias(name, alias, version)

    def delete_prompt_alias(self, name: str, alias: str) -> None:
        """Removes an alias; one that is not there is no matter, as with MLflow."""
        with self._here():
            prompts.delete_prompt_alias(name, alias)

    set_registered_prompt_alias = set_registered_model_alias = set_prompt_alias
    delete_registered_prompt_alias = delete_registered_model_alias = delete_prompt_alias

    def register_prompt(
        self, name: str, template: Any, commit_message: str | None = None, tags: Mapping[str, str] | None = None, **more: Any
    ) -> PromptVersion:
        """The new version."""
        with self._here():
            return prompts.register_prompt(name, template, commit_message, tags, **more)

    def load_prompt(
        self, name_or_uri: str, version: int | str | None = None, allow_missing: bool = False
    ) -> PromptVersion | None:
        """The version that a name or URI points at."""
        with self._here():
            return current_registry().load_prompt(name_or_uri, version, allow_missing=allow_missing)

    def get_prompt_version(self, name: str, version: int | str) -> PromptVersion:
        """A version by number or alias."""
        with self._here():
            return current_registry().load_prompt(name, version)

    get_prompt_version_by_alias = get_prompt_version

    def search_prompts(self, filter_string: str | None = None, max_results: int = 1000, **more: Any) -> list[PromptVersion]:
        """See `mlflow.genai.search_prompts`."""
        with self._here():
            return prompts.search_prompts(filter_string, max_results, **more)

    def search_prompt_versions(self, name: str, max_results: int | None = None) -> list[PromptVersion]:
        """All versions of a prompt, newest first."""
        with self._here():
            return prompts.versions_of(name)[:max_results]

    def get_run(self, run_id: str) -> tracking.Run:
        """A stored run."""
        return tracking.get_run(run_id)

    def __getattr__(self, name: str) -> Any:
        if name in INSTEAD:
            raise NotCarried(f"MlflowClient.{name} is not carried over; instead: {INSTEAD[name]}")
        if name.startswith("_"):
            raise AttributeError(name)
        raise AttributeError(f"MlflowClient has no {name!r} here; docs/mlflow.md lists what it has")
