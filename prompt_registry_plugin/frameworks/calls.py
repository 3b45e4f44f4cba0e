"""How a row of data becomes the call of an agent: the user's input, dependencies or context, and a framework's configuration."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from prompt_registry_plugin.concurrency import signature_of
from prompt_registry_plugin.errors import InvalidExample
from prompt_registry_plugin.plain.fields import build, fields_of
from prompt_registry_plugin.prompts.messages import user_key

_WHOLE_ROW = "row"
"""Stands for all values in the description of a call."""


@dataclass(frozen=True, slots=True)
class CallSettings:
    """What `target(…)` says about a call. An adapter's target has it from `with_settings`."""

    deps: Any = None
    """Dependencies (context): an object for all rows, a type that is built from each row, or a factory that is called with each row."""
    input: str | Callable[..., Any] | None = None
    """Name of the row's value that is the user's input, or a function of the row that returns the input."""
    config: Any = None
    """Configuration of a Runnable or graph: a mapping for all rows, or a function of the row that returns one."""
    tried: list[bool] = field(default_factory=list, compare=False, repr=False)
    """Holds a value once the factories were called in a check."""

    def key_of(self, inputs: Mapping[str, Any]) -> str | None:
        """Return the name of the row's value that is the user's input; None if a function makes it, or if none is clear."""
        return self.input if isinstance(self.input, str) else None if self.input is not None else user_key(inputs)

    async def input_of(self, inputs: Mapping[str, Any]) -> Any:
        """Return the user's input; None if it is not clear which value it is."""
        if self.input is not None and not isinstance(self.input, str):
            return await _call_with_row(self.input, inputs)
        key = self.key_of(inputs)
        return None if key is None else inputs.get(key)

    def rest_of(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the row without the user's input."""
        key = self.key_of(inputs)
        return {name: value for name, value in inputs.items() if name != key}

    @asynccontextmanager
    async def opened_deps(self, inputs: Mapping[str, Any], kind: Any = None) -> AsyncIterator[Any]:
        """A block with the dependencies for a row. What a factory opens, as a generator or a context manager, is closed at its end.

        Without `deps`, they are built from the row if `kind`, the type that the agent declares, is one of named fields. Otherwise they
        are the row's other values, or None if there are none. Raises what the factory or the type raises.
        """
        async with AsyncExitStack() as stack:
            wanted = _buildable(self.deps, kind)
            if wanted is not None:
                yield build_from_row(wanted, inputs)
            elif self.deps is None:
                yield self.rest_of(inputs) or None
            elif _is_factory(self.deps):
                yield await _opened(stack, self.deps, inputs)
            else:
                yield self.deps

    def names_used(self, inputs: Mapping[str, Any]) -> frozenset[str]:
        """Return the names of the row's values that factories get, or that a type is built from; all where one takes the whole row."""
        names: set[str] = set()
        if (wanted := _buildable(self.deps, None)) is not None:
            names.update(_given_fields(wanted, inputs))
        factories: tuple[Any, ...] = (self.deps, self.config, self.input)
        for factory in factories:
            if _is_factory(factory) and not isinstance(factory, type):
                arguments = _argument_names(factory, inputs)
                names.update(inputs if arguments == [_WHOLE_ROW] else arguments)
        return frozenset(names) & inputs.keys()

    async def config_of(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the configuration for a row; empty if none was given."""
        found = await _call_with_row(self.config, inputs) if _is_factory(self.config) else self.config
        return dict(found or {})

    def check(self, inputs: Mapping[str, Any], kind: Any = None) -> str | None:
        """Return why a call cannot be made from this row, or None. The first time, factories are called: they may raise before any cost."""
        if isinstance(self.input, str) and self.input not in inputs:
            return f"input={self.input!r} names no value of the row, which has {_names(inputs)}"
        if (wanted := _buildable(self.deps, kind)) is not None and (problem := _check_build(wanted, inputs)):
            return problem
        factories = [("deps", self.deps), ("config", self.config), ("input", self.input)]
        for what, factory in factories:
            if _is_factory(factory) and not isinstance(factory, type) and (problem := self._check_factory(what, factory, inputs)):
                return problem
        self.tried[:] = [True]
        return None

    def _check_factory(self, what: str, factory: Callable[..., Any], inputs: Mapping[str, Any]) -> str | None:
        try:
            arguments = row_arguments(factory, inputs)
            if not self.tried and _can_try(factory):
                factory(*arguments[0], **arguments[1])
        except InvalidExample as error:
            return str(error)
        except Exception as error:  # noqa: BLE001  the boundary to a user's factory
            return f"{what}={name_of(factory)} raised {type(error).__name__}: {error}"
        return None

    def describe_deps(self, inputs: Mapping[str, Any], kind: Any = None) -> str:
        """Return how the dependencies are made, such as `Deps(customer, plan)`; empty if there are none."""
        wanted = _buildable(self.deps, kind)
        if wanted is not None:
            return f"{wanted.__name__}({', '.join(_given_fields(wanted, inputs))})"
        if self.deps is None:
            return _mapping(self.rest_of(inputs)) if self.rest_of(inputs) else ""
        if not _is_factory(self.deps):
            return f"the {type(self.deps).__name__} that was given"
        return f"{name_of(self.deps)}({', '.join(_argument_names(self.deps, inputs))})"

    def describe_input(self, inputs: Mapping[str, Any]) -> str:
        """Return where the user's input comes from: the name of a value, or the call of a function."""
        if not isinstance(self.input, str | None):
            return f"{name_of(self.input)}({', '.join(_argument_names(self.input, inputs))})"
        return self.key_of(inputs) or ""


def build_from_row(kind: Any, inputs: Mapping[str, Any]) -> Any:
    """Return an object of a type of named fields, made from the row's values of these names."""
    return build(kind, {name: inputs[name] for name in _given_fields(kind, inputs)})


def row_arguments(function: Callable[..., Any], inputs: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """Return the positional and keyword arguments that a factory takes of a row: values by name, or, for another single parameter, the row.

    Raises `InvalidExample` if it needs a value that the row does not have.
    """
    signature = signature_of(function)
    if signature is None:
        return [], {}
    parameters = list(signature.parameters.values())
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return [], dict(inputs)
    plain = [p for p in parameters if p.kind is not p.VAR_POSITIONAL]
    missing = [p for p in plain if p.name not in inputs and p.default is p.empty]
    if len(missing) == 1 and len(plain) == 1 and missing[0].kind is not missing[0].KEYWORD_ONLY:
        return [dict(inputs)], {}
    if missing:
        raise InvalidExample(f"{name_of(function)}{signature} needs {missing[0].name!r}; the row has {_names(inputs)}")
    positional = [inputs[p.name] for p in plain if p.kind is p.POSITIONAL_ONLY and p.name in inputs]
    return positional, {p.name: inputs[p.name] for p in plain if p.kind is not p.POSITIONAL_ONLY and p.name in inputs}


def _argument_names(function: Callable[..., Any], inputs: Mapping[str, Any]) -> list[str]:
    try:
        positional, named = row_arguments(function, inputs)
    except InvalidExample:
        return ["…"]
    return [*([_WHOLE_ROW] if positional else []), *named]


async def _call_with_row(function: Callable[..., Any], inputs: Mapping[str, Any]) -> Any:
    positional, named = row_arguments(function, inputs)
    found = function(*positional, **named)
    return await found if inspect.isawaitable(found) else found


async def _opened(stack: AsyncExitStack, factory: Callable[..., Any], inputs: Mapping[str, Any]) -> Any:
    """Return what a factory makes. A generator yields it once; a context manager is entered."""
    positional, named = row_arguments(factory, inputs)
    if inspect.isasyncgenfunction(factory):
        return await stack.enter_async_context(asynccontextmanager(factory)(*positional, **named))
    if inspect.isgeneratorfunction(factory):
        return stack.enter_context(contextmanager(factory)(*positional, **named))
    made = factory(*positional, **named)
    made = await made if inspect.isawaitable(made) else made
    if type(made).__name__ == "_AsyncGeneratorContextManager":
        return await stack.enter_async_context(made)
    return stack.enter_context(made) if type(made).__name__ == "_GeneratorContextManager" else made


def _buildable(deps: Any, kind: Any) -> Any:
    """Return the type of named fields that dependencies are built as, or None."""
    wanted = kind if deps is None else deps
    return wanted if isinstance(wanted, type) and fields_of(wanted) is not None else None


def _is_factory(value: Any) -> bool:
    return isinstance(value, type | partial) or inspect.isroutine(value)


def _can_try(factory: Callable[..., Any]) -> bool:
    """Return whether calling a factory in a check leaves nothing open or unawaited."""
    wrapped = inspect.unwrap(factory.func if isinstance(factory, partial) else factory)
    return not (
        inspect.iscoroutinefunction(wrapped) or inspect.isasyncgenfunction(wrapped) or inspect.isgeneratorfunction(wrapped)
    )


def _check_build(kind: Any, inputs: Mapping[str, Any]) -> str | None:
    fields = fields_of(kind)
    assert fields is not None
    if missing := sorted(fields.required - inputs.keys()):
        return (
            f"{kind.__name__} needs {missing[0]!r}, and the row has {_names(inputs)}; add it to the rows, or pass a factory: "
            f"target(agent, deps=…)"
        )
    try:
        build_from_row(kind, inputs)
    except Exception as error:  # noqa: BLE001  the boundary to a user's type
        return f"no {kind.__name__} can be made of the row: {type(error).__name__}: {error}"
    return None


def _given_fields(kind: Any, inputs: Mapping[str, Any]) -> list[str]:
    fields = fields_of(kind)
    assert fields is not None
    return [name for name in inputs if name in fields.names]


def name_of(function: Any) -> str:
    """Return the name of a function for people."""
    if isinstance(function, partial):
        return name_of(function.func)
    name = getattr(function, "__qualname__", None) or type(function).__name__
    return "a function" if name == "<lambda>" else str(name).rpartition("<locals>.")[2].replace("<lambda>", "a function")


def _names(inputs: Mapping[str, Any]) -> str:
    return ", ".join(map(repr, inputs)) or "no values"


def _mapping(names: Iterable[str]) -> str:
    return "{" + ", ".join(names) + "}"
