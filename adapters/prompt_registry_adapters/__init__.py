"""Framework adapters: one thin folder for each framework. What they have in common is in `prompt_registry_plugin.frameworks`."""
