"""Pydantic AI: instructions and system prompts served, recorded and named; agents as targets.

The names are imported on first use: the package's plugin is loaded where the framework may be missing.
"""

from prompt_registry_plugin.lazy_names import lazy_names

lazy_names(__name__)
