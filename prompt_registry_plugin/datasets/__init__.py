"""Examples, datasets, and human feedback: how files and traces become examples."""

from prompt_registry_plugin.moved import forward_old_names

forward_old_names(__name__)
