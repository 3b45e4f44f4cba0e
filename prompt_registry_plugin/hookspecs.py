"""Every extension point. A plugin implements any of them with `hookimpl` from `prompt_registry_plugin`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:  # every plugin imports this module, and plugins are loaded in programs that may use none of them
    import click

    from prompt_registry_plugin.prompts.version import PromptVersion
    from prompt_registry_plugin.protocols import Adapter, Executor, Importer, Model, Optimizer, PromptStore, Scorer, Target
    from prompt_registry_plugin.records import AliasMove, Usage
    from prompt_registry_plugin.tracing.trace import Trace

PROJECT = "prompt_registry_plugin"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec(firstresult=True)
def prompt_registry_open_store(url: str) -> PromptStore | None:
    """Return the open store for `url`, or None when its scheme is another plugin's. Create it if needed.

    A `PromptStore` is enough: what it lacks raises `UnsupportedByStore` when it is asked for.
    """


@hookspec(firstresult=True)
def prompt_registry_store_exists(url: str) -> bool | None:
    """Return whether there is a store at `url` already, or None when its scheme is another plugin's. Creates nothing.

    Commands that only read ask this first, so that a mistyped URL leaves no empty registry behind. Return True if the answer
    is unknown, such as while a server is unreachable: opening the store then raises with the reason.
    """


@hookspec(firstresult=True)
def prompt_registry_model(spec: Any) -> Model | None:
    """Return the model for a string or a framework's model object, or None."""


@hookspec
def prompt_registry_scorers() -> Sequence[Scorer]:  # type: ignore[empty-body]
    """Return scorers that users can name by their `name` instead of import them."""


@hookspec(firstresult=True)
def prompt_registry_as_scorer(obj: Any) -> Scorer | None:
    """The scorer that another library's object is, or None."""


@hookspec
def prompt_registry_optimizers() -> Mapping[str, Callable[[], Optimizer]]:  # type: ignore[empty-body]
    """Return optimizer factories by name: called with no arguments, each returns an `Optimizer`."""


@hookspec(firstresult=True)
def prompt_registry_as_optimizer(obj: Any) -> Optimizer | None:
    """Return the optimizer for another library's object, or None."""


@hookspec(firstresult=True)
def prompt_registry_executor(name: str) -> Executor | None:
    """The executor of that name, ready to run rollouts, or None when it is another plugin's."""


@hookspec
def prompt_registry_adapters() -> Sequence[Adapter]:  # type: ignore[empty-body]
    """Framework adapters; making one must not import its framework."""


@hookspec(firstresult=True)
def prompt_registry_as_target(obj: Any) -> Target | None:
    """The target that a framework's object (a graph, a chain, an agent) is, or None."""


@hookspec(firstresult=True)
def prompt_registry_as_template(version: PromptVersion, framework: str) -> Any:
    """Return a version as a prompt template of the framework of that name, or None for another plugin's framework."""


@hookspec
def prompt_registry_importers() -> Mapping[str, Importer]:  # type: ignore[empty-body]
    """Readers of other tools' prompts, by the name that `prompt-registry import` takes."""


@hookspec
def prompt_registry_register_commands(cli: click.Group) -> None:
    """Adds commands to the `prompt-registry` command line."""


@hookspec
def prompt_registry_version_registered(version: PromptVersion) -> None:
    """Called after a new version is stored."""


@hookspec
def prompt_registry_alias_moved(move: AliasMove) -> None:
    """Called after an alias is set, moved, rolled back or deleted."""


@hookspec
def prompt_registry_trace_finished(trace: Trace) -> None:
    """Called after a recording ended and was stored, with the trace as stored, without secrets. Runs in a background thread."""


@hookspec(firstresult=True)
def prompt_registry_cost(model: str, usage: Usage) -> float | None:
    """Return what these tokens of a model cost, in US dollars, or None if its price is unknown here."""
