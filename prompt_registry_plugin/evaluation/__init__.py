"""Running a target on examples, scoring it, and comparing variants in pairs."""

from prompt_registry_plugin.moved import forward_old_names

forward_old_names(__name__)
