"""The texts of a recording, and how far the registry knows each. One list, from which the coverage table is made and adoption chooses."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from prompt_registry_plugin.frozen import values_of
from prompt_registry_plugin.masking.controls import visible
from prompt_registry_plugin.recording.explain import Explanation, explanations_of
from prompt_registry_plugin.records import EMPTY, BindingRole, CoverageRow, CoverageState, Span, Template, digest
from prompt_registry_plugin.registry.adopted_texts import AdoptedTexts
from prompt_registry_plugin.templates import compile_template
from prompt_registry_plugin.templates.pattern import letters
from prompt_registry_plugin.templates.text import to_source
from prompt_registry_plugin.tracing.slots import Slot, prompt_texts, slots_of
from prompt_registry_plugin.tracing.trace import PromptUse, Trace

if TYPE_CHECKING:
    from prompt_registry_plugin.sources import Sign

COLUMNS = ("place", "kind", "prompt", "state", "variables", "source", "text")
"""The heads of the table."""
MAX_WORDS = 60
"""Characters of a text that a row shows."""

_DEPTH = 8  # of the inputs of a run that are compared with its texts
_MAX_TYPED = 200  # characters of a line that somebody typed
_LITERAL = " If the text never changes, adopt it by name, as it stands."


@dataclass(slots=True)
class Finding:
    """A text of a recording, or several that cannot be told apart."""

    role: BindingRole
    name: str
    """The prompt's name, or the proposed one."""
    state: CoverageState
    words: str
    detail: str = ""
    template: Template | None = None
    places: dict[str, None] = field(default_factory=dict)
    """Where it is sent, or of a value in an adopted text, `text_hash.variable`."""
    shown_place: str = ""
    source: str = ""
    key: str = ""
    times: int = 0
    is_strict: bool = False
    is_nested: bool = False
    needs_name: bool = False
    """Whether it is adopted only if it is asked for by name."""
    texts: dict[str, None] = field(default_factory=dict)
    """The different texts, where no template is known."""
    calls: list[set[str]] = field(default_factory=list)
    """The texts of each call, where no template is known."""

    @property
    def text_hash(self) -> str:
        """`digest` of the template."""
        return digest(self.template)

    def to_row(self) -> CoverageRow:
        """Return the row of the coverage table."""
        template = self.template if self.state != "not adoptable" or self.needs_name else None
        variables = () if template is None else tuple(sorted(compile_template(template, "the template").variables))
        place = self.shown_place or next(iter(self.places), "")
        return CoverageRow(
            place, self.role, self.name, self.state, self.detail, self.words, variables, self.source, self.times, template
        )


class Findings:
    """Collects the texts of one recording. `bindings` are the adopted template objects, `others` texts of other recordings by place."""

    def __init__(
        self,
        trace: Trace,
        texts: AdoptedTexts,
        bindings: Mapping[str, tuple[str, str]] = EMPTY,
        others: Mapping[tuple[str, str], Sequence[str]] | None = None,
        *,
        descriptions: bool = False,
    ) -> None:
        self._trace = trace
        self._texts = texts
        self._bindings = bindings
        self._others = others or {}
        self._descriptions = descriptions
        self._explanations = explanations_of(trace)
        self._found: dict[object, Finding] = {}
        self._names: set[str] = set()
        spans = trace.spans
        self._inputs = [span.attributes.get("inputs") for span in spans if span.parent_id is None]
        self._covered = prompt_texts(spans)
        self._made = _texts_made(spans)
        self._given = frozenset(text.strip() for text in values_of(str, self._inputs, _DEPTH))
        self._uses = {digest(use.template): use for use in trace.prompts if use.name is None}
        self._called_at = _places_of_prompts(spans)
        for span in spans:
            if span.kind == "prompt":
                self._add_prompt(span)
            elif span.kind == "llm":
                self._add_call(span)
            elif "unrecorded" in span.attributes:
                self._add_unrecorded(span)
        for finding in list(self._found.values()):
            if finding.texts:
                self._judge_unknown(finding)

    def __iter__(self) -> Iterator[Finding]:
        return iter(self._found.values())

    @property
    def rows(self) -> list[CoverageRow]:
        """The coverage table."""
        return [finding.to_row() for finding in self]

    def _add_prompt(self, span: Span) -> None:
        a = span.attributes
        place, role = self._called_at.get(span.id, (str(a.get("node") or ""), "template"))
        if a["prompt"] is not None:
            version = f"candidate {a['candidate']}" if a["candidate"] else f"version {a['version']}"
            key = ("served", a["prompt"], version)
            self._count(key, lambda: Finding(role, a["prompt"], "served", _words(a["text"]), version, shown_place=place))
        else:
            use = self._uses.get(a["template_hash"]) or self._uses[digest(a["template"])]
            self._count(("object", a["template_hash"]), lambda: self._of_object(use, place))
        for name, value in (a.get("variables") or {}).items():
            found = self._explanations.get(digest(value)) if isinstance(value, str) else None
            if not found or "template" not in found or found.get("is_literal") or str(value).strip() in self._made:
                continue
            # A chain of its own has its values as inputs. One that fits a template with variables was still made by code.
            if found["variables"] or str(value).strip() not in self._given:
                shown = f"{{{{{name}}}}} of {a['proposed_name']}"
                self._add_found(found, "system", f"{a['template_hash']}.{name}", shown, True)

    def _of_object(self, use: PromptUse, place: str) -> Finding:
        bound = self._bindings.get(digest(use.template))
        state: CoverageState = "adopted" if bound else "not adoptable" if use.unadoptable else "adoptable"
        name = bound[0] if bound else self._unique(use.proposed_name)
        words, detail = _words(use.rendered), use.unadoptable or ""
        finding = Finding("template", name, state, words, detail, use.template, {"": None}, shown_place=place)
        if not bound and not _has_text(use):  # a prompt has text of its own; this is where others come together
            finding.state, finding.detail, finding.needs_name = "not adoptable", "it has no text of its own, only variables", True
        return finding

    def _add_call(self, span: Span) -> None:
        slots = list(slots_of(span))
        has_prompt = bool(span.attributes.get("prompts"))
        unknown: dict[object, set[str]] = {}
        for slot in slots:
            if slot.role == "description":
                self._add_description(slot, bool(span.attributes.get("adopt_descriptions")))
            elif slot.text.strip() in self._covered:
                has_prompt = True
            else:
                found = self._explanations.get(digest(slot.text)) or {}
                if found.get("said") or (slot.role == "user" and _is_typed(slot.text, found)):
                    continue
                has_prompt = True
                if "template" in found:
                    self._add_found(found, slot.role, slot.place)
                elif not self._add_adopted(slot) and not self._add_ambiguous(found, slot):
                    unknown.setdefault(self._add_unknown(found, slot), set()).add(slot.text)
        for key, together in unknown.items():
            self._found[key].calls.append(together)
        if not has_prompt:
            sent = next((slot for slot in slots if slot.role != "description"), None)
            place = sent.place if sent else ""
            words = _words(sent.text) if sent else ""
            self._count(("none", place), lambda: Finding("system", "", "no prompt", words, "no instructions", shown_place=place))

    def _add_unrecorded(self, span: Span) -> None:
        """Add a call that an adapter saw, and that it cannot record."""
        a = span.attributes
        place, reason = str(a.get("place") or ""), str(a["unrecorded"])
        key = ("unrecorded", span.name, place)
        self._count(key, lambda: Finding("system", "", "not adoptable", span.name, reason, shown_place=place))

    def _add_adopted(self, slot: Slot) -> bool:
        """Add a text that an adopted template fits, although it was not served in this recording."""
        adopted = self._texts.find(slot.text, slot.role, slot.place)
        if adopted is None:
            return False
        binding = adopted.binding
        finding = self._count(
            ("slot", slot.role, binding.text_hash),
            lambda: Finding(
                slot.role,
                binding.name,
                "adopted",
                _words(slot.text),
                template=binding.template,
                source=str(binding.detail.get("source", "")),
            ),
        )
        finding.places.setdefault(slot.place)
        return True

    def _add_found(self, found: Explanation, role: BindingRole, place: str, shown: str = "", is_nested: bool = False) -> None:
        template = found["template"]
        text_hash = digest(template)
        key = ("slot", role, text_hash, place if is_nested else "")
        finding = self._count(key, lambda: self._of_source(found, role, shown, is_nested))
        finding.places.setdefault(place)
        expected = None if is_nested or finding.state == "adopted" else self._texts.expected_at(role, place)
        if expected is not None:
            finding.detail = f"{expected!r} was adopted here, and the text has changed"
        for name, inner in (found.get("nested") or {}).items():
            is_given = not inner.get("variables") and str(inner.get("template")).strip() in self._given
            if "template" in inner and not inner.get("is_literal") and not is_given:
                self._add_found(inner, role, f"{text_hash}.{name}", f"{{{{{name}}}}} of {finding.name}", True)

    def _of_source(self, found: Explanation, role: BindingRole, shown: str, is_nested: bool) -> Finding:
        template = found["template"]
        source = f"{found['file']}:{found['line']}" if found["line"] else found["file"]
        bound = self._texts.find_template(digest(template), role)
        is_question = role == "user" and not found["variables"] and not any(self._inputs) and _is_line(template)
        name = bound.name if bound else self._unique(found["name"])
        state: CoverageState = "adopted" if bound else "adoptable"
        finding = Finding(role, name, state, _words(template), template=template, shown_place=shown, source=source)
        finding.is_strict = finding.is_nested = is_nested
        if is_question and not bound:  # an agent without a framework has no inputs to compare it with
            finding.state, finding.needs_name = "not adoptable", True
            finding.detail = "it may be what a user asked. If it is a prompt, adopt it by name."
        return finding

    def _add_ambiguous(self, found: Explanation, slot: Slot) -> bool:
        """Add a text that stands at several places of the source: it is adopted for the place that sends it."""
        candidates = found.get("candidates") or []
        if not slot.place or len({candidate["template"] for candidate in candidates}) != 1:
            return False
        finding = self._count(
            ("strict", slot.role, digest(candidates[0]["template"]), slot.place),
            lambda: self._of_source({**candidates[0], "name": slot.name}, slot.role, "", False),
        )
        finding.places.setdefault(slot.place)
        finding.is_strict = True
        finding.detail = (
            finding.detail or f"the same text stands in {' and '.join(c['name'] for c in candidates[:3])}; served here only"
        )
        return True

    def _add_unknown(self, found: Explanation, slot: Slot) -> object:
        key = ("unknown", slot.role, slot.place or digest(slot.text))  # texts of no known place have nothing in common
        finding = self._count(
            key,
            lambda: Finding(
                slot.role,
                slot.name,
                "not adoptable",
                _words(slot.text),
                found.get("reason") or "It was not looked up, or holds a secret.",
                shown_place=slot.place,
            ),
        )
        finding.needs_name = finding.needs_name or found.get("has_source") is not False
        finding.places.setdefault(slot.place)
        finding.texts.setdefault(slot.text)
        return key

    def _judge_unknown(self, finding: Finding) -> None:
        """Decide whether texts without a source are one that can be adopted as it stands, or have a template in common."""
        place = next(iter(finding.places))
        others = self._others.get((finding.role, place), ())
        texts = list(dict.fromkeys([*finding.texts, *others]))
        together = any(len(call) == len(finding.texts) for call in finding.calls)
        if len(texts) > 1 and (others or not together):
            from prompt_registry_plugin.sources import Inferred, infer_template

            inferred = infer_template(texts)
            if isinstance(inferred, Inferred):
                finding.template, finding.needs_name = inferred.template, True
                finding.name = self._unique(finding.name)
                finding.detail = (
                    f"{finding.detail} Inferred from {len(texts)} texts, adopt it by name: {inferred.template!r:.400}"
                )
                return
            if len(finding.texts) > 1:
                finding.detail, finding.needs_name = f"{finding.detail} {inferred.reason}", False
                return
        text = next(iter(finding.texts))  # what other recordings sent has nothing in common with it
        certain = _certain_signs(text, self._inputs)
        if certain or len(finding.texts) > 1 or finding.role == "user":
            finding.needs_name = False
            finding.detail = " ".join([finding.detail, *(sign.reason for sign in certain[:1])])
            return
        finding.template = to_source([(text, None)])
        finding.name = self._unique(finding.name)
        if finding.needs_name:
            finding.detail += _LITERAL
        else:
            finding.state = "adoptable"
            finding.detail = "no source to read: adopted as it stands"

    def _add_description(self, slot: Slot, is_wanted: bool) -> None:
        template = to_source([(slot.text, None)])
        text_hash = digest(template)

        def make() -> Finding:
            bound = self._texts.find_description(slot.text, slot.key, slot.place)
            finding = Finding(
                "description", bound.binding.name if bound else slot.name, "adoptable", _words(slot.text), key=slot.key
            )
            is_constant = bound or (self._explanations.get(digest(slot.text)) or {}).get("is_constant")
            certain = [] if is_constant else _certain_signs(slot.text)
            if certain:
                finding.state, finding.detail = "not adoptable", certain[0].reason
                return finding
            finding.template = template
            if bound:
                finding.state = "adopted"
            else:
                finding.name = self._unique(finding.name)
                finding.needs_name = not (is_wanted or self._descriptions)
                finding.detail = "descriptions are adopted if asked for" if finding.needs_name else ""
            return finding

        if slot.text.strip() not in self._covered:
            self._count(("description", slot.key, text_hash), make).places.setdefault(slot.place)

    def _count(self, key: object, make: Any) -> Finding:
        finding = self._found.get(key)
        if finding is None:
            made: Finding = make()
            finding = self._found.setdefault(key, made)
        finding.times += 1
        return finding

    def _unique(self, name: str) -> str:
        unique, number = name, 2
        while unique in self._names:
            unique, number = f"{name}-{number}", number + 1
        self._names.add(unique)
        return unique


def format_table(rows: Iterable[CoverageRow]) -> str:
    """Return a coverage table as plain text, a line a row."""
    lines = [COLUMNS, *map(table_row, rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines)


def table_row(row: CoverageRow) -> tuple[str, ...]:
    """Return the cells of a row: place, kind, prompt, state, variables, source, first words."""
    state = f"{row.state}: {row.detail}" if row.detail else row.state
    cells = (row.place, row.role, row.name, state, ", ".join(row.variables), row.source, row.words)
    return tuple(visible(cell) for cell in cells)


def _is_typed(text: str, found: Explanation) -> bool:
    """Whether a user message that no template gives looks typed: a line that is short. Code that builds a prompt writes more."""
    if "template" in found or found.get("candidates") or found.get("is_near"):
        return False
    return _is_line(text)


def _is_line(text: str) -> bool:
    """Whether a text is as long as one that somebody types."""
    return len(text) <= _MAX_TYPED and "\n" not in text.strip()


def _places_of_prompts(spans: Sequence[Span]) -> dict[str, tuple[str, BindingRole]]:
    """Return the place and role of the first text that has the text of a prompt, by the id of the prompt's span."""
    prompts = {span.id: span for span in spans if span.kind == "prompt"}
    found: dict[str, tuple[str, BindingRole]] = {}
    for span in spans:
        linked = [i for i in span.attributes.get("prompts") or () if i in prompts and i not in found]
        slots = list(slots_of(span)) if span.kind == "llm" and linked else []
        for prompt_id in linked:
            texts = [text for text in prompts[prompt_id].attributes.get("texts") or () if text.strip()]
            at = next((slot for slot in slots if any(text in slot.text for text in texts)), None)
            if at is not None:
                found[prompt_id] = (at.place, at.role if len(texts) == 1 else "template")
    return found


def _has_text(use: PromptUse) -> bool:
    """Whether a template object has text of its own, rather than variables and placeholders only."""
    if use.unadoptable or not isinstance(use.template, str | list | tuple):
        return True
    parts = [use.template] if isinstance(use.template, str) else [str(m.get("content", "")) for m in use.template]
    return letters([re.sub(r"\{\{.*?\}\}", "", part) for part in parts], 1) > 0


def _texts_made(spans: Sequence[Span]) -> frozenset[str]:
    """Return the texts that prompts rendered to, without those that are a value alone: others made the value."""
    made: set[str] = set()
    for span in spans:
        if span.kind == "prompt":
            values = {str(value).strip() for value in (span.attributes.get("variables") or {}).values()}
            made |= prompt_texts([span]) - values
    return frozenset(made)


def _certain_signs(text: str, state: object = None) -> list[Sign]:
    """Return the certain signs that a text was rendered with values."""
    from prompt_registry_plugin.sources import rendered_signs

    return [sign for sign in rendered_signs(text, state=state) if sign.is_certain]


def _words(text: str) -> str:
    shown = visible(" ".join(text.split()))
    return shown if len(shown) <= MAX_WORDS else shown[: MAX_WORDS - 1] + "…"
