"""The registry: register, load, alias, history, delete, adopt. The one facade over a store."""

from __future__ import annotations

import asyncio
import getpass
import logging
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Literal, ParamSpec, TypeVar, overload

from prompt_registry_plugin import uri
from prompt_registry_plugin.concurrency import async_twin
from prompt_registry_plugin.errors import (
    AliasConflict,
    InvalidFilter,
    InvalidStore,
    InvalidTemplate,
    InvalidURI,
    PromptNotFound,
    PromptRegistryError,
    StoreUnavailable,
    UserError,
)
from prompt_registry_plugin.masking import mask_url
from prompt_registry_plugin.plugins import PluginManager, default_plugin_manager
from prompt_registry_plugin.prompts.context import Override, current_override, current_recorder, current_run_id, recording
from prompt_registry_plugin.prompts.version import PromptVersion
from prompt_registry_plugin.protocols import NewMove, NewVersion, Store
from prompt_registry_plugin.recording.writer import BackgroundTraces
from prompt_registry_plugin.records import EMPTY, AliasMove, Change, Page, Template, TemplateFormat
from prompt_registry_plugin.registry import adoption
from prompt_registry_plugin.registry.loader import Loader
from prompt_registry_plugin.registry.validation import check_draft, check_tag, check_text
from prompt_registry_plugin.templates.includes import includes_of
from prompt_registry_plugin.tracing.recorder import TraceRecorder
from prompt_registry_plugin.tracing.trace import Trace, error_text

logger = logging.getLogger(__name__)
P = ParamSpec("P")
R = TypeVar("R")
History = list[PromptVersion | AliasMove | Change]

_MAX_RESULTS = 1_000_000
_LOOK_SECONDS = 0.1  # how late an adoption in another process may be noticed
_FALLBACK_PATIENCE = 0.5  # seconds that a caller who brought a fallback waits for a registry that has not answered yet


class PromptRegistry:
    """Prompts as versioned data, in the database behind `url`. Threads and processes may share one."""

    def __init__(self, url: str, *, plugins: PluginManager | None = None) -> None:
        self.plugins = plugins or default_plugin_manager()
        self.url = url
        self.place = mask_url(url)  # how messages name it
        store: Store | None = self.plugins.hook.prompt_registry_open_store(url=url)
        if store is None:
            raise InvalidStore(
                f"no installed plugin opens {self.place!r}; built in are sqlite:///file.db and postgresql://user@host/database"
            )
        self.store = store
        self._traces = store.traces = BackgroundTraces(store.traces, self.plugins)
        self.closed = False
        self._loader = Loader(store.prompts, self.place)
        self._warned: set[str] = set()
        self._adopted = False
        self._look_again = 0.0

    # --- versions ------------------------------------------------------------------------------------------------------

    def register_prompt(
        self,
        name: str,
        template: Template,
        *,
        commit_message: str | None = None,
        tags: Mapping[str, str] | None = None,
        template_format: TemplateFormat = "double_brace",
        variables: Mapping[str, Any] | None = None,
        response_format: Any = None,
        model_config: Mapping[str, Any] | None = None,
        tools: Sequence[Mapping[str, Any]] | None = None,
        force: bool = False,
        parent: int | None = None,
        run_id: str | None = None,
    ) -> PromptVersion:
        """The new version, numbered from 1. The newest version is returned instead when its content is the same, unless `force`.

        `variables` gives a JSON Schema for those that are to be checked when the prompt is rendered. `response_format` is a JSON
        Schema or a pydantic model. `parent` and `run_id` say where the text came from. Raises `InvalidName` and `InvalidTemplate`;
        nothing is written then.
        """
        if isinstance(response_format, type) and hasattr(response_format, "model_json_schema"):
            response_format = response_format.model_json_schema()
        draft = NewVersion(
            name,
            template,
            commit_message=commit_message,
            tags=tags or EMPTY,
            template_format=template_format,
            variables=variables or EMPTY,
            response_format=response_format,
            model_config=model_config,
            tools=tools,
            parent=parent,
            run_id=run_id,
        )
        return self.register_prompts([draft], force=force)[0]

    def register_prompts(self, drafts: Sequence[NewVersion], *, force: bool = False) -> list[PromptVersion]:
        """What `register_prompt` gives for each draft, all written together or none."""
        by = who()
        for draft in drafts:
            self.check_draft(draft, beside=drafts)
            if not isinstance(draft.template, str) or draft.template_format != "double_brace":
                self._check_not_included(draft.name, "only texts in double braces can be included")
            adoption.check_folder(self.store.prompts, draft.name)
        added = self.store.prompts.add([_signed(draft, by) for draft in drafts], force=force)
        for version, is_new in added:
            if is_new:
                self.plugins.hook.prompt_registry_version_registered(version=version)
        return [self._registered(version) for version, _ in added]

    def check_draft(self, draft: NewVersion, *, beside: Sequence[NewVersion] = ()) -> None:
        """Raises `InvalidName` or `InvalidTemplate` for what could not be registered, together with others; writes nothing."""
        drafts = {each.name: _planned(each) for each in (*beside, draft)}
        check_draft(draft, self._loader.with_includes(_planned(draft), drafts=drafts).template)

    @overload
    def load_prompt(
        self,
        name_or_uri: str,
        version: int | str | None = None,
        *,
        allow_missing: Literal[False] = False,
        fallback: Template | None = None,
    ) -> PromptVersion: ...

    @overload
    def load_prompt(
        self,
        name_or_uri: str,
        version: int | str | None = None,
        *,
        allow_missing: bool,
        fallback: Template | None = None,
    ) -> PromptVersion | None: ...

    def load_prompt(
        self,
        name_or_uri: str,
        version: int | str | None = None,
        *,
        allow_missing: bool = False,
        fallback: Template | None = None,
    ) -> PromptVersion | None:
        """The version that a name or URI (see `prompt_registry_plugin.uri`) points at now.

        Inside `override_prompts` its template is the candidate's. When the registry cannot be reached, and no kept copy stands in,
        `fallback` is served as version 0 and marked as such in traces. Raises `PromptNotFound`, with near matches (with
        `allow_missing=True` the result is None instead), `InvalidURI` and, without a fallback, `StoreUnavailable`.
        """
        try:
            found = self._loader.load(name_or_uri, version, None if fallback is None else _FALLBACK_PATIENCE)
        except PromptNotFound:
            if (recorder := current_recorder()) is not None:
                recorder.loaded.setdefault(uri.parse(name_or_uri, version).name, 0)
            if allow_missing:
                return None
            raise
        except (StoreUnavailable, InvalidTemplate) as error:  # away, or no longer to be put together
            if fallback is None:
                raise
            found = fallback_version(name_or_uri, version, fallback, error)
        return self._served(found)

    @overload
    async def aload_prompt(
        self,
        name_or_uri: str,
        version: int | str | None = None,
        *,
        allow_missing: Literal[False] = False,
        fallback: Template | None = None,
    ) -> PromptVersion: ...

    @overload
    async def aload_prompt(
        self,
        name_or_uri: str,
        version: int | str | None = None,
        *,
        allow_missing: bool,
        fallback: Template | None = None,
    ) -> PromptVersion | None: ...

    async def aload_prompt(
        self,
        name_or_uri: str,
        version: int | str | None = None,
        *,
        allow_missing: bool = False,
        fallback: Template | None = None,
    ) -> PromptVersion | None:
        """Like `load_prompt`, from the same cache; only what is not cached goes to a worker thread."""
        found = self._loader.peek(name_or_uri, version)
        if found is None:
            return await asyncio.to_thread(self.load_prompt, name_or_uri, version, allow_missing=allow_missing, fallback=fallback)
        return self._served(found)

    def load_source(self, name_or_uri: str, version: int | str | None = None) -> PromptVersion:
        """The version as it is written: includes are not put in, and candidates do not stand in. Raises `PromptNotFound`."""
        return self._loader.find(uri.parse(name_or_uri, version))

    def search_prompts(
        self,
        filter_string: str | None = None,
        *,
        max_results: int | None = None,
        order_by: Sequence[str] | None = None,
        page_token: str | None = None,
    ) -> Page:
        """The prompts that match a filter (see `prompt_registry_plugin.store.filters`), all that are not archived without one.

        At most 100 unless `max_results` says otherwise; `page_token` is the `token` of the page before. Raises `InvalidFilter`,
        which shows the place of the fault.
        """
        limit = 100 if max_results is None else max_results
        if not isinstance(limit, int) or not 1 <= limit <= _MAX_RESULTS:
            raise UserError(f"max_results is between 1 and {_MAX_RESULTS}, not {limit!r}")
        if filter_string is not None and not isinstance(filter_string, str):
            raise InvalidFilter(f"a filter is a text, not {type(filter_string).__name__}")
        return self.store.prompts.search(filter_string, limit=limit, order_by=order_by or (), page_token=page_token)

    def archive_prompt(self, name: str, *, reason: str | None = None) -> None:
        """Hides a prompt from searches and lists; it still loads. Archiving twice changes nothing."""
        self.store.prompts.archive(uri.check_name(name), True, by=who(), reason=_checked(reason))

    def restore_prompt(self, name: str, *, reason: str | None = None) -> None:
        """Shows an archived prompt again."""
        self.store.prompts.archive(uri.check_name(name), False, by=who(), reason=_checked(reason))

    def delete_version(self, name: str, version: int, *, confirm: bool = False, reason: str | None = None) -> None:
        """Deletes one version for good; its number is never used again. Takes `confirm=True`.

        Raises `AliasConflict` while an alias points at it.
        """
        reference = uri.parse(name, version)
        if reference.version is None:
            raise InvalidURI(f"delete_version({name!r}, …) takes the number of a version, not {version!r}")
        _confirmed(confirm, f"version {version} of {name!r}")
        only = [version.version for version in self._require(reference.name)] == [reference.version]
        self._check_not_included(reference.name, "change it first", None if only else reference.version)
        self.store.prompts.delete(reference.name, reference.version, by=who(), reason=_checked(reason))

    def delete_prompt(self, name: str, *, confirm: bool = False, reason: str | None = None) -> None:
        """Deletes a prompt with all its versions for good; its history stays. Takes `confirm=True`; to hide it, archive it.

        Raises `AliasConflict` while an alias points at one of its versions, or the newest version of another prompt includes it.
        """
        uri.check_name(name)
        _confirmed(confirm, f"prompt {name!r} with all its versions")
        self._check_not_included(name, "change it first")
        self.store.prompts.delete(name, None, by=who(), reason=_checked(reason))

    # --- aliases and history ---------------------------------------------------------------------------------------------

    def set_prompt_alias(
        self,
        name: str,
        alias: str,
        version: int,
        *,
        reason: str | None = None,
        expected_version: int | Literal["any"] | None = "any",
        force: bool = False,
    ) -> None:
        """Points `alias` at `version`; the move is recorded with who, when, from, to and why.

        With `expected_version`, raises `AliasConflict` when the alias points elsewhere by now (None: when it exists). A protected
        alias takes `force=True` and a reason. Raises `InvalidName` for a reserved alias and `PromptNotFound` for a missing prompt or
        version.
        """
        uri.check_alias(alias)
        if version is None:
            raise InvalidURI(f"set_prompt_alias({name!r}, {alias!r}) needs a version; delete_prompt_alias removes an alias")
        found = self._loader.find(uri.parse(name, version))
        self._loader.with_includes(found)  # what cannot be put together must not be promoted
        if self.store.prompts.get(uri.PromptURI(f"{name}/{alias}")) is not None:
            raise AliasConflict(f"prompts:/{name}/{alias} is a prompt of its own; choose another alias for {name!r}")
        self._warn_of_new_variables(found, self.store.prompts.get(uri.PromptURI(name, alias=alias)))
        self._move(NewMove(found.name, alias, found.version, who(), reason, expected_version, force=force))

    def delete_prompt_alias(self, name: str, alias: str, *, reason: str | None = None, force: bool = False) -> None:
        """Removes an alias; the move stays in the history. Raises `PromptNotFound` when there is none."""
        self._loader.find(uri.PromptURI(uri.check_name(name), alias=uri.check_alias(alias)))
        self._move(NewMove(name, alias, None, who(), reason, force=force))

    def protect_alias(self, name: str, alias: str, *, reason: str | None = None) -> None:
        """Makes every move of an alias, rollbacks too, take `force=True` and a reason. The alias need not exist yet."""
        self.store.prompts.protect(uri.check_name(name), uri.check_alias(alias), True, by=who(), reason=_checked(reason))

    def unprotect_alias(self, name: str, alias: str, *, reason: str | None = None) -> None:
        """Takes the protection of an alias away."""
        self.store.prompts.protect(uri.check_name(name), uri.check_alias(alias), False, by=who(), reason=_checked(reason))

    def rollback(self, name: str, alias: str = "production", *, reason: str | None = None, force: bool = False) -> PromptVersion:
        """Takes back the last move of an alias that was not taken back yet, and returns the version it points at now.

        Calling it again goes back one move further. Versions that were deleted meanwhile are passed over. Raises `AliasConflict`
        when there is nothing to go back to.
        """
        uri.check_alias(alias)
        left = {version.version for version in self._require(name)}
        # A rollback is a move too. Replaying the moves as a stack, which a rollback takes down to where it went, tells what is left.
        stack: list[int | None] = []
        for move in self.store.prompts.moves(name, alias):
            while move.rollback and stack and stack[-1] != move.to_version:
                stack.pop()
            if not move.rollback:
                stack.append(move.to_version)
        if not stack:
            raise self._loader.not_found(uri.PromptURI(name, alias=alias))
        current = stack[-1]
        earlier = next((version for version in reversed(stack) if version in left - {current}), None)
        if earlier is None:
            raise AliasConflict(f"prompts:/{name}@{alias} has no earlier version to go back to")
        self._move(NewMove(name, alias, earlier, who(), reason, current, rollback=True, force=force))
        return self.load_prompt(name, earlier)

    def prompt_history(self, name: str) -> History:
        """Versions, alias moves and other changes of a prompt as one timeline, oldest first; what was deleted keeps its moves."""
        prompts = self.store.prompts
        entries: History = [*prompts.versions(uri.check_name(name)), *prompts.moves(name), *prompts.changes(name)]
        if not entries:
            raise self._loader.not_found(uri.PromptURI(name))
        return sorted(entries, key=_time_of)

    # --- tags --------------------------------------------------------------------------------------------------------------

    def set_prompt_tag(self, name: str, key: str, value: str) -> None:
        """Sets a tag of a prompt as a whole."""
        self.store.prompts.set_tag(uri.check_name(name), None, key, check_tag(name, key, value), by=who())

    def delete_prompt_tag(self, name: str, key: str) -> None:
        """Removes a tag of a prompt; a missing one is ignored."""
        self.store.prompts.set_tag(uri.check_name(name), None, key, None, by=who())

    def set_prompt_version_tag(self, name: str, version: int, key: str, value: str) -> None:
        """Sets a tag of one version."""
        self.store.prompts.set_tag(uri.check_name(name), version, key, check_tag(name, key, value), by=who())

    def delete_prompt_version_tag(self, name: str, version: int, key: str) -> None:
        """Removes a tag of one version; a missing one is ignored."""
        self.store.prompts.set_tag(uri.check_name(name), version, key, None, by=who())

    # --- recording and adoption ----------------------------------------------------------------------------------------------

    @contextmanager
    def record(self, name: str = "recording") -> Iterator[TraceRecorder]:
        """A scope whose prompts, model calls and steps become a `Trace`, which is stored when the scope ends.

        It is stored in the background (`flush` waits for that). One that cannot be stored is logged and stays usable: recording never
        breaks the agent.
        """
        with recording(TraceRecorder(name, run_id=current_run_id())) as trace:
            try:
                yield trace
            except BaseException as error:
                trace.error = error_text(error)
                raise
            finally:
                self.store.traces.add(trace)

    def adopt(
        self, trace: Trace, *, names: Mapping[str, str | None] | None = None, alias: str = "production"
    ) -> list[PromptVersion]:
        """Registers the hard-coded prompts that a trace discovered; from now on the registry serves them in their place.

        Each becomes version 1 under its proposed name, or under `names[proposed name]` (None leaves it alone), with `alias` pointing
        at it; the agent then gets whatever `alias` points at. A name given there that exists gets the text as its next version, and
        its alias stays where it is. Adopting again changes nothing. Raises `UserError` before anything is written when a prompt
        cannot be adopted or a name is taken.
        """
        adopted = adoption.adopt(self, trace, dict(names or {}), alias)
        self._look_again = 0.0
        return adopted

    def serve(self, text_hash: str) -> PromptVersion | None:
        """The version that stands for an adopted hard-coded text; None when it was not adopted. For adapters."""
        binding = self._loader.bindings().get(text_hash)
        if binding is None:
            return None
        name, alias = binding
        try:
            return self.load_prompt(f"{uri.SCHEME}{name}@{alias}")
        except PromptNotFound as error:
            if text_hash not in self._warned:
                self._warned.add(text_hash)
                logger.warning("the agent's own text is used for adopted prompt %r: %s", name, error)
            return None

    @property
    def has_adopted(self) -> bool:
        """Whether any hard-coded text is served from here: at once after an adoption in this process, a moment later after others'.

        Adapters ask on every render of an agent that may have nothing to do with us, so that the store is not asked each time.
        """
        now = time.monotonic()
        if not self._adopted and now >= self._look_again:
            self._adopted = bool(self._loader.bindings())
            self._look_again = now + _LOOK_SECONDS
        return self._adopted

    def flush(self) -> None:
        """Waits until every trace that was recorded is stored."""
        self._traces.flush()

    def close(self) -> None:
        """Stores what is still under way, and releases the database."""
        if not self.closed:
            self._traces.close()
        self.closed = True
        self.store.close()

    aregister_prompt = async_twin(register_prompt)
    aregister_prompts = async_twin(register_prompts)
    asearch_prompts = async_twin(search_prompts)
    aset_prompt_alias = async_twin(set_prompt_alias)
    adelete_prompt_alias = async_twin(delete_prompt_alias)
    arollback = async_twin(rollback)
    aprompt_history = async_twin(prompt_history)
    aadopt = async_twin(adopt)
    aarchive_prompt = async_twin(archive_prompt)
    arestore_prompt = async_twin(restore_prompt)
    adelete_version = async_twin(delete_version)
    adelete_prompt = async_twin(delete_prompt)
    aprotect_alias = async_twin(protect_alias)
    aunprotect_alias = async_twin(unprotect_alias)
    aset_prompt_tag = async_twin(set_prompt_tag)
    adelete_prompt_tag = async_twin(delete_prompt_tag)
    aset_prompt_version_tag = async_twin(set_prompt_version_tag)
    adelete_prompt_version_tag = async_twin(delete_prompt_version_tag)

    def __enter__(self) -> PromptRegistry:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"PromptRegistry({self.place!r})"

    # --- inside --------------------------------------------------------------------------------------------------------------

    def _registered(self, version: PromptVersion) -> PromptVersion:
        try:
            return self._loader.with_includes(version)
        except InvalidTemplate:  # what it includes was registered with it, and its alias is not set yet
            return version

    def _served(self, found: PromptVersion) -> PromptVersion:
        """What a caller gets of a version: its candidate inside an override. A recording notes that it was loaded."""
        if (recorder := current_recorder()) is not None:
            recorder.loaded[found.name] = found.version
            for included in found.includes:
                reference = uri.parse(included)
                recorder.loaded[reference.name] = reference.version or 0
        override = current_override()
        return found if override is None else self._overridden(found, override)

    def _overridden(self, found: PromptVersion, override: Override) -> PromptVersion:
        """What `found` is inside an override: its candidate, or with the candidates of what it includes."""
        candidate = override.find(found.name)
        if candidate is not None:
            override.count(found.name)  # its template may be used without `format`
            return found.as_candidate(candidate)
        names = {uri.parse(included).name for included in found.includes}
        if not any(override.find(name) for name in names):
            return found

        def candidate_of(name: str) -> Template | None:
            compiled = override.find(name)
            if compiled is None:
                return None
            override.count(name)
            return compiled.source

        return self._loader.with_includes(_as_written(found), candidate_of)

    def _move(self, new: NewMove) -> None:
        _checked(new.reason)
        if new.force and not (new.reason or "").strip():
            raise AliasConflict(f"force=True takes a reason: say why {new.name!r}@{new.alias} has to move all the same")
        move = self.store.prompts.move_alias(new)
        if move is not None:
            self.plugins.hook.prompt_registry_alias_moved(move=move)

    def _require(self, name: str) -> list[PromptVersion]:
        """The versions of a prompt that has to exist."""
        versions = self.store.prompts.versions(uri.check_name(name))
        if not versions:
            raise self._loader.not_found(uri.PromptURI(name))
        return versions

    def _check_not_included(self, name: str, why: str, version: int | None = None) -> None:
        """Raises `AliasConflict` when the newest version of another prompt includes this one, or this version of it."""
        words = " ".join(re.findall(r"[^\W_]+", name))
        # What an include says is among the words of its text.
        found = f"text MATCH '{words}' AND (archived = 'true' OR archived = 'false')"
        for prompt in self.search_prompts(found, max_results=_MAX_RESULTS):
            newest = self.store.prompts.get(uri.PromptURI(prompt.name))
            wanted = [
                reading for text in includes_of(newest and newest.template) for reading in uri.parse_include(text).readings()
            ]
            if prompt.name != name and any(w.name == name and version in (None, w.version) for w in wanted):
                raise AliasConflict(f"prompt {prompt.name!r} includes {name!r}: {why}")

    def _warn_of_new_variables(self, new: PromptVersion, current: PromptVersion | None) -> None:
        if current is None:
            return
        needed = self._loader.with_includes(new).variables - self._loader.with_includes(current).variables
        if needed:
            names = ", ".join(map(repr, sorted(needed)))
            logger.warning("%s needs %s, which version %s did not: callers have to pass it", new.uri, names, current.version)


def fallback_version(
    name_or_uri: str, version: int | str | None, fallback: Template, error: PromptRegistryError
) -> PromptVersion:
    """The version that stands in when the registry cannot be reached; a warning says so."""
    name = uri.parse(name_or_uri, version).name
    logger.warning("the fallback text is used for prompt %r: %s", name, error)
    served = PromptVersion(name, 0, fallback, served_from="fallback")
    _ = served.compiled  # a fallback that cannot be rendered is told now
    return served


def _as_written(version: PromptVersion) -> PromptVersion:
    return replace(version, template=version.template if version.source is None else version.source, source=None, includes=())


def _planned(draft: NewVersion) -> PromptVersion:
    return PromptVersion(uri.check_name(draft.name), 0, draft.template, template_format=draft.template_format)


def _signed(draft: NewVersion, by: str) -> NewVersion:
    return draft if draft.created_by else replace(draft, created_by=by)


def _time_of(entry: PromptVersion | AliasMove | Change) -> Any:
    if isinstance(entry, PromptVersion):
        return entry.created_at
    return entry.moved_at if isinstance(entry, AliasMove) else entry.changed_at


def _checked(reason: str | None) -> str | None:
    check_text(reason, "a reason")
    return reason


def _confirmed(confirm: bool, what: str) -> None:
    if confirm is not True:
        raise UserError(f"deleting {what} cannot be taken back; say confirm=True (--yes on the command line), or archive it")


def who() -> str:
    """Who is said to have done what is written: `PROMPT_REGISTRY_USER`, or the user of this process."""
    if user := os.environ.get("PROMPT_REGISTRY_USER"):
        return user
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # a container's user id may have no name
        return "unknown"
