"""The base of an adapter: the framework that it connects, and the methods that it replaces, all or none."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from prompt_registry_plugin.errors import PluginError
from prompt_registry_plugin.frameworks.notices import warn_once
from prompt_registry_plugin.frameworks.patching import Patches as Patches
from prompt_registry_plugin.frameworks.patching import Seam as Seam


@dataclass(frozen=True, slots=True)
class Framework:
    """The facts about a framework that its adapter states, and that nothing else in the project repeats."""

    title: str
    """The name for people, as in an error message."""
    module: str
    """The package that is imported."""
    distribution: str
    """The package that is installed; its version is compared."""
    extra: str = ""
    """The extra of this project that installs it, if there is one."""
    lowest: str = field(kw_only=True)
    """The lowest version whose methods the adapter may replace."""
    below: str = field(kw_only=True)
    """The lowest version whose methods it may not replace, because nobody has tried it."""
    waits_for: str = ""
    """The module after whose import the adapter can attach, where it is another than `module`."""
    also_imports: tuple[str, ...] = ()
    """Packages that parts of the adapter import besides `module`, such as one that is built on the framework."""

    @property
    def is_installed(self) -> bool:
        """Whether the package can be imported. Does not import it."""
        try:
            return find_spec(self.module) is not None
        except ModuleNotFoundError:  # the package that `google.genai` is in
            return False
        except ValueError:  # imported, without a spec: a stand-in of somebody's tests
            return True

    def unsupported_reason(self) -> str | None:
        """Return why the installed version is unsupported, or None."""
        try:
            installed = version(self.distribution)
        except PackageNotFoundError:
            return None  # used from its source
        if _numbers(self.lowest) <= _numbers(installed) < _numbers(self.below):
            return None
        return f"{self.distribution} {installed} is not among the known versions (from {self.lowest} to below {self.below})"


class FrameworkAdapter:
    """An `Adapter` that always uses what its framework officially offers, and replaces methods only in versions that it knows.

    In another version, or if a method is missing, it logs one warning and replaces no method.
    """

    name: str
    framework: Framework
    requires: tuple[str, ...] = ()

    def __init__(self) -> None:
        self._patches = Patches()
        self._on = False

    @property
    def waits_for(self) -> str:
        """The module after whose import this adapter can attach."""
        return self.framework.waits_for or self.framework.module

    def attach(self) -> None:
        """Start listening where the framework officially allows it. May import the framework."""

    def detach(self) -> None:
        """Stop listening."""

    def seams(self) -> Iterable[Seam]:
        """Return the methods to replace."""
        return ()

    def enable(self) -> None:
        """Attach, unless attached. Raises `PluginError` if the framework is not installed."""
        if self._on:
            return
        self.check_installed()
        title = self.framework.title
        try:
            self.attach()
        except ImportError as error:
            # Another package can have the framework's name: `agents` is a common one.
            raise PluginError(f"the installed package {self.framework.module!r} is not {title} as we know it: {error}") from error
        self._on = True
        reason = self.framework.unsupported_reason()
        try:
            if reason is None:
                self._patches.replace_all(self.seams())
        except (ImportError, AttributeError) as error:
            reason = f"{title} has changed: {error}"
        if reason is not None:
            # Not an error: an agent in production must not stop because its framework was updated.
            warn_once(
                f"{reason}; hard-coded prompts are left alone, prompts by name and what the framework officially offers work"
            )

    def check_installed(self) -> None:
        """Raise `PluginError` if the framework is not installed. Does not import it."""
        if not self.framework.is_installed:
            extra = self.framework.extra
            missing = f"'prompt-registry-plugin[{extra}]'" if extra else self.framework.distribution
            raise PluginError(f"{self.framework.title} is not installed: pip install {missing}")

    def disable(self) -> None:
        """Restore the methods and stop listening."""
        if self._on:
            self._on = False
            self._patches.restore()
            self.detach()


class set_flag:  # noqa: N801  a context manager, and a class: idle agents pass through it, and a generator takes longer
    """Set a flag of this context for the block, so that a wrapper notices that it is inside another one."""

    __slots__ = ("_flag", "_token")

    def __init__(self, flag: ContextVar[bool]) -> None:
        self._flag = flag

    def __enter__(self) -> None:
        self._token = self._flag.set(True)

    def __exit__(self, *_error: object) -> None:
        try:  # noqa: SIM105  `suppress` takes longer than all the rest
            self._flag.reset(self._token)
        except ValueError:
            pass  # a streamed run may end in another context than it began in


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", text)[:3])
