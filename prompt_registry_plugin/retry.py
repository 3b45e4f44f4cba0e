"""Which errors pass by themselves, and how long to wait for that. An agent may be built on any client, so they are told by what
all clients have in common: HTTP status codes, the built-in connection errors, and the names that the clients' own errors have."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC
from email.utils import parsedate_to_datetime
from math import isfinite
from time import time
from typing import Any, TypeVar

T = TypeVar("T")

_RATE_LIMITS = {429, 529}
_PASSING = {408, 409, 425, 500, 502, 503, 504, *_RATE_LIMITS}
_RATE_LIMIT_NAMES = {"RateLimitError", "ResourceExhausted", "TooManyRequests", "ThrottlingException", "OverloadedError"}
_PASSING_NAMES = {
    "APIConnectionError", "APITimeoutError", "InternalServerError", "ServiceUnavailableError", "ServiceUnavailable",
    "TransportError", "ConnectTimeout", "ReadTimeout", "DeadlineExceeded", "ServerDisconnectedError", "ClientConnectionError",
    *_RATE_LIMIT_NAMES,
}  # fmt: skip
FIRST_WAIT = (0.2, 0.6)  # seconds, at random in between: what failed together should not come back together
_LONGEST = 60.0  # seconds that a server may ask us to wait


async def patiently(
    function: Callable[[], Awaitable[T]], *, attempts: int, patience: float, slow_down: Callable[[], None] = lambda: None
) -> T:
    """What `function` returns; tried again, `attempts` times in all and for `patience` seconds, after errors that pass by themselves.

    `slow_down` is called for every rate limit. Raises what the last attempt raised.
    """

    def wait(error: Exception) -> bool | float:
        waited = is_worth_waiting_for(error)
        if waited and is_rate_limit(error):
            slow_down()
        # Not all that were refused should come back at once.
        return waited if isinstance(waited, bool) else waited + random.uniform(0, 0.1 + waited / 4)  # noqa: S311

    try:
        return await function()  # as nearly always, without what it costs to be ready to try again
    except Exception as error:
        waited = wait(error) if attempts > 1 else False
        if waited is False:
            raise
    await asyncio.sleep(random.uniform(*FIRST_WAIT) if waited is True else waited)  # noqa: S311

    from stamina import retry_context

    async for attempt in retry_context(on=wait, attempts=attempts - 1, timeout=patience, wait_initial=0.4, wait_max=20):
        with attempt:
            return await function()
    raise AssertionError("retry_context returns or raises")


def is_worth_waiting_for(error: BaseException) -> bool | float:
    """Whether to try again, or after how many seconds a server asked us to; for `stamina`. A cancelled task is never tried again."""
    if not isinstance(error, Exception) or not is_passing(error):
        return False
    asked = retry_after(error)
    return True if asked is None else asked


def is_rate_limit(error: BaseException) -> bool:
    """Whether a server said that it is asked too much."""
    return any(_status(e) in _RATE_LIMITS or _names(e) & _RATE_LIMIT_NAMES for e in _chain(error))


def is_passing(error: BaseException) -> bool:
    """Whether the same call may well succeed a little later: a rate limit, a lost connection, a server's own fault."""
    return any(
        _status(e) in _PASSING
        or isinstance(e, ConnectionError | TimeoutError | asyncio.TimeoutError)
        or (_status(e) is None and _names(e) & _PASSING_NAMES)
        for e in _chain(error)
    )


def retry_after(error: BaseException) -> float | None:
    """Return the seconds that a server asked to wait, at most a minute; None if it did not ask.

    It asks by the header `retry-after-ms`, or by `Retry-After` in seconds or as a date (RFC 9110, 10.2.3).
    """
    for e in _chain(error):
        headers: Any = getattr(getattr(e, "response", None), "headers", None)
        with contextlib.suppress(AttributeError, TypeError, ValueError):
            given = {str(name).lower(): str(value) for name, value in headers.items()}
            seconds = _milliseconds(given.get("retry-after-ms"))
            if seconds is None and "retry-after" in given:
                seconds = _seconds_or_date(given["retry-after"])
            if seconds is not None and isfinite(seconds):
                return min(max(0.0, seconds), _LONGEST)
    return None


def _milliseconds(value: str | None) -> float | None:
    """Return seconds for a header in milliseconds; None if it is missing or not a number, as another header may say it."""
    try:
        return None if value is None else float(value) / 1000
    except ValueError:
        return None


def _seconds_or_date(value: str) -> float:
    """Return the seconds of a `Retry-After` header. Raises `ValueError` or `TypeError` if it is neither a number nor a date."""
    try:
        return float(value)
    except ValueError:
        date = parsedate_to_datetime(value)
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - time()


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error with what caused it: frameworks wrap what their clients raise."""
    seen: BaseException | None = error
    for _ in range(6):
        if seen is None:
            return
        yield seen
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)


def _status(error: BaseException) -> int | None:
    status = getattr(error, "status_code", None) or getattr(getattr(error, "response", None), "status_code", None)
    return status if isinstance(status, int) else None


def _names(error: BaseException) -> set[str]:
    return {kind.__name__ for kind in type(error).__mro__}
