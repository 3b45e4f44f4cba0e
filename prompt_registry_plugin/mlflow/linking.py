"""Which prompts a run, a span or an experiment used: noted where MLflow notes it, as `[{"name": …, "version": …}]`.

What a prompt was *rendered* to, and where, is in the traces (`trace.prompts`) without any of this.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from prompt_registry_plugin import uri
from prompt_registry_plugin.errors import PromptRegistryError
from prompt_registry_plugin.frameworks.notices import warn_once
from prompt_registry_plugin.mlflow import runs
from prompt_registry_plugin.mlflow.exceptions import MlflowException
from prompt_registry_plugin.prompts.version import PromptVersion
from prompt_registry_plugin.records import Prompt
from prompt_registry_plugin.registry import tracked_runs as tracked
from prompt_registry_plugin.registry.current import current_registry

LINKED_PROMPTS = "mlflow.linkedPrompts"
"""The tag of a run, and the attribute of a span."""
EXPERIMENTS = "_mlflow_experiment_ids"
"""The tag of a prompt: `,first,second,`."""

current_links: ContextVar[Callable[[PromptVersion], None] | None] = ContextVar("prompt_registry_mlflow_span", default=None)
"""Notes a prompt on the span that is open here."""

_seen: set[tuple[str, str, str]] = set()  # what this process has linked, so that a load in a loop does not write each time


def link_here(version: PromptVersion) -> None:
    """Notes a version that was loaded: in the run that is active, also for other threads, on the open span, and in the experiment.

    Never raises: where that cannot be written, the agent has its prompt all the same, and a warning says so.
    """
    try:
        if (note := current_links.get()) is not None:
            note(version)
        if (run_id := runs.run_of_this_work()) is not None and _is_new("run", run_id, version.uri):
            link_to_run(run_id, version)
        link_to_experiment(version.name)
    except (PromptRegistryError, MlflowException) as error:
        warn_once(f"{version.uri} was loaded, and could not be noted in the run or the experiment: {error}", "mlflow links")


def link_to_run(run_id: str, version: PromptVersion) -> None:
    """Notes a version in a run."""
    tags = tracked.load_run(run_id).tags
    known = with_link(tags.get(LINKED_PROMPTS), version)
    if known != tags.get(LINKED_PROMPTS):
        tracked.note(run_id, "tags", {LINKED_PROMPTS: known})


def unlink_from_run(run_id: str, name: str, version: int) -> None:
    """Takes a note back. Raises `MlflowException` where there is none."""
    links = links_in(tracked.load_run(run_id).tags.get(LINKED_PROMPTS))
    kept = [link for link in links if link != {"name": name, "version": str(version)}]
    if kept == links:
        raise MlflowException(
            f"Run '{run_id}' is not associated with prompt 'prompts:/{name}/{version}'", "INVALID_PARAMETER_VALUE"
        )
    tracked.note(run_id, "tags", {LINKED_PROMPTS: json.dumps(kept)})
    _seen.discard(("run", run_id, f"{uri.SCHEME}{name}/{version}"))


def link_to_experiment(name: str) -> None:
    """Notes a prompt in the experiment that `set_experiment` named; in none where nobody named one."""
    experiment = runs.chosen_experiment()
    registry = current_registry()
    if experiment is None or not _is_new(registry.place, experiment, name):
        return
    prompt = find_prompt(name)
    before = prompt.tags.get(EXPERIMENTS, ",") if prompt else ""
    if before and f",{experiment}," not in before:
        registry.set_prompt_tag(name, EXPERIMENTS, f"{before}{experiment},")


def find_prompt(name: str) -> Prompt | None:
    """A prompt as a whole, archived or not, or None. Raises `InvalidName`."""
    return current_registry().loader.find_prompt(uri.check_name(name))


def links_in(noted: str | None) -> list[dict[str, str]]:
    """The links that a tag holds. Raises `MlflowException` for one that is something else."""
    try:
        links: Any = json.loads(noted) if noted else []
    except ValueError as error:
        raise MlflowException(f"Invalid JSON format for '{LINKED_PROMPTS}' tag: {noted!r:.80}") from error
    if not isinstance(links, list):
        raise MlflowException(f"Invalid format for '{LINKED_PROMPTS}' tag: {noted!r:.80}")
    return links


def with_link(noted: str | None, version: PromptVersion) -> str:
    """A tag with one more link, once."""
    links = links_in(noted)
    link = {"name": version.name, "version": str(version.version)}
    return json.dumps(links if link in links else [*links, link])


def _is_new(*what: str) -> bool:
    key = (what[0], what[1], what[2])
    if key in _seen:
        return False
    if len(_seen) > 10_000:
        _seen.clear()  # at the worst, something is noted again
    _seen.add(key)
    return True
