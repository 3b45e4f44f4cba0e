"""What string expressions of Python yield: literals, f-strings, sums, `format`, `%`, `join`, `strip`, `dedent`, conditions.

Nothing is run. What the source does not tell is a hole. An expression that yields one of several texts yields all of them.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence

from prompt_registry_plugin.sources import fields, texts
from prompt_registry_plugin.sources.methods import TEXT_FUNCTIONS, TEXT_METHODS
from prompt_registry_plugin.sources.texts import MAX_ALTERNATIVES, Kind, Text, Texts, distinct, make, product, transform
from prompt_registry_plugin.sources.values import (
    Element,
    Entries,
    Items,
    Many,
    ModuleValue,
    Number,
    Scope,
    Value,
    hole_of,
    is_texts,
)
from prompt_registry_plugin.templates.pattern import MIN_LITERAL, letters

MIN_CHOICE = 24
"""Letters that a text needs around a choice between texts, so that the choice is a variable of it; with fewer, each choice makes a
template."""
_MAX_REPEATS = 10_000  # characters of "-" * 40
_MAX_DEPTH = 60  # expressions within one another


class Evaluator:
    """Evaluates expressions in a scope. `attribute` looks a name up in a module."""

    def __init__(self, attribute: Callable[[str, str], Value]) -> None:
        self._attribute_of_module = attribute
        self._depth = 0

    def evaluate(self, node: ast.AST, scope: Scope) -> Value:
        """Return what an expression yields, as far as the source tells."""
        method = _METHODS.get(type(node))
        if method is None or self._depth > _MAX_DEPTH:
            return None
        self._depth += 1
        try:
            return method(self, node, scope)
        finally:
            self._depth -= 1

    def embed(self, node: ast.expr, scope: Scope, *, choices: bool = True) -> Texts:
        """Return an expression as a piece of a larger text: a hole, or the text that is known of it.

        An expression that yields one of several texts is a hole if they are short, or without `choices`.
        """
        value = self.evaluate(node, scope)
        if isinstance(value, Number):
            return (Text((value.text,), "constant", getattr(node, "lineno", 0)),)
        if not isinstance(value, tuple) or not value:
            return hole_of(node)
        if len(value) > 1 and (not choices or max(letters(text.literals, MIN_LITERAL) for text in value) < MIN_LITERAL):
            return hole_of(node)
        return value

    def _compose(self, pieces: Sequence[ast.expr], kind: Kind, line: int, scope: Scope) -> Texts:
        """Return the text of pieces: with a hole for a choice between texts, if there is enough text around it."""
        general = product([self._piece(piece, scope, choices=False) for piece in pieces], kind, line)
        if letters(general[0].literals, MIN_CHOICE) >= MIN_CHOICE:
            return general
        return product([self._piece(piece, scope, choices=True) for piece in pieces], kind, line)

    def _piece(self, part: ast.expr, scope: Scope, *, choices: bool) -> Texts:
        if isinstance(part, ast.FormattedValue):
            if part.format_spec is None and part.conversion in (-1, ord("s")):
                return self.embed(part.value, scope, choices=choices)
            form = (part.conversion, ast.dump(part.format_spec) if part.format_spec else "")
            return hole_of(part.value, form)
        return self.embed(part, scope, choices=choices)

    def _constant(self, node: ast.Constant, scope: Scope) -> Value:
        if isinstance(node.value, str):
            return (Text((node.value,) if node.value else (), "constant", node.lineno),)
        return Number(str(node.value)) if isinstance(node.value, int) and not isinstance(node.value, bool) else None

    def _joined(self, node: ast.JoinedStr, scope: Scope) -> Value:
        return self._compose(node.values, "f-string", node.lineno, scope)

    def _name(self, node: ast.Name, scope: Scope) -> Value:
        return scope.lookup(node.id)

    def _attribute(self, node: ast.Attribute, scope: Scope) -> Value:
        if isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"):
            value = scope.lookup(f"self.{node.attr}")
            # A subclass, or whoever holds the object, may give it another value: then it is a variable.
            if isinstance(value, tuple) and is_texts(value):
                return distinct((*value, *hole_of(node)))
            return None if isinstance(value, Number) else value
        base = self.evaluate(node.value, scope)
        if isinstance(base, ModuleValue):
            return self._attribute_of_module(base.name, node.attr)
        if isinstance(base, Entries):
            return base.values.get(node.attr)
        if node.attr in ("value", "template") and is_texts(base):  # of an enumeration's member; of a `string.Template`
            return base
        return None

    def _subscript(self, node: ast.Subscript, scope: Scope) -> Value:
        return self._entry(self.evaluate(node.value, scope), node.slice)

    def _entry(self, base: Value, index: ast.expr) -> Value:
        """Return the entry of a dictionary or list; one of all entries, if the key is unknown."""
        key = index.value if isinstance(index, ast.Constant) else None
        if isinstance(base, Entries):
            if key is not None:
                return base.values.get(str(key))
            options = list(base.values.values())
            if options and all(isinstance(option, tuple) for option in options):
                return distinct(text for option in options if isinstance(option, tuple) for text in option)
        if isinstance(base, Items) and isinstance(key, int) and len(base.alternatives) == 1:
            elements = base.alternatives[0]
            if -len(elements) <= key < len(elements) and not any(isinstance(each, Many) for each in elements):
                element = elements[key]
                return element if isinstance(element, tuple) else None
        return None

    def _binary(self, node: ast.BinOp, scope: Scope) -> Value:
        if isinstance(node.op, ast.Add):
            return self._sum(node, scope)
        if isinstance(node.op, ast.Mod):
            return self._percent(node, scope)
        if isinstance(node.op, ast.Mult):
            return _repeated(node.left, node.right) or _repeated(node.right, node.left)
        return None

    def _sum(self, node: ast.BinOp, scope: Scope) -> Value:
        terms: list[ast.expr] = []
        left: ast.expr = node
        while isinstance(left, ast.BinOp) and isinstance(left.op, ast.Add):  # a long sum is a deep tree, but only to the left
            terms.append(left.right)
            left = left.left
        terms = [left, *reversed(terms)]
        values = [self.evaluate(term, scope) for term in terms]
        if any(isinstance(value, Items) for value in values):
            return self._joined_lists(terms, values)
        if not any(is_texts(value) for value in values):
            return None
        kind: Kind = "constant" if all(isinstance(term, ast.Constant) for term in terms) else "sum"
        return self._compose(terms, kind, node.lineno, scope)

    def _joined_lists(self, terms: Sequence[ast.expr], values: Sequence[Value]) -> Value:
        found: list[tuple[Element, ...]] = [()]
        for term, value in zip(terms, values, strict=True):
            lists = value.alternatives if isinstance(value, Items) else ((Many(hole_of(term)[0].holes[0]),),)
            found = [(*before, *after) for before in found for after in lists]
            if len(found) > MAX_ALTERNATIVES:
                return None
        return Items(tuple(found))

    def _percent(self, node: ast.BinOp, scope: Scope) -> Value:
        left = self.evaluate(node.left, scope)
        if not is_texts(left):
            return None
        return self._each(left, lambda text: transform(text, lambda s: fields.percent_fields(s, node.right), "percent"))

    def _conditional(self, node: ast.IfExp, scope: Scope) -> Value:
        return self._choice([node.body, node.orelse], scope)

    def _boolean(self, node: ast.BoolOp, scope: Scope) -> Value:
        return self._choice(node.values, scope) if isinstance(node.op, ast.Or) else None

    def _choice(self, options: Sequence[ast.expr], scope: Scope) -> Value:
        values = [self.evaluate(option, scope) for option in options]
        if not any(is_texts(value) for value in values):
            return None
        found = [v if isinstance(v, tuple) else hole_of(option) for v, option in zip(values, options, strict=True)]
        return distinct(text for each in found for text in each)

    def _named(self, node: ast.NamedExpr, scope: Scope) -> Value:
        value = self.evaluate(node.value, scope)
        scope.assign(node.target.id, value, node.lineno)
        return value

    def _list(self, node: ast.List | ast.Tuple, scope: Scope) -> Value:
        elements: list[Element] = []
        for each in node.elts:
            if isinstance(each, ast.Starred):
                elements.append(Many(hole_of(each)[0].holes[0]))
            else:
                elements.append(self.embed(each, scope))
        return Items((tuple(elements),))

    def _comprehension(self, node: ast.ListComp | ast.GeneratorExp, scope: Scope) -> Value:
        return Items(((Many(hole_of(node)[0].holes[0]),),))

    def _dictionary(self, node: ast.Dict, scope: Scope) -> Value:
        found: dict[str, Value] = {}
        for key, value in zip(node.keys, node.values, strict=True):
            if isinstance(key, ast.Constant):
                found[str(key.value)] = self.evaluate(value, scope)
            elif isinstance(key, ast.Attribute):
                found[key.attr] = self.evaluate(value, scope)
        return Entries(found)

    def _call(self, node: ast.Call, scope: Scope) -> Value:
        function = node.func
        name = function.attr if isinstance(function, ast.Attribute) else function.id if isinstance(function, ast.Name) else ""
        if name == "str" and not node.args:
            return (Text((), "constant", node.lineno),)
        if name in ("list", "tuple") and len(node.args) == 1:
            value = self.evaluate(node.args[0], scope)
            return value if isinstance(value, Items) else None
        if name in TEXT_FUNCTIONS and node.args:
            value = self.evaluate(node.args[-1] if name == "cast" else node.args[0], scope)
            return self._each(value, TEXT_FUNCTIONS[name]) if is_texts(value) else None
        if not isinstance(function, ast.Attribute) or name not in _METHOD_NAMES:
            return None
        receiver = self.evaluate(function.value, scope)
        if name == "get":
            return self._entry(receiver, node.args[0]) if node.args else None
        if not is_texts(receiver):
            return None
        if name == "join":
            return self._join(receiver, node, scope)
        if name == "replace":
            return self._replace(receiver, node, scope) if len(node.args) == 2 else None
        return self._each(receiver, lambda text: TEXT_METHODS[name](text, node))

    def _each(self, value: Value, operation: Callable[[Text], Text | Texts | None]) -> Value:
        """Return what an operation makes of each text, or None if one of them is unknown."""
        found: list[Text] = []
        for text in value if isinstance(value, tuple) else ():
            done = operation(text)
            if not done and not isinstance(done, Text):
                return None
            found += done if isinstance(done, tuple) else [done]
        return distinct(found) if found else None

    def _join(self, separator: Value, node: ast.Call, scope: Scope) -> Value:
        items = self.evaluate(node.args[0], scope) if len(node.args) == 1 else None
        if not isinstance(items, Items) or not isinstance(separator, tuple) or separator[0].constant is None:
            return None
        found: list[Text] = []
        for elements in items.alternatives:
            found += _joined(separator[0].constant, elements, node.lineno)
        return distinct(found) if found else None

    def _replace(self, receiver: Value, node: ast.Call, scope: Scope) -> Value:
        old = self.evaluate(node.args[0], scope)
        if not isinstance(old, tuple) or len(old) != 1 or not old[0].constant:
            return None
        wanted = old[0].constant
        new = self.evaluate(node.args[1], scope)
        known = new[0].constant if isinstance(new, tuple) and len(new) == 1 else None
        if known is not None and not wanted.strip("{}[]<>$% ").isidentifier():  # a marker's value stays a variable, known or not
            return self._each(receiver, lambda text: transform(text, lambda s: s.replace(wanted, known)))
        hole = hole_of(node.args[1])[0].holes[0]
        marker = wanted.strip("{}[]<>$%_ ")
        if marker.isidentifier():
            hole = texts.Hole(("field", marker), marker, hole.node)

        def split(source: str) -> list[texts.Part]:
            pieces = source.split(wanted)
            return [part for piece in pieces for part in (piece, hole)][:-1]

        return self._each(receiver, lambda text: transform(text, split, "replace"))


def _repeated(text: ast.expr, times: ast.expr) -> Value:
    """Return the text of `"-" * 40`."""
    if not isinstance(text, ast.Constant) or not isinstance(times, ast.Constant):
        return None
    if not isinstance(text.value, str) or not isinstance(times.value, int) or len(text.value) * times.value > _MAX_REPEATS:
        return None
    return (make([text.value * times.value], "constant", text.lineno),)


def _joined(separator: str, elements: Sequence[Element], line: int) -> Texts:
    """Return the texts of a list joined. A part of unknown length may be empty, so that its hole takes the separator too."""
    pieces: list[Texts] = []
    needs_separator = False
    for element in elements:
        if isinstance(element, tuple):
            if needs_separator:
                pieces.append((make([separator], "join", line),))
            pieces.append(element)
            needs_separator = True
        else:
            pieces.append((Text((element.hole,), "join", line),))
    return product(pieces, "join", line)


_METHOD_NAMES = {*TEXT_METHODS, "join", "replace", "get"}

_METHODS: dict[type[ast.AST], Callable[..., Value]] = {
    ast.Constant: Evaluator._constant,
    ast.JoinedStr: Evaluator._joined,
    ast.Name: Evaluator._name,
    ast.Attribute: Evaluator._attribute,
    ast.Subscript: Evaluator._subscript,
    ast.BinOp: Evaluator._binary,
    ast.IfExp: Evaluator._conditional,
    ast.BoolOp: Evaluator._boolean,
    ast.NamedExpr: Evaluator._named,
    ast.List: Evaluator._list,
    ast.Tuple: Evaluator._list,
    ast.ListComp: Evaluator._comprehension,
    ast.GeneratorExp: Evaluator._comprehension,
    ast.Dict: Evaluator._dictionary,
    ast.Call: Evaluator._call,
}
