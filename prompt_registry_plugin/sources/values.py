"""Values that names of a program may have, as far as its source tells, and the scopes in which names are looked up."""

from __future__ import annotations

import ast
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, replace

from prompt_registry_plugin.sources.texts import MAX_ALTERNATIVES, Definition, Hole, Text, Texts, distinct, make
from prompt_registry_plugin.sources.variables import key_of, name_of
from prompt_registry_plugin.templates.pattern import letters


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

MIN_SHARED = 24
"""Letters that branches have to begin with, so that what they add is a variable; with fewer, each branch makes a template."""

Resolve = Callable[[str], Value]


def hole_of(node: ast.AST, form: Hashable = None) -> Texts:
    """Return the text of an expression of which nothing is known: one hole. `form` tells how the value is formatted."""
    key = key_of(node) if form is None else (key_of(node), form)
    return (Text((Hole(key, name_of(node), node),), "f-string", getattr(node, "lineno", 0)),)


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


def defined(value: Value, module: str, names: tuple[str, ...], line: int) -> Value:
    """Return a value whose texts know where they are defined; one that was defined elsewhere keeps that."""
    if isinstance(value, tuple):
        return tuple(
            text
            if text.definition or not text.literals
            else replace(text, definition=Definition(module, names, text.line or line, i), derived=False)
            for i, text in enumerate(value)
        )
    if isinstance(value, Entries):
        return Entries({key: defined(each, module, (*names, key), line) for key, each in value.values.items()})
    if isinstance(value, Items) and len(value.alternatives) == 1:
        elements = (
            (each if isinstance(each, Many) else defined(each, module, (*names, str(i)), line))
            for i, each in enumerate(value.alternatives[0])
        )
        return Items((tuple(each for each in elements if isinstance(each, tuple | Many)),))
    return value


class Scope:
    """The names of a function, class or module at one place of it; `outer` holds those around it."""

    __slots__ = ("lost", "outer", "used", "values")

    def __init__(self, outer: Scope | Resolve, used: dict[int, Value] | None = None) -> None:
        self.values: dict[str, Value] = {}
        self.outer = outer
        self.used: dict[int, Value] = {} if used is None else used
        """Values that went into another text, or were found, by identity; kept, so that an identity stays theirs."""
        self.lost: list[tuple[str, Value]] = []
        """Values that a name no longer holds, and that no statement used: what used them was not understood."""

    def lookup(self, name: str) -> Value:
        """Return the value of a name here or around here."""
        scope: Scope | Resolve = self
        while isinstance(scope, Scope):
            if name in scope.values:
                value = scope.values[name]
                scope.used[id(value)] = value
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
        """Return what a name holds after branches of which each left one of `options`."""
        value: Value = None
        hole = Hole(("optional", name, line), "section", expression="a part that is not always in the text")
        if all(isinstance(option, tuple) for option in options):
            known = [option for option in options if isinstance(option, tuple)]
            value = self._optional_text(name, known, hole) or distinct(text for option in known for text in option)
        elif all(isinstance(option, Items) for option in options):
            lists = tuple(dict.fromkeys(each for option in options if isinstance(option, Items) for each in option.alternatives))
            value = self._optional_items(name, lists, hole)
        if value is None:
            self.lost += [(name, option) for option in options if id(option) not in self.used]
            value = opaque(name, line)
        if all(id(option) in self.used for option in options):
            self.used[id(value)] = value
        return value

    def _optional_text(self, name: str, options: list[Texts], hole: Hole) -> Texts | None:
        """Return the text that all options begin with, and a hole for what some of them add; None if there is no such text."""
        base = min(options, key=lambda option: sum(len(part) for text in option for part in text.literals))
        if any(letters(text.literals, MIN_SHARED) < MIN_SHARED for text in base):
            return None
        added = [(text, next((each for each in base if _extends(text, each)), None)) for option in options for text in option]
        if any(before is None for _, before in added):
            return None
        self.lost += [
            ("section", (rest,)) for text, before in added if before is not None and (rest := _rest(text, before)).parts
        ]
        longer = {before.parts for text, before in added if before is not None and text.parts != before.parts}
        return distinct(make((*text.parts, hole), text.kind, text.line) if text.parts in longer else text for text in base)

    def _optional_items(self, name: str, lists: tuple[tuple[Element, ...], ...], hole: Hole) -> Items | None:
        """Return the list that all others begin with, and a part of unknown length for what they add."""
        base = min(lists, key=len)
        while any(each[: len(base)] != base for each in lists):
            base = base[:-1]
        if not base and len(lists) > 1:
            return Items(lists) if len(lists) <= MAX_ALTERNATIVES else None
        self.lost += [("section", element) for each in lists for element in each[len(base) :] if isinstance(element, tuple)]
        return Items(((*base, Many(hole)),)) if len(lists) > 1 else Items(lists)

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


def _rest(after: Text, before: Text) -> Text:
    """Return what a text adds to another one that it begins with."""
    count = len(before.parts)
    if after.parts[:count] == before.parts:
        return make(after.parts[count:], after.kind, after.line)
    last, grown = before.parts[-1], after.parts[count - 1]
    assert isinstance(last, str)
    assert isinstance(grown, str)
    return make((grown[len(last) :], *after.parts[count:]), after.kind, after.line)
