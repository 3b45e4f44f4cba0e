"""Traces: what an agent did, as a tree of spans that knows which prompt was rendered where.

A `Trace` collects spans from any number of threads and tasks. Adapters add model, tool and chain spans; prompts add themselves
when they are rendered. A model span is linked to the prompts whose rendered text stands in its messages: that holds for
every framework, and is how the optimizer knows what each prompt's model answered.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

from prompt_registry_plugin.masking import Masker, detached
from prompt_registry_plugin.prompts import context as scope
from prompt_registry_plugin.prompts.context import Place, Recorder
from prompt_registry_plugin.prompts.messages import content_of, role_of, text_of
from prompt_registry_plugin.records import EMPTY, Span, SpanKind, Template, Usage, digest
from prompt_registry_plugin.tracing.call_site import propose_name

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


Locator = Callable[[Recorder], Place | None]
_locators: list[Locator] = []


def add_locator(locator: Locator) -> None:
    """Lets an adapter say where in its framework the current code runs."""
    if locator not in _locators:
        _locators.append(locator)


def remove_locator(locator: Locator) -> None:
    """Takes a locator away; unknown ones are ignored."""
    if locator in _locators:
        _locators.remove(locator)


class _Step:
    """A span while it may still change; `Span` is what others see of it. An agent waits while these are made."""

    __slots__ = ("attributes", "ended_at", "error", "id", "kind", "name", "number", "parent_id", "started_at")

    def __init__(self, number: int, kind: SpanKind, name: str, parent_id: str | None, attributes: dict[str, Any]) -> None:
        self.number = number  # rises within a trace, which a clock may not
        self.id = f"{number:016x}"
        self.kind = kind
        self.name = name
        self.started_at = time.time()
        self.ended_at: float | None = None
        self.parent_id = parent_id
        self.attributes = attributes
        self.error: str | None = None

    def seen(self, copy: Callable[[dict[str, Any]], dict[str, Any]] = dict) -> Span:
        attributes = copy(dict(self.attributes))  # ours first: another thread may finish the span meanwhile
        return Span(self.id, self.kind, self.name, self.started_at, self.ended_at, self.parent_id, attributes, self.error)


class Trace:
    """A live or finished recording. All methods may be called from any thread.

    `is_masked` says that no secret is left in it, as in a stored one.
    """

    def __init__(
        self,
        name: str = "recording",
        *,
        trace_id: str | None = None,
        started_at: float | None = None,
        spans: Iterable[Span] = (),
        is_masked: bool = False,
        run_id: str | None = None,
    ) -> None:
        self.name = name
        self.run_id = run_id  # of the tracked run that it belongs to
        self.id = trace_id or secrets.token_hex(16)
        self.started_at = time.time() if started_at is None else started_at
        self.is_masked = is_masked
        self._lock = threading.RLock()  # a collection of garbage may end a generator's span anywhere
        self._finished = tuple(spans)  # of a trace that was stored; a live one has steps
        self._steps: dict[str, _Step] = {}
        self._prompts: list[_Step] = []
        self._by_key: dict[Hashable, _Step | None] = {}
        self._own_keys: set[Hashable] = set()
        self.loaded: dict[str, int] = {}  # versions of the registry's prompts, 0 for what was not there; includes count as loaded
        self.error: str | None = None  # what ended it, where something did
        self.ended_at: float | None = None  # of what is timed from outside, where no step tells
        self._numbers = count(secrets.randbits(63))  # ids of spans differ between traces, and cost no system call

    @property
    def spans(self) -> tuple[Span, ...]:
        """All spans so far, in the order they began."""
        return (*self._finished, *(step.seen() for step in self._all_steps()))

    def _all_steps(self) -> list[_Step]:
        with self._lock:
            return list(self._steps.values())

    def start(
        self,
        kind: SpanKind,
        name: str,
        *,
        key: Hashable = None,
        parent_id: str | None = None,
        attributes: Mapping[str, Any] = EMPTY,
    ) -> str:
        """Begins a span and returns its id. `key` is a framework's own id, which `span_id` finds again.

        `parent_id` is the framework's own idea of its parent; a span that other code opened since then comes between.
        """
        parent_id = self._innermost((parent_id,)) or parent_id if parent_id else self.parent_here()
        step = _Step(next(self._numbers), kind, name, parent_id, dict(attributes))
        with self._lock:
            self._steps[step.id] = step
            if key is not None:
                self._by_key[key] = step
                self._own_keys.add(key)
        return step.id

    def parent_here(self) -> str | None:
        """The innermost span that the current code runs in, whichever framework began it: the open one that began last."""
        return self._innermost([place.parent_id for locator in _locators if (place := locator(self)) is not None])

    def _innermost(self, span_ids: Iterable[str | None]) -> str | None:
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
        tools: Mapping[str, str] = EMPTY,
        key: Hashable = None,
        parent_id: str | None = None,
    ) -> str:
        """Begins a model span that names the prompts whose rendered text stands in `messages`, or in the descriptions of `tools`."""
        return self.start("llm", name, key=key, parent_id=parent_id, attributes=self.seen_by_model(messages, tools))

    def seen_by_model(self, messages: Sequence[Any], tools: Mapping[str, str] = EMPTY) -> dict[str, Any]:
        """The attributes of a model span: the messages, the tools by name, and the prompts whose rendered text stands in them."""
        contents = [content_of(message) for message in messages]
        shown = [{"role": role_of(message), "content": text} for message, text in zip(messages, contents, strict=True)]
        contents += tools.values()
        linked: dict[str, _Step] = {}
        for step in reversed(self._prompts):
            if step.name not in linked and _stands_in(step.attributes["texts"], contents):
                linked[step.name] = step
        found = _longest(list(linked.values()), contents) if len(linked) > 1 else linked.values()
        return {"messages": shown, "prompts": [step.id for step in found], **({"tools": dict(tools)} if tools else {})}

    def alias_key(self, key: Hashable, parent_key: Hashable) -> None:
        """Makes `key` stand for the span of `parent_key`: for steps of a framework that deserve no span."""
        with self._lock:
            self._by_key[key] = None if parent_key is None else self._by_key.get(parent_key)

    def __repr__(self) -> str:
        return f"<trace {self.name!r}: {len(self.spans)} spans, prompts: {', '.join(use.proposed_name for use in self.prompts) or 'none'}>"

    def owns_key(self, key: Hashable) -> bool:
        """Whether `key` began a span of its own, rather than standing for its parent's."""
        return key in self._own_keys

    def span_id(self, key: Hashable) -> str | None:
        """The span that was begun with `key`."""
        step = None if key is None else self._by_key.get(key)
        return None if step is None else step.id

    def finish(self, span_id: str | None, *, attributes: Mapping[str, Any] = EMPTY, error: BaseException | None = None) -> None:
        """Ends a span; unknown and ended ones are ignored."""
        said = None if error is None else error_text(error)
        with self._lock:
            step = self._steps.get(span_id) if span_id else None
            if step is None or step.ended_at is not None:
                return
            step.attributes.update(attributes)
            step.error = said
            step.ended_at = time.time()

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
        """Records that a prompt was rendered here; `name` is None for one that the registry does not know."""
        places = [found for locator in _locators if (found := locator(self)) is not None]
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
            "text": text_of(rendered),
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

    @property
    def seconds(self) -> float:
        """How long it took: until its last step ended, or until it was said to have ended."""
        ends = [span.ended_at for span in self.spans if span.ended_at is not None]
        return max([self.ended_at or self.started_at, *ends]) - self.started_at

    def replay(self, other: Trace) -> None:
        """Takes over what another trace saw."""
        self._finished, self.started_at, self.ended_at = other.spans, other.started_at, other.ended_at

    def has_rendered(self, text: str) -> bool:
        """Whether a prompt that was recorded here rendered to this text, or to messages with it."""
        return any(text in step.attributes["texts"] for step in self._prompts)

    def detached(self) -> Trace:
        """This trace as it is now, which no longer changes with what an agent does to its own objects."""
        spans = [*self._finished, *(step.seen(detached) for step in self._all_steps())]
        return self.with_spans(spans)

    def masked(self) -> Trace:
        """This trace as JSON data without secrets: what is stored, and what plugins get."""
        if self.is_masked:
            return self
        mask = Masker()
        spans = [
            Span(
                s.id,
                s.kind,
                mask.text(s.name),
                s.started_at,
                s.ended_at,
                s.parent_id,
                mask.data(s.attributes),
                mask.data(s.error),
            )
            for s in (self.detached() if self._steps else self).spans
        ]
        return self.with_spans(spans, name=mask.text(self.name), is_masked=True)

    def with_spans(self, spans: Iterable[Span], *, name: str | None = None, is_masked: bool | None = None) -> Trace:
        """This trace with other spans."""
        made = Trace(
            self.name if name is None else name,
            trace_id=self.id,
            started_at=self.started_at,
            spans=spans,
            is_masked=self.is_masked if is_masked is None else is_masked,
            run_id=self.run_id,
        )
        made.ended_at, made.error = self.ended_at, self.error
        return made

    def root_name(self, span_id: str | None) -> str | None:
        """The name of the outermost span above a span of this live recording."""
        step = self._steps.get(span_id) if span_id else None
        while step is not None and step.parent_id is not None and step.parent_id in self._steps:
            step = self._steps[step.parent_id]
        return None if step is None else step.name

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
        spans = self.spans
        known = {span.id for span in spans}
        for span in spans:
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


class inside:  # noqa: N801  a context manager
    """A scope whose spans hang under `span_id`, or where they would anyway, when it is None."""

    __slots__ = ("_span_id", "_token")

    def __init__(self, span_id: str | None) -> None:
        self._span_id = span_id

    def __enter__(self) -> None:
        self._token = _current_span.set(self._span_id or _current_span.get())

    def __exit__(self, *_error: object) -> None:
        with suppress(ValueError):  # a streamed run may end in another context than it began in
            _current_span.reset(self._token)


@contextmanager
def span(kind: SpanKind, name: str, attributes: Mapping[str, Any] = EMPTY) -> Iterator[str | None]:
    """A span around a block of code, parent of what happens inside; nothing when nobody records."""
    recorder = scope.current_recorder()
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


def to_json(trace: Trace) -> dict[str, Any]:
    """A trace as JSON data, without secrets. Total: an agent may pass anything around, and recording must not fail on it."""
    masked = trace.masked()
    spans = [
        {
            "id": span.id,
            "parent_id": span.parent_id,
            "kind": span.kind,
            "name": span.name,
            "started_at": span.started_at,
            "ended_at": span.ended_at,
            "attributes": dict(span.attributes),
            "error": span.error,
        }
        for span in masked.spans
    ]
    return {"id": masked.id, "name": masked.name, "started_at": masked.started_at, "error": masked.error, "spans": spans}


def error_text(error: BaseException) -> str:
    """An error as one line; a user's own may fail to say anything."""
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:  # noqa: BLE001  a user's __str__ may raise anything
        return type(error).__name__


def _stands_in(texts: Sequence[str], contents: Sequence[str]) -> bool:
    return any(texts) and all(any(text in content for content in contents) for text in texts if text)


def _longest(steps: Sequence[_Step], contents: Sequence[str]) -> list[_Step]:
    """The steps without those whose text is there only as a part of another prompt's text."""

    def is_part(step: _Step, other: _Step) -> bool:
        mine, others = step.attributes["texts"], other.attributes["texts"]
        inside = all(any(text in longer and text != longer for longer in others) for text in mine if text)
        return inside and not any(text in contents for text in mine if text)

    return [step for step in steps if not any(is_part(step, other) for other in steps if other is not step)]
