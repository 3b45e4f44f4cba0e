"""Follows the statements of a module, its classes and functions, so that the texts which they build are known where they are used.

A branch makes alternatives, a loop a hole, `+=` and `append` add to what a name holds. A text is found where it is used or, if it
is not used in building another one, where its name goes out of scope.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from prompt_registry_plugin.sources.expressions import MIN_CHOICE, Evaluator
from prompt_registry_plugin.sources.places import FoundText, Place, count_assignments, label_of
from prompt_registry_plugin.sources.texts import Text
from prompt_registry_plugin.sources.uses import TextFinder, defaults_of
from prompt_registry_plugin.sources.values import (
    Entries,
    Items,
    ModuleValue,
    Scope,
    Value,
    defined,
    hole_of,
    is_texts,
    target_name,
)
from prompt_registry_plugin.templates.pattern import letters

_MODEL_CALLS = frozenset(
    "invoke ainvoke stream astream batch abatch run run_sync run_stream run_streamed create parse generate agenerate".split()
)
_Function = ast.FunctionDef | ast.AsyncFunctionDef


class StatementReader:
    """Reads one module. `imported` gives the value of a name of another module, `is_module` tells whether one is known."""

    def __init__(
        self, module: str, package: str, imported: Callable[[str, str], Value], is_module: Callable[[str], bool]
    ) -> None:
        self.scope = Scope(lambda name: None)
        self._module = module
        self._package = package
        self._imported = imported
        self._is_module = is_module
        self._evaluator = Evaluator(self._attribute)
        self._finder = TextFinder(module, self._evaluator)
        self._deferred: list[tuple[_Function, Place]] = []

    @property
    def found(self) -> list[FoundText]:
        """The texts that were found so far."""
        return self._finder.found

    def read_module(self, tree: ast.Module, changing: Iterable[str] = ()) -> None:
        """Read the statements of the module; its functions are left for `read_functions`, which may read any name of it.

        `changing` are names of the module to which its functions assign.
        """
        place = Place(self.scope)
        since = len(self.found)
        self._run(_without_docstring(tree.body), place)
        self._close(place, since)
        for name in changing:
            self.scope.assign(name, None, 0)

    def read_functions(self) -> None:
        """Read the bodies of the module's functions and methods."""
        while self._deferred:
            self._read_function(*self._deferred.pop(0))

    def _run(self, body: Sequence[ast.stmt], place: Place) -> bool:
        """Follow statements. Return whether execution may go past the last one."""
        for statement in body:
            method = _STATEMENTS.get(type(statement))
            if method is not None and method(self, statement, place) is False:
                return False
        return True

    def _close(self, place: Place, since: int) -> None:
        """Find what names hold at the end of their scope: constants, and texts that are used where no statement shows it.

        `since` is how many texts had been found at its beginning.
        """
        for name, value in place.scope.values.items():
            is_kept = place.kind != "function" or name.startswith("self.")
            if (is_kept or id(value) not in place.scope.used or _is_choice(value)) and not self._is_elsewhere(value, name):
                self._finder.add_value(value, place.at(name.removeprefix("self.")), 0)
        if place.scope.lost:
            self._finder.add_lost(place.scope.lost, place, since)

    def _is_elsewhere(self, value: Value, name: str) -> bool:
        """Whether a value is a constant that has its own name, under which it is found."""

        def other(text: Text) -> bool:
            where = text.definition
            own = (name.removeprefix("self."),)
            return where is not None and not text.derived and (where.module != self._module or where.names[-1:] != own)

        return isinstance(value, tuple) and all(map(other, value))

    # Names

    def _assign(self, node: ast.Assign, place: Place) -> None:
        for target in node.targets:
            self._bind(target, node.value, place)

    def _annotated(self, node: ast.AnnAssign, place: Place) -> None:
        if node.value is not None:
            self._bind(node.target, node.value, place)
        self._finder.visit(node.annotation, place.at(*label_of(node.target)))

    def _bind(self, target: ast.expr, node: ast.expr, place: Place) -> None:
        if isinstance(target, ast.Tuple | ast.List):
            if isinstance(node, ast.Tuple | ast.List) and len(node.elts) == len(target.elts):
                for each, part in zip(target.elts, node.elts, strict=True):
                    self._bind(each, part, place)
                return
            place.scope.forget(target)
            self._finder.visit(node, place)
            return
        name, label = target_name(target), label_of(target)
        value = self._evaluator.evaluate(node, place.scope)
        if name is not None:
            self._hold(name, label, value, node.lineno, place)
        # A dictionary's texts are found here. A list's may become pieces of one text, so they are found when the list is used.
        is_list = isinstance(value, Items) and isinstance(node, ast.List | ast.Tuple | ast.BinOp)
        named = place if place.kind == "function" and _is_model_call(node) else place.at(*label)
        self._finder.visit(node, named, is_piece=name is not None and (is_list or is_texts(value)))

    def _hold(self, name: str, label: tuple[str, ...], value: Value, line: int, place: Place) -> None:
        if place.kind != "function" or name.startswith("self."):
            owner = place.names[:-1] if place.kind == "function" else place.names
            value = defined(value, self._module, (*owner, *label), line)
        place.scope.assign(name, value, line)
        if isinstance(value, Entries | ModuleValue):
            place.scope.used[id(value)] = value

    def _augmented(self, node: ast.AugAssign, place: Place) -> None:
        name, label = target_name(node.target), label_of(node.target)
        if name is not None:
            result = ast.copy_location(ast.BinOp(node.target, node.op, node.value), node)
            self._hold(name, label, self._evaluator.evaluate(result, place.scope), node.lineno, place)
        self._finder.visit(node.value, place.at(*label), is_piece=name is not None)

    def _expression(self, node: ast.Expr, place: Place) -> None:
        if isinstance(node.value, ast.Call) and self._append(node.value, place):
            self._finder.visit(node.value.args[0], place, is_piece=True)
        elif not isinstance(node.value, ast.Constant):
            self._finder.visit(node.value, place)

    def _append(self, call: ast.Call, place: Place) -> bool:
        """Follow `name.append(…)` and `name.extend(…)`. Return whether it was one, of a list that is known."""
        function = call.func
        if not isinstance(function, ast.Attribute) or len(call.args) != 1 or function.attr not in ("append", "extend"):
            return False
        scope = place.scope
        name = target_name(function.value)
        value = scope.lookup(name) if name else None
        if not name or not isinstance(value, Items):
            return False
        if function.attr == "append":
            added: Value = Items(((self._evaluator.embed(call.args[0], scope),),))
        else:
            added = self._evaluator.evaluate(call.args[0], scope)
        if isinstance(added, Items) and len(added.alternatives) == 1:
            scope.values[name] = Items(tuple((*each, *added.alternatives[0]) for each in value.alternatives))
        else:
            scope.assign(name, None, call.lineno)
        return True

    # Branches and loops

    def _if(self, node: ast.If, place: Place) -> bool:
        self._finder.visit(node.test, place, is_piece=True)
        return self._branches([node.body, node.orelse], place, node.lineno)

    def _branches(self, bodies: Sequence[Sequence[ast.stmt]], place: Place, line: int) -> bool:
        alive = []
        for body in bodies:
            branch = place.scope.fork()
            if self._run(body, place.within(branch)):
                alive.append(branch)
        if alive:
            place.scope.merge(alive, line)
        return bool(alive)

    def _for(self, node: ast.For | ast.AsyncFor, place: Place) -> None:
        self._loop(node.body, node.orelse, place, node.iter, node.target)

    def _while(self, node: ast.While, place: Place) -> None:
        self._loop(node.body, node.orelse, place, node.test)

    def _loop(
        self, body: Sequence[ast.stmt], other: Sequence[ast.stmt], place: Place, source: ast.expr, target: ast.expr | None = None
    ) -> None:
        self._finder.visit(source, place)
        before = dict(place.scope.values)
        if target is not None:
            place.scope.forget(target)
        self._run(body, place)
        hole = replace(hole_of(source)[0].holes[0], key=("loop", source.lineno, source.col_offset))
        place.scope.repeat(before, hole, source.lineno)
        self._run(other, place)

    def _with(self, node: ast.With | ast.AsyncWith, place: Place) -> bool:
        for item in node.items:
            self._finder.visit(item.context_expr, place)
            if item.optional_vars is not None:
                place.scope.forget(item.optional_vars)
        return self._run(node.body, place)

    def _try(self, node: ast.Try, place: Place) -> bool:
        bodies = [[*node.body, *node.orelse], *(handler.body for handler in node.handlers)]
        is_alive = self._branches(bodies, place, node.lineno)
        return self._run(node.finalbody, place) and is_alive

    def _match(self, node: ast.Match, place: Place) -> bool:
        self._finder.visit(node.subject, place)
        return self._branches([*(case.body for case in node.cases), []], place, node.lineno)

    def _return(self, node: ast.Return, place: Place) -> bool:
        if node.value is not None:
            self._finder.visit(node.value, place)
        return False

    def _leave(self, node: ast.stmt, place: Place) -> bool:
        return False

    # Modules, functions and classes

    def _import(self, node: ast.Import, place: Place) -> None:
        for alias in node.names:
            name = alias.asname or alias.name.partition(".")[0]
            place.scope.values[name] = ModuleValue(alias.name if alias.asname else name)

    def _import_from(self, node: ast.ImportFrom, place: Place) -> None:
        module = node.module or ""
        if node.level:
            parts = self._package.split(".")
            parts = parts[: len(parts) - node.level + 1]
            module = ".".join([*parts, module] if module else parts)
        for alias in node.names:
            if alias.name != "*":
                place.scope.values[alias.asname or alias.name] = self._attribute(module, alias.name)
            elif isinstance(names := self._imported(module, "*"), Entries):
                place.scope.values |= names.values

    def _attribute(self, module: str, name: str) -> Value:
        value = self._imported(module, name)
        return ModuleValue(f"{module}.{name}") if value is None and self._is_module(f"{module}.{name}") else value

    def _function(self, node: _Function, place: Place) -> None:
        place.scope.values[node.name] = None
        inner = Place(place.scope, "function", (*place.names, node.name), place.instance)
        arguments = node.args
        for decorator in node.decorator_list:
            self._finder.visit(decorator, inner)
        for argument, default in defaults_of(arguments):
            self._finder.visit(default, inner.at(argument.arg))
        for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
            if argument.annotation is not None:
                self._finder.visit(argument.annotation, inner.at(argument.arg))
        self._finder.add_docstring(node, inner)
        is_method = place.kind == "class" and place.instance is not None
        self._deferred.append((node, inner.within(place.instance) if is_method and place.instance else inner))

    def _read_function(self, node: _Function, place: Place) -> None:
        outer, arguments = place.scope, node.args
        scope = Scope(outer, outer.used)
        for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg):
            if argument is not None:
                scope.assign(argument.arg, None, node.lineno)
        place = place.within(scope)
        since = len(self.found)
        later, self._deferred = self._deferred, []
        self._run(_without_docstring(node.body), place)
        self.read_functions()  # those within, which may read any name of this one
        self._deferred = later
        if place.instance is not None:
            known = {name: value for name, value in scope.values.items() if name.startswith("self.")}
            place.instance.values = {**known, **place.instance.values}  # None for an attribute that is assigned twice
        self._close(place, since)

    def _class(self, node: ast.ClassDef, place: Place) -> None:
        for each in (*node.decorator_list, *node.bases, *(keyword.value for keyword in node.keywords)):
            self._finder.visit(each, place.at(node.name))
        instance = Scope(place.scope, place.scope.used)
        inner = Place(Scope(place.scope, place.scope.used), "class", (*place.names, node.name), instance)
        self._finder.add_docstring(node, inner)
        first = len(self._deferred)
        since = len(self.found)
        self._run(_without_docstring(node.body), inner)
        self._close(inner, since)
        # Methods read what `__init__` assigns to `self`.
        self._deferred[first:] = sorted(self._deferred[first:], key=lambda each: each[0].name != "__init__")
        changing: dict[str, Value] = {name: None for name, count in count_assignments(node).items() if count > 1}
        instance.values = {**{f"self.{name}": value for name, value in inner.scope.values.items()}, **changing}
        place.scope.values[node.name] = Entries(dict(inner.scope.values))


def _is_model_call(node: ast.expr) -> bool:
    """Whether an expression calls a model or an agent: the name that gets its answer says nothing about the prompt."""
    call = node.value if isinstance(node, ast.Await) else node
    return isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in _MODEL_CALLS


def _is_choice(value: Value) -> bool:
    """Whether a value is one of several texts, each long enough for a separate template where it fills a variable."""
    return isinstance(value, tuple) and len(value) > 1 and max(letters(text.literals, MIN_CHOICE) for text in value) >= MIN_CHOICE


def _without_docstring(body: Sequence[ast.stmt]) -> Sequence[ast.stmt]:
    first = body[0] if body else None
    return body[1:] if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) else body


_STATEMENTS: dict[type[ast.AST], Callable[..., bool | None]] = {
    ast.Expr: StatementReader._expression,
    ast.Assign: StatementReader._assign,
    ast.AnnAssign: StatementReader._annotated,
    ast.AugAssign: StatementReader._augmented,
    ast.If: StatementReader._if,
    ast.For: StatementReader._for,
    ast.AsyncFor: StatementReader._for,
    ast.While: StatementReader._while,
    ast.With: StatementReader._with,
    ast.AsyncWith: StatementReader._with,
    ast.Try: StatementReader._try,
    ast.TryStar: StatementReader._try,
    ast.Match: StatementReader._match,
    ast.Return: StatementReader._return,
    ast.Raise: StatementReader._leave,
    ast.Break: StatementReader._leave,
    ast.Continue: StatementReader._leave,
    ast.Import: StatementReader._import,
    ast.ImportFrom: StatementReader._import_from,
    ast.FunctionDef: StatementReader._function,
    ast.AsyncFunctionDef: StatementReader._function,
    ast.ClassDef: StatementReader._class,
}
