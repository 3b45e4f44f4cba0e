"""The recorder: collects the spans of a trace while the agent runs, from any number of threads and tasks.

Adapters add model, tool and chain spans; prompts add themselves when they are rendered. A model span is linked to the prompts
whose rendered text its messages contain. This works for every framework, and gives the optimizer the answers to each prompt.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import count
from typing import Any

from prompt_registry_plugin.forks import ForkAware, watch_forks
from prompt_registry_plugin.masking import json_copy
from prompt_registry_plugin.prompts.context import Place, current_recorder
from prompt_registry_plugin.prompts.messages import blocks_of, content_of, readable_text, role_of
from prompt_registry_plugin.records import EMPTY, Span, SpanKind, Template, digest
from prompt_registry_plugin.scopes import carry, reset
from prompt_registry_plugin.tracing.call_site import places_here, propose_name
from prompt_registry_plugin.tracing.ids import first_span_number
from prompt_registry_plugin.tracing.signals import signal_attributes
from prompt_registry_plugin.tracing.trace import Trace, error_text

# The span that the current code runs in. A ContextVar, so that parallel tasks of one recording each have their own.
_current_span: ContextVar[str | None] = carry(ContextVar("prompt_registry_span", default=None))


_descriptions_wanted = False


def set_descriptions_wanted(wanted: bool) -> None:
    """Mark the descriptions of every recording from now on as wanted for adoption, or stop that."""
    global _descriptions_wanted
    _descriptions_wanted = wanted


_OWN = frozenset({"messages", "prompts", "place", "descriptions", "texts", "includes"})
"""Attributes that the recorder makes itself, as JSON data. The agent has no reference to them, so they need no copy."""


def _copy_attributes(attributes: dict[str, Any]) -> dict[str, Any]:
    return {key: value if key in _OWN or type(value) is str else json_copy(value) for key, value in attributes.items()}


class _Step:
    """A span that may still change. The agent waits while one is made, so it is cheaper than a frozen `Span`."""

    __slots__ = ("attributes", "ended_at", "error", "id", "kind", "name", "number", "parent_id", "started_at")

    def __init__(self, number: int, kind: SpanKind, name: str, parent_id: str | None, attributes: dict[str, Any]) -> None:
        self.number = number  # the order of starts; a clock may stand still or be set back
        self.id = f"{number:016x}"
        self.kind = kind
        self.name = name
        self.started_at = time.time()
        self.ended_at: float | None = None
        self.parent_id = parent_id
        self.attributes = attributes
        self.error: str | None = None

    def to_span(self, copy: Callable[[dict[str, Any]], dict[str, Any]] = dict) -> Span:
        """Return the span as it is now, its attributes copied by `copy`."""
        attributes = copy(dict(self.attributes))  # a shallow copy first: another thread may add attributes while `copy` runs
        return Span(self.id, self.kind, self.name, self.started_at, self.ended_at, self.parent_id, attributes, self.error)


class TraceRecorder(Trace, ForkAware):
    """A trace that grows while the agent runs. Implements `prompts.context.Recorder`; any thread may call its methods."""

    loaded: dict[str, int]
    """The version of each prompt that was loaded, by name; 0 for a prompt that does not exist. Included prompts count."""
    on_release: Callable[[], None] | None
    """Called when the last stream has ended that held the recording open, or None."""

    def __init__(self, name: str = "recording", *, run_id: str | None = None) -> None:
        super().__init__(name, run_id=run_id)
        self.on_release = None
        self._holds = 0
        self._is_ended = False
        self._clear()
        watch_forks(self)

    def _clear(self) -> None:
        self.loaded = {}
        # Reentrant: the garbage collector may finish an abandoned generator's span in a thread that holds the lock.
        self._lock = threading.RLock()
        self._steps: dict[str, _Step] = {}
        self._prompts: list[_Step] = []
        self._rendered: set[str] = set()
        self._open_models: dict[str, _Step] = {}
        self._by_key: dict[Hashable, _Step | None] = {}
        self._own_keys: set[Hashable] = set()
        self._numbers = count(first_span_number())

    @property
    def is_held(self) -> bool:
        """Whether a stream that began in the recording is still read."""
        return self._holds > 0

    def hold(self) -> None:
        """Keep the recording open after its block, for a stream that began in it. Each call needs one of `release`."""
        with self._lock:
            self._holds += 1

    def release(self, *, quietly: bool = False) -> None:
        """Note that a stream has ended. With `quietly`, as the garbage collector calls it, nothing is stored now: it must not wait."""
        with self._lock:
            self._holds -= 1
        if not self.is_held and not quietly and self.on_release is not None:
            self.on_release()

    def fail(self, error: BaseException) -> None:
        """Note the error that ended the block, unless it is no failure."""
        if signal_attributes(error) is None:
            self.error = error_text(error)

    def end(self) -> None:
        """Record nothing more: the trace is stored. Steps that still run are marked as `unfinished`."""
        self._is_ended = True
        for step in self._all_steps():
            if step.ended_at is None:
                step.attributes["unfinished"] = True

    def start_again(self) -> None:
        """Become a new recording, in a forked child: what was recorded so far is the parent's."""
        self.id = secrets.token_hex(16)  # the generator of ids may still be the parent's, as every child of it has it
        self.started_at = time.time()
        self._holds = 0
        self._clear()
        self._numbers = count(secrets.randbits(63))

    def after_fork_in_child(self) -> None:
        """Make a new lock: another thread of the parent may have held it."""
        self._lock = threading.RLock()

    @property
    def spans(self) -> tuple[Span, ...]:
        """The spans so far, in the order in which they started."""
        return (*self._spans, *(step.to_span() for step in self._all_steps()))

    def _all_steps(self) -> list[_Step]:
        with self._lock:
            return list(self._steps.values())

    def snapshot(self) -> Trace:
        """Return the trace as it is now: a copy that does not change when the agent changes its own objects."""
        return self.with_spans([*self._spans, *(step.to_span(_copy_attributes) for step in self._all_steps())])

    def masked(self) -> Trace:
        """Return the trace as it is now, as JSON data with secrets masked."""
        return self.snapshot().masked()

    def start(
        self,
        kind: SpanKind,
        name: str,
        *,
        key: Hashable = None,
        parent_id: str | None = None,
        attributes: Mapping[str, Any] = EMPTY,
    ) -> str:
        """Start a span and return its id. `key` is the framework's own id, which `span_id` finds again.

        `parent_id` is the parent as the framework knows it. If other code has opened a span since then, that one is the parent.
        """
        # Frameworks do not know each other's spans. The innermost open one joins a mixed workflow into one tree.
        span_ids = [parent_id] if parent_id else [place.parent_id for place in places_here(self)]
        step = _Step(next(self._numbers), kind, name, self._innermost(span_ids) or parent_id, dict(attributes))
        if self._is_ended:
            return step.id
        with self._lock:
            self._steps[step.id] = step
            if kind == "llm":
                self._open_models[step.id] = step
            if key is not None:
                self._by_key[key] = step
                self._own_keys.add(key)
        return step.id

    def _innermost(self, span_ids: Iterable[str | None]) -> str | None:
        """Return the one of these and the current span that is open and started last, or None."""
        found: _Step | None = None
        for span_id in (_current_span.get(), *span_ids):
            step = self._steps.get(span_id) if span_id else None
            if step is not None and step.ended_at is None and (found is None or step.number > found.number):
                found = step
        return None if found is None else found.id

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
        """Start the span of a model call, linked to the prompts whose rendered text is in `messages` or `descriptions`.

        `descriptions` are texts by key: `tools/NAME`, `tools/NAME.PARAMETER`, `handoffs/NAME`, `output`, `output.FIELD`. `place` is the
        graph or agent, and the node, that makes the call; without it, the locators of the frameworks tell.
        """
        attributes = self.model_attributes(messages, descriptions, place=place, tools=tools)
        return self.start("llm", name, key=key, parent_id=parent_id, attributes=attributes)

    def model_attributes(
        self,
        messages: Sequence[Any],
        descriptions: Mapping[str, str] = EMPTY,
        *,
        place: Place | None = None,
        tools: Mapping[str, str] = EMPTY,
    ) -> dict[str, Any]:
        """Return the attributes of a model span: messages, descriptions, place, and ids of the prompt spans that they contain.

        A message with several content blocks has their texts one by one in `blocks`.
        """
        contents = [content_of(message) for message in messages]
        shown = [_shown(message, text) for message, text in zip(messages, contents, strict=True)]
        if tools:  # descriptions by the names of tools alone, as version 0.1.0 had them
            descriptions = {**{f"tools/{name}": text for name, text in tools.items() if text}, **descriptions}
        contents += descriptions.values()
        linked: dict[str, _Step] = {}  # by label, the newest render of each prompt
        for step in reversed(self._prompts):
            if step.name not in linked and _contain_all(contents, step.attributes["texts"]):
                linked[step.name] = step
        whole = [*contents, *(text for message in shown for text in message.get("blocks", ()))]
        found = _drop_parts(list(linked.values()), whole) if len(linked) > 1 else linked.values()
        attributes: dict[str, Any] = {"messages": shown, "prompts": [step.id for step in found]}
        if descriptions:
            attributes["descriptions"] = dict(descriptions)
            if _descriptions_wanted:
                attributes["adopt_descriptions"] = True
        if place is None and (places := places_here(self)):
            place = places[0]
        place = place or Place()
        # A name is needed for a text that no prompt covers. Finding it may walk the stack.
        name = None if self._rendered.issuperset(contents) else propose_name(place)
        attributes["place"] = {"graph": place.graph, "node": place.node, "name": name}
        return attributes

    def finish(self, span_id: str | None, *, attributes: Mapping[str, Any] = EMPTY, error: BaseException | None = None) -> None:
        """End a span. Unknown and ended ones are ignored. An exception that is no failure (`signals`) leaves it without an error."""
        signal = None if error is None else signal_attributes(error)
        if signal is not None:
            error, attributes = None, {**attributes, **signal}
        message = None if error is None else error_text(error)  # outside the lock: it runs the user's `__str__`
        with self._lock:
            step = self._steps.get(span_id) if span_id else None
            if step is None or step.ended_at is not None or self._is_ended:
                return
            step.attributes.update(attributes)
            step.error = message
            step.ended_at = time.time()
            self._open_models.pop(step.id, None)

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
        if self._is_ended:
            return
        places = places_here(self)
        place = place or (places[0] if places else Place())
        texts = [rendered] if isinstance(rendered, str) else [content_of(message) for message in rendered]
        attributes = {
            "prompt": name,
            "version": version,
            "candidate": candidate,
            "template": template,
            "template_hash": template_hash or digest(template),
            "proposed_name": name or propose_name(place),
            "unadoptable": unadoptable,
            "served_from": served_from,
            "includes": list(includes),
            "variables": dict(values),
            "text": readable_text(rendered),
            "texts": texts,
            "node": place.node,
        }
        label = name or f"{attributes['proposed_name']} (discovered)"
        parent_id = self._innermost([place.parent_id, *(found.parent_id for found in places)])
        step = _Step(next(self._numbers), "prompt", label, parent_id, attributes)
        step.ended_at = step.started_at
        with self._lock:
            self._steps[step.id] = step
            self._prompts.append(step)
            self._rendered.update(texts)

    def has_rendered(self, text: str) -> bool:
        """Return whether a recorded prompt rendered to this text, or to messages with it."""
        return text in self._rendered

    def span_id(self, key: Hashable) -> str | None:
        """Return the id of the span that was started with `key`, or None."""
        step = None if key is None else self._by_key.get(key)
        return None if step is None else step.id

    def owns_key(self, key: Hashable) -> bool:
        """Return whether `key` started a span, rather than being an alias of its parent's."""
        return key in self._own_keys

    def alias_key(self, key: Hashable, parent_key: Hashable) -> None:
        """Make `key` another name for the span of `parent_key`, for steps of a framework that deserve no span."""
        with self._lock:
            self._by_key[key] = None if parent_key is None else self._by_key.get(parent_key)

    def open_models(self) -> list[tuple[str, Mapping[str, Any]]]:
        """Return ids and attributes of the model spans that have not ended and that the current code may run for.

        Those are above or below the innermost open span: a span of a parallel step is neither.
        """
        if not self._open_models:
            return []
        here = self._innermost([place.parent_id for place in places_here(self)])
        with self._lock:
            steps = list(self._open_models.values())
        above = self._line(here)
        return [(step.id, step.attributes) for step in steps if here is None or step.id in above or here in self._line(step.id)]

    def _line(self, span_id: str | None) -> set[str]:
        """Return the ids of a span and of all spans above it."""
        line: set[str] = set()
        while span_id is not None and span_id not in line:
            line.add(span_id)
            step = self._steps.get(span_id)
            span_id = None if step is None else step.parent_id
        return line

    def root_name(self, span_id: str | None) -> str | None:
        """Return the name of the outermost span above a span, or None for an unknown one."""
        step = self._steps.get(span_id) if span_id else None
        while step is not None and step.parent_id is not None and step.parent_id in self._steps:
            step = self._steps[step.parent_id]
        return None if step is None else step.name

    def replay(self, other: Trace) -> None:
        """Take over the spans and times of a trace that was recorded before."""
        self._spans, self.started_at, self.ended_at = other.spans, other.started_at, other.ended_at


class inside:  # noqa: N801  a context manager
    """A block of code whose spans get `span_id` as their parent. With None it changes nothing."""

    __slots__ = ("_span_id", "_token")

    def __init__(self, span_id: str | None) -> None:
        self._span_id = span_id

    def __enter__(self) -> None:
        self._token = _current_span.set(self._span_id or _current_span.get())

    def __exit__(self, *_error: object) -> None:
        reset(_current_span, self._token)


@contextmanager
def span(kind: SpanKind, name: str, attributes: Mapping[str, Any] = EMPTY) -> Iterator[str | None]:
    """Record a block of code as a span, the parent of those inside. Yields its id, or None if nothing is being recorded."""
    recorder = current_recorder()
    if recorder is None:
        yield None
        return
    span_id = recorder.start(kind, name, attributes=attributes)
    try:
        with inside(span_id):
            yield span_id
    except BaseException as error:
        recorder.finish(span_id, error=error)
        raise
    else:
        recorder.finish(span_id)


def _shown(message: Any, text: str) -> dict[str, Any]:
    shown = {"role": role_of(message), "content": text}
    blocks = blocks_of(message)
    return shown if not blocks or blocks == [text] else {**shown, "blocks": blocks}  # an image beside the text is no part of it


def _contain_all(contents: Sequence[str], texts: Sequence[str]) -> bool:
    """Return whether each of `texts` that is not empty is in one of `contents`; False if all are empty."""
    return any(texts) and all(any(text in content for content in contents) for text in texts if text)


def _drop_parts(steps: Sequence[_Step], contents: Sequence[str]) -> list[_Step]:
    """Return the prompts without those whose text is in `contents` only as a part of another prompt's text."""

    def is_part(step: _Step, other: _Step) -> bool:
        mine, others = step.attributes["texts"], other.attributes["texts"]
        is_inside = all(any(text in longer and text != longer for longer in others) for text in mine if text)
        return is_inside and not any(text in contents for text in mine if text)

    return [step for step in steps if not any(is_part(step, other) for other in steps if other is not step)]
