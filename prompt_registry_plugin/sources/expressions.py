"""What string expressions of Python yield: literals, f-strings, sums, `format`, `%`, `join`, `strip`, `dedent`, conditions.

Nothing is run. What the source does not tell is a hole. An expression that yields one of several texts yields all of them.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from itertools import product as combinations

from prompt_registry_plugin.sources import fields, texts
from prompt_registry_plugin.sources.fields import Arguments
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
from prompt_registry_plugin.templates.pattern import letters

MIN_CHOICE = 24
"""Letters that one of several texts needs, so that a choice within a text makes several templates; otherwise it is a variable."""
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

    def embed(self, node: ast.expr, scope: Scope) -> Texts:
        """Return an expression as a piece of a larger text: a hole, unless a text of it is known and worth a template."""
        value = self.evaluate(node, scope)
        if isinstance(value, Number):
            return (Text((value.text,), "constant", getattr(node, "lineno", 0)),)
        if not isinstance(value, tuple) or not value:
            return hole_of(node)
        if len(value) > 1 and max(letters(text.literals, MIN_CHOICE) for text in value) < MIN_CHOICE:
            return hole_of(node)
        return value

    def _constant(self, node: ast.Constant, scope: Scope) -> Value:
        if isinstance(node.value, str):
            return (Text((node.value,) if node.value else (), "constant", node.lineno),)
        return Number(str(node.value)) if isinstance(node.value, int) and not isinstance(node.value, bool) else None

    def _joined(self, node: ast.JoinedStr, scope: Scope) -> Value:
        return product([self._piece(part, scope) for part in node.values], "f-string", node.lineno)

    def _piece(self, part: ast.expr, scope: Scope) -> Texts:
        if isinstance(part, ast.Constant):
            return (Text((str(part.value),)),) if part.value != "" else (Text(()),)
        if isinstance(part, ast.FormattedValue) and part.format_spec is None and part.conversion in (-1, ord("s")):
            return self.embed(part.value, scope)
        return hole_of(part.value if isinstance(part, ast.FormattedValue) else part)

    def _name(self, node: ast.Name, scope: Scope) -> Value:
        return scope.lookup(node.id)

    def _attribute(self, node: ast.Attribute, scope: Scope) -> Value:
        if isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"):
            value = scope.lookup(f"self.{node.attr}")
            # A subclass, or whoever holds the object, may give it another value: then it is a variable.
            return distinct((*value, *hole_of(node))) if isinstance(value, tuple) and is_texts(value) else value
        base = self.evaluate(node.value, scope)
        if isinstance(base, ModuleValue):
            return self._attribute_of_module(base.name, node.attr)
        if isinstance(base, Entries):
            return base.values.get(node.attr)
        if node.attr in ("value", "template") and is_texts(base):  # of an enumeration's member; of a `string.Template`
            return base
        return None

    def _subscript(self, node: ast.Subscript, scope: Scope) -> Value:
        base = self.evaluate(node.value, scope)
        key = node.slice.value if isinstance(node.slice, ast.Constant) else None
        if isinstance(base, Entries):
            if key is not None:
                return base.values.get(str(key))
            options = list(base.values.values())
            if options and all(isinstance(option, tuple) for option in options):
                return distinct(text for option in options if isinstance(option, tuple) for text in option)
        if isinstance(base, Items) and isinstance(key, int) and len(base.alternatives) == 1:
            elements = base.alternatives[0]
            if -len(elements) <= key < len(elements) and not any(isinstance(e, Many) for e in elements):
                element = elements[key]
                return element if isinstance(element, tuple) else None
        return None

    def _binary(self, node: ast.BinOp, scope: Scope) -> Value:
        if isinstance(node.op, ast.Add):
            return self._sum(node, scope)
        if isinstance(node.op, ast.Mod):
            return self._percent(node, scope)
        if isinstance(node.op, ast.Mult):
            for text, times in ((node.left, node.right), (node.right, node.left)):
                if isinstance(times, ast.Constant) and isinstance(times.value, int) and isinstance(text, ast.Constant):
                    if isinstance(text.value, str) and len(text.value) * times.value <= _MAX_REPEATS:
                        return (make([text.value * times.value], "constant", node.lineno),)
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
        return product([self.embed(term, scope) for term in terms], kind, node.lineno)

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
        if name in _TEXT_FUNCTIONS and node.args:
            value = self.evaluate(node.args[-1] if name == "cast" else node.args[0], scope)
            if not is_texts(value):
                return value if name in ("list", "tuple") else None
            return self._each(value, _TEXT_FUNCTIONS[name])
        if not isinstance(function, ast.Attribute) or name not in _TEXT_METHODS:
            return None
        receiver = self.evaluate(function.value, scope)
        if name == "get" and isinstance(receiver, Entries):
            return self._subscript(ast.Subscript(function.value, node.args[0], ast.Load()), scope) if node.args else None
        if not is_texts(receiver):
            return None
        if name == "join":
            return self._join(receiver, node, scope)
        if name == "replace" and len(node.args) == 2:
            return self._replace(receiver, node, scope)
        return self._each(receiver, lambda text: _apply(text, name, node))

    def _each(self, value: Value, operation: Callable[[Text], Text | Texts | None]) -> Value:
        """Return what an operation makes of each text, or None if it cannot be told of one."""
        found: list[Text] = []
        for text in value if isinstance(value, tuple) else ():
            done = operation(text)
            if not done and not isinstance(done, Text):
                return None
            found += done if isinstance(done, tuple) else [done]  # type: ignore[list-item]  # None is falsy
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


def _joined(separator: str, elements: Sequence[Element], line: int) -> Texts:
    """Return the texts of a list joined; a part of unknown length may be empty, and then has no separator."""
    options: list[list[Texts | None]] = []
    for element in elements:
        if isinstance(element, tuple):
            options.append([element])
        else:
            present: Texts = (Text((element.hole,), "join", line),)
            options.append([present] if len(elements) == 1 else [present, None])
    found: list[Text] = []
    between: Texts = (make([separator], "join", line),)
    for chosen in list(combinations(*options))[:MAX_ALTERNATIVES]:
        pieces = [piece for each in chosen if each is not None for piece in (between, each)][1:]
        found += product(pieces, "join", line)
    return distinct(found) if found else ()


def _strip(method: str) -> Callable[[Text, ast.Call], Text | None]:
    def apply(text: Text, node: ast.Call) -> Text | None:
        characters = node.args[0].value if node.args and isinstance(node.args[0], ast.Constant) else None
        if node.args and not isinstance(characters, str):
            return None
        return transform(text, lambda source: getattr(str, method)(source, characters))  # type: ignore[no-any-return]

    return apply


def _affix(method: str) -> Callable[[Text, ast.Call], Text | None]:
    def apply(text: Text, node: ast.Call) -> Text | None:
        affix = node.args[0].value if node.args and isinstance(node.args[0], ast.Constant) else None
        return transform(text, lambda source: getattr(str, method)(source, affix)) if isinstance(affix, str) else None

    return apply


def _case(method: str) -> Callable[[Text, ast.Call], Text | None]:
    def apply(text: Text, node: ast.Call) -> Text | None:
        return None if text.holes else transform(text, getattr(str, method))

    return apply


def _format(text: Text, node: ast.Call) -> Text | None:
    return transform(text, lambda source: fields.format_fields(source, Arguments.of(node)), "format")


def _substitute(text: Text, node: ast.Call) -> Text | None:
    return transform(text, lambda source: fields.dollar_fields(source, Arguments.of(node)), "template")


_METHOD_OPERATIONS: dict[str, Callable[[Text, ast.Call], Text | None]] = {
    "format": _format,
    "format_map": lambda text, node: transform(text, fields.format_fields, "format"),
    "substitute": _substitute,
    "safe_substitute": _substitute,
    "strip": _strip("strip"),
    "lstrip": _strip("lstrip"),
    "rstrip": _strip("rstrip"),
    "removeprefix": _affix("removeprefix"),
    "removesuffix": _affix("removesuffix"),
    "upper": _case("upper"),
    "lower": _case("lower"),
    "title": _case("title"),
    "capitalize": _case("capitalize"),
}
_TEXT_METHODS = {*_METHOD_OPERATIONS, "join", "replace", "get"}


def _apply(text: Text, method: str, node: ast.Call) -> Text | None:
    operation = _METHOD_OPERATIONS.get(method)
    return None if operation is None else operation(text, node)


_TEXT_FUNCTIONS: dict[str, Callable[[Text], Text | Texts | None]] = {
    "dedent": texts.dedent,
    "cleandoc": texts.cleandoc,
    "str": lambda text: text,
    "cast": lambda text: text,
    "Template": lambda text: text,
    "list": lambda text: None,
    "tuple": lambda text: None,
}

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
