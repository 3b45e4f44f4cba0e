"""The registry: register, load, alias, history, adopt. The one facade over a store.

A loaded version is cached until anything in the registry changed, in whichever process: the cache is checked against the
store's epoch on every load, which costs microseconds and no query, so a moved alias is seen by the next call.
"""

from __future__ import annotations

import asyncio
import getpass
import logging
import os
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import Any, Concatenate, Literal, ParamSpec, TypeVar

from prompt_registry_plugin import uri
from prompt_registry_plugin.errors import (
    AliasConflict,
    InvalidName,
    InvalidStore,
    InvalidTemplate,
    InvalidURI,
    PromptExists,
    PromptNotFound,
    PromptRegistryError,
    UserError,
    did_you_mean,
)
from prompt_registry_plugin.frozen import canonical_json
from prompt_registry_plugin.plugins import PluginManager, default_plugin_manager
from prompt_registry_plugin.prompts import PromptVersion
from prompt_registry_plugin.protocols import NewVersion, Store
from prompt_registry_plugin.records import AliasMove, Prompt, Template, digest
from prompt_registry_plugin.scope import current_override, recording
from prompt_registry_plugin.templates import compile_template
from prompt_registry_plugin.tracing import PromptUse, Trace

logger = logging.getLogger(__name__)
P = ParamSpec("P")
R = TypeVar("R")


def twin(
    method: Callable[Concatenate[PromptRegistry, P], R],
) -> Callable[Concatenate[PromptRegistry, P], Coroutine[Any, Any, R]]:
    """The async twin of a method: the same code in a worker thread, with the caller's context."""

    @wraps(method)
    async def waiting(self: PromptRegistry, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return await asyncio.to_thread(method, self, *args, **kwargs)

    waiting.__name__ = f"a{method.__name__}"
    waiting.__doc__ = f"Like `{method.__name__}`, without blocking the event loop."
    return waiting


class PromptRegistry:
    """Prompts as versioned data, in the database behind `url`. Threads and processes may share one."""

    def __init__(self, url: str, *, plugins: PluginManager | None = None) -> None:
        self.plugins = plugins or default_plugin_manager()
        store: Store | None = self.plugins.hook.prompt_registry_open_store(url=url)
        if store is None:
            raise InvalidStore(f"no installed plugin opens {url!r}; built in is sqlite:///file.db")
        self.url = url
        self.store = store
        self.closed = False
        self._epoch = -1
        self._loaded: dict[tuple[str, int | str | None], PromptVersion] = {}
        self._bindings: dict[str, tuple[str, str]] = {}
        self._warned: set[str] = set()

    # --- versions ------------------------------------------------------------------------------------------------------

    def register_prompt(
        self,
        name: str,
        template: Template,
        *,
        commit_message: str | None = None,
        tags: Mapping[str, str] | None = None,
        response_format: Mapping[str, Any] | None = None,
        model_config: Mapping[str, Any] | None = None,
        tools: Sequence[Mapping[str, Any]] | None = None,
        force: bool = False,
        parent: int | None = None,
        run_id: str | None = None,
    ) -> PromptVersion:
        """The new version, numbered from 1. The newest version is returned instead when its content is the same, unless `force`.

        `parent` and `run_id` say where the text came from. Raises `InvalidName` and `InvalidTemplate`; nothing is written then.
        """
        uri.check_name(name)
        compile_template(template, f"prompt {name!r}")
        for what, value in (
            ("response_format", response_format),
            ("model_config", model_config),
            ("tools", tools),
            ("template", template),
        ):
            try:
                canonical_json(value)
            except (TypeError, ValueError) as error:
                raise InvalidTemplate(f"{what} of prompt {name!r} must be JSON data: {error}") from error
        if commit_message is not None and not isinstance(commit_message, str):
            raise InvalidName(f"the commit message of prompt {name!r} is a text, not {type(commit_message).__name__}")
        self._check_folder(name)
        checked_tags = {key: _check_tag(name, key, value) for key, value in (tags or {}).items()}
        before = self.store.prompts.get(uri.PromptURI(name))
        version = self.store.prompts.add(
            NewVersion(
                name,
                template,
                commit_message,
                checked_tags,
                response_format,
                model_config,
                tools,
                parent,
                run_id,
                _who(),
            ),
            force=force,
        )
        if before is None or before.version != version.version:
            self.plugins.hook.prompt_registry_version_registered(version=version)
        return version

    def load_prompt(self, name_or_uri: str, version: int | str | None = None) -> PromptVersion:
        """The version that a name or URI (see `prompt_registry_plugin.uri`) points at now.

        Inside `override_prompts` its template is the candidate's. Raises `PromptNotFound`, with near matches, and `InvalidURI`.
        """
        self._refresh()
        # Held on to: what is found now must not land in a newer cache, which another thread may put in place meanwhile.
        loaded = self._loaded
        found = loaded.get((name_or_uri, version))
        if found is None:
            found = loaded[name_or_uri, version] = self._find(uri.parse(name_or_uri, version))
        override = current_override()
        candidate = override.find(found.name) if override is not None else None
        if override is None or candidate is None:
            return found
        override.count(found.name)  # its template may be used without `format`
        return found.as_candidate(candidate)

    def search_prompts(
        self,
        filter_string: str | None = None,
        *,
        max_results: int = 100,
        order_by: Sequence[str] = (),
        page_token: str | None = None,
    ) -> list[Prompt]:
        """The prompts that match a filter (see `prompt_registry_plugin.filters`), all of them without one.

        `page_token` is the number of results to skip. Raises `InvalidFilter`, which shows the place of the fault.
        """
        if not 1 <= max_results <= _MAX_RESULTS:
            raise UserError(f"max_results is between 1 and {_MAX_RESULTS}, not {max_results}")
        if page_token is not None and not (page_token.isascii() and page_token.isdigit() and len(page_token) < 16):
            raise UserError(f"page_token {page_token!r} did not come from a search")
        return self.store.prompts.search(filter_string, limit=max_results, offset=int(page_token or 0), order_by=order_by)

    # --- aliases and history ---------------------------------------------------------------------------------------------

    def set_prompt_alias(
        self,
        name: str,
        alias: str,
        version: int,
        *,
        reason: str | None = None,
        expected_version: int | Literal["any"] | None = "any",
    ) -> None:
        """Points `alias` at `version`; the move is recorded with who, when, from, to and why.

        With `expected_version`, raises `AliasConflict` when the alias points elsewhere by now (None: when it exists).
        Raises `InvalidName` for a reserved alias and `PromptNotFound` for a missing prompt or version.
        """
        uri.check_alias(alias)
        if version is None:
            raise InvalidURI(f"set_prompt_alias({name!r}, {alias!r}) needs a version; delete_prompt_alias removes an alias")
        found = self._find(uri.parse(name, version))
        if self.store.prompts.get(uri.PromptURI(f"{name}/{alias}")) is not None:
            raise AliasConflict(f"prompts:/{name}/{alias} is a prompt of its own; choose another alias for {name!r}")
        current = self.store.prompts.get(uri.PromptURI(name, alias=alias))
        if current is not None and (new := sorted(found.variables - current.variables)):
            logger.warning(
                "%s needs %s, which version %s did not: callers have to pass it",
                found.uri,
                ", ".join(map(repr, new)),
                current.version,
            )
        self._move(found.name, alias, found.version, reason, expected_version)

    def delete_prompt_alias(self, name: str, alias: str, *, reason: str | None = None) -> None:
        """Removes an alias; the move stays in the history. Raises `PromptNotFound` when there is none."""
        self._find(uri.PromptURI(uri.check_name(name), alias=uri.check_alias(alias)))
        self._move(name, alias, None, reason, "any")

    def rollback(self, name: str, alias: str = "production", *, reason: str | None = None) -> PromptVersion:
        """Takes back the last move of an alias that was not taken back yet, and returns the version it points at now.

        Calling it again goes back one move further. Raises `AliasConflict` when there is nothing to go back to.
        """
        uri.check_alias(alias)
        self._require(name)
        # A rollback is a move too. Replaying the moves as a stack, which a rollback takes down to where it went, tells what is left.
        stack: list[int | None] = []
        for move in self.store.prompts.moves(name, alias):
            while move.rollback and stack and stack[-1] != move.to_version:
                stack.pop()
            if not move.rollback:
                stack.append(move.to_version)
        if not stack:
            raise self._not_found(uri.PromptURI(name, alias=alias))
        current = stack[-1]
        earlier = next((version for version in reversed(stack) if version not in (None, current)), None)
        if earlier is None:
            raise AliasConflict(f"prompts:/{name}@{alias} has no earlier version to go back to")
        self._move(name, alias, earlier, reason, current, rollback=True)
        return self._find(uri.PromptURI(name, version=earlier))

    def prompt_history(self, name: str) -> list[PromptVersion | AliasMove]:
        """Versions and alias moves of a prompt as one timeline, oldest first."""
        entries: list[PromptVersion | AliasMove] = [*self._require(name), *self.store.prompts.moves(name)]
        return sorted(entries, key=lambda entry: entry.created_at if isinstance(entry, PromptVersion) else entry.moved_at)

    # --- tags --------------------------------------------------------------------------------------------------------------

    def set_prompt_tag(self, name: str, key: str, value: str) -> None:
        """Sets a tag of a prompt as a whole."""
        self.store.prompts.set_tag(uri.check_name(name), None, key, _check_tag(name, key, value))

    def delete_prompt_tag(self, name: str, key: str) -> None:
        """Removes a tag of a prompt; a missing one is ignored."""
        self.store.prompts.set_tag(uri.check_name(name), None, key, None)

    def set_prompt_version_tag(self, name: str, version: int, key: str, value: str) -> None:
        """Sets a tag of one version."""
        self.store.prompts.set_tag(uri.check_name(name), version, key, _check_tag(name, key, value))

    def delete_prompt_version_tag(self, name: str, version: int, key: str) -> None:
        """Removes a tag of one version; a missing one is ignored."""
        self.store.prompts.set_tag(uri.check_name(name), version, key, None)

    # --- recording and adoption ----------------------------------------------------------------------------------------------

    @contextmanager
    def record(self, name: str = "recording") -> Iterator[Trace]:
        """A scope whose prompts, model calls and steps become a `Trace`, which is stored when the scope ends.

        A trace that cannot be stored is logged and stays usable: recording never breaks the agent.
        """
        with recording(Trace(name)) as trace:
            try:
                yield trace
            finally:
                try:
                    self.store.traces.add(trace)
                    self.plugins.hook.prompt_registry_trace_finished(trace=trace)
                except PromptRegistryError as error:
                    logger.warning("trace %s was not stored: %s", trace.id, error)
                except Exception:  # a plugin's hook may raise anything, and must not replace what the agent raised
                    logger.exception("a plugin failed on trace %s", trace.id)

    def adopt(
        self, trace: Trace, *, names: Mapping[str, str | None] | None = None, alias: str = "production"
    ) -> list[PromptVersion]:
        """Registers the hard-coded prompts that a trace discovered; from now on the registry serves them in their place.

        Each becomes version 1 under its proposed name, or under `names[proposed name]` (None leaves it alone), with `alias` pointing
        at it; the agent then gets whatever `alias` points at. A name given there that exists gets the text as its next version, and
        its alias stays where it is. Adopting again changes nothing. Raises `UserError` before anything is written when a prompt
        cannot be adopted or a name is taken.
        """
        uri.check_alias(alias)
        found = [use for use in trace.prompts if use.name is None]
        renamed = dict(names or {})
        if unknown := sorted(renamed.keys() - {use.proposed_name for use in found}):
            raise UserError(
                f"no discovered prompt is called {unknown[0]!r}{did_you_mean(unknown[0], [use.proposed_name for use in found])}"
            )
        if not trace.prompts and any(span.kind == "llm" for span in trace.spans):
            raise UserError(
                "the trace holds model calls, but none of their prompts came from a template; messages that are built by hand "
                "(SystemMessage(...)) are not met yet: make them a ChatPromptTemplate, or register the text and load it by name"
            )
        if not trace.prompts:
            raise UserError("the trace holds no prompts: enable() the framework's adapter, then record() a run of the agent")
        wanted = [(use, renamed.get(use.proposed_name, use.proposed_name)) for use in found]
        planned = [(use, uri.check_name(name)) for use, name in wanted if name is not None]
        if len({name for _, name in planned}) < len(planned):
            raise PromptExists("two prompts would get one name; give them different ones with names={proposed: name}")
        for use, name in planned:
            self._check_adoptable(use, name, alias, named=use.proposed_name in renamed)
        return [self._adopt_one(use.template, name, alias) for use, name in planned]

    def serve(self, text_hash: str) -> PromptVersion | None:
        """The version that stands for an adopted hard-coded text; None when it was not adopted. For adapters."""
        self._refresh()
        binding = self._bindings.get(text_hash)
        if binding is None:
            return None
        name, alias = binding
        try:
            return self.load_prompt(f"prompts:/{name}@{alias}")
        except PromptNotFound as error:
            if text_hash not in self._warned:
                self._warned.add(text_hash)
                logger.warning("the agent's own text is used for adopted prompt %r: %s", name, error)
            return None

    @property
    def has_adopted(self) -> bool:
        """Whether any hard-coded text is served from here."""
        self._refresh()
        return bool(self._bindings)

    def close(self) -> None:
        """Releases the database."""
        self.closed = True
        self.store.close()

    aregister_prompt = twin(register_prompt)
    aload_prompt = twin(load_prompt)
    asearch_prompts = twin(search_prompts)
    aset_prompt_alias = twin(set_prompt_alias)
    adelete_prompt_alias = twin(delete_prompt_alias)
    arollback = twin(rollback)
    aprompt_history = twin(prompt_history)
    aadopt = twin(adopt)

    def __enter__(self) -> PromptRegistry:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"PromptRegistry({self.url!r})"

    # --- inside --------------------------------------------------------------------------------------------------------------

    def _refresh(self) -> None:
        epoch = self.store.prompts.epoch()
        if epoch != self._epoch:
            # New dictionaries rather than cleared ones: another thread may be filling the old with what is stale now.
            self._bindings = self.store.prompts.bindings()
            self._loaded = {}
            self._epoch = epoch

    def _find(self, reference: uri.PromptURI) -> PromptVersion:
        for reading in reference.readings():
            found = self.store.prompts.get(reading)
            if found is not None:
                return found
        raise self._not_found(reference)

    def _not_found(self, reference: uri.PromptURI) -> PromptNotFound:
        versions = self.store.prompts.versions(reference.name)
        if not versions:
            hint = did_you_mean(reference.name, self.store.prompts.names())
            return PromptNotFound(f"no prompt {reference.name!r} in {self.url}{hint}")
        if reference.version is not None:
            return PromptNotFound(
                f"prompt {reference.name!r} in {self.url} has no version {reference.version}; the newest is {versions[-1].version}"
            )
        aliases = sorted({alias for version in versions for alias in version.aliases})
        wanted = str(reference.alias)
        known = f"; it has {', '.join(map(repr, aliases))}" if aliases else "; it has no aliases yet"
        return PromptNotFound(
            f"prompt {reference.name!r} in {self.url} has no alias {wanted!r}{did_you_mean(wanted, aliases) or known}"
        )

    def _move(
        self,
        name: str,
        alias: str,
        version: int | None,
        reason: str | None,
        expected: int | Literal["any"] | None,
        *,
        rollback: bool = False,
    ) -> None:
        move = self.store.prompts.move_alias(name, alias, version, by=_who(), reason=reason, expected=expected, rollback=rollback)
        if move is not None:
            self.plugins.hook.prompt_registry_alias_moved(move=move)

    def _check_folder(self, name: str) -> None:
        folder, slash, last = name.rpartition("/")
        if slash and self.store.prompts.get(uri.PromptURI(folder, alias=last)):
            raise InvalidName(f"prompts:/{name} already means alias {last!r} of prompt {folder!r}; choose another name")

    def _require(self, name: str) -> list[PromptVersion]:
        """The versions of a prompt that has to exist."""
        versions = self.store.prompts.versions(uri.check_name(name))
        if not versions:
            raise self._not_found(uri.PromptURI(name))
        return versions

    def _check_adoptable(self, use: PromptUse, name: str, alias: str, *, named: bool) -> None:
        if use.unadoptable is not None:
            raise UserError(
                f"prompt {use.proposed_name!r} cannot be adopted: {use.unadoptable}; "
                f"leave it out with names={{{use.proposed_name!r}: None}}"
            )
        bound = self.store.prompts.bindings().get(digest(use.template))
        if bound is not None and bound[0] != name:
            raise PromptExists(
                f"the text of {use.proposed_name!r} is already adopted as {bound[0]!r}; it cannot stand for {name!r} as well"
            )
        if self.store.prompts.get(uri.PromptURI(f"{name}/{alias}")) is not None:
            raise AliasConflict(f"prompts:/{name}/{alias} is a prompt of its own; adopt {use.proposed_name!r} under another name")
        self._check_folder(name)
        versions = self.store.prompts.versions(name)
        if versions and not named and not any(version.template == use.template for version in versions):
            raise PromptExists(
                f"{name!r} is already a prompt with another text in {self.url}; if this is its next version, say so with "
                f"names={{{use.proposed_name!r}: {name!r}}}, otherwise adopt it under another name"
            )

    def _adopt_one(self, template: Template, name: str, alias: str) -> PromptVersion:
        version = next((v for v in self.store.prompts.versions(name) if v.template == template), None)
        if version is None:
            version = self.register_prompt(name, template, commit_message="adopted from the agent's code")
        if self.store.prompts.get(uri.PromptURI(name, alias=alias)) is None:
            self.set_prompt_alias(name, alias, version.version, reason="adopted")
        self.store.prompts.bind(digest(template), name, alias)
        return self._find(uri.PromptURI(name, alias=alias))


_MAX_RESULTS = 1_000_000


def _who() -> str:
    if who := os.environ.get("PROMPT_REGISTRY_USER"):
        return who
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # a container's user id may have no name
        return "unknown"


def _check_tag(name: str, key: object, value: object) -> str:
    if not isinstance(key, str) or not key:
        raise InvalidName(f"a tag key of prompt {name!r} is a non-empty string, not {key!r}")
    if not isinstance(value, str):
        raise InvalidName(f"tag {key!r} of prompt {name!r} is a string, not {type(value).__name__} {value!r}")
    return value
