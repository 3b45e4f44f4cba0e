"""Fingerprints of targets and scorers: equal in every process for objects that do the same, as far as their code and settings tell.

An object that another process can import is known by its name: the file that defines it is compared elsewhere (`cache`). What no file
says has to be in the fingerprint: settings of an instance, values in a closure, and code that was typed in.
"""

from __future__ import annotations

import hashlib
import inspect
import re
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from types import CodeType
from typing import Any

from prompt_registry_plugin.evaluation.targets import is_users, reference_to
from prompt_registry_plugin.moved import with_old_names
from prompt_registry_plugin.records import digest

_ADDRESS = re.compile(r"\b0x[0-9a-f]+")
# Characters of a `repr` that may serve as a fingerprint. A longer one is a large object, which is not meant to be compared as text.
_MAX_REPR = 10_000


class Fingerprint:
    """Fingerprints of several objects, which share what they hold.

    `unknown` lists the types of objects that nothing distinguishes from others of their type: with any of them, no fingerprint is safe.
    """

    def __init__(self) -> None:
        self.unknown: list[str] = []
        self._known: dict[int, Any] = {}
        # Python gives the id of a dead object to a new one, so every object with a remembered id has to stay alive.
        self._alive: list[Any] = []

    def of_root(self, obj: Any) -> Any:
        """Return the fingerprint of a target or a scorer, as JSON data: its importable name, and what its file does not say."""
        named = None if obj is None else reference_to(obj)
        # A key that an earlier version stored has to stay the same after a module has moved.
        reference = None if named is None else with_old_names(named)
        if reference is None or "{" in reference or inspect.isroutine(obj) or _is_users_own(type(obj)):
            return [reference, self.of(obj) if reference is None or "{" not in reference else None]
        return [reference, None]

    def of(self, obj: Any) -> Any:
        """Return the fingerprint of any object that a target or a scorer holds."""
        if obj is None or isinstance(obj, str | int | float | bool | bytes | type(Ellipsis)):
            return repr(obj)
        if id(obj) not in self._known:
            self._known[id(obj)] = "above"  # for an object that holds itself
            self._alive.append(obj)
            self._known[id(obj)] = digest(self._content_of(obj))
        return self._known[id(obj)]

    def _content_of(self, obj: Any) -> Any:
        """Return what distinguishes an object from others of its type."""
        if (content := self._content_of_container(obj)) is not None:
            return content
        if (content := self._content_of_code(obj)) is not None:
            return content
        if hasattr(obj, "tobytes"):  # an array: its `repr` is shortened
            return [type(obj).__qualname__, hashlib.sha256(obj.tobytes()).hexdigest(), str(getattr(obj, "shape", ""))]
        attributes = {**getattr(obj, "__dict__", {}), **_slots(obj)}
        if attributes or _is_users_own(type(obj)):
            return [self.of(type(obj)), self.of(attributes)]
        text = repr(obj)
        # An address is another one in every process, and says nothing about what the object does.
        if _ADDRESS.search(text) or len(text) > _MAX_REPR:
            self.unknown.append(f"{type(obj).__module__}.{type(obj).__qualname__}")
        return [type(obj).__qualname__, text]

    def _content_of_container(self, obj: Any) -> list[Any] | None:
        if isinstance(obj, CodeType):
            return [obj.co_code.hex(), list(obj.co_names), [self.of(constant) for constant in obj.co_consts]]
        if isinstance(obj, Mapping):
            return [[self.of(key), self.of(value)] for key, value in obj.items()]
        if isinstance(obj, list | tuple):
            return [self.of(value) for value in obj]
        if isinstance(obj, set | frozenset):
            return sorted((self.of(value) for value in obj), key=repr)
        return None

    def _content_of_code(self, obj: Any) -> list[Any] | None:
        if isinstance(obj, partial):
            return [self.of(part) for part in (obj.func, obj.args, obj.keywords)]
        if inspect.ismethod(obj):
            return [self.of(obj.__func__), self.of(obj.__self__)]
        if inspect.isfunction(obj):
            cells = [cell.cell_contents for cell in obj.__closure__ or () if cell.cell_contents is not obj]
            held = [obj.__defaults__, obj.__kwdefaults__, cells, self._globals(obj)]
            return [obj.__module__, obj.__qualname__, self.of(obj.__code__), self.of(held)]
        if inspect.isclass(obj):
            code = {} if _has_file(obj) else {name: part for name, part in vars(obj).items() if inspect.isfunction(part)}
            return [obj.__module__, obj.__qualname__, self.of(code)]
        if inspect.ismodule(obj) or inspect.isbuiltin(obj):
            return [getattr(obj, "__module__", ""), obj.__name__]
        return None

    def _globals(self, function: Any) -> dict[str, Any]:
        """Return the values that a function reads from its module.

        Of a file, plain values only: they may come from the environment, and the file says the rest. In a notebook, all that it names.
        """
        named = {name: function.__globals__[name] for name in function.__code__.co_names if name in function.__globals__}
        if _has_file(function):
            return {name: value for name, value in named.items() if isinstance(value, str | int | float | bool | type(None))}
        return {name: value for name, value in named.items() if not inspect.ismodule(value)}


def _has_file(obj: Any) -> bool:
    """Whether the code of a function or class is in a file, whose hash changes with it."""
    return bool(getattr(sys.modules.get(obj.__module__), "__file__", None))


def _is_users_own(kind: type) -> bool:
    module = sys.modules.get(kind.__module__)
    return module is not None and (is_users(module) or kind.__module__ == "__main__")


def _slots(obj: Any) -> dict[str, Any]:
    names = [name for kind in type(obj).__mro__ for name in _as_list(getattr(kind, "__slots__", ()))]
    return {name: getattr(obj, name) for name in names if name not in ("__dict__", "__weakref__") and hasattr(obj, name)}


def _as_list(slots: Any) -> Sequence[str]:
    return [slots] if isinstance(slots, str) else list(slots)
