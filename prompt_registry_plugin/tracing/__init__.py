"""The trace of an agent: a tree of spans, linked to the prompts that were rendered, and the recorder that collects it."""

from prompt_registry_plugin.moved import forward_old_names

forward_old_names(__name__)
