"""Which registry module-level functions act on: the one in use here, else the process's default."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from prompt_registry_plugin.datasets.feedback import add_feedback_reader
from prompt_registry_plugin.records import TraceFeedback
from prompt_registry_plugin.registry.registry import PromptRegistry

DEFAULT_URL = "sqlite:///prompts.db"

_in_use: ContextVar[PromptRegistry | None] = ContextVar("prompt_registry_in_use", default=None)
_defaults: dict[str, PromptRegistry] = {}


def open_registry(url: str | None = None) -> PromptRegistry:
    """A registry of its own; without a URL, `PROMPT_REGISTRY_URL` or `sqlite:///prompts.db` in the working directory."""
    return PromptRegistry(url or os.environ.get("PROMPT_REGISTRY_URL") or DEFAULT_URL)


def current_registry() -> PromptRegistry:
    """The registry in use here, opened on first use and then kept for the process."""
    chosen = _in_use.get()
    if chosen is not None:
        return chosen
    url = os.environ.get("PROMPT_REGISTRY_URL") or DEFAULT_URL
    registry = _defaults.get(url)
    if registry is not None and registry.closed:
        del _defaults[url]
        registry = None
    if registry is None:
        # Two threads may open it twice at the same moment; the first one kept wins and the other is closed.
        opened = open_registry(url)
        registry = _defaults.setdefault(url, opened)
        if registry is not opened:
            opened.close()
    return registry


def opened_registry() -> PromptRegistry | None:
    """The current registry if it is open already: for those who only look whether there is anything to do."""
    registry = _in_use.get() or _defaults.get(os.environ.get("PROMPT_REGISTRY_URL") or DEFAULT_URL)
    return None if registry is None or registry.closed else registry


@contextmanager
def use_registry(registry: PromptRegistry) -> Iterator[PromptRegistry]:
    """A scope in which module-level functions act on `registry`."""
    token = _in_use.set(registry)
    try:
        yield registry
    finally:
        _in_use.reset(token)


def _current_feedback(trace_ids: Sequence[str]) -> list[TraceFeedback]:
    """Return the feedback on traces in the current registry; none where its store keeps no traces."""
    registry = current_registry()
    return registry.store.traces.feedback(trace_ids) if registry.keeps_traces else []


add_feedback_reader(_current_feedback)
