"""Functions as targets: the inputs of an example become keyword arguments, typed ones are built, and streams are collected."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from functools import cached_property, partial
from typing import Any

from prompt_registry_plugin.concurrency import ContextPool, signature_of
from prompt_registry_plugin.errors import UserError
from prompt_registry_plugin.frameworks.calls import CallSettings, name_of
from prompt_registry_plugin.plain.fields import build, fields_of, hints_of
from prompt_registry_plugin.plain.streams import acollect, collect, is_async_stream, is_stream
from prompt_registry_plugin.records import EMPTY

_DEPS_NAMES = ("deps", "context", "ctx", "dependencies", "runtime")


class FunctionTarget:
    """A function, coroutine function or generator that is called with the inputs of an example as keywords.

    A parameter whose type is a dataclass, a model or another type of named fields is built from the row: from its value of that name, or
    from the values that are named like its fields. Dates, enums and the like are made from their plain form.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        pool: ContextPool,
        arguments: Mapping[str, Any] = EMPTY,
        settings: CallSettings | None = None,
    ) -> None:
        self._function = function
        self._arguments = dict(arguments)
        self._pool = pool
        self._signature = signature_of(function)
        self._settings = settings or CallSettings()
        self.name = getattr(function, "__qualname__", repr(function))
        if self._settings.config is not None:
            raise UserError(f"{self.name} is a function, which takes no config=…; pass a Runnable or a graph.")
        if self._settings.deps is not None and self._deps_name is None:
            raise UserError(f"{self.name} has no parameter for deps=…: name one of its parameters 'deps' or 'context'.")

    async def __call__(self, inputs: Mapping[str, Any]) -> Any:
        """Return the function's answer. A plain function runs in a thread of the pool, which keeps the context.

        What a generator yields is collected: texts are joined, other items are a list.
        """
        async with AsyncExitStack() as stack:
            positional, named = await self._call_arguments(stack, inputs)
            call = partial(self._function, *positional, **named)
            answer = (
                await call() if inspect.iscoroutinefunction(self._function) else await self._pool.run(partial(_collected, call))
            )
            if inspect.isawaitable(answer):
                answer = await answer
            if is_async_stream(answer):
                return await acollect(answer)
            return await self._pool.run(partial(collect, answer)) if is_stream(answer) else answer

    def check(self, inputs: Mapping[str, Any]) -> str | None:
        """Return why the function cannot be called with these inputs, or None."""
        if problem := self._settings.check(inputs):
            return problem
        if self._signature is None:
            return None
        given = self._given(inputs)
        try:
            positional, named = self._built(given)
        except Exception as error:  # noqa: BLE001  the boundary to a user's types
            return f"{self.name}{self._signature}: no argument can be made of the row: {type(error).__name__}: {error}"
        if self._deps_name is not None and self._settings.deps is not None:
            named[self._deps_name] = None
        try:
            self._signature.bind(*positional, **named)
        except TypeError as error:
            return f"{self.name}{self._signature} {error}; the row has {', '.join(map(repr, given))}"
        return None

    def describe(self, inputs: Mapping[str, Any]) -> str:
        """Return how a row becomes the call, for people."""
        positional, named = self._names_of(inputs)
        parts = [*positional, *(name if name == shown else f"{name}={shown}" for name, shown in named.items())]
        return f"calls {name_of(self._function)}({', '.join(parts)})"

    async def _call_arguments(self, stack: AsyncExitStack, inputs: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """Return what the function is called with. Arguments replace inputs: a recorded example may hold another model."""
        positional, named = self._built(self._given(inputs))
        if self._settings.input is not None and not isinstance(self._settings.input, str):
            positional = [await self._settings.input_of(inputs)]
        if self._settings.deps is not None and self._deps_name is not None:
            named[self._deps_name] = await stack.enter_async_context(self._settings.opened_deps(inputs))
        return positional, named

    def _given(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        return {**inputs, **self._arguments}

    def _built(self, given: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """Return positional and keyword arguments, with objects where the function's parameters have such types."""
        if self._signature is None:
            return [], given
        positional: list[Any] = []
        rest = dict(given)
        if self._settings.input is not None:
            key = self._settings.key_of(given)
            positional = [rest.pop(key)] if key is not None else [None]
        rest = {name: value for name, value in rest.items() if not self._is_left_out(name, given)}
        missing = self._missing_objects(rest, positional)
        named = {
            name: build(self._hints.get(name), value) for name, value in rest.items() if name not in self._moved(rest, missing)
        }
        for name, kind in missing.items():
            fields = fields_of(kind)
            assert fields is not None
            named[name] = build(kind, {field: value for field, value in given.items() if field in fields.names})
        return positional, named

    def _is_left_out(self, name: str, given: Mapping[str, Any]) -> bool:
        """Return whether a value is not passed: the function does not take it, and `target(…)` says what else happens with the row."""
        if self._signature is None or self._takes_all or name in self._signature.parameters:
            return False
        return self._settings.input is not None or name in self._settings.names_used(given)

    def _missing_objects(self, given: Mapping[str, Any], positional: list[Any]) -> dict[str, Any]:
        """Return the type by name of the parameters that the row does not name, but has the fields of."""
        assert self._signature is not None
        found: dict[str, Any] = {}
        for name, parameter in list(self._signature.parameters.items())[len(positional) :]:
            fields = fields_of(self._hints.get(name))
            if name in given or fields is None or (name == self._deps_name and self._settings.deps is not None):
                continue
            left = {field for field in fields.names & given.keys() if field not in self._signature.parameters}
            if fields.required <= given.keys() and (left or parameter.default is parameter.empty):
                found[name] = self._hints[name]
        return found

    def _moved(self, given: Mapping[str, Any], missing: Mapping[str, Any]) -> set[str]:
        """Return the names of values that only became fields of an object: the function does not take them."""
        assert self._signature is not None
        names: set[str] = set()
        for kind in missing.values():
            fields = fields_of(kind)
            assert fields is not None
            names |= fields.names
        return names - self._signature.parameters.keys() if names else names

    def _names_of(self, inputs: Mapping[str, Any]) -> tuple[list[str], dict[str, str]]:
        given = self._given(inputs)
        positional = [self._settings.describe_input(inputs)] if self._settings.input is not None else []
        if self._signature is None:
            return positional, {name: name for name in given}
        key = self._settings.key_of(given) if positional else None
        rest = {name: value for name, value in given.items() if name != key and not self._is_left_out(name, given)}
        missing = self._missing_objects(rest, positional)
        named = {name: self._shown(name) for name in rest if name not in self._moved(rest, missing)}
        for name, kind in missing.items():
            named[name] = f"{kind.__name__}({', '.join(field for field in given if field in _field_names(kind))})"
        if self._deps_name is not None and self._settings.deps is not None:
            named[self._deps_name] = self._settings.describe_deps(inputs)
        return positional, named

    def _shown(self, name: str) -> str:
        return repr(self._arguments[name]) if name in self._arguments else name

    @cached_property
    def _hints(self) -> dict[str, Any]:
        if self._signature is None:
            return {}
        return hints_of(self._function if inspect.isroutine(self._function) else type(self._function).__call__)

    @cached_property
    def _takes_all(self) -> bool:
        return self._signature is not None and any(p.kind is p.VAR_KEYWORD for p in self._signature.parameters.values())

    @cached_property
    def _deps_name(self) -> str | None:
        """Name of the parameter that takes what `target(…, deps=…)` gives; None if there is none."""
        names = self._signature.parameters if self._signature is not None else ()
        return next((name for name in _DEPS_NAMES if name in names), None)


def _field_names(kind: Any) -> frozenset[str]:
    fields = fields_of(kind)
    return frozenset() if fields is None else fields.names


def _collected(call: Callable[[], Any]) -> Any:
    """Return the answer, with a stream collected in the same thread: what it yields is made under the context of the call."""
    answer = call()
    return collect(answer) if is_stream(answer) and not is_async_stream(answer) else answer
