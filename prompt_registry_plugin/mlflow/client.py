"""`MlflowClient`, as far as prompts and runs go."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ParamSpec, TypeVar

from prompt_registry_plugin.errors import PromptNotFound
from prompt_registry_plugin.mlflow import linking, runs
from prompt_registry_plugin.mlflow.absent import INSTEAD, NotCarried, missing
from prompt_registry_plugin.mlflow.entities.model_registry.prompt import Prompt
from prompt_registry_plugin.mlflow.entities.model_registry.prompt_version import PromptVersion
from prompt_registry_plugin.mlflow.exceptions import MlflowException, raises_mlflow
from prompt_registry_plugin.mlflow.genai import prompts
from prompt_registry_plugin.prompts.version import PromptVersion as OurVersion
from prompt_registry_plugin.registry import tracked_runs as tracked
from prompt_registry_plugin.registry.current import current_registry, open_registry, use_registry

P = ParamSpec("P")
R = TypeVar("R")


class PagedList(list[PromptVersion]):
    """Results, all of them: `token` is always None."""

    token: str | None = None


class MlflowClient:
    """Prompts and runs by MLflow's method names: of the current registry, or of the one behind `tracking_uri`, for this client alone."""

    def __init__(self, tracking_uri: str | None = None, registry_uri: str | None = None) -> None:
        if registry_uri is not None and registry_uri.startswith(("databricks", "uc")):
            runs.set_registry_uri(registry_uri)  # tells that it changes nothing
            registry_uri = None
        uri = tracking_uri or registry_uri
        self._registry = None if uri is None else open_registry(runs.check_uri(uri))

    def _here(self) -> AbstractContextManager[Any]:
        return nullcontext() if self._registry is None else use_registry(self._registry)

    def _call(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        with self._here():
            return raises_mlflow(function)(*args, **kwargs)

    # --- prompts ----------------------------------------------------------------------------------------------------------

    def register_prompt(
        self, name: str, template: Any, commit_message: str | None = None, tags: Mapping[str, str] | None = None, **more: Any
    ) -> PromptVersion:
        """The new version."""
        return self._call(prompts.register_prompt, name, template, commit_message, tags, **more)

    def load_prompt(
        self, name_or_uri: str, version: int | str | None = None, allow_missing: bool = False, **_more: Any
    ) -> PromptVersion | None:
        """The version that a name or URI points at. Unlike `mlflow.genai.load_prompt`, it is noted in no run."""
        return self._call(prompts.find_version, name_or_uri, version, allow_missing=allow_missing)

    def get_prompt(self, name: str) -> Prompt | None:
        """A prompt as a whole, or None."""
        found = self._call(linking.find_prompt, name)
        if found is None:
            return None
        return Prompt(found.name, None, int(found.created_at.timestamp() * 1000), dict(found.tags))

    def get_prompt_version(self, name: str, version: int | str) -> PromptVersion:
        """A version by number or alias."""
        found = self.load_prompt(name, version)
        assert found is not None
        return found

    get_prompt_version_by_alias = get_prompt_version

    def search_prompts(self, filter_string: str | None = None, max_results: int = 1000, **more: Any) -> PagedList:
        """See `mlflow.genai.search_prompts`."""
        return PagedList(self._call(prompts.search_prompts, filter_string, max_results, order_by=more.get("order_by")))

    def search_prompt_versions(self, name: str, max_results: int | None = None, page_token: str | None = None) -> PagedList:
        """All versions of a prompt, newest first."""
        return PagedList(self._call(prompts.versions_of, name)[:max_results])

    def delete_prompt(self, name: str) -> None:
        """Deletes a prompt with all its versions, for good. Raises `MlflowException` while an alias points at one."""
        self._call(_delete_prompt, name)

    def delete_prompt_version(self, name: str, version: int | str) -> None:
        """Deletes a version, for good. Its number is not used again. Raises `MlflowException` while an alias points at it."""
        self.get_prompt_version(name, int(version))  # says what is missing, if it is
        self._call(lambda: current_registry().delete_version(name, int(version), confirm=True))

    # --- aliases, tags and settings ---------------------------------------------------------------------------------------

    def set_prompt_alias(self, name: str, alias: str, version: int | str) -> None:
        """Points an alias at a version."""
        self._call(prompts.set_prompt_alias, name, alias, version)

    def delete_prompt_alias(self, name: str, alias: str) -> None:
        """Removes an alias; one that is not there is no matter, as with MLflow."""
        self._call(prompts.delete_prompt_alias, name, alias)

    set_registered_prompt_alias = set_registered_model_alias = set_prompt_alias
    delete_registered_prompt_alias = delete_registered_model_alias = delete_prompt_alias

    def set_prompt_tag(self, name: str, key: str, value: str) -> None:
        """Sets a tag of a prompt as a whole."""
        self._call(prompts.set_prompt_tag, name, key, value)

    def delete_prompt_tag(self, name: str, key: str) -> None:
        """Removes a tag of a prompt."""
        self._call(prompts.delete_prompt_tag, name, key)

    def set_prompt_version_tag(self, name: str, version: int | str, key: str, value: str) -> None:
        """Sets a tag of one version."""
        self._call(prompts.set_prompt_version_tag, name, version, key, value)

    def delete_prompt_version_tag(self, name: str, version: int | str, key: str) -> None:
        """Removes a tag of one version."""
        self._call(prompts.delete_prompt_version_tag, name, version, key)

    def set_prompt_model_config(self, name: str, version: int | str, model_config: Any) -> None:
        """See `mlflow.genai.set_prompt_model_config`."""
        self._call(prompts.set_prompt_model_config, name, version, model_config)

    def delete_prompt_model_config(self, name: str, version: int | str) -> None:
        """See `mlflow.genai.delete_prompt_model_config`."""
        self._call(prompts.delete_prompt_model_config, name, version)

    # --- runs -------------------------------------------------------------------------------------------------------------

    def create_run(self, experiment_id: str | None = None, **more: Any) -> runs.Run:
        """A stored run that is not active anywhere."""
        return self._call(runs.create_run, experiment_id, more.get("run_name"), more.get("tags"))

    def create_experiment(self, name: str, **_more: Any) -> str:
        """The id of an experiment, which is its name."""
        return runs.create_experiment(name)

    def get_run(self, run_id: str) -> runs.Run:
        """A stored run."""
        return self._call(runs.get_run, run_id)

    def set_tag(self, run_id: str, key: str, value: Any) -> None:
        """Notes a tag of a run."""
        self._call(tracked.note, run_id, "tags", {key: value})

    def log_param(self, run_id: str, key: str, value: Any) -> None:
        """Notes a parameter of a run."""
        self._call(tracked.note, run_id, "params", {key: value})

    def log_metric(self, run_id: str, key: str, value: float, **_more: Any) -> None:
        """Notes a metric of a run, of which the last value is kept."""
        self._call(tracked.note, run_id, "metrics", {key: value})

    def set_terminated(self, run_id: str, status: str = "FINISHED", **_more: Any) -> None:
        """Ends a run."""
        self._call(tracked.finish_run, run_id, None if status == "FINISHED" else status)

    def link_prompt_version_to_run(self, run_id: str, prompt: str | OurVersion) -> None:
        """Notes in a run that it used a version: an object, or its URI."""
        if not isinstance(prompt, str | OurVersion):
            raise MlflowException.invalid_parameter_value(
                f"The `prompt` argument must be a PromptVersion or a URI such as prompts:/name/1, not {prompt!r:.80}"
            )
        version = self.load_prompt(prompt) if isinstance(prompt, str) else prompt
        assert version is not None
        self._call(linking.link_to_run, run_id, version)

    def list_logged_prompts(self, run_id: str, **_more: Any) -> PagedList:
        """The versions that a run used and that are still there."""
        links = self._call(lambda: linking.links_in(tracked.load_run(run_id).tags.get(linking.LINKED_PROMPTS)))
        found = [self.load_prompt(link["name"], link["version"], allow_missing=True) for link in links]
        return PagedList([version for version in found if version is not None])

    def detach_prompt_from_run(self, run_id: str, prompt_uri: str) -> None:
        """Takes back that a run used a version."""
        version = self.load_prompt(prompt_uri)
        assert version is not None
        self._call(linking.unlink_from_run, run_id, version.name, version.version)

    def link_prompt_version_to_model(self, name: str, version: int | str, model_id: str) -> None:
        """Raises `NotCarried`: an agent is code here, and not stored as a model that prompts could be noted in."""
        missing("mlflow.MlflowClient", "link_prompt_version_to_model")

    def __getattr__(self, name: str) -> Any:
        if name in INSTEAD:
            raise NotCarried(f"MlflowClient.{name} is not carried over; instead: {INSTEAD[name]}")
        if name.startswith("_"):
            raise AttributeError(name)
        raise AttributeError(f"MlflowClient has no {name!r} here; docs/mlflow.md lists what it has")


def _delete_prompt(name: str) -> None:
    registry = current_registry()
    if linking.find_prompt(name) is not None:
        registry.delete_prompt(name, confirm=True)
        return
    deletions = [change for change in registry.store.prompts.changes(name) if change.kind == "deletion"]
    if not deletions or deletions[-1].version is None:
        raise PromptNotFound(f"Prompt with name={name} not found. There is no such prompt in {registry.place}")
    # Its versions were deleted one by one, as Unity Catalog asks for, and it went with the last one.
