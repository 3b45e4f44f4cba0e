"""How a reference becomes a version: a cache that is never stale, one fetch for many threads, includes put in.

What was loaded is kept until anything in the registry changed, in whichever process. The store is asked for its epoch on every
load, which costs it no query; when the epoch moved, everything that was loaded is forgotten.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError, Future
from dataclasses import replace

from prompt_registry_plugin import uri
from prompt_registry_plugin.errors import InvalidTemplate, InvalidURI, PromptNotFound, StoreUnavailable, did_you_mean
from prompt_registry_plugin.forks import ForkAware, tell_of_forks
from prompt_registry_plugin.prompts.version import PromptVersion
from prompt_registry_plugin.protocols import PromptTable
from prompt_registry_plugin.records import EMPTY, Template
from prompt_registry_plugin.templates.includes import MAX_DEPTH, expand_includes, includes_of

_MAX_KEPT = 20_000
_MAX_TEXT = 1_000_000
Key = tuple[str, int | str | None]
Bindings = dict[str, tuple[str, str]]


class _Kept:
    """What was loaded since the registry last changed. Never emptied: a change puts a new one in its place.

    Whoever fetches holds on to the one that was current when it began, so that what it finds cannot land in a newer one.
    """

    def __init__(self, epoch: object) -> None:
        self.epoch = epoch
        self.versions: dict[Key, PromptVersion] = {}
        self.fetching: dict[tuple[Key, bool], Future[PromptVersion]] = {}
        self.bindings: Bindings | None = None


class Loader(ForkAware):
    """Loads versions from the prompts of one store; `place` names the store in errors."""

    def __init__(self, prompts: PromptTable, place: str) -> None:
        self._prompts = prompts
        self._place = place
        self.forked()
        tell_of_forks(self)

    def forked(self) -> None:
        """Forgets what was loaded and what was under way: the threads that fetched are not in this process."""
        self._kept = _Kept(None)
        self._lock = threading.Lock()

    def peek(self, name_or_uri: str, version: int | str | None) -> PromptVersion | None:
        """What `load` gives, if it takes no query."""
        return self._current().versions.get((name_or_uri, version))

    def load(self, name_or_uri: str, version: int | str | None, patience: float | None = None) -> PromptVersion:
        """The version that a name or URI points at now. Threads that want the same one wait for one fetch.

        Raises `InvalidURI`, `PromptNotFound`, `InvalidTemplate` for includes that cannot be put in, and `StoreUnavailable`.
        """
        kept = self._current()
        key = (name_or_uri, version)
        found = kept.versions.get(key)
        if found is not None:
            return found
        flight = (key, patience is None)  # who is in a hurry must not wait with those who are not, nor hurry them
        while True:
            with self._lock:
                waiting = kept.fetching.get(flight)
                if waiting is None:
                    fetch = kept.fetching[flight] = Future[PromptVersion]()
                    break
            try:
                return waiting.result()
            except CancelledError:
                continue  # whoever fetched was interrupted, which is nothing to us
        try:
            found = self.with_includes(self.find(uri.parse(name_or_uri, version), patience))
        except BaseException as error:
            kept.fetching.pop(flight, None)
            if isinstance(error, Exception):
                fetch.set_exception(error)
            else:
                fetch.cancel()
            raise
        if len(kept.versions) >= _MAX_KEPT:
            kept.versions.clear()
        kept.versions[key] = found
        kept.fetching.pop(flight, None)
        fetch.set_result(found)
        return found

    def bindings(self) -> Bindings:
        """The texts that are served from here: hash -> (name, alias)."""
        kept = self._current()
        if kept.bindings is None:
            kept.bindings = self._prompts.bindings()
        return kept.bindings

    def find(self, reference: uri.PromptURI, patience: float | None = None) -> PromptVersion:
        """The version that a reference points at, as it is written. Raises `PromptNotFound`, with near matches."""
        unavailable = None
        for reading in reference.readings():
            try:
                found = self._prompts.get(reading, patience=patience)
            except StoreUnavailable as error:  # a kept copy may still know the other reading
                unavailable = error
                continue
            if found is not None:
                return found
        raise unavailable or self.not_found(reference)

    def not_found(self, reference: uri.PromptURI) -> PromptNotFound:
        """The error for a reference that leads nowhere."""
        versions = self._prompts.versions(reference.name)
        for other in list(reference.readings())[1:] if not versions else ():  # `prompts:/a/b` where there is a prompt `a`
            there = self._prompts.versions(other.name)
            if there and not any(other.alias in version.aliases for version in there):
                return self.not_found(other)
        if not versions:
            hint = did_you_mean(reference.name, self._prompts.names())
            return PromptNotFound(f"no prompt {reference.name!r} in {self._place}{hint}")
        prompt = f"prompt {reference.name!r} in {self._place}"
        if reference.version is not None:
            return PromptNotFound(f"{prompt} has no version {reference.version}; the newest is {versions[-1].version}")
        aliases = sorted({alias for version in versions for alias in version.aliases})
        wanted = str(reference.alias)
        known = f"; it has {', '.join(map(repr, aliases))}" if aliases else "; it has no aliases yet"
        return PromptNotFound(f"{prompt} has no alias {wanted!r}{did_you_mean(wanted, aliases) or known}")

    def with_includes(
        self,
        version: PromptVersion,
        candidate: Callable[[str], Template | None] = lambda _name: None,
        drafts: Mapping[str, PromptVersion] = EMPTY,
    ) -> PromptVersion:
        """`version` with the prompts that it includes put in.

        `candidate` may give another text for one of them. `drafts` are about to be registered with it, and count as there, under
        whatever alias.
        """
        if version.template_format != "double_brace" or not includes_of(version.template):
            return version
        used: dict[str, PromptVersion] = {}
        texts: dict[str, str] = {}

        def resolve(reference: str, path: tuple[str, ...]) -> str:
            where = f"{path[0] if version.version else version.name}, which includes {reference!r}"
            try:
                wanted = uri.parse_include(reference)
                found = drafts.get(wanted.name) or self.find(wanted)
            except (InvalidURI, PromptNotFound) as error:
                raise InvalidTemplate(f"cannot put together {where}: {error}") from error
            # A draft has no number yet; whatever version of itself it includes now, it may be itself by tomorrow.
            if found.uri in path or (version.version == 0 and found.name == version.name):
                raise InvalidTemplate(
                    f"cannot put together {where}: it includes itself, by way of {' → '.join([*path, found.uri])}"
                )
            if len(path) > MAX_DEPTH:
                raise InvalidTemplate(f"cannot put together {where}: includes are nested more than {MAX_DEPTH} deep")
            template = candidate(found.name) or found.template
            if not isinstance(template, str) or found.template_format != "double_brace":
                raise InvalidTemplate(
                    f"cannot put together {where}: only texts in double braces can be included, and that is none"
                )
            used[found.uri] = found
            if found.uri not in texts:
                texts[found.uri] = _text(expand_includes(template, found.uri, lambda inner: resolve(inner, (*path, found.uri))))
            if len(texts[found.uri]) > _MAX_TEXT:
                raise InvalidTemplate(f"cannot put together {where}: that alone is over {_MAX_TEXT:,} characters")
            return texts[found.uri]

        template = expand_includes(version.template, version.uri, lambda reference: resolve(reference, (version.uri,)))
        kept = next((found.served_from for found in used.values() if found.served_from != "registry"), version.served_from)
        return replace(version, template=template, source=version.template, includes=tuple(used), served_from=kept)

    def _current(self) -> _Kept:
        kept = self._kept
        epoch = self._prompts.epoch()
        if epoch != kept.epoch:
            with self._lock:
                # Another thread may have seen the change first, and begun to fill its own; one of them is enough.
                if self._kept is kept:
                    self._kept = _Kept(epoch)
                return self._kept if self._kept.epoch == epoch else _Kept(epoch)
        return kept


def _text(template: Template) -> str:
    if not isinstance(template, str):
        raise TypeError("a text became something else")  # expand_includes keeps texts texts
    return template
