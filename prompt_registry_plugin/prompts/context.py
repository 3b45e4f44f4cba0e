"""What a prompt is *here*: two ContextVars instead of patched classes.

The **override** holds candidate templates by prompt name, the **recorder** says where spans go. Both hold for the current
task or thread and for what it starts through context-copying means (asyncio tasks, LangChain's and LangGraph's executors,
our own pools), so hundreds of candidates are evaluated in one process without seeing each other. A bare
`threading.Thread`, a stdlib pool or `loop.run_in_executor` loses the context. Nothing crashes then, the stored prompt is used
and the candidate is not, so renders are counted by prompt name, and an override that was never rendered is an error.
"""

from __future__ import annotations

import contextvars
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, ParamSpec, TypeVar

from prompt_registry_plugin.errors import PromptNotRendered
from prompt_registry_plugin.records import Template, TemplateFormat
from prompt_registry_plugin.templates import CompiledTemplate, compile_template

if TYPE_CHECKING:
    from prompt_registry_plugin.prompts.version import PromptVersion
    from prompt_registry_plugin.tracing.trace import Trace

P = ParamSpec("P")
R = TypeVar("R")

LIKELY_CAUSES = (
    "likely causes: the agent ran in a bare thread or executor, which loses the context (use asyncio tasks, asyncio.to_thread or "
    "prompt_registry_plugin.in_context); the text was rendered before the run, at import or construction; "
    "the framework's adapter is not enabled (enable()); or an answer came from a cache"
)


@dataclass(slots=True)
class Override:
    """The templates that hold in a scope, and how often each was rendered in it."""

    templates: Mapping[str, CompiledTemplate]
    outer: Override | None = None
    _renders: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def renders(self) -> dict[str, int]:
        """Renders so far by overridden prompt, 0 included."""
        with self._lock:
            return {name: self._renders[name] for name in self.templates}

    def find(self, name: str) -> CompiledTemplate | None:
        """The template that stands for prompt `name` in this scope; None when it is not overridden."""
        template = self.templates.get(name)
        if template is None and self.outer is not None:
            return self.outer.find(name)
        return template

    def count(self, name: str) -> None:
        """Counts a render, in outer scopes of that name too: the prompt was reached, and shadowing it was intended."""
        if name in self.templates:
            with self._lock:
                self._renders[name] += 1
        if self.outer is not None:
            self.outer.count(name)


_override: contextvars.ContextVar[Override | None] = contextvars.ContextVar("prompt_registry_override", default=None)
_recorder: contextvars.ContextVar[Trace | None] = contextvars.ContextVar("prompt_registry_recorder", default=None)

_run: contextvars.ContextVar[str | None] = contextvars.ContextVar("prompt_registry_run", default=None)

current_run_id: Callable[[], str | None] = _run.get
current_override: Callable[[], Override | None] = _override.get
current_recorder: Callable[[], Trace | None] = _recorder.get


@contextmanager
def inside_run(run_id: str) -> Iterator[None]:
    """A scope whose recordings belong to a tracked run."""
    token = _run.set(run_id)
    try:
        yield
    finally:
        with suppress(ValueError):  # a run that is begun in one cell of a notebook ends in another
            _run.reset(token)


RenderListener = Callable[["PromptVersion", str | None, Mapping[str, object]], None]
render_listeners: tuple[RenderListener, ...] = ()
"""Told of every render, in whatever scope: the version, the candidate that stood in for it or None, and the values."""


def add_render_listener(listener: RenderListener) -> None:
    """Has `listener` told of every render; adding it again changes nothing."""
    global render_listeners
    if listener not in render_listeners:
        render_listeners = (*render_listeners, listener)


def remove_render_listener(listener: RenderListener) -> None:
    """Takes a listener away; unknown ones are ignored."""
    global render_listeners
    render_listeners = tuple(known for known in render_listeners if known != listener)


@contextmanager
def override_prompts(
    templates: Mapping[str, Template],
    *,
    unrendered: Literal["error", "ignore"] = "error",
    template_formats: Mapping[str, TemplateFormat] | None = None,
) -> Iterator[Override]:
    """A scope in which the named prompts read as the given templates, whatever the registry holds.

    `template_formats` names those that are not in double braces.

    Yields the scope, whose `renders` counts by name. Raises `InvalidTemplate` on entry for a template that cannot be compiled,
    and `PromptNotRendered` on leaving when one of the prompts was never rendered (`unrendered="ignore"` leaves that to you).
    """
    formats = template_formats or {}
    compiled = {
        name: compile_template(template, f"candidate for {name!r}", formats.get(name, "double_brace"))
        for name, template in templates.items()
    }
    scope = Override(compiled, outer=_override.get())
    token = _override.set(scope)
    try:
        yield scope
    finally:
        _override.reset(token)
    if unrendered == "error" and (never := [name for name, count in scope.renders.items() if not count]):
        raise not_rendered(never)


def not_rendered(names: list[str]) -> PromptNotRendered:
    """The error that names the prompts that were never rendered, with the likely causes."""
    listed = ", ".join(map(repr, names))
    return PromptNotRendered(f"{listed} never rendered while overridden, so the candidate was not used; {LIKELY_CAUSES}")


@contextmanager
def recording(trace: Trace) -> Iterator[Trace]:
    """A scope whose spans go to `trace`."""
    token = _recorder.set(trace)
    try:
        yield trace
    finally:
        with suppress(ValueError):  # a generator may end in another context than it began in
            _recorder.reset(token)


def in_context(function: Callable[P, R]) -> Callable[P, R]:
    """`function`, made to run in a copy of the context of this call: pass the result to a bare thread or pool."""
    context = contextvars.copy_context()

    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        # A context cannot be entered twice at once, and a pool may call one function from many threads.
        return context.copy().run(function, *args, **kwargs)

    return run
