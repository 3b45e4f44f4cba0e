"""Replace methods of classes and functions of modules, beside other libraries that do the same, in either order."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import update_wrapper
from types import FunctionType
from typing import Any

Seam = tuple[Any, str, Callable[[Any], Any]]
"""A class or module, the name of a method or function of it, and a function that makes the replacement from the original."""

# Replacements that another library wrapped before they were restored, by owner and name. They are still called, so a second one
# around the first would record every call twice.
_left_behind: dict[tuple[Any, str], tuple[Any, Any]] = {}

_MAX_LAYERS = 50  # an object may have an answer for every name


class Patches:
    """The methods of classes and functions of modules that an adapter replaced, with their originals."""

    def __init__(self) -> None:
        self._made: list[tuple[Any, str, Any, Any]] = []

    def replace(self, owner: Any, method: str, wrap: Callable[[Any], Any]) -> None:
        """Replace a method of a class, or a function of a module, by what `wrap` makes of it.

        `wrap` gets a function that takes `self` first (`cls` for a class method), whatever the attribute is: a function, a class
        method, a static method, a `partialmethod`, a property's getter, or another library's wrapper. It returns a function of the
        same form.
        """
        kept = owner.__dict__[method]
        if (left := _left_behind.pop((owner, method), None)) is not None and _is_inside(left[1], kept):
            self._made.append((owner, method, *left))
            return
        if isinstance(kept, property) and kept.fget is not None:
            replacement: Any = property(wrap(kept.fget), kept.fset, kept.fdel, kept.__doc__)
        else:
            replacement = wrap(_callable_of(owner, method, kept))
        if isinstance(owner, type) and (kind := _kind_of(kept)) is not None:
            replacement = kind(replacement)
        setattr(owner, method, replacement)
        self._made.append((owner, method, kept, replacement))

    def replace_all(self, seams: Iterable[Seam]) -> None:
        """Replace all of them. Raises `AttributeError` if one does not exist, and then replaces none.

        Half a set of replacements would record prompts that it does not serve, or the reverse.
        """
        seams = list(seams)
        if missing := [f"{owner.__name__}.{method}" for owner, method, _ in seams if method not in owner.__dict__]:
            raise AttributeError(f"{missing[0]} is not there")
        for owner, method, wrap in seams:
            self.replace(owner, method, wrap)

    def restore(self) -> None:
        """Restore every method, except where another library has wrapped the replacement since: that would remove its wrapper."""
        while self._made:
            owner, method, kept, replacement = self._made.pop()
            current = owner.__dict__.get(method)
            if current is replacement:
                setattr(owner, method, kept)
            elif _is_inside(replacement, current):
                _left_behind[owner, method] = (kept, replacement)


def _callable_of(owner: Any, method: str, kept: Any) -> Callable[..., Any]:
    """Return a function that calls the attribute `kept` of `owner` as Python does, bound to its first argument.

    Another library's wrapper finds its instance by being bound. Called as a plain function, it gets None for it.
    """
    if not isinstance(owner, type) or type(kept) is FunctionType:  # `isinstance` believes a wrapper that poses as a function
        return kept  # type: ignore[no-any-return]
    kind = _kind_of(kept)
    bind = getattr(type(kept), "__get__", None)
    if kind is staticmethod:
        found = _static(kept, owner)
    elif kind is classmethod:
        found = _of_class(kept)
    else:
        found = _of_instance(kept, bind)
    found.__name__ = method  # for an attribute without a name
    return update_wrapper(found, getattr(owner, method) if kind is None else _layers(kept)[-1])


def _static(kept: Any, owner: type[Any]) -> Callable[..., Any]:
    return lambda *args, **kwargs: kept.__get__(None, owner)(*args, **kwargs)


def _of_class(kept: Any) -> Callable[..., Any]:
    return lambda cls, /, *args, **kwargs: kept.__get__(None, cls)(*args, **kwargs)


def _of_instance(kept: Any, bind: Callable[..., Any] | None) -> Callable[..., Any]:
    if bind is None:  # an object that is called without its instance
        return lambda self, /, *args, **kwargs: kept(*args, **kwargs)
    return lambda self, /, *args, **kwargs: bind(kept, self, type(self))(*args, **kwargs)


def _kind_of(kept: Any) -> type[classmethod[Any, ..., Any]] | type[staticmethod[..., Any]] | None:
    """Return `classmethod` or `staticmethod` if the attribute is one, perhaps inside the wrapper of another library; else None."""
    return next((kind for layer in _layers(kept) for kind in (classmethod, staticmethod) if isinstance(layer, kind)), None)


def _is_inside(replacement: Any, current: Any) -> bool:
    """Return whether `current` is `replacement`, or a wrapper around it that says what it wraps."""
    return any(layer is replacement for layer in _layers(current))


def _layers(attribute: Any) -> list[Any]:
    """Return an attribute and what it wraps, as far as wrappers say so."""
    layers = [attribute]
    while len(layers) < _MAX_LAYERS and (inner := getattr(layers[-1], "__wrapped__", None)) is not None:
        layers.append(inner)
    return layers
