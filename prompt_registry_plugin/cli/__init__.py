"""The command line, `prompt-registry`."""

from __future__ import annotations

from prompt_registry_plugin.cli.main import main

__all__ = ["main"]
