"""`@trace`: record your functions as spans."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import partial, update_wrapper, wraps
from types import MethodType
from typing import Any, ParamSpec, TypeVar, cast

from prompt_registry_plugin.concurrency import signature_of
from prompt_registry_plugin.plugins import default_plugin_manager
from prompt_registry_plugin.prompts.context import current_recorder
from prompt_registry_plugin.records import EMPTY
from prompt_registry_plugin.tracing.recorder import inside, span
from prompt_registry_plugin.tracing.streams import Held, end_when_forgotten, hold

P = ParamSpec("P")
R = TypeVar("R")


def trace(function: Callable[P, R], *, name: str | None = None) -> Callable[P, R]:
    """Decorate a function, so that each call becomes a span of the current recording. Coroutine functions and generators work.

    The span has the function's name, or `name`. An object of a framework, such as a chain, is returned unchanged: its adapter
    records its runs once it is enabled. Raises `TypeError` for an object that is neither.
    """
    return trace_function(function, name, Stream)


def trace_function(function: Callable[P, R], name: str | None, stream_of: StreamOf) -> Callable[P, R]:
    """Return what `trace` returns, with `stream_of` making the spans of generators."""
    if not inspect.isroutine(function) and default_plugin_manager().hook.prompt_registry_as_target(obj=function) is not None:
        return function
    if not callable(function):
        raise TypeError(f"@trace takes a function, or an object of an installed framework, not {type(function).__name__}")
    name = name or str(getattr(function, "__qualname__", repr(function)))
    signature = signature_of(function)

    def open_stream(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Stream:
        return stream_of(name, partial(_inputs, signature, args, kwargs))

    if inspect.isasyncgenfunction(function):
        return cast("Callable[P, R]", _StreamFunction(function, _trace_async_generator(function, open_stream)))
    if inspect.isgeneratorfunction(function):
        return cast("Callable[P, R]", _StreamFunction(function, _trace_generator(function, open_stream)))
    if inspect.iscoroutinefunction(function):

        @wraps(function)
        async def call_async(*args: P.args, **kwargs: P.kwargs) -> Any:
            with span("chain", name, _inputs(signature, args, kwargs)) as span_id:
                return _finish_with(span_id, await function(*args, **kwargs))

        return cast("Callable[P, R]", call_async)

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        with span("chain", name, _inputs(signature, args, kwargs)) as span_id:
            return _finish_with(span_id, function(*args, **kwargs))

    return call


class _StreamFunction:
    """A generator function that keeps what is open where it is called; a generator alone would look when its first item is made.

    It passes for a function: `inspect` takes an object for one that has the attributes of a function's signature.
    """

    def __init__(self, function: Any, generate: Callable[..., Any]) -> None:
        update_wrapper(self, function)
        self.__name__, self.__qualname__, self.__code__ = function.__name__, function.__qualname__, function.__code__
        self.__defaults__, self.__kwdefaults__ = function.__defaults__, function.__kwdefaults__
        self._generate = generate

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        held = hold()
        stream = self._generate(held or nullcontext(), args, kwargs)
        if held is not None:
            end_when_forgotten(stream, held)
        return stream

    def __reduce__(self) -> str:
        return str(self.__qualname__)  # pickled and copied by its name, as a function is

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        return self if instance is None else MethodType(self, instance)


OpenStream = Callable[[tuple[Any, ...], dict[str, Any]], "Stream"]


def _end(held: AbstractContextManager[None]) -> None:
    if isinstance(held, Held):
        held.end()


def _trace_async_generator(function: Callable[..., Any], open_stream: OpenStream) -> Callable[..., AsyncGenerator[Any, Any]]:
    # Not `async for`: the wrapper passes on what the caller sends and throws, as the generator itself would get it.
    async def generate(held: AbstractContextManager[None], args: Any, kwargs: Any) -> AsyncGenerator[Any, Any]:
        try:
            with held:
                stream = open_stream(args, kwargs)
            with stream:
                items = function(*args, **kwargs)
                step = items.asend(None)
                try:
                    while True:
                        with held, stream.step():
                            item = await step
                        try:
                            step = items.asend((yield stream.note(item)))
                        except GeneratorExit:
                            raise
                        except BaseException as error:  # noqa: BLE001  passed on to the generator, which may handle it
                            step = items.athrow(error)
                except StopAsyncIteration:
                    return
                finally:
                    with held, stream.step():
                        await items.aclose()
        finally:
            _end(held)

    return generate


def _trace_generator(function: Callable[..., Any], open_stream: OpenStream) -> Callable[..., Generator[Any, Any, Any]]:
    # Not `yield from`: the generator's span is current only while it makes an item, so each step is a block.
    def generate(held: AbstractContextManager[None], args: Any, kwargs: Any) -> Generator[Any, Any, Any]:
        try:
            with held:
                stream = open_stream(args, kwargs)
            with stream:
                items = function(*args, **kwargs)
                advance, given = items.send, None
                try:
                    while True:
                        with held, stream.step():
                            item = advance(given)
                        try:
                            advance, given = items.send, (yield stream.note(item))
                        except GeneratorExit:
                            raise
                        except BaseException as error:  # noqa: BLE001  passed on to the generator, which may handle it
                            advance, given = items.throw, error
                except StopIteration as end:
                    return end.value
                finally:
                    with held, stream.step():
                        items.close()
        finally:
            _end(held)

    return generate


class Stream:
    """The span of a generator. It is open as long as the generator lives.

    It is the current span only while the generator makes an item. Otherwise spans of the code that uses the items would be
    its children.
    """

    def __init__(self, name: str, inputs: Callable[[], Mapping[str, Any]]) -> None:
        self._recorder = current_recorder()
        self._span_id = None if self._recorder is None else self._recorder.start("chain", name, attributes=inputs())
        self._items: list[Any] = []

    def step(self) -> AbstractContextManager[None]:
        """The block in which the generator makes an item."""
        return inside(self._span_id)

    def note(self, item: R) -> R:
        """Remember an item as output of the span, and return it."""
        if self._recorder is not None:
            self._items.append(item)
        return item

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, _type: object, error: BaseException | None, _traceback: object) -> None:
        if self._recorder is not None:
            left = isinstance(error, GeneratorExit)  # the caller stopped early, which is no error
            attributes = {"output": self._items}
            self._recorder.finish(self._span_id, attributes=attributes, error=None if left else error)


StreamOf = Callable[[str, Callable[[], Mapping[str, Any]]], Stream]
"""Makes a stream from a span's name and a function that returns its inputs, called only while something is recorded."""


def _inputs(signature: inspect.Signature | None, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Mapping[str, Any]:
    """Return the arguments by name, if something is being recorded. A wrong call is left to the function, which raises."""
    if signature is None or current_recorder() is None:
        return EMPTY
    with suppress(TypeError):
        given = dict(signature.bind(*args, **kwargs).arguments)
        given.pop("self", None)
        return {"inputs": given}
    return EMPTY


def _finish_with(span_id: str | None, result: R) -> R:
    """Finish a span with a result, and return the result."""
    recorder = current_recorder()
    if recorder is not None and span_id is not None:
        recorder.finish(span_id, attributes={"output": result})
    return result
