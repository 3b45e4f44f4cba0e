"""Traces: the record of what an agent did, as a tree of spans, with the prompts it rendered and the tokens it used."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from prompt_registry_plugin.masking import Masker
from prompt_registry_plugin.records import Span, Template, Usage
from prompt_registry_plugin.tracing import ids
from prompt_registry_plugin.tracing.calls import answer_of


@dataclass(frozen=True, slots=True)
class PromptUse:
    """A prompt in a trace, with the number of times it was rendered."""

    template: Template
    """The template, before rendering."""
    name: str | None
    """The prompt's name in the registry. None for a discovered prompt: a template in the code that the registry does not know."""
    version: int | None
    """The version in the registry. None for a candidate and for a discovered prompt."""
    candidate: str | None
    """The id of the candidate that an override rendered instead of the version, or None."""
    proposed_name: str
    """The name, or for a discovered prompt one made from where it was rendered. Unique within the trace."""
    variables: frozenset[str]
    """The names of the values that it was rendered with the first time."""
    rendered: str
    """The rendered text of the first time; chat messages are joined, one a line, with their roles."""
    times: int
    """How often it was rendered."""
    unadoptable: str | None = None
    """The reason why a discovered prompt cannot be adopted, or None."""


class Trace:
    """The record of one call of an agent. `tracing.recorder.TraceRecorder` is one that still grows."""

    id: str
    """32 hexadecimal digits, unless you gave another one."""
    name: str
    """The name that was given to `record`."""
    run_id: str | None
    """The tracked run that it belongs to, or None."""
    started_at: float
    """Start, in seconds since the epoch."""
    ended_at: float | None
    """End, in seconds since the epoch, if it was timed from outside; None if the spans tell."""
    error: str | None
    """The error that ended the call, as one line, or None."""
    is_masked: bool
    """Whether secrets are masked, as in every stored trace."""

    def __init__(
        self,
        name: str = "recording",
        *,
        trace_id: str | None = None,
        started_at: float | None = None,
        ended_at: float | None = None,
        error: str | None = None,
        spans: Iterable[Span] = (),
        is_masked: bool = False,
        run_id: str | None = None,
    ) -> None:
        self.id = trace_id or ids.trace_id()
        self.name = name
        self.run_id = run_id
        self.started_at = time.time() if started_at is None else started_at
        self.ended_at = ended_at
        self.error = error
        self.is_masked = is_masked
        self._spans = tuple(spans)

    @property
    def spans(self) -> tuple[Span, ...]:
        """The spans, in the order in which they started."""
        return self._spans

    def __repr__(self) -> str:
        return f"<trace {self.name!r}: {len(self.spans)} spans, prompts: {', '.join(use.proposed_name for use in self.prompts) or 'none'}>"

    @property
    def seconds(self) -> float:
        """The duration in seconds, until `ended_at` or until the last span ended."""
        ends = [span.ended_at for span in self.spans if span.ended_at is not None]
        return max([self.ended_at or self.started_at, *ends]) - self.started_at

    @property
    def prompts(self) -> list[PromptUse]:
        """The prompts that were rendered, each template once, in the order of their first time."""
        uses: dict[tuple[Any, ...], PromptUse] = {}
        for span in self.spans:
            if span.kind != "prompt":
                continue
            a = span.attributes
            key = (a["prompt"], a["template_hash"])
            if key in uses:
                uses[key] = replace(uses[key], times=uses[key].times + 1)
                continue
            proposed_name = a["proposed_name"]
            if a["prompt"] is None:
                proposed_name = _unique(proposed_name, {use.proposed_name for use in uses.values()})
            uses[key] = PromptUse(
                template=a["template"],
                name=a["prompt"],
                version=a["version"],
                candidate=a["candidate"],
                proposed_name=proposed_name,
                variables=frozenset(a["variables"]),
                rendered=a["text"],
                times=1,
                unadoptable=a["unadoptable"],
            )
        return list(uses.values())

    @property
    def usage(self) -> Usage:
        """Tokens and calls, summed over all model spans."""
        return sum((usage_of(span) for span in self.spans), Usage())

    def outputs_by_prompt(self) -> dict[str, str]:
        """Return the model's last answer to each prompt of the registry, by the prompt's name.

        Calls of tools and handoffs are answers too: `→ search(query="refunds")`.
        """
        return {name: answers[-1] for name, answers in self.answers_by_prompt().items()}

    def answers_by_prompt(self) -> dict[str, list[str]]:
        """Return the model's answers to each prompt of the registry, oldest first, by the prompt's name."""
        spans = {span.id: span for span in self.spans}
        answers: dict[str, list[str]] = {}
        for span in spans.values():
            for prompt_id in span.attributes.get("prompts", ()) if span.kind == "llm" else ():
                name = spans[prompt_id].attributes["prompt"]
                if name is not None and "output" in span.attributes:
                    answers.setdefault(name, []).append(answer_of(span.attributes))
        return answers

    def walk(self) -> Iterator[tuple[int, Span]]:
        """Yield every span with its depth (0 at the top), parents before their children."""
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
        """Return the spans as indented text, one a line, with their durations in milliseconds."""
        return "\n".join(f"{'  ' * depth}{span.kind} {span.name} ({span.seconds * 1000:.0f} ms)" for depth, span in self.walk())

    def snapshot(self) -> Trace:
        """Return this trace as it is now: a copy that does not change when the agent changes its own objects."""
        return self.with_spans(self.spans)

    def masked(self) -> Trace:
        """Return this trace as JSON data with secrets masked, as stores and plugins get it."""
        if self.is_masked:
            return self
        mask = Masker()
        spans = [
            replace(s, name=mask.text(s.name), attributes=mask.data(s.attributes), error=mask.data(s.error)) for s in self.spans
        ]
        return self.with_spans(spans, name=mask.text(self.name), is_masked=True)

    def with_spans(self, spans: Iterable[Span], *, name: str | None = None, is_masked: bool | None = None) -> Trace:
        """Return this trace with other spans and, if given, another name."""
        return Trace(
            self.name if name is None else name,
            trace_id=self.id,
            started_at=self.started_at,
            ended_at=self.ended_at,
            error=self.error,
            spans=spans,
            is_masked=self.is_masked if is_masked is None else is_masked,
            run_id=self.run_id,
        )


def usage_of(span: Span) -> Usage:
    """Return the tokens of a model span, or an empty `Usage` for other spans."""
    if span.kind != "llm":
        return Usage()
    a = span.attributes
    return Usage(a.get("input_tokens", 0) or 0, a.get("output_tokens", 0) or 0, 1)


def to_json(trace: Trace) -> dict[str, Any]:
    """Return a trace as JSON data with secrets masked. Never raises, whatever objects the agent passed around."""
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
    """Return an error as one line: its type and message, or its type alone if its message cannot be read."""
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:  # noqa: BLE001  a user's __str__ may raise anything
        return type(error).__name__


def _unique(name: str, names: set[str]) -> str:
    """Return `name`, with a number from 2 appended if it is in `names`."""
    unique, n = name, 2
    while unique in names:
        unique, n = f"{name}-{n}", n + 1
    return unique
