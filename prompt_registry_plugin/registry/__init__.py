"""The registry: prompts, traces and datasets by name, and hard-coded prompts that it replaces."""

from prompt_registry_plugin.moved import forward_old_names

forward_old_names(__name__)
