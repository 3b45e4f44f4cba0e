"""What a framework adapter calls, and what switches adapters on and off.

An adapter asks `is_active()` first, which is all that an idle process pays for; then `serve(text_hash)` for the version that
stands for a hard-coded text, or `discovered(…)` to record a text that nobody adopted.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, fields, is_dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any

from prompt_registry_plugin.current import current_registry, opened_registry
from prompt_registry_plugin.errors import InvalidTemplate, PluginError, PromptRegistryError, did_you_mean
from prompt_registry_plugin.places import Place
from prompt_registry_plugin.plugins import default_plugin_manager
from prompt_registry_plugin.prompts import PromptVersion
from prompt_registry_plugin.protocols import Adapter
from prompt_registry_plugin.records import EMPTY, Template, digest
from prompt_registry_plugin.scope import current_override, current_recorder
from prompt_registry_plugin.templates.text import to_source
from prompt_registry_plugin.uri import SCHEME, is_uri

logger = logging.getLogger(__name__)
_requested: set[str] = set()  # enabled by name, rather than because another adapter builds on it
_enabled: set[str] = set()
_said: set[str] = set()
_adapters: dict[str, Adapter] = {}


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
            _say_once(
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


def enable(*frameworks: str) -> list[str]:
    """Attaches the named adapters, or with no name those of all installed frameworks; returns the names of all that are on.

    Raises `PluginError` for an unknown name or a framework that is not installed, and what opening the current registry raises.
    """
    known = _known()
    if unknown := [name for name in frameworks if name not in known]:
        raise PluginError(
            f"no adapter is called {unknown[0]!r}{did_you_mean(unknown[0], known) or '; there are ' + ', '.join(sorted(known))}"
        )
    current_registry()  # a registry that cannot be opened is told now, not in the middle of the agent's work
    for name in frameworks or sorted(known):
        try:
            _enable_one(known, name)
            _requested.add(name)
        except PluginError:
            if frameworks:
                raise
    return sorted(_enabled)


def disable(*frameworks: str) -> None:
    """Restores the methods of the named frameworks, or of all; those that are not enabled are ignored."""
    known = _known()
    _requested.difference_update(frameworks or tuple(_requested))
    needed = set(_requested)
    for name in _requested:
        needed.update(known[name].requires)
    for name in _enabled - needed:
        known[name].disable()
    _enabled.intersection_update(needed)


def enabled() -> list[str]:
    """The names of the adapters that are on."""
    return sorted(_enabled)


def is_active() -> bool:
    """Whether rendering a prompt here may mean anything to us: an override, a recording, or an adopted text."""
    if current_override() is not None or current_recorder() is not None:
        return True
    registry = opened_registry()
    try:
        return registry is not None and registry.has_adopted
    except PromptRegistryError as error:
        _say_once(f"the agent's own texts are used: {error}")
        return False


def serve(text_hash: str) -> PromptVersion | None:
    """The version that stands for the hard-coded text with this `digest`, or None.

    An agent whose registry is away goes on with its own text; a warning says so.
    """
    registry = opened_registry()
    try:
        return None if registry is None else registry.serve(text_hash)
    except PromptRegistryError as error:
        _say_once(f"the agent's own texts are used: {error}")
        return None


def discovered(
    template: Template,
    rendered: Any,
    values: Mapping[str, Any],
    *,
    unadoptable: str | None = None,
    place: Place | None = None,
    text_hash: str | None = None,
) -> None:
    """Records a prompt that the registry does not know; nothing when nobody records. `text_hash` is the template's `digest`."""
    recorder = current_recorder()
    if recorder is not None:
        recorder.add_prompt(template, rendered, values, unadoptable=unadoptable, place=place, template_hash=text_hash)


def text_here(text: str, context: object, place: Place | None = None) -> str:
    """The text to use where a framework holds a plain one, such as an agent's instructions.

    A `prompts:/` URI is loaded and rendered; an adopted text is served from the registry; another one is recorded as discovered.
    Variables come from `context`, as `values_of` has it; it is looked at only when a prompt of the registry is rendered.
    Raises what `load_prompt` and `format` raise for a URI, and `InvalidTemplate` when chat messages stand where a text is needed.
    """
    if is_uri(text):
        return text_from(current_registry().load_prompt(text), context)
    if not is_active():
        return text
    template = to_source([(text, None)])
    served = serve(digest(template))
    if served is not None:
        return text_from(served, context)
    recorder = current_recorder()
    if recorder is not None and not recorder.has_rendered(text):  # else it came from a prompt that was recorded as such
        discovered(template, text, {}, place=place)
    return text


_ADDRESS = re.compile(rf"{SCHEME}[\w.@/-]*\w")


def description_here(text: str | None, context: object) -> str | None:
    """The description of a tool or handoff, with every `prompts:/` URI in it replaced by the text that it names."""
    if not text or SCHEME not in text:
        return text
    return _ADDRESS.sub(lambda found: text_here(found[0], context), text)


def values_of(context: object) -> dict[str, Any]:
    """The variables that a framework's context object (`deps`, a run context) has for prompts: its items, fields or attributes."""
    if context is None:
        return {}
    if isinstance(context, Mapping):
        return {str(key): value for key, value in context.items()}
    if is_dataclass(context) and not isinstance(context, type):
        return {field.name: getattr(context, field.name) for field in fields(context) if hasattr(context, field.name)}
    return {key: value for key, value in getattr(context, "__dict__", {}).items() if not key.startswith("_")}


_TEXT_KEYS = ("input", "prompt", "message", "question", "query", "text", "user_prompt")


def user_text(inputs: Mapping[str, Any]) -> tuple[str | None, dict[str, Any]]:
    """What of a row's inputs is what the user says to an agent, and the rest; None where that is not plain."""
    names = [name for name in _TEXT_KEYS if isinstance(inputs.get(name), str)]
    if not names and len(inputs) == 1:
        names = [name for name, value in inputs.items() if isinstance(value, str)]
    if not names:
        return None, dict(inputs)
    return str(inputs[names[0]]), {name: value for name, value in inputs.items() if name != names[0]}


def text_from(prompt: PromptVersion, context: object, values: Mapping[str, Any] = EMPTY) -> str:
    """A text prompt rendered with the variables that it needs from `context`, or else from `values`; nothing else of it is recorded."""
    if not prompt.is_text_prompt:
        raise InvalidTemplate(f"prompt {prompt.name!r} is used where a text is needed, but holds chat messages")
    override = current_override()
    candidate = override.find(prompt.name) if override is not None else None
    needed = prompt.variables | (candidate.variables if candidate is not None else frozenset())
    given = {**values, **values_of(context)} if needed else {}
    return str(prompt.format({name: given[name] for name in needed & given.keys()}))


def _say_once(said: str) -> None:
    if said not in _said:
        _said.add(said)
        logger.warning("%s", said)


def _known() -> dict[str, Adapter]:
    if not _adapters:
        for listed in default_plugin_manager().hook.prompt_registry_adapters():
            for adapter in listed:
                if adapter.name in _adapters:
                    raise PluginError(f"two plugins bring an adapter called {adapter.name!r}")
                _adapters[adapter.name] = adapter
    return _adapters


def _enable_one(known: Mapping[str, Adapter], name: str) -> None:
    for required in known[name].requires:
        _enable_one(known, required)
    known[name].enable()
    _enabled.add(name)
