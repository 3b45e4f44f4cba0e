"""An optimization run and what it may spend: the same for every optimizer."""

from prompt_registry_plugin.moved import forward_old_names

forward_old_names(__name__)
