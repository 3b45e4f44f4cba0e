"""Adds `prompt-registry offline-model` to the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prompt_registry_plugin.hookspecs import hookimpl
from prompt_registry_plugin.moved import forward_old_names

if TYPE_CHECKING:
    import click


@hookimpl
def prompt_registry_register_commands(cli: click.Group) -> None:
    """Add the command. Starlette and uvicorn are imported when it runs."""
    from prompt_registry_plugin.server.command import offline_model

    cli.add_command(offline_model)


forward_old_names(__name__)
