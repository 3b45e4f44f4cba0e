"""Scorers and judges: the `scorer` decorator, built-in scorers, and those of other libraries. Each is imported on first use."""

from prompt_registry_plugin.lazy_names import lazy_names

lazy_names(__name__)
