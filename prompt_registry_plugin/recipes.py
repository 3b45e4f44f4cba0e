"""Objects that another process can make again, from the arguments that they were made with: so that a run can go on there."""

from __future__ import annotations

import inspect
import json
from functools import wraps
from typing import Any, TypeVar

T = TypeVar("T")
NESTED = "$made"  # the key of an argument that was made so itself


def with_recipe(cls: type[T]) -> type[T]:
    """A class decorator: instances remember the arguments of their constructor as JSON, where they are JSON data."""
    original = cls.__init__
    signature = inspect.signature(original)

    @wraps(original)
    def remembering(self: Any, /, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        if type(self) is cls:  # what a subclass hands on is not how that is made
            bound = signature.bind(self, *args, **kwargs)
            given = {name: value for name, value in list(bound.arguments.items())[1:] if name != _rest(signature)}
            self.__dict__["recipe"] = _as_json({**given, **bound.arguments.get(_rest(signature) or "", {})})

    cls.__init__ = remembering  # type: ignore[method-assign,assignment]
    cls._from_recipe = True  # type: ignore[attr-defined]
    return cls


def has_recipe(cls: Any) -> bool:
    """Whether a class is one of those: nothing else is called with what a database says."""
    return isinstance(cls, type) and "_from_recipe" in vars(cls)


def reference_of(obj: Any) -> str | None:
    """`module:Class{arguments}`, or None for what cannot be made again."""
    recipe, kind = getattr(obj, "recipe", None), type(obj)
    if not has_recipe(kind) or recipe is None or "<" in kind.__qualname__:
        return None
    return f"{kind.__module__}:{kind.__qualname__}{recipe}"


def _rest(signature: inspect.Signature) -> str | None:
    return next((p.name for p in signature.parameters.values() if p.kind is p.VAR_KEYWORD), None)


def _as_json(arguments: dict[str, Any]) -> str | None:
    try:
        text = json.dumps(arguments, default=_made)
    except (TypeError, ValueError):
        return None
    return text if json.loads(text, object_hook=lambda found: ... if NESTED in found else found) == _plain(arguments) else None


def _made(obj: Any) -> dict[str, str]:
    if (reference := reference_of(obj)) is None:
        raise TypeError(f"{obj!r} cannot be made again")
    return {NESTED: reference}


def _plain(arguments: Any) -> Any:
    """The arguments as they come back, to see whether nothing is lost: a tuple, say, is."""
    if isinstance(arguments, dict):
        return {key: _plain(value) for key, value in arguments.items()}
    if isinstance(arguments, list):
        return [_plain(value) for value in arguments]
    return ... if reference_of(arguments) is not None else arguments
