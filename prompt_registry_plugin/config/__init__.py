"""Configuration files: models, prompts, agents, data sets and optimizations in YAML. Needs the extra `config`."""

from __future__ import annotations

from importlib.util import find_spec

from prompt_registry_plugin.errors import PluginError
from prompt_registry_plugin.lazy_names import lazy_names

if find_spec("pydantic") is None:
    raise PluginError("configuration files need pydantic: pip install 'prompt-registry-plugin[config]'")

lazy_names(__name__)
