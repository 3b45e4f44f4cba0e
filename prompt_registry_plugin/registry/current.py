"""The current registry, on which module-level functions act: the one of the block, else the default of the process."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from prompt_registry_plugin.datasets.feedback import add_feedback_reader
from prompt_registry_plugin.plugins import default_plugin_manager
from prompt_registry_plugin.records import TraceFeedback
from prompt_registry_plugin.registry.registry import PromptRegistry
from prompt_registry_plugin.scopes import carry, reset

DEFAULT_URL = "sqlite:///prompts.db"


@dataclass(slots=True)
class _Use:
    """A block of `use_registry`."""

    registry: PromptRegistry
    """The registry that the block uses."""
    outer: _Use | None
    """The block around this one, or None."""
    is_over: bool = False
    """Whether the block has ended."""


_in_use: ContextVar[_Use | None] = carry(ContextVar("prompt_registry_in_use", default=None))
_defaults: dict[str, PromptRegistry] = {}


def current_url() -> str:
    """Return the URL that the default registry is opened from: `PROMPT_REGISTRY_URL`, or a file in the working directory."""
    return os.environ.get("PROMPT_REGISTRY_URL") or DEFAULT_URL


def open_registry(url: str | None = None) -> PromptRegistry:
    """Open a new registry, which you close; without a URL, at `PROMPT_REGISTRY_URL` or `sqlite:///prompts.db`."""
    return PromptRegistry(url or current_url())


def registry_exists(url: str | None = None) -> bool:
    """Return whether there is a registry at `url`, by default the current URL. Creates nothing.

    Returns True as well where the answer is unknown: the server is unreachable, or the plugin has no hook for it.
    """
    url = url or current_url()
    return default_plugin_manager().hook.prompt_registry_store_exists(url=url) is not False


def current_registry() -> PromptRegistry:
    """Return the registry in use here, opened on first use and then kept for the process."""
    chosen = _chosen_registry()
    if chosen is not None:
        return chosen
    url = current_url()
    registry = _defaults.get(url)
    if registry is not None and registry.closed:
        del _defaults[url]
        registry = None
    if registry is None:
        # Two threads may open it at the same moment. The first one that is kept wins and the other is closed, which is cheaper
        # than a lock around every call of this function.
        opened = open_registry(url)
        registry = _defaults.setdefault(url, opened)
        if registry is not opened:
            opened.close()
    return registry


def opened_registry() -> PromptRegistry | None:
    """Return the current registry if it is open already: for callers that must not open one."""
    registry = _chosen_registry() or _defaults.get(current_url())
    return None if registry is None or registry.closed else registry


@contextmanager
def use_registry(registry: PromptRegistry) -> Iterator[PromptRegistry]:
    """Make `registry` the current one inside the block, and in what is started there as long as the registry is open."""
    use = _Use(registry, _in_use.get())
    token = _in_use.set(use)
    try:
        yield registry
    finally:
        use.is_over = True
        reset(_in_use, token)


def _chosen_registry() -> PromptRegistry | None:
    """Return the registry of the innermost block. A thread that outlives its block does not keep a closed one."""
    use = _in_use.get()
    while use is not None and use.is_over and use.registry.closed:
        use = use.outer
    return None if use is None else use.registry


def _current_feedback(trace_ids: Sequence[str]) -> list[TraceFeedback]:
    """Return the feedback on traces in the current registry; none where its store keeps no traces."""
    registry = current_registry()
    return registry.store.traces.feedback(trace_ids) if registry.keeps_traces else []


add_feedback_reader(_current_feedback)
