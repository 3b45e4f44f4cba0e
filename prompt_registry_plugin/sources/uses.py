"""Finds the texts in expressions: where a text is assigned, passed, returned or kept in a list, and is not part of another one."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator

from prompt_registry_plugin.sources import texts
from prompt_registry_plugin.sources.expressions import Evaluator
from prompt_registry_plugin.sources.methods import TEXT_FUNCTIONS
from prompt_registry_plugin.sources.places import FoundText, Place
from prompt_registry_plugin.sources.texts import Text, Texts
from prompt_registry_plugin.sources.values import Items, Scope, Value, defined, is_texts, target_name

_LOG_METHODS = frozenset("debug info warning warn error exception critical log print".split())
_LOGGERS = ("log", "console", "warnings", "print")


class TextFinder:
    """Collects the texts of a module in `found`."""

    def __init__(self, module: str, evaluator: Evaluator) -> None:
        self._module = module
        self.found: list[FoundText] = []
        self._evaluator = evaluator
        self._taken: dict[int, Value] = {}  # values whose texts were found, kept alive so that their ids stay theirs

    def visit(self, node: ast.AST, place: Place, *, is_piece: bool = False) -> None:
        """Find the texts in an expression. `is_piece` says that its own text is a piece of another one."""
        method = _EXPRESSIONS.get(type(node))
        if method is not None:
            method(self, node, place, is_piece)
            return
        for child in ast.iter_child_nodes(node):
            self.visit(child, place)

    def add_value(self, value: Value, place: Place, line: int) -> None:
        """Add the texts of a value that a name holds, once."""
        if id(value) in self._taken:
            return
        self._taken[id(value)] = value
        if isinstance(value, Items):
            for elements in value.alternatives:
                for i, element in enumerate(elements):
                    if isinstance(element, tuple) and is_texts(element):
                        self._add(element, place.below(str(i)), line)
        elif isinstance(value, tuple) and is_texts(value):
            self._add(value, place, line)

    def add_lost(self, values: Iterable[tuple[str, Value]], place: Place, since: int) -> None:
        """Add the texts of values that names have lost, except those found since then; `since` counts the texts found before."""
        known = {text.parts for each in self.found[since:] for text in each.texts}
        for name, value in values:
            if isinstance(value, tuple):
                value = tuple(text for text in value if text.parts not in known)
            self.add_value(value, place.at(name.removeprefix("self.")), 0)

    def add_docstring(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef, place: Place) -> None:
        """Add a docstring: what describes a tool, or an answer's shape, to a model."""
        first = node.body[0] if node.body else None
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
            text = texts.make([first.value.value], "docstring", first.lineno)
            self._add(texts.cleandoc(text), place.at("doc"), first.lineno)

    def _add(self, found: Texts, place: Place, line: int) -> None:
        if not any(text.literals for text in found):
            return
        if place.kind != "function":
            known = defined(found, self._module, place.full_name, line)
            found = known if isinstance(known, tuple) else found
        self.found.append(FoundText(place.full_name, found, found[0].line or line))

    def _operation(self, node: ast.expr, place: Place, is_piece: bool) -> None:
        value = None if is_piece else self._evaluator.evaluate(node, place.scope)
        built = is_piece or is_texts(value)
        if isinstance(value, tuple) and built:
            self._add(value, place, node.lineno)
        while isinstance(node, ast.BinOp) and isinstance(node.left, ast.BinOp):  # a long sum is a deep tree, but only to the left
            self.visit(node.right, place, is_piece=built)
            node = node.left
        for child in ast.iter_child_nodes(node):
            self.visit(child, place, is_piece=built)

    def _constant(self, node: ast.Constant, place: Place, is_piece: bool) -> None:
        if not is_piece and isinstance(node.value, str) and node.value:
            self._add((Text((node.value,), "constant", node.lineno),), place, node.lineno)

    def _formatted(self, node: ast.FormattedValue, place: Place, is_piece: bool) -> None:
        self.visit(node.value, place, is_piece=not isinstance(node.value, ast.IfExp | ast.BoolOp))

    def _name(self, node: ast.Name, place: Place, is_piece: bool) -> None:
        if not is_piece and (value := place.scope.lookup(node.id)) is not None:
            self.add_value(value, place.at(node.id), node.lineno)

    def _attribute(self, node: ast.Attribute, place: Place, is_piece: bool) -> None:
        name = target_name(node)
        if name is None:
            self.visit(node.value, place, is_piece=is_piece or isinstance(node.value, ast.Name))
        elif not is_piece and (value := place.scope.lookup(name)) is not None:
            self.add_value(value, place.at(node.attr), node.lineno)

    def _call(self, node: ast.Call, place: Place, is_piece: bool) -> None:
        if _is_logging(node.func):
            return
        value = self._evaluator.evaluate(node, place.scope)
        built = isinstance(value, tuple) and is_texts(value)
        if built and not is_piece and isinstance(value, tuple):
            self._add(value, place, node.lineno)
        method = node.func.attr if isinstance(node.func, ast.Attribute) else None
        if isinstance(node.func, ast.Attribute):
            self.visit(node.func.value, place, is_piece=built)
        for argument in node.args:  # those of `format` are values, which may be prompts too
            self.visit(argument, place, is_piece=built and (method in (None, "join") or method in TEXT_FUNCTIONS))
        for keyword in node.keywords:  # `field(default=…)` is what its attribute holds
            self.visit(keyword.value, place.below(None if keyword.arg in ("default", "default_factory") else keyword.arg))

    def _dictionary(self, node: ast.Dict, place: Place, is_piece: bool) -> None:
        entries = [(_key_name(key), value) for key, value in zip(node.keys, node.values, strict=True)]
        role = next((v.value for name, v in entries if name == "role" and isinstance(v, ast.Constant)), None)
        for name, value in entries:
            is_message = name == "content" and isinstance(role, str) and place.kind == "function"
            self.visit(value, place.below(str(role) if is_message else name))

    def _elements(self, node: ast.List | ast.Tuple | ast.Set, place: Place, is_piece: bool) -> None:
        for i, element in enumerate(node.elts):
            known = is_piece and is_texts(self._evaluator.evaluate(element, place.scope))
            self.visit(element, place.below(str(i)), is_piece=known)

    def _subscript(self, node: ast.Subscript, place: Place, is_piece: bool) -> None:
        name = node.value.id if isinstance(node.value, ast.Name) else None
        if name != "Literal" and not isinstance(node.slice, ast.Constant):
            self.visit(node.slice, place)  # `Annotated[str, "The city"]`
        if name is None:
            self.visit(node.value, place, is_piece=True)

    def _lambda(self, node: ast.Lambda, place: Place, is_piece: bool) -> None:
        inner = Scope(place.scope, place.scope.used)
        for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs):
            inner.assign(argument.arg, None, node.lineno)
        for argument, default in defaults_of(node.args):
            self.visit(default, place.below(argument.arg))
        self.visit(node.body, place.within(inner))

    def _comprehension(
        self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp, place: Place, is_piece: bool
    ) -> None:
        inner = place.within(Scope(place.scope, place.scope.used))
        for generator in node.generators:
            self.visit(generator.iter, inner)
            inner.scope.forget(generator.target)
        for child in ast.iter_child_nodes(node):
            if not isinstance(child, ast.comprehension):
                self.visit(child, inner)

    def _skip(self, node: ast.AST, place: Place, is_piece: bool) -> None:
        """Skip what is only compared: it is not sent to a model."""


def defaults_of(arguments: ast.arguments) -> Iterator[tuple[ast.arg, ast.expr]]:
    """Yield the parameters that have a default, with it."""
    positional = [*arguments.posonlyargs, *arguments.args]
    yield from zip(positional[len(positional) - len(arguments.defaults) :], arguments.defaults, strict=True)
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        if default is not None:
            yield argument, default


def _key_name(key: ast.expr | None) -> str | None:
    if isinstance(key, ast.Constant):
        return str(key.value)
    return key.attr if isinstance(key, ast.Attribute) else None


def _is_logging(function: ast.expr) -> bool:
    if isinstance(function, ast.Name):
        return function.id == "print"
    if not isinstance(function, ast.Attribute) or function.attr not in _LOG_METHODS:
        return False
    base = function.value
    name = base.id if isinstance(base, ast.Name) else base.attr if isinstance(base, ast.Attribute) else ""
    return any(word in name.lower() for word in _LOGGERS)


_EXPRESSIONS: dict[type[ast.AST], Callable[..., None]] = {
    ast.Constant: TextFinder._constant,
    ast.JoinedStr: TextFinder._operation,
    ast.BinOp: TextFinder._operation,
    ast.IfExp: TextFinder._operation,
    ast.BoolOp: TextFinder._operation,
    ast.FormattedValue: TextFinder._formatted,
    ast.Name: TextFinder._name,
    ast.Call: TextFinder._call,
    ast.Attribute: TextFinder._attribute,
    ast.Dict: TextFinder._dictionary,
    ast.List: TextFinder._elements,
    ast.Tuple: TextFinder._elements,
    ast.Set: TextFinder._elements,
    ast.Subscript: TextFinder._subscript,
    ast.Lambda: TextFinder._lambda,
    ast.ListComp: TextFinder._comprehension,
    ast.SetComp: TextFinder._comprehension,
    ast.DictComp: TextFinder._comprehension,
    ast.GeneratorExp: TextFinder._comprehension,
    ast.Compare: TextFinder._skip,
}
