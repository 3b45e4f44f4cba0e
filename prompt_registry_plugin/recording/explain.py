"""Where the texts of a recording come from: each is looked up in the source of the user's program, and the outcome is kept on the trace.

So a trace can be adopted in another process, in which the program's modules are not loaded. An explanation is JSON data: of a text whose
template was found, `template`, `name`, `file`, `line`, `variables` (the expression behind each), `nested` (explanations by variable) and
`is_constant`; of another, `reason`, `candidates` (explanations of templates between which the text does not decide) and
`has_source`. Either may have `said`: a user message that is what somebody asked, rather than a prompt. That of a description has only
`is_constant`: whether the source has it word by word.
"""

from __future__ import annotations

import linecache
import logging
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from prompt_registry_plugin.forks import ForkLock
from prompt_registry_plugin.frozen import values_of
from prompt_registry_plugin.masking import Masker
from prompt_registry_plugin.records import Span, digest
from prompt_registry_plugin.tracing.slots import Slot, prompt_texts, slots_of
from prompt_registry_plugin.tracing.trace import Trace

if TYPE_CHECKING:  # at run time where a text is looked up: reading sources takes as much to import as the rest of the registry
    from prompt_registry_plugin.sources import Found, NotFound, Sources, SourceTemplate

logger = logging.getLogger(__name__)

Explanation = dict[str, Any]

_MAX_TEXTS = 500  # different texts of one trace that are looked up
_MAX_KEPT = 2_000  # explanations in memory
_FRESH = 5.0  # seconds in which the same modules are not read again
_DEPTH = 8  # of the inputs whose texts are compared
_MIN_VALUE = 8  # characters of a prompt's variable that is looked up


class _Program:
    """The sources of this process, read again when modules were loaded, and the texts that were looked up in them."""

    def __init__(self) -> None:
        self._lock = ForkLock()
        self._stamp: tuple[int, str, int] = (0, "", 0)
        self._until = 0.0
        self._sources: Sources | None = None
        self._kept: dict[tuple[str, bool], Explanation] = {}  # by digest of the text

    def explain(self, text: str, *, inside: bool) -> Explanation:
        with self._lock:
            sources = self._current()
            key = (digest(text), inside)
            known = self._kept.get(key)
            if known is None:
                known = _as_json(sources.find(text, inside=inside), sources)
                if len(self._kept) >= _MAX_KEPT:
                    self._kept.clear()
                self._kept[key] = known
            return known

    def has_constant(self, text: str) -> bool:
        with self._lock:
            return self._current().has_constant(text)

    def _current(self) -> Sources:
        stamp = (len(sys.modules), next(reversed(sys.modules), ""), len(linecache.cache))  # the newest one: others may have gone
        if self._sources is None or stamp != self._stamp or time.monotonic() > self._until:
            from prompt_registry_plugin.sources import read_sources

            read = read_sources()
            if self._sources is None or read.templates != self._sources.templates:
                self._kept.clear()
            self._sources, self._stamp, self._until = read, stamp, time.monotonic() + _FRESH
        return self._sources


_program = _Program()


def explain(trace: Trace) -> Trace:
    """Return the trace with explanations of its texts, as attribute `sources` of its spans; the trace itself if it has them all.

    Texts that a recorded prompt covers are not looked up; the values of such a prompt are. Never raises.
    """
    try:
        return _explain(trace)
    except Exception:
        logger.warning("the sources of trace %s were not looked up", trace.id, exc_info=True)
        return trace


def explanations_of(trace: Trace) -> dict[str, Explanation]:
    """Return the explanations on a trace by `digest` of the text."""
    return {key: found for span in trace.spans for key, found in (span.attributes.get("sources") or {}).items()}


def _explain(trace: Trace) -> Trace:
    spans = trace.spans
    known = explanations_of(trace)
    covered = prompt_texts(spans)
    said: frozenset[str] | None = None
    added: dict[str, dict[str, Explanation]] = {}
    count = 0
    for span in spans:
        for slot in _to_explain(span, covered):
            key = digest(slot.text)
            if key in known or count >= _MAX_TEXTS:
                continue
            count += 1
            if said is None:
                said = _said(spans)
            known[key] = added.setdefault(span.id, {})[key] = _explain_slot(slot, said)
    if not added:
        return trace
    return trace.with_spans(
        replace(s, attributes={**s.attributes, "sources": {**(s.attributes.get("sources") or {}), **added[s.id]}})
        if s.id in added
        else s
        for s in spans
    )


def _said(spans: Sequence[Span]) -> frozenset[str]:
    """Return the texts in what the agent was called with."""
    inputs = [span.attributes.get("inputs") for span in spans if span.parent_id is None]
    return frozenset(text.strip() for text in values_of(str, inputs, _DEPTH))


def _to_explain(span: Span, covered: frozenset[str]) -> Iterator[Slot]:
    """Yield the texts of a span whose source is unknown. Descriptions are adopted as they are, unless they seem to have values."""
    if span.kind == "llm":
        for slot in slots_of(span):
            if slot.text.strip() not in covered and (slot.role != "description" or _has_values(slot.text)):
                yield slot
    elif span.kind == "prompt":
        for value in (span.attributes.get("variables") or {}).values():
            if isinstance(value, str) and len(value.strip()) >= _MIN_VALUE:
                yield Slot(span.id, "", "system", value)


def _has_values(text: str) -> bool:
    from prompt_registry_plugin.sources import rendered_signs

    return any(sign.is_certain for sign in rendered_signs(text))


def _explain_slot(slot: Slot, said: frozenset[str]) -> Explanation:
    if slot.role == "description":
        return {"is_constant": _program.has_constant(slot.text)}
    found = _program.explain(slot.text, inside=slot.role == "system" and bool(slot.place))
    if slot.role != "user":
        return found
    if slot.text.strip() in said and not found.get(
        "variables"
    ):  # one with values in it was made by the code that started the agent
        return {"said": True}
    is_literal = any(each.get("is_literal") for each in (found, *(found.get("candidates") or ())))
    return {**found, "said": True} if is_literal else found


def _as_json(result: Found | NotFound, sources: Sources) -> Explanation:
    from prompt_registry_plugin.sources import NotFound

    if isinstance(result, NotFound):
        candidates = [_template_json(template) for template in result.candidates]
        near = {"is_near": True} if result.is_near else {}
        return {"reason": result.reason, "candidates": candidates, "has_source": bool(sources.templates), **near}
    found = _template_json(result.template)
    if Masker().text(result.template.template) != result.template.template:
        return {"reason": f"The template {result.template.name} ({result.template.place}) holds a secret.", "has_source": True}
    if result.nested:
        found["nested"] = {name: _as_json(inner, sources) for name, inner in result.nested.items()}
    return found


def _template_json(template: SourceTemplate) -> Explanation:
    found: Explanation = {
        "template": template.template,
        "name": template.name,
        "file": template.file,
        "line": template.line,
        "variables": dict(template.variables),
    }
    if template.kind in ("constant", "docstring") and not template.variables and _is_main(template.file):
        # A literal in the script itself that no constant holds is the question that it asks.
        found["is_literal"] = not template.name.rpartition(".")[2].isupper()
    return found


def _is_main(file: str) -> bool:
    return getattr(sys.modules.get("__main__"), "__file__", None) == file
