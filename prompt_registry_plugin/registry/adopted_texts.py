"""The adopted texts of a registry, searched by a text that an agent is about to send. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from prompt_registry_plugin.errors import InvalidTemplate
from prompt_registry_plugin.records import BindingRole, TextBinding
from prompt_registry_plugin.templates.pattern import Pattern
from prompt_registry_plugin.templates.pattern_index import PatternIndex

_MAX_SERVED = 4_096  # texts that are remembered as served


@dataclass(frozen=True, slots=True)
class AdoptedText:
    """A text that matches an adopted template."""

    binding: TextBinding
    pattern: Pattern
    names: frozenset[str]
    """The variables of the template."""
    values: Mapping[str, str]
    """Their values."""


@dataclass(slots=True)
class _Bound:
    """The bindings of one template."""

    pattern: Pattern
    names: frozenset[str]
    anywhere: dict[BindingRole, TextBinding] = field(default_factory=dict)
    at: dict[tuple[BindingRole, str], TextBinding] = field(default_factory=dict)

    def find(self, role: BindingRole, place: str) -> TextBinding | None:
        return self.at.get((role, place)) or self.anywhere.get(role)


class AdoptedTexts:
    """The bindings of a registry as one epoch has them. Safe to use from any thread."""

    def __init__(self, bindings: Sequence[TextBinding]) -> None:
        self.bindings = tuple(bindings)
        self.problems: list[str] = []
        """A sentence for each binding that cannot be matched."""
        self._bound: dict[str, _Bound] = {}
        self._descriptions: dict[str, _Bound] = {}
        self._alone: dict[tuple[BindingRole, str], str] = {}
        self._nested: set[str] = set()
        self._served: set[int] = set()  # hashes: the texts may be long, and hold what users said
        for binding in bindings:
            self._add(binding)
        self._index = PatternIndex({text_hash: bound.pattern for text_hash, bound in self._bound.items()})

    def __bool__(self) -> bool:
        return bool(self.bindings)

    def _add(self, binding: TextBinding) -> None:
        if not isinstance(binding.template, str):
            self.problems.append(f"The version that {binding.name!r} was adopted as, {binding.version}, was deleted.")
            return
        try:
            is_description = binding.role == "description"
            pattern = Pattern.from_template(binding.template, minimum=0 if is_description else 1)
        except InvalidTemplate as error:
            self.problems.append(str(error))
            return
        if is_description:
            bound = self._descriptions.setdefault(pattern.literals[0], _Bound(pattern, frozenset()))
            bound.at["description", binding.place] = binding
            if not binding.strict:
                bound.at.setdefault(("description", str(binding.detail.get("key", ""))), binding)
            return
        bound = self._bound.setdefault(binding.text_hash, _Bound(pattern, frozenset(pattern.names)))
        bound.at[binding.role, binding.place] = binding
        # A user may type the words of a message that the code sends elsewhere: those are replaced where the code sends them.
        is_sentence = binding.role == "user" and not pattern.names and binding.place
        if not binding.strict and not is_sentence:
            bound.anywhere.setdefault(binding.role, binding)
        if binding.detail.get("alone"):
            self._alone.setdefault((binding.role, binding.place), binding.name)
        if binding.detail.get("nested"):
            self._nested.add(binding.place)

    def find(self, text: str, role: BindingRole, place: str) -> AdoptedText | None:
        """Return the adopted template that `text` was rendered from, if it is replaced at this place; None if two fit equally."""
        bound = self._bound
        found = self._index.match(text, lambda text_hash: bound[text_hash].find(role, place) is not None)
        if found is None:
            return None
        binding = bound[found.key].find(role, place)
        names = bound[found.key].names
        return None if binding is None else AdoptedText(binding, found.pattern, names, found.values)

    def find_description(self, text: str, key: str, place: str) -> AdoptedText | None:
        """Return the adopted description that `text` is, if it is replaced for this key and place."""
        bound = self._descriptions.get(text)
        binding = bound and (bound.at.get(("description", place)) or bound.at.get(("description", key)))
        return AdoptedText(binding, bound.pattern, bound.names, {}) if bound and binding else None

    def find_template(self, text_hash: str, role: BindingRole) -> TextBinding | None:
        """Return a binding of an adopted template by its hash."""
        return next((binding for binding in self.bindings if (binding.text_hash, binding.role) == (text_hash, role)), None)

    def nested_places(self, text_hash: str, names: Sequence[str]) -> Iterator[tuple[str, str]]:
        """Yield the variables of an adopted template whose values are adopted themselves, and the place of each."""
        if self._nested:
            for name in names:
                if (place := f"{text_hash}.{name}") in self._nested:
                    yield name, place

    def expected_at(self, role: BindingRole, place: str) -> str | None:
        """Return the prompt that a place sends, if all of its texts of this role were adopted."""
        return self._alone.get((role, place)) if place else None

    def why_not(self, text: str, role: BindingRole, place: str) -> str | None:
        """Return why `find` returns None for a text that an adopted template may have made, as a clause; None if none has."""
        bound = self._bound

        def name(text_hash: str) -> str:
            binding = bound[text_hash].find(role, place)
            return text_hash if binding is None else binding.name

        return self._index.why_not(text, lambda text_hash: bound[text_hash].find(role, place) is not None, name)

    def remember(self, text: str) -> None:
        """Remember that a text was served, so that it is not served again when a framework converts its input once more."""
        if len(self._served) >= _MAX_SERVED:
            self._served.clear()
        self._served.add(hash(text))

    def was_served(self, text: str) -> bool:
        """Return whether a text was served."""
        return hash(text) in self._served

    def replaced_by(self, bindings: Sequence[TextBinding]) -> AdoptedTexts:
        """Return the adopted texts of another epoch: these, if the bindings are the same; what was served stays known."""
        if tuple(bindings) == self.bindings:
            return self
        others = AdoptedTexts(bindings)
        others._served = self._served
        return others
