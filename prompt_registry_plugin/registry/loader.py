"""From a reference to a version: a cache that is never stale, one fetch for many threads, and expanded includes.

Loaded versions are cached until anything in the registry changes, in whichever process. Every load asks the store for its epoch,
which costs no query. When the epoch moved, everything is forgotten. A change of one prompt may reach any other through an
include, and changes are rare compared with loads, so that finding out which to forget is not worth it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass

from prompt_registry_plugin import uri
from prompt_registry_plugin.errors import PromptNotFound, StoreUnavailable, did_you_mean
from prompt_registry_plugin.forks import ForkAware, watch_forks
from prompt_registry_plugin.prompts.version import PromptVersion
from prompt_registry_plugin.protocols import PromptTable
from prompt_registry_plugin.records import EMPTY, Prompt, Template
from prompt_registry_plugin.registry.adopted_texts import AdoptedTexts
from prompt_registry_plugin.registry.includes import Expansion
from prompt_registry_plugin.templates.includes import includes_of

_MAX_CACHED = 20_000
"""Versions in the cache, so that a program that loads by ever new references does not fill the memory."""

Key = tuple[str, int | str | None]
Bindings = dict[str, tuple[str, str]]


class _Generation:
    """The cache of one epoch. It is never emptied when the registry changes: a new generation replaces it.

    A thread that fetches holds the generation that was current when it began. Its result lands there, even if an alias moves
    while the fetch is under way. In one shared dictionary the old version would land after the change, and be served as new.
    """

    def __init__(self, epoch: object) -> None:
        self.epoch = epoch
        self.versions: dict[Key, PromptVersion] = {}
        self.fetching: dict[tuple[Key, bool, bool], Future[PromptVersion]] = {}
        self.bindings: Bindings | None = None
        self.view: AdoptedView | None = None


@dataclass(frozen=True, slots=True)
class AdoptedView:
    """What is adopted, and what was loaded, in one epoch."""

    texts: AdoptedTexts
    """Texts that are recognized after they were rendered."""
    templates: Bindings
    """Template objects by hash."""
    versions: Mapping[Key, PromptVersion]
    """The versions that were loaded."""


class Loader(ForkAware):
    """Loads versions from the prompts of one store. Errors name the store as `place`."""

    def __init__(self, prompts: PromptTable, place: str) -> None:
        self._prompts = prompts
        self._place = place
        self.after_fork_in_child()
        watch_forks(self)

    def after_fork_in_child(self) -> None:
        """Forget everything in a forked child: a fetch that was under way belongs to a thread that does not exist here.

        Waiting for such a fetch would never end, and neither would waiting for a lock that such a thread held.
        """
        self._generation = _Generation(None)
        self._adopted_texts = AdoptedTexts(())  # of its own: what one registry served, another may have to replace
        self._lock = threading.Lock()

    def peek(self, name_or_uri: str, version: int | str | None) -> PromptVersion | None:
        """Return what `load` returns if it is cached, else None. Sends no query."""
        return self._current_generation().versions.get((name_or_uri, version))

    def load(
        self, name_or_uri: str, version: int | str | None, patience: float | None = None, *, near_matches: bool = True
    ) -> PromptVersion:
        """Return the version that a name or URI points at now. Threads that want the same one wait for one fetch.

        `patience` is how many seconds to wait for a store that has not answered yet. Without `near_matches`, what is missing costs one
        query, not a look at all names. Raises `InvalidURI`, `PromptNotFound`,
        `InvalidTemplate` for includes that cannot be expanded, and `StoreUnavailable`.
        """
        generation = self._current_generation()
        key = (name_or_uri, version)
        found = generation.versions.get(key)
        if found is not None:
            return found
        flight = (
            key,
            patience is None,
            near_matches,
        )  # an impatient caller must neither wait with patient ones nor make them give up
        while True:
            with self._lock:
                waiting = generation.fetching.get(flight)
                if waiting is None:
                    fetch = generation.fetching[flight] = Future[PromptVersion]()
                    break
            try:
                return waiting.result()
            except CancelledError:
                continue  # the fetching thread was interrupted (Ctrl-C), which is no answer: fetch here
        try:
            found = self.with_includes(self.find(uri.parse(name_or_uri, version), patience, near_matches=near_matches))
        except BaseException as error:
            generation.fetching.pop(flight, None)
            if isinstance(error, Exception):
                fetch.set_exception(error)
            else:
                fetch.cancel()
            raise
        if len(generation.versions) >= _MAX_CACHED:
            generation.versions.clear()
        generation.versions[key] = found
        generation.fetching.pop(flight, None)
        fetch.set_result(found)
        return found

    def bindings(self) -> Bindings:
        """Return the adopted hard-coded texts: hash -> (name, alias)."""
        generation = self._current_generation()
        if generation.bindings is None:
            generation.bindings = self._prompts.bindings()
        return generation.bindings

    def adopted_texts(self) -> AdoptedTexts:
        """Return the adopted texts that are recognized after they were rendered. None where the store cannot keep them."""
        return self.view().texts

    def view(self) -> AdoptedView:
        """Return what serving an adopted text needs, as one epoch has it, so that the store is asked for its epoch once a text."""
        generation = self._current_generation()
        if generation.view is None:
            read = getattr(self._prompts, "text_bindings", None)
            self._adopted_texts = self._adopted_texts.replaced_by(read() if read else ())
            generation.bindings = generation.bindings or self._prompts.bindings()
            generation.view = AdoptedView(self._adopted_texts, generation.bindings, generation.versions)
        return generation.view

    def find(self, reference: uri.PromptURI, patience: float | None = None, *, near_matches: bool = True) -> PromptVersion:
        """Return the version that a reference points at, as it was written. Raises `PromptNotFound`, with near matches if wanted."""
        unavailable = None
        for reading in reference.readings():
            try:
                found = self._prompts.get(reading, patience=patience)
            except StoreUnavailable as error:  # the last good copy may still have the other reading
                unavailable = error
                continue
            if found is not None:
                return found
        if unavailable is not None:
            raise unavailable
        raise self.not_found_error(reference) if near_matches else PromptNotFound(f"no {reference} in {self._place}")

    def not_found_error(self, reference: uri.PromptURI) -> PromptNotFound:
        """Return the error for a reference that leads nowhere, with near matches."""
        prompt = self.find_prompt(reference.name)
        for other in list(reference.readings())[1:] if prompt is None else ():  # `prompts:/a/b` where there is a prompt `a`
            owner = self.find_prompt(other.name)
            if owner is not None and other.alias not in owner.aliases:
                return self.not_found_error(other)
        if prompt is None:
            hint = did_you_mean(reference.name, self._prompts.names())
            return PromptNotFound(f"no prompt {reference.name!r} in {self._place}{hint}")
        where = f"prompt {reference.name!r} in {self._place}"
        if reference.version is not None:
            return PromptNotFound(f"{where} has no version {reference.version}; the newest is {prompt.latest_version}")
        aliases = sorted(prompt.aliases)
        wanted = str(reference.alias)
        known = f"; it has {', '.join(map(repr, aliases))}" if aliases else "; it has no aliases yet"
        return PromptNotFound(f"{where} has no alias {wanted!r}{did_you_mean(wanted, aliases) or known}")

    def find_prompt(self, name: str) -> Prompt | None:
        """Return a prompt without its versions, archived or not."""
        found = f"name = '{name}' AND (archived = 'true' OR archived = 'false')"
        return next(iter(self._prompts.search(found, limit=1, order_by=(), page_token=None)), None)

    def with_includes(
        self,
        version: PromptVersion,
        candidate: Callable[[str], Template | None] = lambda _name: None,
        drafts: Mapping[str, PromptVersion] = EMPTY,
    ) -> PromptVersion:
        """Return `version` with its includes expanded.

        `candidate` may return another template for an included prompt. `drafts` are about to be registered with it, by name, and
        are found under whatever alias. Raises `InvalidTemplate`.
        """
        if version.template_format != "double_brace" or not includes_of(version.template):
            return version
        return Expansion(version, lambda wanted: drafts.get(wanted.name) or self.find(wanted), candidate).expand()

    def _current_generation(self) -> _Generation:
        """Return the cache to load from and into, a new one if the registry changed.

        No lock on the way that every cached load takes: it reads one attribute and compares one value.
        """
        generation = self._generation
        epoch = self._prompts.epoch()
        if epoch != generation.epoch:
            with self._lock:
                # Another thread may have seen the change first and begun to fill its own generation; one is enough.
                if self._generation is generation:
                    self._generation = _Generation(epoch)
                # If the generation of another thread has another epoch, this thread fetches into one of its own, which is
                # thrown away: its result may be older than that generation.
                return self._generation if self._generation.epoch == epoch else _Generation(epoch)
        return generation
