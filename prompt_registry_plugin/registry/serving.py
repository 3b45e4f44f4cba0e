"""Loading prompts, and what a load serves: the version, its candidate inside an override, or a fallback."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import Literal, overload

from prompt_registry_plugin import uri
from prompt_registry_plugin.errors import InvalidTemplate, PromptNotFound, PromptRegistryError, StoreUnavailable
from prompt_registry_plugin.prompts import lost_contexts
from prompt_registry_plugin.prompts.context import Override, current_override, current_recorder, note_unscoped
from prompt_registry_plugin.prompts.version import PromptVersion
from prompt_registry_plugin.records import Template
from prompt_registry_plugin.registry.base import RegistryBase

logger = logging.getLogger(__name__)

_FALLBACK_PATIENCE = 0.5
"""Seconds that a caller with a fallback waits for a registry that has not answered yet: an agent's start must not hang."""


@overload
def load_prompt(
    registry: RegistryBase,
    name_or_uri: str,
    version: int | str | None = None,
    *,
    allow_missing: Literal[False] = False,
    fallback: Template | None = None,
) -> PromptVersion: ...


@overload
def load_prompt(
    registry: RegistryBase,
    name_or_uri: str,
    version: int | str | None = None,
    *,
    allow_missing: bool,
    fallback: Template | None = None,
) -> PromptVersion | None: ...


def load_prompt(
    registry: RegistryBase,
    name_or_uri: str,
    version: int | str | None = None,
    *,
    allow_missing: bool = False,
    fallback: Template | None = None,
) -> PromptVersion | None:
    """Return the version that a name or URI (see `prompt_registry_plugin.uri`) points at now.

    Inside `override_prompts` its template is the candidate's. If the registry is unreachable, the last good copy is returned,
    else `fallback` as version 0; see `PromptVersion.served_from`, which traces have too. Raises `PromptNotFound`, with near matches (with
    `allow_missing=True` returns None instead), `InvalidURI` and, without a fallback, `StoreUnavailable`.
    """
    try:
        patience = None if fallback is None else _FALLBACK_PATIENCE
        found = registry.loader.load(name_or_uri, version, patience, near_matches=not allow_missing)
    except PromptNotFound:
        if (recorder := current_recorder()) is not None:
            recorder.loaded.setdefault(uri.parse(name_or_uri, version).name, 0)
        if allow_missing:
            return None
        raise
    except (StoreUnavailable, InvalidTemplate) as error:  # unreachable, or an include is gone
        if fallback is None:
            raise
        found = fallback_version(name_or_uri, version, fallback, error)
    return _apply_context(registry, found)


@overload
async def aload_prompt(
    registry: RegistryBase,
    name_or_uri: str,
    version: int | str | None = None,
    *,
    allow_missing: Literal[False] = False,
    fallback: Template | None = None,
) -> PromptVersion: ...


@overload
async def aload_prompt(
    registry: RegistryBase,
    name_or_uri: str,
    version: int | str | None = None,
    *,
    allow_missing: bool,
    fallback: Template | None = None,
) -> PromptVersion | None: ...


async def aload_prompt(
    registry: RegistryBase,
    name_or_uri: str,
    version: int | str | None = None,
    *,
    allow_missing: bool = False,
    fallback: Template | None = None,
) -> PromptVersion | None:
    """Like `load_prompt`, from the same cache; only what is not cached goes to a worker thread."""
    found = registry.loader.peek(name_or_uri, version)
    if found is None:
        return await asyncio.to_thread(
            load_prompt, registry, name_or_uri, version, allow_missing=allow_missing, fallback=fallback
        )
    return _apply_context(registry, found)


def fallback_version(
    name_or_uri: str, version: int | str | None, fallback: Template, error: PromptRegistryError
) -> PromptVersion:
    """Return the fallback as version 0, and log a warning with the error that made it necessary. Raises `InvalidTemplate`."""
    name = uri.parse(name_or_uri, version).name
    logger.warning("the fallback text is used for prompt %r: %s", name, error)
    served = PromptVersion(name, 0, fallback, served_from="fallback")
    _ = served.compiled  # an invalid fallback raises here, not when it is rendered
    return served


def _apply_context(registry: RegistryBase, found: PromptVersion) -> PromptVersion:
    """Note in a recording that a version was loaded, and return it, or its candidate inside an override."""
    if (recorder := current_recorder()) is not None:
        recorder.loaded[found.name] = found.version
        for included in found.includes:
            reference = uri.parse(included)
            recorder.loaded[reference.name] = reference.version or 0
    if lost_contexts.watching:
        for used in (found.name, *(uri.parse(included).name for included in found.includes)):
            if (override := current_override()) is None or override.find(used) is None:
                note_unscoped(used)
    override = current_override()
    return found if override is None else _override(registry, found, override)


def _override(registry: RegistryBase, found: PromptVersion, override: Override) -> PromptVersion:
    """Return the candidate of a version, or the version with the candidates of the prompts that it includes."""
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

    return registry.loader.with_includes(_without_expanding(found), candidate_of)


def _without_expanding(version: PromptVersion) -> PromptVersion:
    return replace(version, template=version.template if version.source is None else version.source, source=None, includes=())
