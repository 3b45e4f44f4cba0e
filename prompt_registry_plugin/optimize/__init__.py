"""Improving all prompts of a workflow together, from examples and scorers."""

from prompt_registry_plugin.lazy_names import lazy_names

lazy_names(__name__)
