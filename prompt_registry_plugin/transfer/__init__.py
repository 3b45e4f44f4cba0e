"""Prompts in and out: files in git, whole registries, other tools."""

from prompt_registry_plugin.moved import forward_old_names

forward_old_names(__name__)
