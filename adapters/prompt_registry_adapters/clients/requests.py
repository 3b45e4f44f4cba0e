"""The transport of `openai` and `anthropic`: one method, sync and async, that every resource ends in, with retries inside.

The two clients have the same base, which the same generator wrote.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from copy import copy
from functools import partial, wraps
from typing import Any

from prompt_registry_adapters.clients.calls import Call, begin_call
from prompt_registry_adapters.clients.serving import is_wanted, serve_body
from prompt_registry_adapters.clients.shape import Body, Shape
from prompt_registry_adapters.clients.streams import watch_answer
from prompt_registry_adapters.clients.switch import Switch
from prompt_registry_plugin.errors import PromptRegistryError
from prompt_registry_plugin.frameworks.adapter import Seam
from prompt_registry_plugin.frameworks.notices import warn_once

Shapes = Mapping[str, Shape]
"""Protocols by the end of the path that they are spoken at."""


def prepare_call(shape: Shape, path: str, body: Body) -> tuple[Body, Call | None] | None:
    """Return the body to send and the call to record; None if the request is sent as it is.

    Raises what `load_prompt` and `format` raise for a `prompts:/` URI, and nothing else.
    """
    try:
        if not is_wanted(shape, body):
            return None
        served = serve_body(shape, body)
        return served.body, begin_call(shape, path, served)
    except PromptRegistryError:
        raise
    except Exception as error:  # noqa: BLE001  a boundary: a body that nobody expected is sent as it is
        warn_once(f"A call of a model is neither recorded nor served: {type(error).__name__}: {error}")
        return None


def client_seams(base: Any, shapes: Shapes, switch: Switch) -> Iterator[Seam]:
    """Yield the transport of both clients of a module `_base_client`, and where another library wrapped it in a class of theirs."""
    kinds: tuple[tuple[str, Callable[..., Any]], ...] = (("SyncAPIClient", wrap_request), ("AsyncAPIClient", wrap_async_request))
    for name, wrap in kinds:
        owner = getattr(base, name)
        original = owner.__dict__.get("request")
        for each in (owner, *_wrapped_copies(owner, original)):
            yield each, "request", partial(wrap, shapes=shapes, switch=switch)


def _wrapped_copies(owner: type[Any], original: Any) -> Iterable[type[Any]]:
    """Return the subclasses that hold the original, or a wrapper around it: they never ask the base for its method."""
    for each in _subclasses(owner):
        held = each.__dict__.get("request")
        if held is None or hasattr(held, "__prompt_registry__"):
            continue
        if held is original or getattr(held, "__wrapped__", None) is original:
            yield each


def _subclasses(owner: type[Any]) -> Iterator[type[Any]]:
    for each in owner.__subclasses__():
        yield each
        yield from _subclasses(each)


def wrap_request(original: Callable[..., Any], shapes: Shapes, switch: Switch) -> Callable[..., Any]:
    """Return `request` of a sync client, which serves and records calls of models."""

    @wraps(original)
    def request(self: Any, cast_to: Any, options: Any, *args: Any, **kwargs: Any) -> Any:
        prepared = _prepare(shapes, switch, options)
        if prepared is None:
            return original(self, cast_to, options, *args, **kwargs)
        options, call = prepared
        if call is None:
            return original(self, cast_to, options, *args, **kwargs)
        with call:
            answer = original(self, cast_to, options, *args, **kwargs)
        watch_answer(answer, call)
        return answer

    request.__prompt_registry__ = True  # type: ignore[attr-defined]
    return request


def wrap_async_request(original: Callable[..., Awaitable[Any]], shapes: Shapes, switch: Switch) -> Callable[..., Awaitable[Any]]:
    """Return `request` of an async client."""

    @wraps(original)
    async def request(self: Any, cast_to: Any, options: Any, *args: Any, **kwargs: Any) -> Any:
        prepared = _prepare(shapes, switch, options)
        if prepared is None:
            return await original(self, cast_to, options, *args, **kwargs)
        options, call = prepared
        if call is None:
            return await original(self, cast_to, options, *args, **kwargs)
        with call:
            answer = await original(self, cast_to, options, *args, **kwargs)
        watch_answer(answer, call)
        return answer

    request.__prompt_registry__ = True  # type: ignore[attr-defined]
    return request


def _prepare(shapes: Shapes, switch: Switch, options: Any) -> tuple[Any, Call | None] | None:
    """Return the options to send, a copy if a text is replaced, and the call to record; None if nothing is to be done."""
    body = options.json_data
    if not switch.on or not isinstance(body, dict) or options.method.lower() != "post":
        return None
    path = options.url.partition("?")[0].rstrip("/")
    shape = next((shape for end, shape in shapes.items() if path.endswith(end)), None)
    prepared = None if shape is None else prepare_call(shape, path, body)
    if prepared is None:
        return None
    served, call = prepared
    if served is not body:
        options = copy(options)
        options.json_data = served
    return options, call
