"""What a framework adapter is made of: the framework that it knows, and the methods that it replaces, all or none."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any

from prompt_registry_plugin.errors import PluginError
from prompt_registry_plugin.frameworks.notices import warn_once

logger = logging.getLogger(__name__)


class Patches:
    """Methods of a framework's classes, and functions of its modules, that an adapter replaced, and what they were."""

    def __init__(self) -> None:
        self._made: list[tuple[Any, str, Any, Any]] = []

    def replace(self, owner: Any, method: str, wrap: Callable[[Any], Any]) -> None:
        """Puts what `wrap` makes of a method of a class, or a function of a module, in its place."""
        original = owner.__dict__[method]
        ours = wrap(original)
        setattr(owner, method, ours)
        self._made.append((owner, method, original, ours))

    def replace_all(self, seams: Iterable[Seam]) -> None:
        """Replaces them all, or raises `AttributeError` for one that is not there and replaces none."""
        seams = list(seams)
        if missing := [f"{owner.__name__}.{method}" for owner, method, _ in seams if method not in owner.__dict__]:
            raise AttributeError(f"{missing[0]} is not there")
        for owner, method, wrap in seams:
            self.replace(owner, method, wrap)

    def restore(self) -> None:
        """Puts every method back, but for one that somebody else wrapped after us."""
        while self._made:
            owner, method, original, ours = self._made.pop()
            if owner.__dict__.get(method) is ours:
                setattr(owner, method, original)


Seam = tuple[Any, str, Callable[[Any], Any]]
"""A class or module, the name of a method or function of it, and what makes ours of the original."""


@dataclass(frozen=True, slots=True)
class Framework:
    """What an adapter attaches to: how it is called and installed, and the versions, from `lowest` to below `below`, that are known."""

    title: str
    module: str
    distribution: str
    extra: str
    lowest: str
    below: str

    def unknown(self) -> str | None:
        """Why the installed version is none that the adapter knows, or None."""
        try:
            installed = version(self.distribution)
        except PackageNotFoundError:
            return None  # used from its source
        if _numbers(self.lowest) <= _numbers(installed) < _numbers(self.below):
            return None
        return f"{self.distribution} {installed} is not among the known versions (from {self.lowest} to below {self.below})"


class FrameworkAdapter:
    """An `Adapter` that uses a framework's official seams always, and replaces methods only where it knows the version.

    With any other version, or where a method is gone, it says so once and leaves all methods alone.
    """

    name: str
    framework: Framework
    requires: tuple[str, ...] = ()

    def __init__(self) -> None:
        self._patches = Patches()
        self._on = False

    def attach(self) -> None:
        """Begins to listen where the framework officially lets us; may import it."""

    def detach(self) -> None:
        """Falls silent."""

    def seams(self) -> Iterable[Seam]:
        """The methods to replace."""
        return ()

    def enable(self) -> None:
        """Attaches; does nothing when attached. Raises `PluginError` when the framework is not installed."""
        if self._on:
            return
        title = self.framework.title
        if find_spec(self.framework.module) is None:
            raise PluginError(f"{title} is not installed: pip install 'prompt-registry-plugin[{self.framework.extra}]'")
        try:
            self.attach()
        except ImportError as error:
            raise PluginError(f"the installed package {self.framework.module!r} is not {title} as we know it: {error}") from error
        self._on = True
        unknown = self.framework.unknown()
        try:
            if unknown is None:
                self._patches.replace_all(self.seams())
        except (ImportError, AttributeError) as error:
            unknown = f"{title} has changed: {error}"
        if unknown is not None:
            warn_once(
                f"{unknown}; hard-coded prompts are left alone, prompts by name and what the framework officially offers work"
            )

    def disable(self) -> None:
        """Restores the methods and falls silent."""
        if self._on:
            self._on = False
            self._patches.restore()
            self.detach()


@contextmanager
def raised(flag: ContextVar[bool]) -> Iterator[None]:
    """A scope in which a flag is up."""
    token = flag.set(True)
    try:
        yield
    finally:
        with suppress(ValueError):  # a streamed run may end in another context than it began in
            flag.reset(token)


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", text)[:3])
