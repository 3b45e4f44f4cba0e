"""Adoption: register the prompts that a recording discovered in the code, so that the registry replaces them at run time.

A template in the code is recognized by its hash, which `adopt` binds to a prompt's name and an alias.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from prompt_registry_plugin import uri
from prompt_registry_plugin.errors import AliasConflict, InvalidName, PromptExists, UserError, did_you_mean
from prompt_registry_plugin.prompts.version import PromptVersion
from prompt_registry_plugin.protocols import PromptTable, Store
from prompt_registry_plugin.records import Template, digest
from prompt_registry_plugin.tracing.trace import PromptUse, Trace


class Adopter(Protocol):
    """The part of a registry that adoption needs."""

    store: Store
    place: str
    """The registry's URL, as error messages show it."""

    def register_prompt(self, name: str, template: Template, *, commit_message: str | None = None) -> PromptVersion:
        """See `PromptRegistry.register_prompt`."""

    def set_prompt_alias(self, name: str, alias: str, version: int, *, reason: str | None = None) -> None:
        """See `PromptRegistry.set_prompt_alias`."""

    def load_prompt(self, name_or_uri: str) -> PromptVersion:
        """See `PromptRegistry.load_prompt`."""


def adopt(registry: Adopter, trace: Trace, names: Mapping[str, str | None], alias: str) -> list[PromptVersion]:
    """See `PromptRegistry.adopt`."""
    uri.check_alias(alias)
    found = [use for use in trace.prompts if use.name is None]
    if unknown := sorted(names.keys() - {use.proposed_name for use in found}):
        raise UserError(
            f"no discovered prompt is called {unknown[0]!r}{did_you_mean(unknown[0], [use.proposed_name for use in found])}"
        )
    if not trace.prompts and any(span.kind == "llm" for span in trace.spans):
        raise UserError(
            "the trace holds model calls, but none of their prompts was met: their texts stand in no template, system message or agent's "
            "instructions; register the text and load it by name"
        )
    if not trace.prompts:
        raise UserError("the trace holds no prompts: enable() the framework's adapter, then record() a run of the agent")
    wanted = [(use, names.get(use.proposed_name, use.proposed_name)) for use in found]
    planned = [(use, uri.check_name(name)) for use, name in wanted if name is not None]
    if len({name for _, name in planned}) < len(planned):
        raise PromptExists("two prompts would get one name; give them different ones with names={proposed: name}")
    for use, name in planned:  # all of them first: nothing is written if one cannot be adopted
        _check(registry, use, name, alias, named=use.proposed_name in names)
    return [_adopt_one(registry, use.template, name, alias) for use, name in planned]


def check_folder(prompts: PromptTable, name: str) -> None:
    """Raise `InvalidName` if `prompts:/name` already means an alias of another prompt."""
    folder, slash, last = name.rpartition("/")
    if slash and prompts.get(uri.PromptURI(folder, alias=last)):
        raise InvalidName(f"prompts:/{name} already means alias {last!r} of prompt {folder!r}; choose another name")


def _check(registry: Adopter, use: PromptUse, name: str, alias: str, *, named: bool) -> None:
    prompts = registry.store.prompts
    if use.unadoptable is not None:
        raise UserError(
            f"prompt {use.proposed_name!r} cannot be adopted: {use.unadoptable}; "
            f"leave it out with names={{{use.proposed_name!r}: None}}"
        )
    bound = prompts.bindings().get(digest(use.template))
    if bound is not None and bound[0] != name:
        raise PromptExists(
            f"the text of {use.proposed_name!r} is already adopted as {bound[0]!r}; it cannot stand for {name!r} as well"
        )
    if prompts.get(uri.PromptURI(f"{name}/{alias}")) is not None:
        raise AliasConflict(f"prompts:/{name}/{alias} is a prompt of its own; adopt {use.proposed_name!r} under another name")
    check_folder(prompts, name)
    versions = prompts.versions(name)
    if versions and not named and not any(version.template == use.template for version in versions):
        raise PromptExists(
            f"{name!r} is already a prompt with another text in {registry.place}; if this is its next version, say so with "
            f"names={{{use.proposed_name!r}: {name!r}}}, otherwise adopt it under another name"
        )


def _adopt_one(registry: Adopter, template: Template, name: str, alias: str) -> PromptVersion:
    prompts = registry.store.prompts
    version = next((v for v in prompts.versions(name) if v.template == template), None)
    if version is None:
        version = registry.register_prompt(name, template, commit_message="adopted from the agent's code")
    if prompts.get(uri.PromptURI(name, alias=alias)) is None:  # an alias that exists stays: adopting again must not move it
        registry.set_prompt_alias(name, alias, version.version, reason="adopted")
    prompts.bind(digest(template), name, alias)
    return registry.load_prompt(f"{uri.SCHEME}{name}@{alias}")
