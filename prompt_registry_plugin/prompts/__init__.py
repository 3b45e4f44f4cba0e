"""A version of a prompt, which renders itself, and the block of code in which a candidate replaces it."""

from prompt_registry_plugin.moved import forward_old_names

forward_old_names(__name__)
