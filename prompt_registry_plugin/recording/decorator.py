"""`@trace`: the user's own functions as steps of a recording."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import AbstractContextManager, suppress
from functools import partial, wraps
from typing import Any, ParamSpec, TypeVar, cast

from prompt_registry_plugin.concurrency import signature_of
from prompt_registry_plugin.plugins import default_plugin_manager
from prompt_registry_plugin.prompts.context import current_recorder
from prompt_registry_plugin.records import EMPTY
from prompt_registry_plugin.tracing.recorder import inside, span

P = ParamSpec("P")
R = TypeVar("R")


def trace(function: Callable[P, R], *, name: str | None = None) -> Callable[P, R]:
    """A decorator that makes a function a span of the recording it is called in: coroutine functions and generators too.

    The span has the function's name, or `name`.

    An object of a framework, such as a chain, is given back as it is: once its adapter is enabled, its runs are spans anyway.
    Raises `TypeError` for what is neither.
    """
    return trace_function(function, name, Stream)


def trace_function(function: Callable[P, R], name: str | None, stream_of: StreamOf) -> Callable[P, R]:
    """What `trace` gives, with generators as the streams that somebody else makes of them."""
    if not inspect.isroutine(function) and default_plugin_manager().hook.prompt_registry_as_target(obj=function) is not None:
        return function
    if not callable(function):
        raise TypeError(f"@trace takes a function, or an object of an installed framework, not {type(function).__name__}")
    name = name or str(getattr(function, "__qualname__", repr(function)))
    signature = signature_of(function)
    if inspect.isasyncgenfunction(function):

        @wraps(function)
        async def generate_async(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
            with stream_of(name, partial(_inputs, signature, args, kwargs)) as stream:
                items = function(*args, **kwargs)
                step = items.asend(None)
                try:
                    while True:
                        with stream.step():
                            item = await step
                        try:
                            step = items.asend((yield stream.note(item)))
                        except GeneratorExit:
                            raise
                        except BaseException as error:  # noqa: BLE001  handed on to the generator, whose matter it is
                            step = items.athrow(error)
                except StopAsyncIteration:
                    return
                finally:
                    with stream.step():
                        await items.aclose()

        return cast("Callable[P, R]", generate_async)
    if inspect.isgeneratorfunction(function):

        @wraps(function)
        def generate(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
            with stream_of(name, partial(_inputs, signature, args, kwargs)) as stream:
                items = function(*args, **kwargs)
                advance, given = items.send, None
                try:
                    while True:
                        with stream.step():
                            item = advance(given)
                        try:
                            advance, given = items.send, (yield stream.note(item))
                        except GeneratorExit:
                            raise
                        except BaseException as error:  # noqa: BLE001  handed on to the generator, whose matter it is
                            advance, given = items.throw, error
                except StopIteration as end:
                    return end.value
                finally:
                    with stream.step():
                        items.close()

        return cast("Callable[P, R]", generate)
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


class Stream:
    """A generator's span: open as long as the generator lives, but the place where code runs only while it makes an item."""

    def __init__(self, name: str, inputs: Callable[[], Mapping[str, Any]]) -> None:
        self._recorder = current_recorder()
        self._span_id = None if self._recorder is None else self._recorder.start("chain", name, attributes=inputs())
        self._items: list[Any] = []

    def step(self) -> AbstractContextManager[None]:
        """The scope in which an item is made."""
        return inside(self._span_id)

    def note(self, item: R) -> R:
        """Takes an item down, and gives it on."""
        if self._recorder is not None:
            self._items.append(item)
        return item

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, _type: object, error: BaseException | None, _traceback: object) -> None:
        if self._recorder is not None:
            left = isinstance(error, GeneratorExit)  # whoever used the items had enough
            attributes = {"output": self._items}
            self._recorder.finish(self._span_id, attributes=attributes, error=None if left else error)


StreamOf = Callable[[str, Callable[[], Mapping[str, Any]]], Stream]
"""Makes a stream of a span's name and of what gives its inputs."""


def _inputs(signature: inspect.Signature | None, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Mapping[str, Any]:
    """The arguments by name, while somebody records; a wrong call is the function's to complain of."""
    if signature is None or current_recorder() is None:
        return EMPTY
    with suppress(TypeError):
        given = dict(signature.bind(*args, **kwargs).arguments)
        given.pop("self", None)
        return {"inputs": given}
    return EMPTY


def _finish_with(span_id: str | None, result: R) -> R:
    recorder = current_recorder()
    if recorder is not None and span_id is not None:
        recorder.finish(span_id, attributes={"output": result})
    return result
