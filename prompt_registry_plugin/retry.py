"""Which errors pass by themselves, and how long to wait for that. An agent may be built on any client, so they are told by what
all clients have in common: HTTP status codes, the built-in connection errors, and the names that the clients' own errors have."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
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
_SPAN = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhd])")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}  # seconds
_LONGEST_SPAN = 1e8  # seconds, three years: a larger number is a time since 1970
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

    It asks by the header `retry-after-ms`, or by `Retry-After` in seconds or as a date (RFC 9110, 10.2.3). After a rate limit without
    these, the headers that say when the limit is lifted count, such as `x-ratelimit-reset-requests`.
    """
    for e in _chain(error):
        given = _headers(e)
        seconds = _milliseconds(given.get("retry-after-ms", given.get("x-ms-retry-after-ms")))
        if seconds is None and "retry-after" in given:
            seconds = _seconds_or_date(given["retry-after"])
        if seconds is None and (_status(e) in _RATE_LIMITS or _names(e) & _RATE_LIMIT_NAMES):
            seconds = _reset(given)
        if seconds is not None and isfinite(seconds):
            return min(max(0.0, seconds), _LONGEST)
    return None


def _headers(error: BaseException) -> dict[str, str]:
    """Return the headers of the response that an error is about, by name in lower case; empty if it has none."""
    response: Any = getattr(error, "response", None)
    headers: Any = getattr(response, "headers", None) or getattr(error, "headers", None)
    if headers is None and isinstance(response, dict):  # as boto3 has it
        headers = (response.get("ResponseMetadata") or {}).get("HTTPHeaders")
    try:
        return {str(name).lower(): str(value) for name, value in headers.items()}
    except (AttributeError, TypeError, ValueError):
        return {}


def _reset(headers: dict[str, str]) -> float | None:
    """Return the seconds until a limit is lifted: the longest of those that are used up, or of all if none says that it is."""
    found: list[tuple[bool, float]] = []
    for name, value in headers.items():
        if "ratelimit" in name and "reset" in name and (seconds := _span_or_time(value)) is not None and isfinite(seconds):
            found.append((headers.get(name.replace("reset", "remaining")) == "0", seconds))
    used_up = [seconds for is_used_up, seconds in found if is_used_up]
    return max(used_up or [seconds for _, seconds in found], default=None)


def _span_or_time(value: str) -> float | None:
    """Return the seconds of a span such as `6m0s` or `250ms`, a number of seconds, a time in seconds since 1970, or an ISO time."""
    parts = _SPAN.findall(value)
    if parts and "".join(number + unit for number, unit in parts) == value.strip():
        return sum(float(number) * _UNITS[unit] for number, unit in parts)
    try:
        number = float(value)
        return number - time() if number > _LONGEST_SPAN else number
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(value.strip().replace("Z", "+00:00"))
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - time()
    except ValueError:
        return _seconds_or_date(value)


def _milliseconds(value: str | None) -> float | None:
    """Return seconds for a header in milliseconds; None if it is missing or not a number, as another header may say it."""
    try:
        return None if value is None else float(value) / 1000
    except ValueError:
        return None


def _seconds_or_date(value: str) -> float | None:
    """Return the seconds of a `Retry-After` header; None if it is neither a number nor a date."""
    try:
        return float(value)
    except ValueError:
        pass
    try:
        date = parsedate_to_datetime(value)
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - time()
    except (TypeError, ValueError, OverflowError):
        return None


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
