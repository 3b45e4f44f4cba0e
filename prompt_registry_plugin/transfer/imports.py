"""Prompts of other tools into a registry: what is new is registered, the rest is listed with the reason why it was left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from prompt_registry_plugin import uri
from prompt_registry_plugin.errors import InvalidTemplate, PluginError, PromptRegistryError, UserError, did_you_mean
from prompt_registry_plugin.plugins import PluginManager
from prompt_registry_plugin.prompts.version import PromptVersion
from prompt_registry_plugin.protocols import ImportedPrompt, LeftOut, NewVersion
from prompt_registry_plugin.registry.registry import PromptRegistry
from prompt_registry_plugin.registry.versions import check_drafts
from prompt_registry_plugin.templates.includes import includes_of
from prompt_registry_plugin.transfer.formats.files import MALFORMED, why
from prompt_registry_plugin.transfer.formats.prompt_file import content_hash

IMPORTED_NAME = "imported_name"
"""Tag of a prompt whose name in the source is not allowed here: that name."""

Result = Literal["new", "renamed", "same", "left out"]


@dataclass(frozen=True, slots=True)
class ImportResult:
    """What an import did, or would do, with one prompt of the source."""

    name: str
    """Name of the prompt here; for one that was left out, its name in the source."""
    original: str
    """Name in the source, if that is different; else empty."""
    result: Result
    """`renamed` is a new prompt, or new versions, under another name than in the source."""
    versions: tuple[int, ...] = ()
    """Numbers of the versions that are new."""
    notes: tuple[str, ...] = ()
    """What is different here."""
    left_out: tuple[str, ...] = ()
    """Parts that were left out, each with its reason; the reason alone, if the whole prompt was."""


@dataclass(slots=True)
class _Plan:
    """One prompt on its way into the registry."""

    prompt: ImportedPrompt
    new: list[NewVersion] = field(default_factory=list)
    """The versions that are not there yet."""
    numbers: dict[int, int] = field(default_factory=dict)
    """Number here by number in the source. For versions that are new it is known once they are registered."""
    registered: list[int] = field(default_factory=list)
    """Numbers of the versions that were registered."""
    reason: str = ""
    """Why the prompt is left out; empty if it is not."""
    left_out: list[str] = field(default_factory=list)
    """Aliases and tags that could not be set, each with its reason."""


def read_prompts(plugins: PluginManager, source: str, format_name: str) -> list[ImportedPrompt | LeftOut]:
    """Return what the importer `format_name` reads from `source`.

    Raises `PluginError` for an unknown importer, `UserError` if the source cannot be read or holds nothing, and what else the importer
    raises.
    """
    importers = {name: reader for listed in plugins.hook.prompt_registry_importers() for name, reader in listed.items()}
    if format_name not in importers:
        known = ", ".join(["jsonl", *sorted(importers)])
        raise PluginError(f"no importer is called {format_name!r}{did_you_mean(format_name, importers)}; there are {known}")
    try:
        found = list(importers[format_name](source))
    except PromptRegistryError:
        raise
    except MALFORMED as error:
        raise UserError(f"{source} is not what {format_name} writes: {type(error).__name__}: {error}") from error
    if not found:
        raise UserError(f"there are no prompts in {source}")
    return found


def import_prompts(
    registry: PromptRegistry, found: Sequence[ImportedPrompt | LeftOut], *, reason: str = "imported", dry_run: bool = False
) -> list[ImportResult]:
    """Register what an importer read, then set aliases and tags. Return what became of each prompt, those left out last.

    Versions that are in the registry already are passed over, so that an import can be repeated. A prompt is left out if it cannot be
    registered, if a version with its number has another text here, or if its name belongs to another prompt. With `dry_run`, nothing is
    written.
    """
    plans = [_Plan(prompt) for prompt in found if isinstance(prompt, ImportedPrompt)]
    known = _known_tags(registry)
    _check_names(plans, known)
    for plan in plans:
        if not plan.reason:
            _plan_versions(registry, plan)
    _check_contents(registry, plans)
    if not dry_run:
        _register(registry, plans)
        for plan in plans:
            if not plan.reason:
                _set_tags(registry, plan, known.get(plan.prompt.name))
        _set_aliases(registry, [plan for plan in plans if not plan.reason], reason)
    results = [_result(plan) for plan in plans if not plan.reason]
    lost = [LeftOut(plan.prompt.original or plan.prompt.name, plan.reason) for plan in plans if plan.reason]
    lost += [item for item in found if isinstance(item, LeftOut)]
    return results + [ImportResult(item.name, "", "left out", left_out=(item.reason,)) for item in lost]


def _result(plan: _Plan) -> ImportResult:
    prompt = plan.prompt
    result: Result = "same" if not plan.new else "renamed" if prompt.original else "new"
    versions = tuple(plan.registered)
    return ImportResult(prompt.name, prompt.original, result, versions, tuple(prompt.notes), (*prompt.left_out, *plan.left_out))


def _numbered(prompt: ImportedPrompt) -> Iterator[tuple[int, NewVersion]]:
    """Yield the versions of a prompt with their numbers in the source: their own, or else counted from 1."""
    for i, draft in enumerate(prompt.versions, 1):
        yield i if draft.version is None else draft.version, draft


def _known_tags(registry: PromptRegistry) -> dict[str, Mapping[str, str]]:
    known = registry.store.prompts.search(
        "archived = 'true' OR archived = 'false'", limit=1_000_000, order_by=(), page_token=None
    )
    return {prompt.name: prompt.tags for prompt in known}


def _check_names(plans: Sequence[_Plan], known: Mapping[str, Mapping[str, str]]) -> None:
    """Leave out prompts whose names are equal here, and those whose name belongs to another prompt in the registry."""
    by_name: dict[str, list[_Plan]] = {}
    for plan in plans:
        by_name.setdefault(plan.prompt.name, []).append(plan)
    for name, same in by_name.items():
        exact = [plan for plan in same if not plan.prompt.original]
        kept = exact[0] if len(exact) == 1 else same[0] if len(same) == 1 else None
        others = ", ".join(sorted({repr(plan.prompt.original or name) for plan in same}))
        for plan in same:
            owner = known[name].get(IMPORTED_NAME, name) if name in known else None
            if plan is not kept:
                plan.reason = f"{len(same)} prompts of the source would be called {name!r} here ({others}); rename them there"
            elif owner is not None and owner != (plan.prompt.original or name):
                plan.reason = (
                    f"the registry has another prompt {name!r}, which is called {owner!r} in its source; rename one of them"
                )


def _plan_versions(registry: PromptRegistry, plan: _Plan) -> None:
    """Find the versions that are not in the registry, and the numbers of those that are."""
    prompt = plan.prompt
    known = {version.version: version for version in registry.store.prompts.versions(prompt.name)}
    by_content = {version.content_hash: version.version for version in known.values()}
    numbered = all(draft.version is not None for draft in prompt.versions)
    try:
        for number, draft in _numbered(prompt):
            content = content_hash(draft)
            here = by_content.get(content) if not numbered else number if number in known else None
            if here is None:
                plan.new.append(draft if numbered else replace(draft, version=None))
            elif known[here].content_hash == content:
                plan.numbers[number] = here
            else:
                plan.reason = f"version {number} of {prompt.name!r} has another text here; use a new registry, or rename it there"
                return
    except MALFORMED as error:
        plan.reason = why(error)


def _check_contents(registry: PromptRegistry, plans: Sequence[_Plan]) -> None:
    """Leave out prompts that cannot be registered, or that include one that is left out."""
    by_name = {plan.prompt.name: plan for plan in plans}
    changed = True
    while changed:
        changed = False
        for plan in plans:
            if plan.reason or not plan.new:
                continue
            included = _included(plan, by_name)
            missing = next((other for other in included if other.reason), None)
            try:
                if missing is not None:
                    raise UserError(f"it includes {missing.prompt.name!r}, which is left out: {missing.reason}")
                check_drafts(registry, [draft for each in (*included, plan) for draft in each.new])
                for alias in plan.prompt.aliases:
                    uri.check_alias(alias)
            except MALFORMED as error:
                plan.reason, changed = why(error), True


def _included(plan: _Plan, by_name: Mapping[str, _Plan]) -> list[_Plan]:
    """Return the plans of the prompts of the source that a prompt includes, directly or through others."""
    found: dict[str, _Plan] = {}
    waiting = [plan]
    while waiting:
        current = waiting.pop()
        for draft in current.new:
            if draft.template_format != "double_brace":
                continue
            for reference in includes_of(draft.template):
                for reading in uri.parse_include(reference).readings():
                    other = by_name.get(reading.name)
                    if other is not None and other is not plan and reading.name not in found:
                        found[reading.name] = other
                        waiting.append(other)
    return list(found.values())


def _register(registry: PromptRegistry, plans: Sequence[_Plan]) -> None:
    """Register all new versions together. If the registry refuses that, register prompts that include one another together."""
    ready = [plan for plan in plans if plan.new and not plan.reason]
    try:
        _note_numbers(ready, registry.register_prompts([draft for plan in ready for draft in plan.new]))
        return
    except UserError:
        pass
    for group in _groups(ready):
        try:
            _note_numbers(group, registry.register_prompts([draft for plan in group for draft in plan.new]))
        except UserError as error:
            for plan in group:
                plan.reason = why(error)


def _groups(plans: Sequence[_Plan]) -> list[list[_Plan]]:
    """Return the plans in groups: two are in one if a prompt includes the other, directly or through others."""
    by_name = {plan.prompt.name: plan for plan in plans}
    groups: dict[str, list[str]] = {name: [name] for name in by_name}
    for plan in plans:
        for other in _included(plan, by_name):
            ours, theirs = groups[plan.prompt.name], groups[other.prompt.name]
            if ours is not theirs:
                ours += theirs
                groups |= dict.fromkeys(theirs, ours)
    return [[by_name[name] for name in group] for name, group in groups.items() if group[0] == name]


def _note_numbers(plans: Sequence[_Plan], versions: Sequence[PromptVersion]) -> None:
    registered = iter(versions)
    for plan in plans:
        for number, _ in _numbered(plan.prompt):
            if number not in plan.numbers:
                plan.numbers[number] = next(registered).version
                plan.registered.append(plan.numbers[number])


def _set_tags(registry: PromptRegistry, plan: _Plan, known: Mapping[str, str] | None) -> None:
    """Set tags that are not there yet: what was changed here since the last import stays."""
    tags = {**plan.prompt.tags, **({IMPORTED_NAME: plan.prompt.original} if plan.prompt.original else {})}
    for key, value in sorted(tags.items()):
        if key not in (known or {}):
            try:
                registry.set_prompt_tag(plan.prompt.name, key, value)
            except UserError as error:
                plan.left_out.append(f"tag {key!r}: {error}")


def _set_aliases(registry: PromptRegistry, plans: Sequence[_Plan], reason: str) -> None:
    """Set aliases that are not there yet. One may have to wait for another prompt's alias, which its version includes."""
    waiting = []
    for plan in plans:
        known = registry.store.prompts.search(f"name = '{plan.prompt.name}'", limit=1, order_by=(), page_token=None)
        there = known[0].aliases if known else {}
        waiting += [(plan, alias, number) for alias, number in sorted(plan.prompt.aliases.items()) if alias not in there]
    while waiting:
        later = []
        for plan, alias, number in waiting:
            try:
                registry.set_prompt_alias(plan.prompt.name, alias, plan.numbers[number], reason=reason)
            except InvalidTemplate as error:
                later.append((plan, alias, number))
                last: UserError = error
            except UserError as error:
                plan.left_out.append(f"alias {alias!r}: {error}")
        if len(later) == len(waiting):
            for plan, alias, _ in later:
                plan.left_out.append(f"alias {alias!r}: {last}")
            return
        waiting = later
