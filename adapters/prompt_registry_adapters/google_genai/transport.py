"""The transport of `google-genai`: requests and streams, sync and async."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import wraps
from typing import Any

from prompt_registry_adapters.clients.calls import Call
from prompt_registry_adapters.clients.gemini import Gemini
from prompt_registry_adapters.clients.requests import prepare_call
from prompt_registry_adapters.clients.streams import AsyncEvents, Events
from prompt_registry_adapters.clients.switch import Switch
from prompt_registry_plugin.frameworks.notices import warn_once

Wrap = Callable[[Callable[..., Any]], Callable[..., Any]]

_SHAPE = Gemini()
_PATHS = (":generateContent", ":streamGenerateContent")


def wrap_request(switch: Switch) -> Wrap:
    """Wrap `request`."""

    def wrap(original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def request(self: Any, http_method: Any, path: Any, request_dict: Any, *args: Any, **kwargs: Any) -> Any:
            body, call = _prepare(switch, path, request_dict)
            if call is None:
                return original(self, http_method, path, body, *args, **kwargs)
            with call:
                response = original(self, http_method, path, body, *args, **kwargs)
            _finish(call, response)
            return response

        return request

    return wrap


def wrap_async_request(switch: Switch) -> Wrap:
    """Wrap `async_request`."""

    def wrap(original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        async def async_request(self: Any, http_method: Any, path: Any, request_dict: Any, *args: Any, **kwargs: Any) -> Any:
            body, call = _prepare(switch, path, request_dict)
            if call is None:
                return await original(self, http_method, path, body, *args, **kwargs)
            with call:
                response = await original(self, http_method, path, body, *args, **kwargs)
            _finish(call, response)
            return response

        return async_request

    return wrap


def wrap_request_streamed(switch: Switch) -> Wrap:
    """Wrap `request_streamed`, a generator that sends the request when its first event is asked for."""

    def wrap(original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def request_streamed(self: Any, http_method: Any, path: Any, request_dict: Any, *args: Any, **kwargs: Any) -> Any:
            body, call = _prepare(switch, path, request_dict)
            events = original(self, http_method, path, body, *args, **kwargs)
            return events if call is None else Events(events, call, _data)

        return request_streamed

    return wrap


def wrap_async_request_streamed(switch: Switch) -> Wrap:
    """Wrap `async_request_streamed`, which returns an async generator."""

    def wrap(original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        async def async_request_streamed(
            self: Any, http_method: Any, path: Any, request_dict: Any, *args: Any, **kwargs: Any
        ) -> Any:
            body, call = _prepare(switch, path, request_dict)
            if call is None:
                return await original(self, http_method, path, body, *args, **kwargs)
            with call:
                events = await original(self, http_method, path, body, *args, **kwargs)
            return AsyncEvents(events, call, _data)

        return async_request_streamed

    return wrap


WRAPPED: tuple[tuple[str, Callable[[Switch], Wrap]], ...] = (
    ("request", wrap_request),
    ("async_request", wrap_async_request),
    ("request_streamed", wrap_request_streamed),
    ("async_request_streamed", wrap_async_request_streamed),
)


def _prepare(switch: Switch, path: Any, body: Any) -> tuple[Any, Call | None]:
    """Return the body to send, and the call to record if there is one."""
    if not switch.on or not isinstance(body, dict) or not str(path).partition("?")[0].endswith(_PATHS):
        return body, None
    return prepare_call(_SHAPE, str(path), body) or (body, None)


def _data(response: Any) -> Any:
    """Return an answer, or a piece of one, as JSON data."""
    return json.loads(response.body) if response.body else {}


def _finish(call: Call, response: Any) -> None:
    try:
        whole = _data(response)
    except Exception as error:  # noqa: BLE001  a boundary: the agent has its answer
        warn_once(f"An answer of a model is not recorded: {type(error).__name__}: {error}")
        call.end()
    else:
        call.finish(whole)
