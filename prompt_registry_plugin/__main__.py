"""`python -m prompt_registry_plugin` is `prompt-registry`."""

from prompt_registry_plugin.cli import main

main()
