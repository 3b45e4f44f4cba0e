"""Traces: what an agent did, as a tree of spans that knows which prompt was rendered where.

A `Trace` collects spans from any number of threads and tasks. Adapters add model, tool and chain spans; prompts add themselves
when they are rendered. A model span is linked to the prompts whose rendered text stands in its messages: that holds for
every framework, and is how the optimizer knows what each prompt's model answered.
"""

from __future__ import annotations

import inspect
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

from prompt_registry_plugin import scope
from prompt_registry_plugin.masking import clean, plain
from prompt_registry_plugin.places import Place, propose_name
from prompt_registry_plugin.prompts import content_of, role_of, text_of
from prompt_registry_plugin.records import EMPTY, Span, SpanKind, Template, Usage, digest

P = ParamSpec("P")
R = TypeVar("R")

_current_span: ContextVar[str | None] = ContextVar("prompt_registry_span", default=None)


@dataclass(frozen=True, slots=True)
class PromptUse:
    """A prompt that a trace saw. `name` is None for a hard-coded one that was discovered.

    `proposed_name` comes from its place, `unadoptable` says why it cannot be adopted, or is None.
    """

    template: Template
    name: str | None
    version: int | None
    candidate: str | None
    proposed_name: str
    variables: frozenset[str]
    rendered: str
    times: int
    unadoptable: str | None = None


Locator = Callable[["Trace"], Place | None]
_locators: list[Locator] = []


def add_locator(locator: Locator) -> None:
    """Lets an adapter say where in its framework the current code runs."""
    if locator not in _locators:
        _locators.append(locator)


def remove_locator(locator: Locator) -> None:
    """Takes a locator away; unknown ones are ignored."""
    if locator in _locators:
        _locators.remove(locator)


@dataclass(eq=False, repr=False)
class Trace:
    """A live or finished recording. All methods may be called from any thread."""

    name: str = "recording"
    id: str = field(default_factory=lambda: secrets.token_hex(16))
    started_at: float = field(default_factory=time.time)
    _spans: dict[str, Span] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _ids_by_key: dict[str, str | None] = field(default_factory=dict, repr=False)
    _own_keys: set[str] = field(default_factory=set, repr=False)

    @property
    def spans(self) -> tuple[Span, ...]:
        """All spans so far, in the order they began."""
        with self._lock:
            return tuple(self._spans.values())

    def start(
        self,
        kind: SpanKind,
        name: str,
        *,
        key: str | None = None,
        parent_id: str | None = None,
        attributes: Mapping[str, Any] = EMPTY,
    ) -> str:
        """Begins a span and returns its id. `key` is a framework's own id, which `span_id` finds again."""
        span = Span(secrets.token_hex(8), kind, name, time.time(), None, parent_id or self.parent_here(), attributes)
        with self._lock:
            self._spans[span.id] = span
            if key is not None:
                self._ids_by_key[key] = span.id
                self._own_keys.add(key)
        return span.id

    def parent_here(self) -> str | None:
        """The innermost span that the current code runs in, whichever framework began it: the open one that began last."""
        places = [place.parent_id for locator in _locators if (place := locator(self)) is not None]
        found = None
        with self._lock:
            for span_id in (_current_span.get(), *places):
                span = self._spans.get(span_id or "")
                if span is not None and span.ended_at is None and (found is None or span.started_at >= found.started_at):
                    found = span
        return None if found is None else found.id

    def start_model(self, name: str, messages: Sequence[Any], *, key: str | None = None, parent_id: str | None = None) -> str:
        """Begins a model span that names the prompts whose rendered text stands in `messages`."""
        return self.start("llm", name, key=key, parent_id=parent_id, attributes=self.seen_by_model(messages))

    def seen_by_model(self, messages: Sequence[Any]) -> dict[str, Any]:
        """The attributes of a model span: the messages, and the prompts whose rendered text stands in them."""
        contents = [content_of(message) for message in messages]
        linked: dict[str, Span] = {}
        for span in reversed(self.spans):
            if span.kind == "prompt" and span.name not in linked and _stands_in(span.attributes["texts"], contents):
                linked[span.name] = span
        found = _longest(list(linked.values()), contents)
        return {
            "messages": [{"role": role_of(message), "content": text} for message, text in zip(messages, contents, strict=True)],
            "prompts": [span.id for span in found],
        }

    def alias_key(self, key: str, parent_key: str | None) -> None:
        """Makes `key` stand for the span of `parent_key`: for steps of a framework that deserve no span."""
        with self._lock:
            self._ids_by_key[key] = self._ids_by_key.get(parent_key) if parent_key else None

    def __repr__(self) -> str:
        return f"<trace {self.name!r}: {len(self.spans)} spans, prompts: {', '.join(use.proposed_name for use in self.prompts) or 'none'}>"

    def owns_key(self, key: str) -> bool:
        """Whether `key` began a span of its own, rather than standing for its parent's."""
        return key in self._own_keys

    def span_id(self, key: str | None) -> str | None:
        """The span that was begun with `key`."""
        return None if key is None else self._ids_by_key.get(key)

    def finish(self, span_id: str | None, *, attributes: Mapping[str, Any] = EMPTY, error: BaseException | None = None) -> None:
        """Ends a span; unknown and ended ones are ignored."""
        with self._lock:
            span = self._spans.get(span_id) if span_id else None
            if span is None or span.ended_at is not None:
                return
            said = None if error is None else f"{type(error).__name__}: {error}"
            self._spans[span.id] = replace(span, ended_at=time.time(), attributes={**span.attributes, **attributes}, error=said)

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
    ) -> None:
        """Records that a prompt was rendered here; `name` is None for one that the registry does not know."""
        place = place or next((found for locator in _locators if (found := locator(self)) is not None), Place())
        texts = [rendered] if isinstance(rendered, str) else [content_of(message) for message in rendered]
        attributes = {
            "prompt": name,
            "version": version,
            "candidate": candidate,
            "template": template,
            "template_hash": digest(template),
            "proposed_name": name or propose_name(place),
            "unadoptable": unadoptable,
            "served_from": served_from,
            "includes": list(includes),
            "variables": dict(values),
            "text": text_of(rendered),
            "texts": texts,
            "node": place.node,
        }
        label = name or f"{attributes['proposed_name']} (discovered)"
        self.finish(self.start("prompt", label, attributes=attributes))

    def has_rendered(self, text: str) -> bool:
        """Whether a prompt that was recorded here rendered to this text, or to messages with it."""
        return any(span.kind == "prompt" and text in span.attributes["texts"] for span in self.spans)

    def snapshot(self) -> Trace:
        """This trace as plain data, secrets masked, which no longer changes with what an agent does to its own objects."""
        spans = [replace(span, attributes=plain(dict(span.attributes))) for span in self.spans]
        return Trace(self.name, self.id, self.started_at, {span.id: span for span in spans})

    def root_of(self, span_id: str | None) -> Span | None:
        """The outermost span above a span."""
        with self._lock:
            span = self._spans.get(span_id or "")
            while span is not None and span.parent_id in self._spans:
                span = self._spans[span.parent_id]
            return span

    @property
    def prompts(self) -> list[PromptUse]:
        """The prompts that were rendered, each template once, with the text of the first time."""
        uses: dict[tuple[Any, ...], PromptUse] = {}
        for span in self.spans:
            if span.kind != "prompt":
                continue
            a = span.attributes
            key = (a["prompt"], a["template_hash"])
            if key in uses:
                uses[key] = replace(uses[key], times=uses[key].times + 1)
                continue
            taken = {use.proposed_name for use in uses.values()}
            proposed, n = a["proposed_name"], 2
            while a["prompt"] is None and proposed in taken:
                proposed, n = f"{a['proposed_name']}-{n}", n + 1
            names = frozenset(a["variables"])
            uses[key] = PromptUse(
                a["template"],
                a["prompt"],
                a["version"],
                a["candidate"],
                proposed,
                names,
                a["text"],
                1,
                a["unadoptable"],
            )
        return list(uses.values())

    @property
    def usage(self) -> Usage:
        """Tokens over all model spans."""
        return sum((usage_of(span) for span in self.spans), Usage())

    def outputs_by_prompt(self) -> dict[str, str]:
        """What the model answered last to each prompt of the registry, by name."""
        spans = {span.id: span for span in self.spans}
        answers: dict[str, str] = {}
        for span in spans.values():
            for prompt_id in span.attributes.get("prompts", ()) if span.kind == "llm" else ():
                name = spans[prompt_id].attributes["prompt"]
                if name is not None and "output" in span.attributes:
                    answers[name] = span.attributes["output"]
        return answers

    def walk(self) -> Iterator[tuple[int, Span]]:
        """Every span with its depth, parents before children."""
        children: dict[str | None, list[Span]] = {}
        known = {span.id for span in self.spans}
        for span in self.spans:
            children.setdefault(span.parent_id if span.parent_id in known else None, []).append(span)
        stack = [(0, span) for span in reversed(children.get(None, []))]
        while stack:
            depth, span = stack.pop()
            yield depth, span
            stack.extend((depth + 1, child) for child in reversed(children.get(span.id, [])))

    def tree(self) -> str:
        """The spans as an indented text, one a line."""
        return "\n".join(f"{'  ' * depth}{span.kind} {span.name} ({span.seconds * 1000:.0f} ms)" for depth, span in self.walk())


def usage_of(span: Span) -> Usage:
    """The tokens of a model span; nothing for other spans."""
    if span.kind != "llm":
        return Usage()
    a = span.attributes
    return Usage(a.get("input_tokens", 0) or 0, a.get("output_tokens", 0) or 0, 1)


@contextmanager
def span(kind: SpanKind, name: str, attributes: Mapping[str, Any] = EMPTY) -> Iterator[str | None]:
    """A span around a block of code, parent of what happens inside; nothing when nobody records."""
    recorder = scope.current_recorder()
    if recorder is None:
        yield None
        return
    span_id = recorder.start(kind, name, attributes=attributes)
    token = _current_span.set(span_id)
    try:
        yield span_id
    except BaseException as error:
        recorder.finish(span_id, error=error)
        raise
    else:
        recorder.finish(span_id)
    finally:
        with suppress(ValueError):  # a streamed run may end in another context than it began in
            _current_span.reset(token)


def trace(function: Callable[P, R]) -> Callable[P, R]:
    """A decorator that makes a function, or a coroutine function, a span of the recording it is called in."""
    if not callable(function):
        raise TypeError(
            f"@trace takes a function or coroutine function, not {type(function).__name__}; runs of frameworks record themselves"
        )
    name = getattr(function, "__qualname__", repr(function))
    if inspect.iscoroutinefunction(function):

        @wraps(function)
        async def traced_async(*args: P.args, **kwargs: P.kwargs) -> Any:
            with span("chain", name) as span_id:
                result = await function(*args, **kwargs)
                _note(span_id, result)
                return result

        return cast("Callable[P, R]", traced_async)

    @wraps(function)
    def traced(*args: P.args, **kwargs: P.kwargs) -> R:
        with span("chain", name) as span_id:
            result = function(*args, **kwargs)
            _note(span_id, result)
            return result

    return traced


def to_json(spans: Sequence[Span]) -> list[dict[str, Any]]:
    """Spans as JSON values, secrets masked. Total: an agent may pass anything around, and recording must not fail on it."""
    return [
        {
            "id": span.id,
            "parent_id": span.parent_id,
            "kind": span.kind,
            "name": clean(span.name),
            "started_at": span.started_at,
            "ended_at": span.ended_at,
            "attributes": plain(dict(span.attributes)),
            "error": clean(span.error) if span.error else None,
        }
        for span in spans
    ]


def _note(span_id: str | None, result: object) -> None:
    recorder = scope.current_recorder()
    if recorder is not None and span_id is not None:
        recorder.finish(span_id, attributes={"output": result})


def _stands_in(texts: Sequence[str], contents: Sequence[str]) -> bool:
    return any(texts) and all(any(text in content for content in contents) for text in texts if text)


def _longest(spans: Sequence[Span], contents: Sequence[str]) -> list[Span]:
    """The spans without those whose text is there only as a part of another prompt's text."""

    def is_part(span: Span, other: Span) -> bool:
        mine, others = span.attributes["texts"], other.attributes["texts"]
        inside = all(any(text in longer and text != longer for longer in others) for text in mine if text)
        return inside and not any(text in contents for text in mine if text)

    return [span for span in spans if not any(is_part(span, other) for other in spans if other is not span)]
