"""JSON values that cannot be changed after they were made.

Records hand out their own data without copying it, so the data must be immutable; and users pass that data on to
`json.dumps`, compare it with plain literals and pickle it, so it must still be a `dict` or a `list`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from math import inf
from typing import Any, NoReturn, TypeVar

T = TypeVar("T")


def _refuse(self: object, *_args: object, **_kwargs: object) -> NoReturn:
    raise TypeError(f"{type(self).__name__} is immutable; make a copy with dict() or list() and change that")


class FrozenDict(dict[str, Any]):
    """A `dict` that refuses every change."""

    __slots__ = ()
    __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _refuse

    def __reduce__(self) -> tuple[Any, ...]:
        return FrozenDict, (dict(self),)

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(canonical_json(self))


class FrozenList(list[Any]):
    """A `list` that refuses every change."""

    __slots__ = ()
    __setitem__ = __delitem__ = __iadd__ = __imul__ = append = clear = extend = insert = pop = remove = _refuse
    reverse = sort = _refuse

    def __reduce__(self) -> tuple[Any, ...]:
        return FrozenList, (list(self),)

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(canonical_json(self))


EMPTY: FrozenDict = FrozenDict()
"""The default of fields that are mappings; one for all, since it cannot change."""


def values_of(kind: type[T], value: object, depth: float = inf) -> Iterator[T]:
    """Yield every `kind` in nested mappings and lists, in order; what is nested deeper than `depth` is left out."""
    if isinstance(value, kind):
        yield value
    elif depth > 0 and isinstance(value, Mapping | list | tuple):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from values_of(kind, item, depth - 1)


def json_or_text(value: Any) -> Any:
    """Return what a text of JSON holds. Other text, and what is no text, is returned as it is."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def freeze(value: Any) -> Any:
    """Return an immutable copy of a JSON value; other objects are returned as they are."""
    if isinstance(value, FrozenDict | FrozenList):
        return value
    if isinstance(value, Mapping):
        return FrozenDict({str(key): freeze(item) for key, item in value.items()})
    if isinstance(value, list | tuple):
        return FrozenList(freeze(item) for item in value)
    return value


def canonical_json(value: Any) -> str:
    """Return the one JSON text of `value`: sorted keys, no spaces, no escapes that are not needed.

    Raises `TypeError` for values that JSON cannot hold and `ValueError` for NaN, infinities and half surrogate pairs.
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    text.encode()  # a text that is no Unicode could not be stored
    return text


def digest(value: Any) -> str:
    """Return a short content hash (16 hex digits, 64 bits of SHA-256) of a JSON value.

    Other objects count by their `repr`, so that recording cannot fail on a value.
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=repr)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
