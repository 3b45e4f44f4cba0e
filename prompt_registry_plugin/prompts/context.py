"""What the current code renders with, and records to: two ContextVars, so that nothing is patched for the whole process.

The **override** holds candidate templates by prompt name. The **recorder** collects spans. Both hold for the current task or
thread and for everything started with a copy of its context: asyncio tasks, the executors of LangChain and LangGraph, and the
pools of this package. So hundreds of candidates are evaluated in one process without affecting each other.

A bare `threading.Thread`, a standard-library pool or `loop.run_in_executor` loses the context, unless `enable()` carries it (`threads`).
The stored prompt is then used instead of the candidate. To detect this, renders are counted by name, and an override that was never
rendered is an error. In a rollout it is one if the prompt was used without the override meanwhile (`lost_contexts`); else the row went
elsewhere.

Both end with their block: a thread or task that outlives it sees neither (`scopes`).
"""

from __future__ import annotations

import contextvars
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Literal, ParamSpec, Protocol, TypeVar

from prompt_registry_plugin.errors import PromptNotRendered
from prompt_registry_plugin.forks import ForkLock
from prompt_registry_plugin.prompts import lost_contexts
from prompt_registry_plugin.records import EMPTY, SpanKind, Template, TemplateFormat
from prompt_registry_plugin.scopes import ScopedVar, carry
from prompt_registry_plugin.templates import CompiledTemplate, compile_template

P = ParamSpec("P")
R = TypeVar("R")
RecorderT = TypeVar("RecorderT", bound="Recorder")

LIKELY_CAUSES = (
    "likely causes: the framework's adapter is not enabled (enable()); "
    "the agent ran in a bare thread or executor, which loses the context (enable() carries it into threads and pools; "
    "for a worker that is fed by a queue, use prompt_registry_plugin.in_context); "
    "the text was rendered before the run, at import or construction; or an answer came from a cache"
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a prompt was rendered. A framework that does not know a field leaves it at None."""

    parent_id: str | None = None
    """The span that it belongs under."""
    node: str | None = None
    """The step of the graph, or the part of the agent."""
    graph: str | None = None
    """The graph or agent."""


Role = Literal["system", "user", "description"]
"""The kinds of text that an agent's code gives to a model: `system` (also developer texts and instructions), `user`, and the
`description` of a tool, parameter, handoff or output field."""


class Recorder(Protocol):
    """The part of a recording that prompts, models and adapters use while the agent runs. Any thread may call its methods.

    `tracing.recorder.TraceRecorder` implements it.
    """

    loaded: dict[str, int]
    """The version of each prompt that was loaded, by name; 0 for a prompt that does not exist."""

    def start(
        self,
        kind: SpanKind,
        name: str,
        *,
        key: Hashable = None,
        parent_id: str | None = None,
        attributes: Mapping[str, Any] = EMPTY,
    ) -> str:
        """Start a span and return its id. `key` is the framework's own id, which `span_id` finds again."""

    def start_model(
        self,
        name: str,
        messages: Sequence[Any],
        *,
        descriptions: Mapping[str, str] = EMPTY,
        place: Place | None = None,
        key: Hashable = None,
        parent_id: str | None = None,
        tools: Mapping[str, str] = EMPTY,
    ) -> str:
        """Start the span of a model call, linked to the prompts whose rendered text its messages or descriptions contain.

        `descriptions` are texts by key: `tools/NAME`, `tools/NAME.PARAMETER`, `handoffs/NAME`, `output`, `output.FIELD`.
        """

    def model_attributes(
        self,
        messages: Sequence[Any],
        descriptions: Mapping[str, str] = EMPTY,
        *,
        place: Place | None = None,
        tools: Mapping[str, str] = EMPTY,
    ) -> dict[str, Any]:
        """Return the attributes of a model span: messages, descriptions, and the prompts whose rendered text they contain."""

    def finish(self, span_id: str | None, *, attributes: Mapping[str, Any] = EMPTY, error: BaseException | None = None) -> None:
        """End a span. Unknown and ended ones are ignored."""

    def add_prompt(
        self,
        template: Template,
        rendered: Any,
        values: Mapping[str, Any],
        *,
        name: str | None = None,
        version: int | None = None,
        candidate: str | None = None,
        unadoptable: str | None = None,
        served_from: str = "registry",
        includes: Sequence[str] = (),
        place: Place | None = None,
        template_hash: str | None = None,
    ) -> None:
        """Record that a prompt was rendered here. `name` is None for one that the registry does not know."""

    def has_rendered(self, text: str) -> bool:
        """Return whether a recorded prompt rendered to this text, or to messages with it."""

    def span_id(self, key: Hashable) -> str | None:
        """Return the id of the span that was started with `key`, or None."""

    def owns_key(self, key: Hashable) -> bool:
        """Return whether `key` started a span, rather than being an alias of its parent's."""

    def alias_key(self, key: Hashable, parent_key: Hashable) -> None:
        """Make `key` another name for the span of `parent_key`, for steps of a framework that deserve no span."""

    def open_models(self) -> Sequence[tuple[str, Mapping[str, Any]]]:
        """Return ids and attributes of the model spans that have not ended and that the current code may run for."""

    def hold(self) -> None:
        """Keep the recording open after its block, for a stream that began in it. Each call needs one of `release`."""

    def release(self, *, quietly: bool = False) -> None:
        """Note that a stream has ended. With `quietly`, nothing is stored now."""

    def root_name(self, span_id: str | None) -> str | None:
        """Return the name of the outermost span above a span, or None for an unknown one."""


_counting = ForkLock()


@dataclass(slots=True)
class Override:
    """The templates of an `override_prompts` block, and how often each was rendered in it."""

    templates: Mapping[str, CompiledTemplate]
    """The candidates, by prompt name."""
    outer: Override | None = None
    """The override of the enclosing block, or None."""
    watch: lost_contexts.Watch | None = None
    """The rollout that the block is, or None."""
    is_over: bool = False
    """Whether its block has ended. A block inside of it that lives on, in a thread or task of its own, no longer sees it."""
    _renders: Counter[str] = field(default_factory=Counter)

    @property
    def renders(self) -> dict[str, int]:
        """The number of renders so far, for each overridden prompt; 0 if it was not rendered."""
        with _counting:
            return {name: self._renders[name] for name in self.templates}

    def find(self, name: str) -> CompiledTemplate | None:
        """Return the template that replaces prompt `name` here, or None if it is not overridden."""
        template = self.templates.get(name)
        if template is None and (outer := self._open_outer()) is not None:
            return outer.find(name)
        return template

    def _open_outer(self) -> Override | None:
        outer = self.outer
        while outer is not None and outer.is_over:
            outer = outer.outer
        return outer

    def count(self, name: str) -> None:
        """Count a render, also in the enclosing overrides of that prompt: it was reached, and an inner override is intended."""
        if name in self.templates:
            with _counting:
                self._renders[name] += 1
            if self.watch is not None:
                self.watch.report_render(name)
        if (outer := self._open_outer()) is not None:
            outer.count(name)

    def is_in_rollout(self) -> bool:
        """Return whether this block or an enclosing one is a rollout that has not ended."""
        is_rollout = self.watch is not None and not self.is_over
        return is_rollout or (self.outer is not None and self.outer.is_in_rollout())


# Scoped variables rather than globals or thread-locals: each asyncio task has its own value, tasks started in it inherit that, and
# a task that outlives the block does not keep it.
_override: ScopedVar[Override] = ScopedVar("prompt_registry_override")
_recorder: ScopedVar[Recorder] = ScopedVar("prompt_registry_recorder")
_run: ScopedVar[str] = ScopedVar("prompt_registry_run")

_final: contextvars.ContextVar[frozenset[str]] = carry(contextvars.ContextVar("prompt_registry_final", default=frozenset()))

current_run_id: Callable[[], str | None] = _run.get
final_texts: Callable[[], frozenset[str]] = _final.get
"""The texts that adapters leave as they are, since they were rendered for this very call."""
current_override: Callable[[], Override | None] = _override.get
current_recorder: Callable[[], Recorder | None] = _recorder.get

_override_scope, _recorder_scope = _override.var.get, _recorder.var.get


def is_observed() -> bool:
    """Return whether an override or a recording is open here. Costs an idle agent two reads of a ContextVar."""
    if _override_scope() is None and _recorder_scope() is None:
        return False
    return current_override() is not None or current_recorder() is not None


@contextmanager
def send_as_is(texts: Iterable[str]) -> Iterator[None]:
    """A block in which adapters leave these texts alone, such as those of a version that is tried: no other version replaces them."""
    token = _final.set(frozenset(texts))
    try:
        yield
    finally:
        with suppress(ValueError):  # a generator may end in another context than the one it started in
            _final.reset(token)


@contextmanager
def inside_run(run_id: str) -> Iterator[None]:
    """A block whose recordings belong to a tracked run."""
    with _run.entered(run_id):
        yield


@contextmanager
def override_prompts(
    templates: Mapping[str, Template],
    *,
    unrendered: Literal["error", "ignore"] = "error",
    template_formats: Mapping[str, TemplateFormat] | None = None,
) -> Iterator[Override]:
    """A block in which the named prompts have the given templates instead of those in the registry.

    Templates are in double braces, unless `template_formats` names another format. Yields the override, whose `renders` counts
    renders by name. Raises `InvalidTemplate` at the start for a template that cannot be compiled. Raises `PromptNotRendered`
    at the end if one of the prompts was never rendered, unless `unrendered="ignore"`.
    """
    formats = template_formats or {}
    compiled = {
        name: compile_template(template, f"candidate for {name!r}", formats.get(name, "double_brace"))
        for name, template in templates.items()
    }
    scope = Override(compiled, outer=_override.get())
    with _override.entered(scope):
        try:
            yield scope
        finally:
            scope.is_over = True
    if unrendered == "error" and (never := [name for name, count in scope.renders.items() if not count]):
        raise unrendered_error(never)


@contextmanager
def rollout_scope(
    templates: Mapping[str, Template], inputs: object, template_formats: Mapping[str, TemplateFormat] | None = None
) -> Iterator[Override]:
    """An override that is one rollout, on a row with these inputs: its `watch` finds contexts that are lost in it.

    Without templates it only marks what runs inside as a part of the evaluation, such as a judge, so that no rollout is blamed for it.
    """
    with override_prompts(templates, unrendered="ignore", template_formats=template_formats) as scope:
        if not templates:
            scope.watch = _NO_ROLLOUT
            yield scope
            return
        with lost_contexts.watch_rollout(templates, inputs, scope.count) as scope.watch:
            yield scope


_NO_ROLLOUT = lost_contexts.Watch((), None, lambda name: None)


def note_unscoped(name: str, values: Mapping[str, Any] | None = None) -> None:
    """Note that a prompt is loaded, or rendered with `values`, without a candidate. Inside a rollout that is as it should be."""
    override = _override.get()
    if override is None or not override.is_in_rollout():
        lost_contexts.note(name, values)


def unrendered_error(names: list[str], rows: int | None = None) -> PromptNotRendered:
    """Return the error that names the prompts that were never rendered, with the likely causes. `rows` is the number of rows tried."""
    listed = ", ".join(map(repr, names))
    tried = "" if rows is None else f" in {rows} rows"
    routed = "" if rows is None else "; or no row goes to it: add rows that do, or leave the prompt out"
    return PromptNotRendered(
        f"{listed} never rendered while overridden{tried}, so the candidate was not used; {LIKELY_CAUSES}{routed}"
    )


def lost_context_error(lost: Mapping[str, str]) -> PromptNotRendered:
    """Return the error for prompts that were used without the candidate, by name, with the place of each."""
    places = "; ".join(f"{name!r} was used without it in {where}" for name, where in lost.items())
    return PromptNotRendered(
        f"{', '.join(map(repr, lost))} never rendered while overridden, so the candidate was not used: {places}. {LIKELY_CAUSES}"
    )


@contextmanager
def recording(recorder: RecorderT) -> Iterator[RecorderT]:
    """A block whose spans go to `recorder`. What was started in it and outlives it records nothing more."""
    with _recorder.entered(recorder):
        yield recorder


def in_context(function: Callable[P, R]) -> Callable[P, R]:
    """Return `function`, made to run in a copy of the context of this call. Pass the result to a bare thread or pool.

    An override or a recording of that context holds until its block ends, wherever the function runs.
    """
    context = contextvars.copy_context()

    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        # A copy for each call: a context cannot be entered twice at once, and a pool may call one function from many threads.
        return context.copy().run(function, *args, **kwargs)

    return run
