"""Tags of prompts and of single versions."""

from __future__ import annotations

from prompt_registry_plugin import uri
from prompt_registry_plugin.registry.base import RegistryBase, current_user
from prompt_registry_plugin.registry.validation import check_tag


def set_prompt_tag(registry: RegistryBase, name: str, key: str, value: str) -> None:
    """Set a tag of a prompt as a whole."""
    registry.store.prompts.set_tag(uri.check_name(name), None, key, check_tag(name, key, value), by=current_user())


def delete_prompt_tag(registry: RegistryBase, name: str, key: str) -> None:
    """Remove a tag of a prompt; a missing one is ignored."""
    registry.store.prompts.set_tag(uri.check_name(name), None, key, None, by=current_user())


def set_prompt_version_tag(registry: RegistryBase, name: str, version: int, key: str, value: str) -> None:
    """Set a tag of one version."""
    registry.store.prompts.set_tag(uri.check_name(name), version, key, check_tag(name, key, value), by=current_user())


def delete_prompt_version_tag(registry: RegistryBase, name: str, version: int, key: str) -> None:
    """Remove a tag of one version; a missing one is ignored."""
    registry.store.prompts.set_tag(uri.check_name(name), version, key, None, by=current_user())
