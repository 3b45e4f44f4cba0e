"""Places in a program: what a text found there is named after."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import Literal

from prompt_registry_plugin.sources.texts import Texts
from prompt_registry_plugin.sources.values import Scope, target_name

# Labels that tell nothing: within a function, `prompt = …` is the function's prompt.
_GENERIC = frozenset(
    "prompt prompts content contents text texts message messages msg template result results response value input inputs parts "
    "output query p s t lines chunks out ret res final_prompt formatted_prompt full_prompt prompt_text prompt_template".split()
)


@dataclass(frozen=True, slots=True)
class FoundText:
    """Texts that are built at one place, one of which is used there."""

    names: tuple[str, ...]
    """The place below its module: class, function, variable, key."""
    texts: Texts
    line: int


@dataclass(frozen=True, slots=True)
class Place:
    """What is being read: a module, a class in it, or a function; and below it what a text is assigned or passed to."""

    scope: Scope
    kind: Literal["module", "class", "function"] = "module"
    names: tuple[str, ...] = ()
    instance: Scope | None = None
    """What is known of `self`, in a class and its methods."""
    label: tuple[str, ...] = ()

    @property
    def full_name(self) -> tuple[str, ...]:
        """The parts of the name of a text here; within a function, only the last label that tells anything."""
        if self.kind != "function":
            return (*self.names, *self.label)
        telling = [word for word in self.label if word.lower() not in _GENERIC and not word.isdigit()]
        return (*(name for name in self.names if name != "__init__"), *telling[-1:])

    def at(self, *label: str) -> Place:
        """Return this place with another label."""
        return Place(self.scope, self.kind, self.names, self.instance, label)

    def below(self, name: str | None) -> Place:
        """Return the place of a key or argument within the text's own."""
        return self if name is None else self.at(*self.label, name)

    def within(self, scope: Scope) -> Place:
        """Return this place with the names of another scope."""
        return Place(scope, self.kind, self.names, self.instance, self.label)


def label_of(target: ast.expr) -> tuple[str, ...]:
    """Return the path of names and constant keys that an assignment goes to."""
    if (name := target_name(target)) is not None:
        return (name.removeprefix("self."),)
    match target:
        case ast.Attribute(value=value, attr=name):
            return (*label_of(value), name)
        case ast.Subscript(value=value, slice=ast.Constant(value=key)):
            return (*label_of(value), str(key))
    return ()
