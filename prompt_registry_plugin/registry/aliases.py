"""Aliases: setting, deleting, protecting and rolling them back."""

from __future__ import annotations

import logging
from typing import Literal

from prompt_registry_plugin import uri
from prompt_registry_plugin.errors import AliasConflict, InvalidURI
from prompt_registry_plugin.prompts.version import PromptVersion
from prompt_registry_plugin.protocols import NewMove
from prompt_registry_plugin.records import AliasMove
from prompt_registry_plugin.registry import validation
from prompt_registry_plugin.registry.base import RegistryBase, current_user
from prompt_registry_plugin.registry.serving import load_prompt

logger = logging.getLogger(__name__)


def set_prompt_alias(
    registry: RegistryBase,
    name: str,
    alias: str,
    version: int,
    *,
    reason: str | None = None,
    expected_version: int | Literal["any"] | None = "any",
    force: bool = False,
) -> None:
    """Point `alias` at `version`; the history keeps who moved it, when, from where, to where and why.

    With `expected_version`, raises `AliasConflict` if the alias has moved since you read it (None: if it exists). A protected
    alias takes `force=True` and a reason. Raises `InvalidName` for a reserved alias and `PromptNotFound` for a missing prompt
    or version.
    """
    uri.check_alias(alias)
    if version is None:
        raise InvalidURI(f"set_prompt_alias({name!r}, {alias!r}) needs a version; delete_prompt_alias removes an alias")
    found = registry.loader.find(uri.parse(name, version))
    registry.loader.with_includes(found)  # a version whose includes are missing must not be promoted
    if registry.store.prompts.get(uri.PromptURI(f"{name}/{alias}")) is not None:
        raise AliasConflict(f"prompts:/{name}/{alias} is a prompt of its own; choose another alias for {name!r}")
    _warn_of_new_variables(registry, found, registry.store.prompts.get(uri.PromptURI(name, alias=alias)))
    _move(registry, NewMove(found.name, alias, found.version, current_user(), reason, expected_version, force=force))


def delete_prompt_alias(registry: RegistryBase, name: str, alias: str, *, reason: str | None = None, force: bool = False) -> None:
    """Remove an alias; the move stays in the history. Raises `PromptNotFound` if it does not exist."""
    registry.loader.find(uri.PromptURI(uri.check_name(name), alias=uri.check_alias(alias)))
    _move(registry, NewMove(name, alias, None, current_user(), reason, force=force))


def protect_alias(registry: RegistryBase, name: str, alias: str, *, reason: str | None = None) -> None:
    """Protect an alias: every move, rollbacks too, then takes `force=True` and a reason. The alias need not exist yet."""
    reason = validation.check_reason(reason)
    registry.store.prompts.protect(uri.check_name(name), uri.check_alias(alias), True, by=current_user(), reason=reason)


def unprotect_alias(registry: RegistryBase, name: str, alias: str, *, reason: str | None = None) -> None:
    """Remove the protection of an alias."""
    reason = validation.check_reason(reason)
    registry.store.prompts.protect(uri.check_name(name), uri.check_alias(alias), False, by=current_user(), reason=reason)


def rollback(
    registry: RegistryBase, name: str, alias: str = "production", *, reason: str | None = None, force: bool = False
) -> PromptVersion:
    """Undo the last move of an alias that was not undone yet, and return the version that it points at now.

    Calling it again undoes the move before. Versions that were deleted meanwhile are skipped. Raises `AliasConflict` when there
    is no earlier version.
    """
    reference = uri.PromptURI(uri.check_name(name), alias=uri.check_alias(alias))
    prompts = registry.store.prompts
    if prompts.get(uri.PromptURI(name)) is None:
        raise registry.loader.not_found_error(uri.PromptURI(name))
    stack = _moves_not_undone(prompts.moves(name, alias))
    if not stack:
        raise registry.loader.not_found_error(reference)
    current = stack[-1]
    for version in reversed(stack):
        # Only the version to go back to is read, unless it was deleted: a prompt may have thousands.
        if version not in (None, current) and prompts.get(uri.PromptURI(name, version)) is not None:
            _move(registry, NewMove(name, alias, version, current_user(), reason, current, rollback=True, force=force))
            return load_prompt(registry, name, version)
    raise AliasConflict(f"prompts:/{name}@{alias} has no earlier version to go back to")


def _moves_not_undone(moves: list[AliasMove]) -> list[int | None]:
    """Return where the alias was moved to, oldest first, without the moves that rollbacks have undone.

    A rollback is recorded as a move as well. Replaying all moves on a stack, which a rollback shortens to the version that it
    went back to, leaves those that can still be undone.
    """
    stack: list[int | None] = []
    for move in moves:
        while move.rollback and stack and stack[-1] != move.to_version:
            stack.pop()
        if not move.rollback:
            stack.append(move.to_version)
    return stack


def _move(registry: RegistryBase, new: NewMove) -> None:
    validation.check_reason(new.reason)
    if new.force and not (new.reason or "").strip():
        raise AliasConflict(f"force=True takes a reason: say why {new.name!r}@{new.alias} has to move all the same")
    move = registry.store.prompts.move_alias(new)
    if move is not None:
        registry.plugins.hook.prompt_registry_alias_moved(move=move)


def _warn_of_new_variables(registry: RegistryBase, new: PromptVersion, current: PromptVersion | None) -> None:
    if current is None:
        return
    needed = registry.loader.with_includes(new).variables - registry.loader.with_includes(current).variables
    if needed:
        names = ", ".join(map(repr, sorted(needed)))
        logger.warning("%s needs %s, which version %s did not: callers have to pass it", new.uri, names, current.version)
