"""What a name of a program stands for, as far as its source tells, and the scopes that names are looked up in."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from prompt_registry_plugin.sources.texts import MAX_ALTERNATIVES, Definition, Hole, Text, Texts, distinct, make
from prompt_registry_plugin.sources.variables import key_of, name_of


@dataclass(frozen=True, slots=True)
class Many:
    """Elements of a list whose number only a run knows; joined, they are one hole."""

    hole: Hole


Element = Texts | Many


@dataclass(frozen=True, slots=True)
class Items:
    """The lists that an expression may yield."""

    alternatives: tuple[tuple[Element, ...], ...]


@dataclass(frozen=True, slots=True)
class Entries:
    """A dictionary, a class or an enumeration: values by name."""

    values: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class ModuleValue:
    """A module, by the name under which it is imported."""

    name: str


@dataclass(frozen=True, slots=True)
class Number:
    """A whole number, as a text shows it."""

    text: str


Value = Texts | Items | Entries | ModuleValue | Number | None
"""None is a value of which nothing is known."""

Resolve = Callable[[str], Value]


def hole_of(node: ast.AST) -> Texts:
    """Return the text of an expression of which nothing is known: one hole."""
    return (Text((Hole(key_of(node), name_of(node), node),), "f-string", getattr(node, "lineno", 0)),)


def opaque(name: str, line: int) -> Texts:
    """Return the text of a variable to which something unknown was assigned in `line`."""
    return (Text((Hole(("variable", name, line), name, expression=name),), "f-string", line),)


def target_name(node: ast.AST) -> str | None:
    """Return the name that an assignment binds, with `self.` for an attribute of the object; None for any other target."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"):
        return f"self.{node.attr}"
    return None


def is_texts(value: object) -> bool:
    """Whether a value is text of which at least a part is known."""
    return isinstance(value, tuple) and any(text.literals or not text.parts for text in value)


def defined(value: Value, definition: Definition) -> Value:
    """Return a value whose texts know where they are defined; one that was defined elsewhere keeps that."""
    if isinstance(value, tuple):
        return tuple(t if t.definition or not t.literals else replace(t, definition=definition, derived=False) for t in value)
    if isinstance(value, Entries):
        return Entries({k: defined(v, replace(definition, names=(*definition.names, k))) for k, v in value.values.items()})
    return value


class Scope:
    """The names of a function, class or module at one place of it; `outer` holds those around it."""

    __slots__ = ("lost", "outer", "used", "values")

    def __init__(self, outer: Scope | Resolve, used: set[int] | None = None) -> None:
        self.values: dict[str, Value] = {}
        self.outer = outer
        self.used: set[int] = set() if used is None else used
        """Values that went into another text, or were found, by identity."""
        self.lost: list[tuple[str, Value]] = []
        """Values that a name no longer holds, and that no statement used: what used them was not understood."""

    def lookup(self, name: str) -> Value:
        """Return the value of a name here or around here."""
        scope: Scope | Resolve = self
        while isinstance(scope, Scope):
            if name in scope.values:
                value = scope.values[name]
                scope.used.add(id(value))
                return value
            scope = scope.outer
        return scope(name)

    def assign(self, name: str, value: Value, line: int) -> None:
        """Give a name a value; an unknown one is a hole that is the same wherever the name is read."""
        self._lose(name)
        self.values[name] = opaque(name, line) if value is None else value

    def forget(self, target: ast.AST) -> None:
        """Give every name in an assignment's target an unknown value."""
        for node in ast.walk(target):
            if (name := target_name(node)) is not None:
                self.assign(name, None, getattr(node, "lineno", 0))

    def fork(self) -> Scope:
        """Return a copy for a branch."""
        scope = Scope(self.outer, self.used)
        scope.values = dict(self.values)
        scope.lost = self.lost
        return scope

    def _lose(self, name: str) -> None:
        if (value := self.values.get(name)) is not None and id(value) not in self.used:
            self.lost.append((name, value))

    def merge(self, branches: list[Scope], line: int) -> None:
        """Take over what the names may be after one of `branches` was run."""
        if len(branches) == 1:
            self.values = branches[0].values
            return
        merged: dict[str, Value] = {}
        for name in dict.fromkeys(name for branch in branches for name in branch.values):
            options = [branch.values[name] for branch in branches if name in branch.values]
            merged[name] = options[0] if all(o is options[0] for o in options) else self._either(name, options, line)
        self.values = merged

    def _either(self, name: str, options: list[Value], line: int) -> Value:
        if all(isinstance(option, tuple) for option in options):
            value: Value = distinct(text for option in options if isinstance(option, tuple) for text in option)
        elif all(isinstance(option, Items) for option in options):
            lists = dict.fromkeys(each for option in options if isinstance(option, Items) for each in option.alternatives)
            value = Items(tuple(lists)) if len(lists) <= MAX_ALTERNATIVES else opaque(name, line)
        else:
            self.lost += [(name, option) for option in options if id(option) not in self.used]
            value = opaque(name, line)
        if all(id(option) in self.used for option in options):
            self.used.add(id(value))
        return value

    def repeat(self, before: dict[str, Value], hole: Hole, line: int) -> None:
        """Correct what a body that ran once left, for a body that runs any number of times: what it adds is one hole."""
        for name, after in self.values.items():
            old = before.get(name)
            if name not in before or after is old:
                continue
            if isinstance(old, tuple) and isinstance(after, tuple):
                if all(any(_extends(text, each) for each in old) for text in after):
                    if old[0].constant == "":
                        self._lose(name)
                    self.values[name] = distinct(make((*each.parts, hole), each.kind, each.line) for each in old)
                else:
                    self._lose(name)
                    self.values[name] = distinct((*old, *opaque(name, line)))
            elif isinstance(old, Items) and isinstance(after, Items):
                self.values[name] = Items(tuple(dict.fromkeys((*each, Many(hole)) for each in old.alternatives)))
            else:
                self._lose(name)
                self.values[name] = opaque(name, line)


def _extends(after: Text, before: Text) -> bool:
    """Whether a text begins with another one, whose last literal piece may have grown."""
    count = len(before.parts)
    if after.parts[:count] == before.parts:
        return True
    last, grown = before.parts[-1], after.parts[count - 1] if len(after.parts) >= count else None
    return (
        after.parts[: count - 1] == before.parts[:-1]
        and isinstance(last, str)
        and isinstance(grown, str)
        and grown.startswith(last)
    )
