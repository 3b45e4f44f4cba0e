"""Registering, searching, archiving and deleting prompts and their versions."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from prompt_registry_plugin import uri
from prompt_registry_plugin.errors import AliasConflict, InvalidFilter, InvalidTemplate, InvalidURI, UserError
from prompt_registry_plugin.prompts.version import PromptVersion
from prompt_registry_plugin.protocols import NewVersion
from prompt_registry_plugin.records import EMPTY, Page, Template, TemplateFormat
from prompt_registry_plugin.registry import validation
from prompt_registry_plugin.registry.base import RegistryBase, current_user
from prompt_registry_plugin.registry.history import summaries_of
from prompt_registry_plugin.templates.hints import hint
from prompt_registry_plugin.templates.includes import includes_of

logger = logging.getLogger(__name__)

_MAX_RESULTS = 1_000_000


def register_prompt(
    registry: RegistryBase,
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
    """Register a version and return it; versions are numbered from 1.

    Where the newest version has the same content, it is returned instead, unless `force`. `variables` has a JSON Schema for
    each variable that is checked when the prompt is rendered. `response_format` is a JSON Schema or a pydantic model. `parent`
    and `run_id` say where the text came from. Logs a warning if the text has only single braces, as in `{name}`. Raises
    `InvalidName` and `InvalidTemplate`; nothing is written then.
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
    version = register_prompts(registry, [draft], force=force)[0]
    if said := hint(version.template, version.template_format):
        logger.warning("%s: %s", version.uri, said)
    return version


def register_prompts(registry: RegistryBase, drafts: Sequence[NewVersion], *, force: bool = False) -> list[PromptVersion]:
    """Register several versions, all or none, and return what `register_prompt` returns for each."""
    check_drafts(registry, drafts)
    for name in dict.fromkeys(draft.name for draft in drafts if not _is_includable(draft)):
        check_not_included(registry, name, "only texts in double braces can be included")
    for name in dict.fromkeys(draft.name for draft in drafts):
        validation.check_folder(registry.store.prompts, name)
    user = current_user()
    signed = [draft if draft.created_by else replace(draft, created_by=user) for draft in drafts]
    added = registry.store.prompts.add(signed, force=force)
    for version, is_new in added:
        if is_new:
            registry.plugins.hook.prompt_registry_version_registered(version=version)
    return [_expand(registry, version) for version, _ in added]


def check_drafts(registry: RegistryBase, drafts: Sequence[NewVersion]) -> None:
    """Raise `InvalidName` or `InvalidTemplate` if these could not be registered together. Writes nothing.

    A draft may include another one of them, under whatever alias.
    """
    planned = [_plan(draft) for draft in drafts]
    # One table for the whole batch, so that its cost grows with the batch and not with its square. Of several drafts of one
    # name the last one counts; a draft that includes its own name is refused whichever of them is found.
    by_name = {version.name: version for version in planned}
    for draft, version in zip(drafts, planned, strict=True):
        validation.check_draft(draft, registry.loader.with_includes(version, drafts=by_name).template)


def load_source(registry: RegistryBase, name_or_uri: str, version: int | str | None = None) -> PromptVersion:
    """Return a version as it was written: without expanding includes, and without candidates. Raises `PromptNotFound`."""
    return registry.loader.find(uri.parse(name_or_uri, version))


def search_prompts(
    registry: RegistryBase,
    filter_string: str | None = None,
    *,
    max_results: int | None = None,
    order_by: Sequence[str] | None = None,
    page_token: str | None = None,
) -> Page:
    """Return the prompts that match a filter; without one, all that are not archived.

    The filter language is described in `prompt_registry_plugin.store.filters`. A page has at most `max_results` prompts, 100 by
    default; `page_token` is the `token` of the page before. Raises `InvalidFilter`, which shows the place of the mistake.
    """
    limit = 100 if max_results is None else max_results
    if not isinstance(limit, int) or not 1 <= limit <= _MAX_RESULTS:
        raise UserError(f"max_results is between 1 and {_MAX_RESULTS}, not {limit!r}")
    if filter_string is not None and not isinstance(filter_string, str):
        raise InvalidFilter(f"a filter is a text, not {type(filter_string).__name__}")
    return registry.store.prompts.search(filter_string, limit=limit, order_by=order_by or (), page_token=page_token)


def archive_prompt(registry: RegistryBase, name: str, *, reason: str | None = None) -> None:
    """Hide a prompt from searches and lists; it still loads. Archiving twice changes nothing."""
    reason = validation.check_reason(reason)
    registry.store.prompts.archive(uri.check_name(name), True, by=current_user(), reason=reason)


def restore_prompt(registry: RegistryBase, name: str, *, reason: str | None = None) -> None:
    """Show an archived prompt again."""
    reason = validation.check_reason(reason)
    registry.store.prompts.archive(uri.check_name(name), False, by=current_user(), reason=reason)


def delete_version(registry: RegistryBase, name: str, version: int, *, confirm: bool = False, reason: str | None = None) -> None:
    """Delete one version for good; its number is never used again. Takes `confirm=True`.

    Raises `AliasConflict` while an alias points at it.
    """
    reference = uri.parse(name, version)
    if reference.version is None:
        raise InvalidURI(f"delete_version({name!r}, …) takes the number of a version, not {version!r}")
    _check_confirmed(confirm, f"version {version} of {name!r}")
    numbers = [summary.version for summary in summaries_of(registry.store.prompts, reference.name)]
    if not numbers:
        raise registry.loader.not_found_error(uri.PromptURI(reference.name))
    is_last = numbers == [reference.version]
    check_not_included(registry, reference.name, "change it first", None if is_last else reference.version)
    reason = validation.check_reason(reason)
    registry.store.prompts.delete(reference.name, reference.version, by=current_user(), reason=reason)


def delete_prompt(registry: RegistryBase, name: str, *, confirm: bool = False, reason: str | None = None) -> None:
    """Delete a prompt with all its versions for good; its history stays. Takes `confirm=True`; `archive_prompt` hides it.

    Raises `AliasConflict` while an alias points at one of its versions, or the newest version of another prompt includes it.
    """
    uri.check_name(name)
    _check_confirmed(confirm, f"prompt {name!r} with all its versions")
    check_not_included(registry, name, "change it first")
    registry.store.prompts.delete(name, None, by=current_user(), reason=validation.check_reason(reason))


def _plan(draft: NewVersion) -> PromptVersion:
    """Return the version that a draft becomes, without a number."""
    return PromptVersion(uri.check_name(draft.name), 0, draft.template, template_format=draft.template_format)


def _is_includable(draft: NewVersion) -> bool:
    return isinstance(draft.template, str) and draft.template_format == "double_brace"


def _expand(registry: RegistryBase, version: PromptVersion) -> PromptVersion:
    try:
        return registry.loader.with_includes(version)
    except InvalidTemplate:  # it includes a prompt that was registered with it, whose alias is not set yet
        return version


def _check_confirmed(confirm: bool, what: str) -> None:
    if confirm is not True:
        raise UserError(f"deleting {what} cannot be taken back; say confirm=True (--yes on the command line), or archive it")


def check_not_included(registry: RegistryBase, name: str, why: str, version: int | None = None) -> None:
    """Raise `AliasConflict` when the newest version of another prompt includes this one, or this version of it."""
    words = " ".join(re.findall(r"[^\W_]+", name))
    # The index holds the words of a text with the names in its includes, so only texts with all words of the name are read.
    found = f"text MATCH '{words}' AND (archived = 'true' OR archived = 'false')"
    for prompt in search_prompts(registry, found, max_results=_MAX_RESULTS):
        newest = registry.store.prompts.get(uri.PromptURI(prompt.name))
        wanted = [reading for text in includes_of(newest and newest.template) for reading in uri.parse_include(text).readings()]
        if prompt.name != name and any(w.name == name and version in (None, w.version) for w in wanted):
            raise AliasConflict(f"prompt {prompt.name!r} includes {name!r}: {why}")
