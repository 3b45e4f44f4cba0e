"""The registry's methods as functions that act on the current registry."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, Concatenate, Literal, ParamSpec, TypeVar, overload

from prompt_registry_plugin.datasets.dataset import Dataset as Dataset  # for the front door: see below
from prompt_registry_plugin.errors import StoreUnavailable
from prompt_registry_plugin.prompts.version import PromptVersion
from prompt_registry_plugin.records import Template
from prompt_registry_plugin.registry.current import current_registry
from prompt_registry_plugin.registry.registry import PromptRegistry
from prompt_registry_plugin.registry.serving import fallback_version
from prompt_registry_plugin.tracing.recorder import TraceRecorder

# `Dataset` stands here as well, and the front door takes it from here: whoever has it then has the current registry too, which
# `Dataset.from_traces` asks for feedback.

P = ParamSpec("P")
R = TypeVar("R")


def _on_current(method: Callable[Concatenate[PromptRegistry, P], R]) -> Callable[P, R]:
    @wraps(method)
    def function(*args: P.args, **kwargs: P.kwargs) -> R:
        return method(current_registry(), *args, **kwargs)

    return function


def _awaited_on_current(
    method: Callable[Concatenate[PromptRegistry, P], Coroutine[Any, Any, R]],
) -> Callable[P, Coroutine[Any, Any, R]]:
    @wraps(method)
    async def function(*args: P.args, **kwargs: P.kwargs) -> R:
        return await method(current_registry(), *args, **kwargs)

    return function


def _registry_or(name_or_uri: str, version: int | str | None, fallback: Template | None) -> PromptRegistry | PromptVersion:
    """Return the current registry, or, if it cannot be opened, the version made of `fallback`."""
    try:
        return current_registry()
    except StoreUnavailable as error:
        if fallback is None:
            raise
        return fallback_version(name_or_uri, version, fallback, error)


@contextmanager
def record(name: str = "recording") -> Iterator[TraceRecorder]:
    """Record everything inside the block as one `Trace`, which the current registry stores when the block ends."""
    with current_registry().record(name) as trace:
        yield trace


@overload
def load_prompt(
    name_or_uri: str,
    version: int | str | None = None,
    *,
    allow_missing: Literal[False] = False,
    fallback: Template | None = None,
) -> PromptVersion: ...


@overload
def load_prompt(
    name_or_uri: str, version: int | str | None = None, *, allow_missing: bool, fallback: Template | None = None
) -> PromptVersion | None: ...


@wraps(PromptRegistry.load_prompt)
def load_prompt(
    name_or_uri: str,
    version: int | str | None = None,
    *,
    allow_missing: bool = False,
    fallback: Template | None = None,
) -> PromptVersion | None:
    registry = _registry_or(name_or_uri, version, fallback)
    if isinstance(registry, PromptVersion):
        return registry
    return registry.load_prompt(name_or_uri, version, allow_missing=allow_missing, fallback=fallback)


@overload
async def aload_prompt(
    name_or_uri: str,
    version: int | str | None = None,
    *,
    allow_missing: Literal[False] = False,
    fallback: Template | None = None,
) -> PromptVersion: ...


@overload
async def aload_prompt(
    name_or_uri: str, version: int | str | None = None, *, allow_missing: bool, fallback: Template | None = None
) -> PromptVersion | None: ...


@wraps(PromptRegistry.aload_prompt)
async def aload_prompt(
    name_or_uri: str,
    version: int | str | None = None,
    *,
    allow_missing: bool = False,
    fallback: Template | None = None,
) -> PromptVersion | None:
    registry = _registry_or(name_or_uri, version, fallback)
    if isinstance(registry, PromptVersion):
        return registry
    return await registry.aload_prompt(name_or_uri, version, allow_missing=allow_missing, fallback=fallback)


register_prompt = _on_current(PromptRegistry.register_prompt)
register_prompts = _on_current(PromptRegistry.register_prompts)
search_prompts = _on_current(PromptRegistry.search_prompts)
set_prompt_alias = _on_current(PromptRegistry.set_prompt_alias)
delete_prompt_alias = _on_current(PromptRegistry.delete_prompt_alias)
protect_alias = _on_current(PromptRegistry.protect_alias)
unprotect_alias = _on_current(PromptRegistry.unprotect_alias)
archive_prompt = _on_current(PromptRegistry.archive_prompt)
restore_prompt = _on_current(PromptRegistry.restore_prompt)
delete_version = _on_current(PromptRegistry.delete_version)
delete_prompt = _on_current(PromptRegistry.delete_prompt)
rollback = _on_current(PromptRegistry.rollback)
prompt_history = _on_current(PromptRegistry.prompt_history)
set_prompt_tag = _on_current(PromptRegistry.set_prompt_tag)
delete_prompt_tag = _on_current(PromptRegistry.delete_prompt_tag)
set_prompt_version_tag = _on_current(PromptRegistry.set_prompt_version_tag)
delete_prompt_version_tag = _on_current(PromptRegistry.delete_prompt_version_tag)
adopt = _on_current(PromptRegistry.adopt)
coverage = _on_current(PromptRegistry.coverage)
search_traces = _on_current(PromptRegistry.search_traces)
log_feedback = _on_current(PromptRegistry.log_feedback)
load_feedback = _on_current(PromptRegistry.load_feedback)
register_dataset = _on_current(PromptRegistry.register_dataset)
merge_records = _on_current(PromptRegistry.merge_records)
load_dataset = _on_current(PromptRegistry.load_dataset)
list_datasets = _on_current(PromptRegistry.list_datasets)
examples_of = _on_current(PromptRegistry.examples_of)

aregister_prompt = _awaited_on_current(PromptRegistry.aregister_prompt)
aregister_prompts = _awaited_on_current(PromptRegistry.aregister_prompts)
asearch_prompts = _awaited_on_current(PromptRegistry.asearch_prompts)
aset_prompt_alias = _awaited_on_current(PromptRegistry.aset_prompt_alias)
adelete_prompt_alias = _awaited_on_current(PromptRegistry.adelete_prompt_alias)
arollback = _awaited_on_current(PromptRegistry.arollback)
aprompt_history = _awaited_on_current(PromptRegistry.aprompt_history)
aadopt = _awaited_on_current(PromptRegistry.aadopt)
acoverage = _awaited_on_current(PromptRegistry.acoverage)
aarchive_prompt = _awaited_on_current(PromptRegistry.aarchive_prompt)
arestore_prompt = _awaited_on_current(PromptRegistry.arestore_prompt)
adelete_version = _awaited_on_current(PromptRegistry.adelete_version)
adelete_prompt = _awaited_on_current(PromptRegistry.adelete_prompt)
aprotect_alias = _awaited_on_current(PromptRegistry.aprotect_alias)
aunprotect_alias = _awaited_on_current(PromptRegistry.aunprotect_alias)
aset_prompt_tag = _awaited_on_current(PromptRegistry.aset_prompt_tag)
adelete_prompt_tag = _awaited_on_current(PromptRegistry.adelete_prompt_tag)
aset_prompt_version_tag = _awaited_on_current(PromptRegistry.aset_prompt_version_tag)
adelete_prompt_version_tag = _awaited_on_current(PromptRegistry.adelete_prompt_version_tag)
asearch_traces = _awaited_on_current(PromptRegistry.asearch_traces)
alog_feedback = _awaited_on_current(PromptRegistry.alog_feedback)
aload_feedback = _awaited_on_current(PromptRegistry.aload_feedback)
aregister_dataset = _awaited_on_current(PromptRegistry.aregister_dataset)
amerge_records = _awaited_on_current(PromptRegistry.amerge_records)
aload_dataset = _awaited_on_current(PromptRegistry.aload_dataset)
alist_datasets = _awaited_on_current(PromptRegistry.alist_datasets)
